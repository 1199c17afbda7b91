"""The switchboard between what happens and the screens that watch.

Live values (`publish_live`) go to every subscriber of every process and are never stored; a subscriber that
reads too slowly loses its oldest and is told how many. Durable events come from the outbox by sequence: a
subscriber never loses one, whatever its speed, and resumes at any number it has seen.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from forecourt.core import outbox
from forecourt.core.bus.matching import topic_matches
from forecourt.core.bus.types import Message
from forecourt.core.db import Database
from forecourt.core.db.types import dump_json
from forecourt.core.errors import Unavailable
from forecourt.core.live.types import Lost, Transport, Update, Wanted

LIVE_UPDATES_MAX = 256  # Live values that wait for one subscriber.
OUTGOING_MAX = 10_000  # Live values that wait for the transport; the oldest go first.
WINDOW_EVENTS_MAX = 2_000  # Newest durable events in memory; who is further behind reads the table.
READ_ROWS_MAX = 500
RESUME_EVENTS_MAX = 10_000  # Who was away for longer starts anew.
POLL_S = 1.0  # A wake-up may be lost on its way between processes.
AWAY_PAUSE_S = 1.0
NUMBERED = "core.outbox.numbered"  # Tells other processes that there are new durable events.

log = logging.getLogger(__name__)


class LiveHub:
    """One per process. `run` keeps it fed; `offer` is for this process's relay (`on_numbered`)."""

    def __init__(
        self, database: Database, transport: Transport | None = None, *, poll_s: float = POLL_S
    ) -> None:
        self._database = database
        self._transport = transport
        self._poll_s = poll_s
        self._name = f"{database.ids.new():x}"
        self._subscribers: set[_Subscriber] = set()
        self._outgoing: deque[bytes] = deque(maxlen=OUTGOING_MAX)
        self._to_send = asyncio.Event()
        self._window: list[Update] = []
        self._newest: int | None = None  # The last sequence in the window; None before `run` knows.
        self._rung = asyncio.Event()

    def publish_live(self, topic: str, operator_id: int, body: Mapping[str, Any]) -> None:
        """Show `body` to whoever watches now, in every process. Never stored, never waited for."""
        self._show(Update(topic, operator_id, body))
        self._send(topic, operator_id, body)

    def offer(self, messages: Sequence[Message]) -> None:
        """Durable events that this process's relay has just numbered, in order."""
        if not messages:
            return
        if self._newest is not None and messages[0].sequence == self._newest + 1:
            self._append(messages)
        else:
            self._rung.set()  # Something is between: read the table.
        self._send(NUMBERED, 0, {"sequence": messages[-1].sequence})

    async def run(self) -> None:
        """Until cancelled: follow the outbox, and exchange live values with the other processes."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_outbox())
            if self._transport is not None:
                tasks.create_task(self._send_all(self._transport))
                tasks.create_task(self._receive_all(self._transport))

    async def stream(
        self,
        topics: Sequence[str],
        operator_id: int | None,
        *,
        after: int | None = None,
        wanted: Wanted | None = None,
    ) -> AsyncIterator[Update | Lost]:
        """Updates of these topics (`*` and `#` as on the bus) and this tenant, until the reader leaves.

        `after` is the last sequence that the reader has; None starts with what comes. `operator_id` None sees
        every tenant: for the platform only. Ends never by itself; close it (`aclose`).
        """
        subscriber = _Subscriber(tuple(topics), operator_id, wanted)
        self._subscribers.add(subscriber)
        try:
            place, missed = await self._start(after)
            if missed:
                yield Lost(missed)
            while True:
                rung = subscriber.ring
                rung.clear()
                while (update := subscriber.take()) is not None:
                    yield update
                events, reached = await self._events_after(place, operator_id)
                for event in events:
                    if subscriber.wants(event):
                        yield event
                if reached == place:
                    await rung.wait()
                place = reached
        finally:
            self._subscribers.discard(subscriber)

    @property
    def subscribers(self) -> int:
        """How many watch here; for metrics."""
        return len(self._subscribers)

    def _show(self, update: Update) -> None:
        for subscriber in self._subscribers:
            if subscriber.wants(update):
                subscriber.put(update)

    def _send(self, topic: str, operator_id: int, body: Mapping[str, Any]) -> None:
        if self._transport is not None:
            envelope = {"from": self._name, "topic": topic, "operator_id": operator_id, "body": body}
            self._outgoing.append(dump_json(envelope).encode())
            self._to_send.set()

    def _append(self, messages: Sequence[Message]) -> None:
        self._window += [_update(message) for message in messages]
        self._newest = messages[-1].sequence
        if len(self._window) > 2 * WINDOW_EVENTS_MAX:
            del self._window[:-WINDOW_EVENTS_MAX]
        for subscriber in self._subscribers:
            subscriber.ring.set()

    async def _follow_outbox(self) -> None:
        while True:
            try:
                await self._catch_up()
            except Unavailable as error:
                log.warning("live events wait", extra={"reason": error.detail})
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll_s):
                    await self._rung.wait()

    async def _catch_up(self) -> None:
        self._rung.clear()
        if self._newest is None:
            self._newest = await self._last_sequence()
            for subscriber in self._subscribers:
                subscriber.ring.set()
        while True:
            known = self._newest
            async with self._database.read() as session:
                messages = await outbox.events_after(session, known, limit=READ_ROWS_MAX)
            if self._newest == known and messages:
                self._append(messages)
            if len(messages) < READ_ROWS_MAX:
                return

    async def _last_sequence(self) -> int:
        if self._newest is not None:
            return self._newest
        async with self._database.read() as session:
            return await outbox.last_sequence(session)

    async def _start(self, after: int | None) -> tuple[int, int]:
        """Where a reader starts, and how many events between its place and there are not to be had."""
        newest = await self._last_sequence()
        if after is None:
            return newest, 0
        if not 0 <= newest - after <= RESUME_EVENTS_MAX:
            return newest, abs(newest - after)
        async with self._database.read() as session:
            oldest = await outbox.first_sequence(session)
        start = max(after, min(newest, oldest - 1))
        return start, start - after

    async def _events_after(self, place: int, operator_id: int | None) -> tuple[Sequence[Update], int]:
        """Events beyond `place`, and how far that reaches; from memory, or for one tenant from the table."""
        newest = await self._last_sequence()
        if place >= newest:
            return (), place
        if self._window and _sequence(self._window[0]) <= place + 1:
            start = place + 1 - _sequence(self._window[0])
            events = self._window[start : start + READ_ROWS_MAX]
            return events, _sequence(events[-1])
        async with self._database.read() as session:
            found = await outbox.events_after(
                session, place, up_to=newest, operator_id=operator_id, limit=READ_ROWS_MAX
            )
        reached = found[-1].sequence if len(found) == READ_ROWS_MAX else newest
        return [_update(message) for message in found], reached

    async def _send_all(self, transport: Transport) -> None:
        while True:
            await self._to_send.wait()
            self._to_send.clear()
            try:
                while self._outgoing:
                    await transport.send(self._outgoing[0])
                    self._outgoing.popleft()
            except Unavailable as error:
                log.warning("live values stay here", extra={"reason": error.detail})
                self._outgoing.clear()  # Live means now: what could not be shown in time is of no use.
                await asyncio.sleep(AWAY_PAUSE_S)

    async def _receive_all(self, transport: Transport) -> None:
        while True:
            try:
                async for data in transport.receive():
                    self._received(json.loads(data))
            except Unavailable as error:
                log.warning("live values of others are not seen", extra={"reason": error.detail})
            await asyncio.sleep(AWAY_PAUSE_S)

    def _received(self, envelope: Mapping[str, Any]) -> None:
        if envelope["from"] == self._name:
            return
        if envelope["topic"] == NUMBERED:
            self._rung.set()
        else:
            self._show(Update(envelope["topic"], envelope["operator_id"], envelope["body"]))


class _Subscriber:
    __slots__ = ("_operator_id", "_topics", "_wanted", "live", "lost", "ring")

    def __init__(self, topics: tuple[str, ...], operator_id: int | None, wanted: Wanted | None) -> None:
        self._topics = topics
        self._operator_id = operator_id
        self._wanted = wanted
        self.live: deque[Update] = deque()
        self.lost = 0
        self.ring = asyncio.Event()

    def wants(self, update: Update) -> bool:
        return (
            self._operator_id in {None, update.operator_id}
            and any(topic_matches(pattern, update.topic) for pattern in self._topics)
            and (self._wanted is None or self._wanted(update))
        )

    def take(self) -> Update | Lost | None:
        if self.lost:
            lost, self.lost = self.lost, 0
            return Lost(lost)
        return self.live.popleft() if self.live else None

    def put(self, update: Update) -> None:
        if len(self.live) >= LIVE_UPDATES_MAX:
            self.live.popleft()
            self.lost += 1
        self.live.append(update)
        self.ring.set()


def _sequence(update: Update) -> int:
    assert update.sequence is not None
    return update.sequence


def _update(message: Message) -> Update:
    return Update(message.topic, message.operator_id, message.body, message.sequence, message.id)
