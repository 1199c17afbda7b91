"""`forecourt-sim evse` as people start it: says where it is, obeys, keeps its registers, ends on a signal."""

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any


async def ask(control: str, **command: Any) -> Any:
    host, _, port = control.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(json.dumps(command).encode() + b"\n")
    answer = json.loads(await reader.readline())
    writer.close()
    await writer.wait_closed()
    return answer


async def test_it_runs_without_a_platform_and_keeps_its_registers(tmp_path: Path) -> None:
    words = ["evse", "--url", "ws://127.0.0.1:9/ocpp", "--charge-point", "CP-1:pw", "--control"]
    words += [
        "127.0.0.1:0",
        "--speed",
        "1000",
        "--power-w",
        "1000000",
        "--state",
        str(tmp_path / "state.json"),
    ]
    register_wh = 0
    for _ in range(2):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "forecourt_simulators.main", *words, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        facts = json.loads(await process.stdout.readline())
        assert facts["charge_points"] == ["CP-1"]
        (point,) = (await ask(facts["control"], do="charge_points"))["charge_points"]
        assert point["connectors"][0]["register_wh"] == register_wh
        charged = await ask(facts["control"], do="charge", connector=1, energy_wh=1_000, id_tag="A")
        assert charged["ok"]
        while True:
            (point,) = (await ask(facts["control"], do="charge_points"))["charge_points"]
            if point["connectors"][0]["last_end"] == "full":
                break
            await asyncio.sleep(0.05)
        assert point["kept"] >= 2
        register_wh += 1_000
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
