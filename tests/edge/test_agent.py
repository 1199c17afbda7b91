"""The agent in this process, on real pseudo-terminals and sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forecourt_edge.agent import Agent, Ports, running
from forecourt_edge.config import EdgeConfig, LineConfig
from forecourt_edge.crash import CrashPoints
from forecourt_edge.drivers.ports import open_line
from forecourt_edge.drivers.schedule import PollPace
from forecourt_edge.drivers.types import NozzleSetup, NozzleState
from forecourt_edge.journal.sqlite import JournalLimits
from forecourt_kit.clock import SystemClock
from forecourt_kit.disk import OsDisk
from forecourt_kit.quantity import Unit
from forecourt_kit.random import SeededRandom
from forecourt_simulators.station import setup
from forecourt_simulators.station.main import StationOptions
from forecourt_simulators.station.main import running as station_running

WAIT_S = 20


@asynccontextmanager
async def agent_on(line: str, directory: Path, **changes: Any) -> AsyncIterator[Agent]:
    nozzles = tuple(
        NozzleSetup(nozzle=number, gun=number, product="petrol", unit=Unit.L) for number in (1, 2)
    )
    config = EdgeConfig(
        name="t",
        data_dir=directory,
        lines=(LineConfig(name="line1", driver="lanfeng", port=line, baud=9600, nozzles=nozzles),),
        pace=PollPace(active_ms=10, idle_ms=20, offline_ms=50),
    )
    ports = Ports(
        clock=SystemClock(),
        random=SeededRandom(1),
        disk=OsDisk(),
        open_line=open_line,
        crash=CrashPoints(),
    )
    async with running(replace(config, **changes), ports, lambda _journal, _receive: None) as agent:
        yield agent


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not true():
            await asyncio.sleep(0.01)


def told(agent: Agent, kind: str) -> list[dict[str, Any]]:
    bodies = [json.loads(record.body) for record in agent.journal.unsent(0, 1_000)]
    return [body for body in bodies if body["kind"] == kind]


async def test_a_line_that_goes_and_comes_back_is_found_again(tmp_path: Path) -> None:
    options = StationOptions(setup=setup.of_kind("petrol"), pty_directory=tmp_path / "lines", speed=20)
    async with agent_on(str(tmp_path / "lines" / "line1"), tmp_path) as agent:
        for _ in range(2):
            async with station_running(options, SystemClock(), OsDisk()):
                await until(lambda: agent.nozzles[1].state is NozzleState.IDLE)
            await until(lambda: agent.nozzles[1].state is NozzleState.OFFLINE)
        events = [body["event"] for body in told(agent, "nozzle.event") if body["nozzle"] == 1]
        assert [event for event in events if event != "offline"] == ["idle", "idle"]


async def test_a_serial_device_server_carries_a_sale(tmp_path: Path) -> None:
    options = StationOptions(setup=setup.of_kind("petrol"), pty_directory=tmp_path, tcp_ports=(0,), speed=20)
    async with (
        station_running(options, SystemClock(), OsDisk()) as up,
        agent_on(up.line_urls["line1"], tmp_path) as agent,
    ):
        up.station.act({"do": "fill", "gun": 2, "amount_fen": 80_00})
        await until(lambda: len(told(agent, "delivery.ended")) == 1)
        await until(lambda: up.station.gun(2).waiting == [])


async def test_a_file_that_is_no_line_leaves_the_nozzles_offline(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    async with agent_on(str(tmp_path / "file"), tmp_path) as agent:
        await until(lambda: agent.nozzles[2].state is NozzleState.OFFLINE)
        await until(lambda: len(told(agent, "nozzle.event")) == 2)


async def test_a_damaged_journal_is_told_and_work_goes_on(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"\x00garbage" * 999)
    async with agent_on(str(tmp_path / "nothing"), tmp_path) as agent:
        await until(lambda: bool(told(agent, "station.alarm")))
        (alarm,) = told(agent, "station.alarm")
        assert alarm["alarm"] == "journal_damaged"
        assert (tmp_path / alarm["detail"]["kept_as"]).exists()


async def test_a_journal_that_fills_and_one_that_is_held_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forecourt_edge.agent.WATCH_EVERY_S", 0.01)
    limits = JournalLimits(bytes_max=10_000, gather_ms=0)
    async with agent_on(str(tmp_path / "nothing"), tmp_path, journal=limits) as agent:
        await agent.journal.append(2, 1, 2, b'{"kind": "filler"}' + b" " * 8_100)
        await until(lambda: len(told(agent, "station.alarm")) == 1)
        agent.journal.hold()
        await until(lambda: len(told(agent, "station.alarm")) == 2)
        assert [body["detail"]["pressure"] for body in told(agent, "station.alarm")] == ["high", "held"]
