"""A gateway on loopback with a store in memory, and stations that speak to it over real sockets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from forecourt.core.actor import OperatorId
from forecourt.core.errors import Unavailable
from forecourt.devices.types import (
    CommandEvent,
    DeviceId,
    DeviceInfo,
    DeviceKey,
    DeviceKind,
    DeviceState,
    InboxMessage,
    KeyRing,
)
from forecourt.gateway.directory import DeviceDirectory
from forecourt.gateway.limits import GatewayLimits
from forecourt.gateway.slp import SlpGateway, SlpPorts
from forecourt.gateway.tcp import TcpReceiver
from forecourt.gateway.udp import UdpReceiver
from forecourt_edge.journal.types import JournalRecord
from forecourt_edge.uplink.config import Endpoint, UplinkConfig
from forecourt_edge.uplink.links import open_link
from forecourt_edge.uplink.uplink import Uplink
from forecourt_kit.clock import SystemClock
from forecourt_kit.random import SystemRandom
from forecourt_protocols.slp.events import ServerEvent
from forecourt_protocols.slp.server_session import ServerConfig

SECRET = b"s" * 32
STATION = 77


def psk_of(device_id: int) -> bytes:
    return device_id.to_bytes(4, "big") * 8


@dataclass
class Centre:
    """What the process would wire in; `away` makes the store refuse, `poison` refuses one body for good."""

    rows: dict[tuple[int, bytes, int], InboxMessage] = field(default_factory=dict)
    order: list[InboxMessage] = field(default_factory=list)
    sets: list[int] = field(default_factory=list)
    live: list[InboxMessage] = field(default_factory=list)
    ended: list[tuple[int, int, CommandEvent]] = field(default_factory=list)
    news: list[ServerEvent] = field(default_factory=list)
    lookups: list[int] = field(default_factory=list)
    devices: set[int] = field(default_factory=set)
    away: bool = False
    poison: bytes | None = None
    gate: asyncio.Event | None = None

    async def store(self, messages: list[InboxMessage]) -> None:
        if self.gate is not None:
            await self.gate.wait()
        await asyncio.sleep(0.001)
        if self.away:
            raise Unavailable
        if any(message.body == self.poison for message in messages):
            raise ValueError("a body that the database does not take")
        self.sets.append(len(messages))
        for message in messages:
            key = (message.device_id, message.incarnation, message.mid)
            if key not in self.rows:
                self.rows[key] = message
                self.order.append(message)

    async def highest_mids(self, wanted: list[tuple[int, bytes]]) -> dict[tuple[int, bytes], int]:
        if self.away:
            raise Unavailable
        found: dict[tuple[int, bytes], int] = {}
        for device_id, incarnation, mid in self.rows:
            if (device_id, incarnation) in wanted:
                found[device_id, incarnation] = max(mid, found.get((device_id, incarnation), 0))
        return found

    async def find(self, device_id: int) -> KeyRing | None:
        self.lookups.append(device_id)
        if device_id not in self.devices:
            return None
        device = DeviceInfo(
            id=DeviceId(device_id),
            operator_id=OperatorId(5),
            station_id=STATION,
            kind=DeviceKind.STATION_AGENT,
            name="station",
            state=DeviceState.ACTIVE,
            code=None,
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        return KeyRing(device, (DeviceKey(1, psk_of(device_id)),))

    def bodies(self, device_id: int) -> list[bytes]:
        return [message.body for message in self.order if message.device_id == device_id]


@dataclass
class Running:
    gateway: SlpGateway
    udp: UdpReceiver | None
    tcp: TcpReceiver
    port: int
    tcp_port: int


@contextlib.asynccontextmanager
async def running(
    centre: Centre, *, port: int = 0, tcp_port: int = 0, udp: bool = True, limits: GatewayLimits | None = None
) -> AsyncIterator[Running]:
    limits = limits or GatewayLimits()
    clock = SystemClock()
    gateway = SlpGateway(
        ServerConfig(reset_secret=SECRET, rate_frames_s=1000),
        DeviceDirectory(centre.find, clock, limits),
        SlpPorts(
            store=centre.store,
            highest_mids=centre.highest_mids,
            live=centre.live.extend,
            command_ended=lambda device_id, command_id, event: centre.ended.append(
                (device_id, command_id, event)
            ),
            news=centre.news.append,
        ),
        clock=clock,
        random=SystemRandom(),
        limits=limits,
    )
    receiver = UdpReceiver(gateway, "127.0.0.1", port, datagrams_per_turn_max=256) if udp else None
    streams = TcpReceiver(gateway, limits)
    tcp_port = await streams.listen("127.0.0.1", tcp_port)
    task = asyncio.create_task(gateway.run())
    try:
        udp_port = int(str(receiver.address[1])) if receiver else 0
        yield Running(gateway, receiver, streams, udp_port, tcp_port)
    finally:
        task.cancel()
        await asyncio.wait([task])
        if receiver is not None:
            receiver.close()
        await streams.close()


class MemoryJournal:
    """A journal whose disk is a dict."""

    def __init__(self, incarnation: bytes = b"inc1") -> None:
        self.incarnation = incarnation
        self.records: dict[int, JournalRecord] = {}
        self.epoch = 0
        self._next_mid = 1
        self._changed = asyncio.Event()

    def append(self, body: bytes, record_class: int = 2, channel: int = 1) -> int:
        mid, self._next_mid = self._next_mid, self._next_mid + 1
        self.records[mid] = JournalRecord(mid, record_class, channel, 2, body)
        self._changed.set()
        return mid

    def next_epoch(self, at_least: int = 0) -> int:
        self.epoch = max(self.epoch + 1, at_least)
        return self.epoch

    def oldest_mid(self) -> int:
        return min(self.records, default=self._next_mid)

    def next_mid(self) -> int:
        return self._next_mid

    def unsent(self, after_mid: int, limit: int) -> list[JournalRecord]:
        return [self.records[mid] for mid in sorted(self.records) if mid > after_mid][:limit]

    async def grown(self, after_mid: int) -> None:
        while self._next_mid <= after_mid + 1:
            self._changed.clear()
            await self._changed.wait()

    async def discard(self, up_to_mid: int) -> None:
        for mid in [mid for mid in self.records if mid <= up_to_mid]:
            del self.records[mid]
        self._changed.set()

    async def drained(self) -> None:
        while self.records:
            self._changed.clear()
            await self._changed.wait()


@contextlib.asynccontextmanager
async def station(
    device_id: int,
    endpoints: tuple[Endpoint, ...],
    journal: MemoryJournal,
    commands: list[bytes] | None = None,
) -> AsyncIterator[Uplink]:
    async def obey(body: bytes) -> None:
        if commands is not None:
            commands.append(body)

    uplink = Uplink(
        UplinkConfig(device_id=device_id, key_id=1, psk=psk_of(device_id), endpoints=endpoints),
        journal,
        obey,
        open_link=open_link,
        clock=SystemClock(),
        random=SystemRandom(),
    )
    task = asyncio.create_task(uplink.run())
    try:
        yield uplink
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (fault := task.exception()) is not None:
            raise fault


async def until(what: object, timeout_s: float = 10.0) -> None:
    """Wait until the callable says yes; the time only ends a test that hangs."""
    assert callable(what)
    async with asyncio.timeout(timeout_s):
        while not what():
            await asyncio.sleep(0.005)
