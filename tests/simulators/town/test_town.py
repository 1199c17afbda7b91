import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest

from forecourt_simulators.town.main import parts_of

START = "import sys; from forecourt_simulators.main import main; sys.exit(main())"


def test_the_command_line_is_cut_at_its_separators() -> None:
    assert parts_of(["station", "--kind", "gas", "--", "station", "--", "traffic", "--seed", "1"]) == [
        ("station", ["--kind", "gas"]),
        ("station", []),
        ("traffic", ["--seed", "1"]),
    ]


@pytest.mark.parametrize("argv", [[], ["--"], ["channels"], ["station", "--", "circus"]])
def test_what_cannot_be_brought_up_is_refused(argv: list[str]) -> None:
    with pytest.raises(ValueError, match="expected station"):
        parts_of(argv)


async def test_two_stations_and_their_traffic_live_in_one_process(tmp_path: Path) -> None:
    words = (
        f"town station --kind gas --pty-dir {tmp_path}/gas --control 127.0.0.1:0 -- "
        f"station --kind petrol --pty-dir {tmp_path}/petrol --control 127.0.0.1:0 -- traffic --seed 3"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", START, *words.split(), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    facts = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
    assert [side["side"] for side in facts] == ["station", "station", "traffic"]
    assert facts[0]["lines"] == {"line1": f"{tmp_path}/gas/line1"}
    process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0
