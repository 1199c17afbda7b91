"""SLP/1 at the centre: sessions in memory, messages stored in sets, acknowledged only when durable."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from forecourt.devices.types import CommandEvent, DeviceId, InboxMessage
from forecourt.gateway.commit import CommitQueue, Store
from forecourt.gateway.directory import DeviceDirectory
from forecourt.gateway.limits import GatewayLimits
from forecourt_kit.clock import Clock, to_us
from forecourt_kit.random import Random
from forecourt_protocols.slp.doorkeeper import WelcomeTerms
from forecourt_protocols.slp.events import (
    Address,
    CommandHandled,
    DeviceConnected,
    DeviceGone,
    HelloAccepted,
    HelloUnknown,
    Message,
    ServerEvent,
    StreamAddress,
)
from forecourt_protocols.slp.limits import CREDIT_MAX
from forecourt_protocols.slp.messages import CloseReason
from forecourt_protocols.slp.server import Server
from forecourt_protocols.slp.server_session import OutgoingCommand, ServerConfig

HighestMids = Callable[[list[tuple[int, bytes]]], Awaitable[dict[tuple[int, bytes], int]]]
"""(device id, incarnation) -> its highest stored message id; left out when nothing of it is stored."""

GREETINGS_PER_QUERY: Final = 256
GREETING_RETRY_S: Final = 1.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlpPorts:
    """What the process wires in.

    `live` takes telemetry, which is never stored. `command_ended` hears a device's and a command's id, and
    ACKNOWLEDGE when the device handled it or EXPIRE. `news` hears every other event: devices that connect
    and go, journals and stores that went back in time. The last three must not block.
    """

    store: Store
    highest_mids: HighestMids
    live: Callable[[list[InboxMessage]], None]
    command_ended: Callable[[int, int, CommandEvent], None]
    news: Callable[[ServerEvent], None]


class SlpGateway:
    """One for the process; receivers give it datagrams, `run` stores them and answers."""

    def __init__(
        self,
        config: ServerConfig,
        directory: DeviceDirectory,
        ports: SlpPorts,
        *,
        clock: Clock,
        random: Random,
        limits: GatewayLimits,
    ) -> None:
        self._directory = directory
        self._ports = ports
        self._clock = clock
        self._limits = limits
        self._server = Server(config, directory.key, random.bytes, lambda: to_us(clock.now()) // 1000)
        self.queue = CommitQueue(ports.store, self._stored, limits)
        self._send_datagram: Callable[[bytes, Address], None] | None = None
        self._send_stream: Callable[[bytes, StreamAddress], None] | None = None
        self._greetings: deque[HelloAccepted] = deque()
        self._strangers: dict[int, tuple[bytes, Address]] = {}  # HELLO of devices being looked up.
        directory.found = self._found
        self._greeted = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._expiries: dict[tuple[int, int], asyncio.TimerHandle] = {}
        self._credit = CREDIT_MAX

    @property
    def counters(self) -> dict[str, int]:
        """What was refused, by reason; for metrics."""
        return self._server.counters

    def attach_datagrams(self, send: Callable[[bytes, Address], None]) -> None:
        self._send_datagram = send

    def attach_streams(self, send: Callable[[bytes, StreamAddress], None]) -> None:
        self._send_stream = send

    async def run(self) -> None:
        """Store, greet and look up devices until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.queue.run())
                group.create_task(self._greet())
                group.create_task(self._directory.run())
        finally:
            if self._timer is not None:
                self._timer.cancel()
            for expiry in self._expiries.values():
                expiry.cancel()

    def receive(self, datagrams: Sequence[tuple[bytes, Address]]) -> None:
        """Everything that has arrived since the last call, in order."""
        now_s = self._clock.monotonic_s()
        receipt = self._server.receive_many(datagrams, now_s)
        if receipt.messages or receipt.live:
            at = self._clock.now()
            if receipt.messages:
                self.queue.put(self._inbox_messages(receipt.messages, at))
                self._press()
            if receipt.live:
                self._ports.live(self._inbox_messages(receipt.live, at))
        for event in receipt.events:
            self._hear(event)
        self._turn(now_s)

    def connected(self, device_id: int) -> bool:
        return self._server.connected(device_id)

    def connected_devices(self) -> list[int]:
        return self._server.connected_devices()

    def send_command(
        self,
        device_id: int,
        command_id: int,
        channel: int,
        content_format: int,
        body: bytes,
        *,
        expires_at: datetime,
    ) -> bool:
        """Keep trying until the device has handled it or it expires; `command_ended` tells which.

        False when the device's mailbox is full: ask again later. The device hands a command up once, told
        by its id, so after a restart of this process the same commands may be given again.
        """
        left_s = (expires_at - self._clock.now()).total_seconds()
        command = OutgoingCommand(command_id, to_us(expires_at) // 1000, channel, content_format, body)
        if (device_id, command_id) in self._expiries:
            return True
        if left_s <= 0:
            self._ports.command_ended(device_id, command_id, CommandEvent.EXPIRE)
            return True
        if not self._server.send_command(device_id, command):
            return False
        loop = asyncio.get_running_loop()
        self._expiries[device_id, command_id] = loop.call_later(left_s, self._expire, device_id, command_id)
        self._turn(self._clock.monotonic_s())
        return True

    def withdraw_command(self, device_id: int, command_id: int) -> None:
        """It is superseded: do not send it (again). What is on its way may still arrive."""
        expiry = self._expiries.pop((device_id, command_id), None)
        if expiry is not None:
            expiry.cancel()
        self._server.withdraw_command(device_id, command_id)

    def revoke(self, device_id: int) -> None:
        """The device's keys are no longer good: end its session now, and look again before the next."""
        self._directory.forget(device_id)
        self._server.disconnect(device_id, CloseReason.KEY_REVOKED)
        self._turn(self._clock.monotonic_s())

    def _inbox_messages(self, messages: list[Message], at: datetime) -> list[InboxMessage]:
        owner = self._directory.owner
        inbox: list[InboxMessage] = []
        for device_id, incarnation, mid, record_class, _, channel, content_format, body in messages:
            device = owner(device_id)
            if device is None:
                # It was removed while it spoke. Unstored, so unacknowledged: its journal still has it.
                logger.warning("message of a removed device", extra={"device_id": device_id})
                continue
            inbox.append(
                InboxMessage(
                    device_id=DeviceId(device_id),
                    operator_id=device.operator_id,
                    station_id=device.station_id,
                    incarnation=incarnation,
                    mid=mid,
                    record_class=record_class,
                    channel=channel,
                    format=content_format,
                    body=body,
                    received_at=at,
                )
            )
        return inbox

    def _stored(self, batch: list[InboxMessage]) -> None:
        self._server.committed(batch)
        self._press()
        self._turn(self._clock.monotonic_s())

    def _press(self) -> None:
        """Tell the devices to stop before the queue is full, and to go on when it has drained."""
        waiting, limits = len(self.queue), self._limits
        if waiting >= limits.queue_messages_stop:
            self._credit = 0
        elif waiting <= limits.queue_messages_resume:
            self._credit = CREDIT_MAX
        self._server.set_credit(self._credit, accepting=waiting < limits.queue_messages_max)

    def _hear(self, event: ServerEvent) -> None:
        if isinstance(event, HelloAccepted):
            if len(self._greetings) < self._limits.greetings_max:
                self._greetings.append(event)
                self._greeted.set()
            return
        if isinstance(event, HelloUnknown):
            if self._directory.looking_for(event.device_id):
                self._strangers[event.device_id] = (event.frame, event.address)
            return
        if isinstance(event, CommandHandled):
            expiry = self._expiries.pop((event.device_id, event.command_id), None)
            if expiry is not None:
                expiry.cancel()
            self._ports.command_ended(event.device_id, event.command_id, CommandEvent.ACKNOWLEDGE)
            return
        level = logging.INFO if isinstance(event, DeviceConnected | DeviceGone) else logging.ERROR
        logger.log(level, type(event).__name__, extra=event._asdict())
        self._ports.news(event)

    def _found(self, device_id: int) -> None:
        stranger = self._strangers.pop(device_id, None)
        if stranger is not None and self._directory.owner(device_id) is not None:
            self.receive([stranger])

    def _expire(self, device_id: int, command_id: int) -> None:
        del self._expiries[device_id, command_id]
        if self._server.withdraw_command(device_id, command_id):
            self._ports.command_ended(device_id, command_id, CommandEvent.EXPIRE)

    async def _greet(self) -> None:
        """Welcome devices, many by one query: after an outage they all come at once."""
        while True:
            await self._greeted.wait()
            hellos = [
                self._greetings.popleft() for _ in range(min(len(self._greetings), GREETINGS_PER_QUERY))
            ]
            if not self._greetings:
                self._greeted.clear()
            try:
                highest = await self._ports.highest_mids(
                    [(hello.device_id, hello.incarnation) for hello in hellos]
                )
            except Exception:
                # The store is away. The devices repeat their HELLO.
                logger.exception("devices could not be welcomed", extra={"devices": len(hellos)})
                await asyncio.sleep(GREETING_RETRY_S)
                continue
            now_s = self._clock.monotonic_s()
            for hello in hellos:
                terms = WelcomeTerms(highest_mid=highest.get((hello.device_id, hello.incarnation)))
                for event in self._server.welcome(hello, terms, now_s):
                    self._hear(event)
            self._turn(now_s)

    def _turn(self, now_s: float) -> None:
        """Send what is due and set the timer for what will be."""
        for event in self._server.poll(now_s):
            self._hear(event)
        for data, address in self._server.datagrams_to_send():
            if isinstance(address, StreamAddress):
                if self._send_stream is not None:
                    self._send_stream(data, address)
            elif self._send_datagram is not None:
                self._send_datagram(data, address)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due_s = self._server.next_timeout_s(now_s)
        if due_s is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(max(due_s - now_s, 0.001), self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._turn(self._clock.monotonic_s())
