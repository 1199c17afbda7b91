"""Brings the journal to the centre and commands to the station, for ever."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from forecourt_edge.journal.types import JournalRecord
from forecourt_edge.uplink.config import Endpoint, UplinkConfig
from forecourt_edge.uplink.links import Link, LinkOpener
from forecourt_kit.clock import Clock, to_us
from forecourt_kit.random import Random
from forecourt_protocols.slp.device import DeviceConfig, DeviceSession
from forecourt_protocols.slp.events import (
    Command,
    Committed,
    DeviceEvent,
    Disconnected,
    EpochJump,
    JournalBehind,
    JournalState,
    Outbound,
    Redirected,
)
from forecourt_protocols.slp.limits import SILENCE_S
from forecourt_protocols.slp.state import DeviceState

OnCommand = Callable[[bytes], Awaitable[None]]
"""Takes a command's body. Returns once its outcome is on disk; a command may come again after a crash."""

NO_ANSWER = "no answer"
OPEN_RETRY_S = 5.0
KEEP_TRANSPORT = frozenset(
    {"renew", "reset", "epoch", "redirect"}
)  # The way was good; only the session ended.

logger = logging.getLogger(__name__)


class UplinkJournal(Protocol):
    """The part of journal.types.Journal that the uplink reads."""

    @property
    def incarnation(self) -> bytes: ...
    def next_epoch(self, at_least: int = 0) -> int: ...
    def oldest_mid(self) -> int: ...
    def next_mid(self) -> int: ...
    def unsent(self, after_mid: int, limit: int) -> list[JournalRecord]: ...
    async def grown(self, after_mid: int) -> None: ...
    async def discard(self, up_to_mid: int) -> None: ...


