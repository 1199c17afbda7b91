"""The outbox table as the bus: a cursor per subscription and partition, for one process without a broker."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Mapped, mapped_column

from forecourt.core import outbox
from forecourt.core.bus.consuming import RETRY_POLL_S, Retrier, hand
from forecourt.core.bus.matching import partition_of, wants
from forecourt.core.bus.types import Delivery, Handler, Message, Subscription
from forecourt.core.db import Big, Database, Key, Model, ReadSession, UtcTime, WriteSession, upsert_many
from forecourt.core.errors import Unavailable

WINDOW_MESSAGES_MAX = 5_000  # Newest messages kept in memory; who is further behind reads the table.
READ_ROWS_MAX = 200
SAVE_PAUSE_S = 0.25  # Cursors are saved together; a crash before that delivers again, never skips.
UNHEARD_MAX = 500  # Messages a cursor passes without being saved, when none of them was for it.
AWAY_PAUSE_S = 1.0

Place = tuple[str, int]  # Subscription name and partition.


class BusCursorRow(Model):
    __tablename__ = "bus_cursor"

    subscription: Mapped[str] = mapped_column(Key(80), primary_key=True)
    part: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(Big())  # Everything up to this sequence is done with.
    saved_at: Mapped[datetime] = mapped_column(UtcTime())


class EmbeddedBus:
    """Delivers from the outbox. The relay of the same process numbers the events and rings."""

    reads_outbox = True

    def __init__(self, database: Database, *, retry_poll_s: float = RETRY_POLL_S) -> None:
        self._database = database
        self._retrier = Retrier(database, poll_s=retry_poll_s)
        self._window: list[Message] = []
        self._news = asyncio.Event()
        self._locks: defaultdict[Place, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._unsaved: dict[Place, int] = {}
        self._moved = asyncio.Event()
        self._saver: asyncio.Task[None] | None = None

    async def declare(self, subscriptions: Sequence[Subscription]) -> None:
        await self._database.transact(_declare, subscriptions)

    async def publish_many(self, messages: Sequence[Message]) -> None:
        """They are in the table already: remember the newest and ring."""
        if not messages:
            return
        if self._window and messages[0].sequence != self._window[-1].sequence + 1:
            self._window.clear()
        self._window += messages
        if len(self._window) > 2 * WINDOW_MESSAGES_MAX:
            del self._window[:-WINDOW_MESSAGES_MAX]
        self._news.set()
        self._news = asyncio.Event()

    async def consume(self, subscription: Subscription, handler: Handler) -> None:
        if self._saver is None:
            self._saver = asyncio.create_task(self._save_now_and_then())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._retrier.run(subscription, handler))
            for part in range(subscription.partitions):
                tasks.create_task(self._follow(subscription, part, handler))

    async def forget_old(self) -> int:
        return await self._database.transact(_forget_old)

    async def ping(self) -> None:
        await self._database.ping()

    async def close(self) -> None:
        if self._saver is not None:
            self._saver.cancel()
            await asyncio.wait([self._saver])
            self._saver = None
        with suppress(Unavailable):  # Then the last messages come again at the next start.
            await self._save()

    async def _follow(self, subscription: Subscription, part: int, handler: Handler) -> None:
        """One partition, in order. Of several consumers one works, the others stand by."""
        place = (subscription.name, part)
        async with self._locks[place]:
            position = await self._position(place)
            unheard = 0
            while True:
                news = self._news
                messages = await self._after(position)
                if not messages:
                    await news.wait()
                    continue
                for message in messages:
                    heard = partition_of(subscription, message) == part and wants(subscription, message)
                    if heard:
                        delivery = Delivery(message=message, count=1)
                        await hand(self._database, subscription, delivery, handler)
                    position = message.sequence
                    unheard = 0 if heard else unheard + 1
                    if heard or unheard > UNHEARD_MAX:
                        unheard = 0
                        self._unsaved[place] = position
                        self._moved.set()

    async def _position(self, place: Place) -> int:
        if place in self._unsaved:
            return self._unsaved[place]
        while True:
            try:
                async with self._database.read() as session:
                    return await _position(session, place)
            except Unavailable:
                await asyncio.sleep(AWAY_PAUSE_S)

    async def _after(self, position: int) -> Sequence[Message]:
        if self._window and self._window[0].sequence <= position + 1:
            start = position + 1 - self._window[0].sequence
            return self._window[start : start + READ_ROWS_MAX]
        try:
            async with self._database.read() as session:
                return await outbox.events_after(session, position, limit=READ_ROWS_MAX)
        except Unavailable:
            await asyncio.sleep(AWAY_PAUSE_S)
            return []

    async def _save_now_and_then(self) -> None:
        while True:
            await self._moved.wait()
            await asyncio.sleep(SAVE_PAUSE_S)
            self._moved.clear()
            try:
                await self._save()
            except Unavailable:
                self._moved.set()

    async def _save(self) -> None:
        positions = dict(self._unsaved)
        if positions:
            await self._database.transact(_save, positions)
        for place, position in positions.items():
            if self._unsaved.get(place) == position:
                del self._unsaved[place]


async def slowest_cursor(session: ReadSession) -> int | None:
    """The last sequence that every subscription is done with; None without subscriptions."""
    found = await session.scalar(select(func.min(BusCursorRow.position)))
    return None if found is None else int(found)


async def _forget_old(session: WriteSession) -> int:
    return await outbox.forget_old(session, up_to=await slowest_cursor(session))


async def _declare(session: WriteSession, subscriptions: Sequence[Subscription]) -> None:
    """New ones hear what is numbered from now on; changed partitions start at the slowest one's place."""
    names = [each.name for each in subscriptions]
    rows = await session.all(select(BusCursorRow.__table__).where(BusCursorRow.subscription.in_(names)))
    known: defaultdict[str, list[int]] = defaultdict(list)
    for row in rows:
        known[row.subscription].append(row.position)
    newest = await outbox.last_sequence(session)
    positions: dict[Place, int] = {}
    for each in subscriptions:
        found = known[each.name]
        if len(found) != each.partitions:
            start = min(found, default=newest)
            positions |= {(each.name, part): start for part in range(each.partitions)}
            await session.run(delete(BusCursorRow).where(BusCursorRow.subscription == each.name))
    await _save(session, positions)


async def _position(session: ReadSession, place: Place) -> int:
    found = await session.scalar(
        select(BusCursorRow.position).where(
            BusCursorRow.subscription == place[0], BusCursorRow.part == place[1]
        )
    )
    assert found is not None, f"{place[0]} was not declared"
    return int(found)


async def _save(session: WriteSession, positions: dict[Place, int]) -> None:
    now = session.now()
    rows = [
        {"subscription": name, "part": part, "position": position, "saved_at": now}
        for (name, part), position in positions.items()
    ]
    await upsert_many(
        session, BusCursorRow, rows, key=("subscription", "part"), update=("position", "saved_at")
    )
