"""The station agent: journal, lines, nozzles, commands and uplink, put together and kept running."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from forecourt_edge.collectors import records
from forecourt_edge.collectors.commands import Commands
from forecourt_edge.collectors.nozzle import Nozzle
from forecourt_edge.collectors.teller import Live, Teller
from forecourt_edge.config import EdgeConfig, LineConfig
from forecourt_edge.crash import CrashPoints
from forecourt_edge.drivers.lanfeng import LanfengGun, LanfengLine
from forecourt_edge.drivers.schedule import poll_line
from forecourt_edge.journal.sqlite import SqliteJournal, open_journal
from forecourt_edge.journal.types import Pressure
from forecourt_kit.clock import Clock
from forecourt_kit.disk import Disk
from forecourt_kit.net import Stream
from forecourt_kit.random import Random

JOURNAL_NAME = "journal.db"
WATCH_EVERY_S = 1.0

LineOpener = Callable[[str, int], Awaitable[Stream]]
"""Opens a line by name and baud."""

logger = logging.getLogger(__name__)


class Uplink(Protocol):
    """The way to the centre, as the agent needs it."""

    def send_live(self, channel: int, format: int, body: bytes) -> None:  # noqa: A002 - the wire's name
        """A class 0 record: sent once, or replaced by the next, or lost."""

    async def run(self) -> None:
        """Bring the journal to the centre, for ever."""


UplinkMaker = Callable[[SqliteJournal, Callable[[bytes], Awaitable[None]]], Uplink | None]
"""Makes the uplink from the journal and what takes a command's body; None for a station without one."""


@dataclass(slots=True)
class Agent:
    """What runs; `commands` takes what the centre sends, also when a test plays the centre."""

    journal: SqliteJournal
    nozzles: dict[int, Nozzle]
    commands: Commands
    teller: Teller
    lines: dict[str, LanfengLine]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything of the outside that the agent touches."""

    clock: Clock
    random: Random
    disk: Disk
    open_line: LineOpener
    crash: CrashPoints
    commit_inline: bool = False


@contextlib.asynccontextmanager
async def running(config: EdgeConfig, ports: Ports, make_uplink: UplinkMaker) -> AsyncIterator[Agent]:
    """An agent at work until the context ends; the first task that fails ends it by its error."""
    journal = open_journal(
        config.data_dir / JOURNAL_NAME,
        random=ports.random,
        clock=ports.clock,
        disk=ports.disk,
        crash=ports.crash,
        limits=config.journal,
        commit_inline=ports.commit_inline,
    )
    live = _LateLive()
    teller = Teller(journal, live, ports.clock)
    lines = {
        line.name: LanfengLine(line.name, partial(ports.open_line, line.port, line.baud), ports.clock)
        for line in config.lines
    }
    nozzles = {
        setup.nozzle: Nozzle(
            setup, LanfengGun(lines[line.name], setup.gun), journal, teller, ports.clock, ports.crash
        )
        for line in config.lines
        for setup in line.nozzles
    }
    commands = Commands(nozzles, journal, teller, ports.clock, ports.crash)
    uplink = make_uplink(journal, commands.receive)
    if uplink is not None:
        live.target = uplink.send_live
    agent = Agent(journal, nozzles, commands, teller, lines)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_watch(agent, ports.clock))]
            tasks += [group.create_task(_poll(line, agent, config, ports.clock)) for line in config.lines]
            if uplink is not None:
                tasks.append(group.create_task(uplink.run()))
            yield agent
            for task in tasks:
                task.cancel()
    finally:
        for line in lines.values():
            await line.close()
        await journal.close()


class _LateLive:
    """Live records before there is an uplink, or without one, are nobody's."""

    __slots__ = ("target",)

    def __init__(self) -> None:
        self.target: Live | None = None

    def __call__(self, channel: int, format_: int, body: bytes) -> None:
        if self.target is not None:
            self.target(channel, format_, body)


async def _poll(line: LineConfig, agent: Agent, config: EdgeConfig, clock: Clock) -> None:
    await poll_line([agent.nozzles[setup.nozzle] for setup in line.nozzles], config.pace, clock)


async def _watch(agent: Agent, clock: Clock) -> None:
    """Raise the alarms of the station itself: a damaged journal, a journal that fills."""
    journal, teller = agent.journal, agent.teller
    if journal.quarantined is not None:
        detail = {"kept_as": journal.quarantined.name}
        await teller.tell(records.station_alarm("journal_damaged", detail, clock.now()))
    pressure = Pressure.LOW
    while True:
        if journal.pressure is not pressure:
            pressure = journal.pressure
            detail = {"pressure": pressure.value, "dropped": str(journal.dropped)}
            logger.warning("journal pressure", extra=detail)
            await teller.tell(records.station_alarm("journal_pressure", detail, clock.now()))
        await asyncio.sleep(WATCH_EVERY_S)