class Uplink:
    """One for the station; `run` it in a task.

    Args:
        on_command: see `OnCommand`; commands run beside each other.
        held: told when the centre has more of this journal than the journal itself: it is an old copy,
            and nothing is sent from it until a person has decided.
    """

    def __init__(
        self,
        config: UplinkConfig,
        journal: UplinkJournal,
        on_command: OnCommand,
        *,
        open_link: LinkOpener,
        clock: Clock,
        random: Random,
        held: Callable[[], None] = lambda: None,
    ) -> None:
        self._config = config
        self._journal = journal
        self._on_command = on_command
        self._open_link = open_link
        self._clock = clock
        self._random = random
        self._held = held
        self._session = DeviceSession(
            DeviceConfig(
                device_id=config.device_id,
                key_id=config.key_id,
                psk=config.psk,
                datagram_bytes_max=config.datagram_bytes_max,
            ),
            random.bytes,
        )
        self._turn_due = asyncio.Event()
        self._ended: Disconnected | None = None
        self._epoch_at_least = 0
        self._redirect: Endpoint | None = None
        self._discard_up_to = 0
        self._discard_due = asyncio.Event()
        self._work: asyncio.TaskGroup | None = None

    @property
    def connected(self) -> bool:
        return self._session.state is DeviceState.CONNECTED

    def send_live(self, channel: int, format: int, body: bytes) -> None:  # noqa: A002 - the wire's name
        """A class 0 record: sent once, or replaced by a newer one, or lost."""
        self._session.push_live(channel, format, body)
        self._turn_due.set()

    async def run(self) -> None:
        """Keep a session with the centre until cancelled; then say good-bye."""
        async with asyncio.TaskGroup() as work:
            self._work = work
            work.create_task(self._discard())
            at, pause_s = 0, 0.0
            while True:
                endpoint = self._redirect or self._config.endpoints[at % len(self._config.endpoints)]
                ended = await self._connect(endpoint)
                logger.info("uplink ended", extra={"reason": ended.reason, "transport": endpoint.transport})
                if ended.reason in KEEP_TRANSPORT:
                    await asyncio.sleep(ended.retry_in_s)
                    continue
                self._redirect = None
                at = at + 1 if ended.reason == NO_ANSWER else 0
                pause_s = max(pause_s, ended.retry_in_s)
                if at % len(self._config.endpoints) == 0:
                    # After silence on one transport the other is tried at once; after all of them, later.
                    await asyncio.sleep(pause_s)
                    pause_s = 0.0

    async def _connect(self, endpoint: Endpoint) -> Disconnected:
        """One session over one link, from HELLO to its end."""
        try:
            link = await self._open_link(endpoint)
        except OSError as why:
            logger.info("no link to the centre", extra={"transport": endpoint.transport, "why": str(why)})
            return Disconnected(NO_ANSWER, OPEN_RETRY_S)
        journal = self._journal
        state = JournalState(
            epoch=journal.next_epoch(self._epoch_at_least),
            incarnation=journal.incarnation,
            oldest_mid=journal.oldest_mid(),
            next_mid=journal.next_mid(),
        )
        self._ended = None
        self._session.connect(self._clock.monotonic_s(), state, stream=endpoint.transport == "tcp")
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._listen(link)), group.create_task(self._watch_journal())]
                ended = await self._turns(link)
                for task in tasks:
                    task.cancel()
            return ended
        finally:
            self._session.close()
            self._send(link)
            link.close()

    async def _turns(self, link: Link) -> Disconnected:
        """Send what is due whenever something happened or a timer ran out."""
        while True:
            self._turn_due.clear()
            self._fill()
            self._send(link)
            if self._ended is not None:
                return self._ended
            now_s = self._clock.monotonic_s()
            due_s = self._session.next_timeout_s(now_s)
            try:
                async with asyncio.timeout(max((due_s or now_s + SILENCE_S) - now_s, 0.001)):
                    await self._turn_due.wait()
            except TimeoutError:
                self._hear(self._session.poll(self._clock.monotonic_s()))

    async def _listen(self, link: Link) -> None:
        try:
            while True:
                frame = await link.receive()
                self._hear(self._session.receive(frame, self._clock.monotonic_s()))
                self._turn_due.set()
        except OSError:
            self._hear(self._session.connection_lost())
            self._turn_due.set()

    async def _watch_journal(self) -> None:
        """Wake the session for new records, but only once those before are on their way."""
        while True:
            after_mid = max(self._session.read_after, self._journal.next_mid() - 1)
            await self._journal.grown(after_mid)
            self._turn_due.set()

    def _fill(self) -> None:
        """Hand over as many journal records as the window takes."""
        session = self._session
        while (room := session.room()) > 0:
            before = session.read_after
            records = self._journal.unsent(before, room)
            if not records:
                return
            session.push(
                Outbound(record.mid, record.record_class, record.channel, record.format, record.body)
                for record in records
            )
            if session.read_after == before:
                return

    def _send(self, link: Link) -> None:
        for frame in self._session.datagrams_to_send(self._clock.monotonic_s()):
            link.send(frame)

    def _hear(self, events: list[DeviceEvent]) -> None:
        for event in events:
            if isinstance(event, Committed):
                self._discard_up_to = max(self._discard_up_to, event.com_base)
                self._discard_due.set()
            elif isinstance(event, Command):
                assert self._work is not None
                self._work.create_task(self._obey(event))
            elif isinstance(event, Disconnected):
                self._ended = event
            elif isinstance(event, EpochJump):
                self._epoch_at_least = event.epoch
            elif isinstance(event, Redirected):
                self._redirect = Endpoint("udp", event.host, event.port)
            elif isinstance(event, JournalBehind):
                logger.error("the journal is an old copy", extra=event._asdict())
                self._held()

    async def _obey(self, command: Command) -> None:
        if command.expires_at_ms and to_us(self._clock.now()) >= command.expires_at_ms * 1000:
            logger.warning("command came too late", extra={"command_id": command.command_id})
        else:
            await self._on_command(command.body)
        self._session.handled(command.command_id)
        self._turn_due.set()

    async def _discard(self) -> None:
        """Let the journal forget what the centre has."""
        while True:
            await self._discard_due.wait()
            self._discard_due.clear()
            if self._discard_up_to:
                await self._journal.discard(self._discard_up_to)
