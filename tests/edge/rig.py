"""A station under test: virtual dispensers on a wire, the real driver, keeper and journal; power cuts."""

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from forecourt_edge.collectors.commands import Commands
from forecourt_edge.collectors.nozzle import Nozzle
from forecourt_edge.collectors.teller import Teller
from forecourt_edge.crash import CrashPoints
from forecourt_edge.drivers.lanfeng import LanfengGun, LanfengLine
from forecourt_edge.drivers.types import NozzleSetup, ReleaseMode
from forecourt_edge.journal.sqlite import JournalLimits, SqliteJournal, open_journal
from forecourt_kit.clock import ManualClock, rfc3339
from forecourt_kit.disk import OsDisk
from forecourt_kit.net import Stream
from forecourt_kit.quantity import Unit
from forecourt_kit.random import SeededRandom
from forecourt_protocols.lanfeng.commands import GunState
from forecourt_simulators.station import setup as virtual
from forecourt_simulators.station.line import Line
from forecourt_simulators.station.station import Station

SECOND_US = 1_000_000
TICK_US = 100_000


class PowerCut(BaseException):
    """The process is gone; nothing of it runs any further."""


@dataclass
class Wire:
    """The stream between driver and virtual line; may cut the power at the n-th frame sent."""

    line: Line
    heard: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    frames_left: int | None = None
    cut_before_delivery: bool = True

    async def read(self, bytes_max: int) -> bytes:
        return await self.heard.get()

    async def write(self, data: bytes) -> None:
        if self.frames_left is not None:
            self.frames_left -= 1
            if self.frames_left < 0:
                if not self.cut_before_delivery:
                    self.line.receive(data)
                raise PowerCut
        if answer := self.line.receive(data):
            self.heard.put_nowait(answer)

    async def close(self) -> None:
        pass


async def opened(stream: Stream) -> Stream:
    return stream


@dataclass
class Rig:
    """`start` is power-up: everything but the station and the disk is made anew."""

    directory: Path
    modes: tuple[ReleaseMode, ...] = (ReleaseMode.FREE, ReleaseMode.AUTHORISE)
    limits: dict[str, int] = field(default_factory=dict)
    clock: ManualClock = field(default_factory=ManualClock)
    live: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.station = Station.installed(virtual.of_kind("petrol"), SeededRandom(1))
        self.line = self.station.lines["line1"]

    def start(self, *, frames: int | None = None, cut_before_delivery: bool = True) -> None:
        self.journal: SqliteJournal = open_journal(
            self.directory / "journal.db",
            random=SeededRandom(2),
            clock=self.clock,
            disk=OsDisk(),
            limits=JournalLimits(**{"gather_ms": 0, **self.limits}),
            commit_inline=True,
        )
        self.wire = Wire(self.line, frames_left=frames, cut_before_delivery=cut_before_delivery)
        self.lanfeng = LanfengLine("line1", partial(opened, self.wire), self.clock, answer_timeout_s=0.005)
        self.teller = Teller(self.journal, self._keep_live, self.clock)
        self.nozzles = {
            number: Nozzle(
                NozzleSetup(nozzle=number, gun=number, product="petrol", unit=Unit.L, mode=mode),
                LanfengGun(self.lanfeng, number),
                self.journal,
                self.teller,
                self.clock,
                CrashPoints(),
            )
            for number, mode in enumerate(self.modes, start=1)
        }
        self.commands = Commands(self.nozzles, self.journal, self.teller, self.clock, CrashPoints())

    async def stop(self) -> None:
        await self.journal.close()

    async def visit(self, times: int = 1) -> None:
        for _ in range(times):
            for nozzle in self.nozzles.values():
                await nozzle.visit()

    async def pass_time(self, seconds: int) -> None:
        """People and product move; the station's agent looks every half second."""
        for tick in range(seconds * SECOND_US // TICK_US):
            self.station.advance(TICK_US)
            self.clock.advance(TICK_US / SECOND_US)
            if tick % 5 == 0:
                await self.visit()
        await self.visit(2)

    async def command(self, command: str, nozzle: int, command_id: str, **facts: Any) -> None:
        if command in ("authorise", "release") and "expires_at" not in facts:
            facts["expires_at"] = rfc3339(self.clock.now() + timedelta(minutes=5))
        body = {"command": command, "command_id": command_id, "nozzle": nozzle, **facts}
        await self.commands.receive(json.dumps(body).encode())

    def arrive(self, gun: int, **wish: int) -> None:
        self.station.act({"do": "fill", "gun": gun, **wish})

    def told(self, kind: str) -> list[dict[str, Any]]:
        """Bodies in the journal of this kind, oldest first."""
        bodies = [json.loads(record.body) for record in self.journal.unsent(0, 10_000)]
        return [body for body in bodies if body["kind"] == kind]

    def results(self) -> dict[str, tuple[str, str | None]]:
        return {body["command_id"]: (body["outcome"], body["reason"]) for body in self.told("command.result")}

    def events(self, nozzle: int) -> list[str]:
        return [body["event"] for body in self.told("nozzle.event") if body["nozzle"] == nozzle]

    def check_nothing_lost_or_doubled(self) -> None:
        """Σ delivered = totalizer, each sale once, nothing left at the dispenser."""
        deliveries = self.told("delivery.ended")
        identities = [body["identity"] for body in deliveries]
        assert len(identities) == len(set(identities))
        for number in self.nozzles:
            gun = self.station.gun(number)
            assert gun.state is GunState.IDLE
            assert gun.waiting == []
            mine = [body for body in deliveries if body["nozzle"] == number and body["device_sequence"]]
            assert sum(body["quantity_e4"] for body in mine) == gun.register_e2 * 100
            assert [body["device_sequence"] for body in mine] == list(range(1, gun.last_sequence + 1))

    def _keep_live(self, channel: int, format_: int, body: bytes) -> None:
        self.live.append(json.loads(body))


async def until_quiet(rig: Rig, done: Callable[[], bool], seconds_max: int = 400) -> None:
    for _ in range(seconds_max):
        await rig.pass_time(1)
        if done():
            return
    raise AssertionError("the station never came to rest")


def authorisations(deliveries: Iterable[dict[str, Any]]) -> list[str]:
    return [body["authorisation_id"] for body in deliveries if body["authorisation_id"] is not None]
