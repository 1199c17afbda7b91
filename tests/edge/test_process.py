"""The agent as a process on a pseudo-terminal: killed at named points and at random, and started again."""

import asyncio
import contextlib
import json
import os
import sqlite3
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from forecourt_edge.crash import CRASH_VARIABLE, EXIT_CODE
from forecourt_kit.clock import SystemClock
from forecourt_kit.disk import OsDisk
from forecourt_protocols.lanfeng.commands import GunState
from forecourt_simulators.station import setup
from forecourt_simulators.station.main import RunningStation, StationOptions, running

START = "import sys; from forecourt_edge.main import main; sys.exit(main())"
WAIT_S = 90.0  # Ten starts of a process on a machine that does other things too.
SPEED = 20


@dataclass
class AgentProcess:
    """Starts the agent on one configuration, again and again."""

    directory: Path
    line: str
    process: asyncio.subprocess.Process | None = None
    crashes: list[int] = field(default_factory=list)

    async def start(self, crash_at: str = "") -> None:
        config = self.directory / "edge.toml"
        nozzles = "".join(
            f'[[line.nozzle]]\nnozzle = {number}\nproduct = "petrol"\nunit = "L"\n' for number in (1, 2)
        )
        config.write_text(
            f'[station]\nname = "t"\ndata_dir = "{self.directory}"\n[poll]\nactive_ms = 20\nidle_ms = 50\n'
            f'offline_ms = 200\n[[line]]\nname = "line1"\nport = "{self.line}"\n{nozzles}'
        )
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", START, "run", "--config", str(config),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, CRASH_VARIABLE: crash_at},
        )  # fmt: skip

    async def end(self, *, kill: bool = False) -> int:
        """Wait for the process to end: by itself, by a signal to stop, or killed."""
        assert self.process is not None
        if kill:
            self.process.kill()
        elif self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()
        return await self.wait()

    async def wait(self) -> int:
        assert self.process is not None
        await asyncio.wait_for(self.process.communicate(), WAIT_S)
        assert self.process.returncode is not None
        return self.process.returncode

    def records(self, kind: str) -> list[dict[str, Any]]:
        with contextlib.closing(sqlite3.connect(self.directory / "journal.db")) as journal:
            bodies = [json.loads(body) for (body,) in journal.execute("SELECT body FROM record ORDER BY mid")]
        return [body for body in bodies if body["kind"] == kind]


@pytest.fixture
async def station(tmp_path: Path) -> AsyncIterator[RunningStation]:
    options = StationOptions(setup=setup.of_kind("petrol"), pty_directory=tmp_path / "lines", speed=SPEED)
    async with running(options, SystemClock(), OsDisk()) as made:
        yield made


@pytest.fixture
async def agent(tmp_path: Path, station: RunningStation) -> AsyncIterator[AgentProcess]:
    made = AgentProcess(tmp_path, station.line_urls["line1"])
    yield made
    if made.process is not None and made.process.returncode is None:
        await made.end(kill=True)


async def sold(station: RunningStation, sales: int) -> None:
    """Until so many sales were made and every one was taken over."""
    guns = [station.station.gun(number) for number in (1, 2)]
    async with asyncio.timeout(WAIT_S):
        while sum(gun.last_sequence for gun in guns) < sales or any(
            gun.waiting or gun.state is not GunState.IDLE for gun in guns
        ):
            await asyncio.sleep(0.02)


def check(station: RunningStation, agent: AgentProcess) -> None:
    deliveries = agent.records("delivery.ended")
    for number in (1, 2):
        gun = station.station.gun(number)
        mine = [body for body in deliveries if body["nozzle"] == number]
        assert [body["device_sequence"] for body in mine] == list(range(1, gun.last_sequence + 1))
        assert sum(body["quantity_e4"] for body in mine) == gun.register_e2 * 100


async def test_it_runs_sells_and_stops_cleanly(station: RunningStation, agent: AgentProcess) -> None:
    await agent.start()
    station.station.act({"do": "fill", "gun": 1, "amount_fen": 100_00})
    station.station.act({"do": "fill", "gun": 2, "amount_fen": 50_00})
    await sold(station, 2)
    assert await agent.end() == 0
    check(station, agent)


@pytest.mark.parametrize(
    "point",
    [
        "before_journal_commit:2",
        "after_journal_commit:5",
        "after_sale_journalled",
        "after_sale_cleared",
    ],
)
async def test_killed_at_a_named_point_it_resumes(
    station: RunningStation, agent: AgentProcess, point: str
) -> None:
    station.station.act({"do": "fill", "gun": 1, "amount_fen": 50_00})
    await agent.start(crash_at=point)
    assert await agent.wait() == EXIT_CODE
    await agent.start()
    await sold(station, 1)
    await agent.end()
    check(station, agent)


async def test_killed_again_and_again_it_loses_and_doubles_nothing(
    station: RunningStation, agent: AgentProcess
) -> None:
    for round_ in range(5):
        await agent.start()
        for gun in (1, 2):
            if gun not in station.station.visits:
                station.station.act({"do": "fill", "gun": gun, "amount_fen": 20_00})
        await asyncio.sleep(0.5 + 0.17 * round_)
        await agent.end(kill=True)
    await agent.start()
    await sold(station, 2)
    await agent.end()
    check(station, agent)


async def test_a_wrong_configuration_ends_it_with_a_sentence(tmp_path: Path) -> None:
    config = tmp_path / "edge.toml"
    config.write_text("[station]\n")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", START, "run", "--config", str(config), stderr=asyncio.subprocess.PIPE
    )
    _, said = await asyncio.wait_for(process.communicate(), WAIT_S)
    assert process.returncode == 78
    assert b"missing: 'name'" in said
