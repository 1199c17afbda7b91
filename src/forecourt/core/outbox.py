"""Events are rows, written in the transaction that caused them; the relay numbers and sends them later.

Insert order is not commit order, so `sequence` stays empty until the relay numbers the row; stream resume and
the embedded bus run on that stamp. Numbers are given under one row lock, so they become visible in order.
"""

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Index, Row, delete, func, select, update
from sqlalchemy.orm import Mapped, mapped_column

from forecourt.core.bus.types import Message
from forecourt.core.db import Big, Json, Key, Model, ReadSession, UtcTime, WriteSession, upsert_many
from forecourt.core.db.sets import update_many
from forecourt.core.event import Event

KEPT_DAYS = 14  # Sent events stay this long: streams resume from them, lost queues are rebuilt from them.
FORGET_ROWS_MAX = 5_000  # Deleted in one transaction.
THE_COUNTER = 1  # The one row of its table.


class OutboxRow(Model):
    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_sequence", "sequence", "id"),)

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())
    topic: Mapped[str] = mapped_column(Key(80))
    partition_key: Mapped[str] = mapped_column(Key(80))
    headers: Mapped[dict[str, str]] = mapped_column(Json())
    body: Mapped[dict[str, Any]] = mapped_column(Json())
    created_at: Mapped[datetime] = mapped_column(UtcTime())
    sequence: Mapped[int | None] = mapped_column(Big())  # Empty until a relay has numbered it.


class OutboxCounterRow(Model):
    """One row: how far the events are numbered and sent, and which relay sends."""

    __tablename__ = "outbox_counter"

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    numbered: Mapped[int] = mapped_column(Big())
    sent: Mapped[int] = mapped_column(Big())
    sender: Mapped[str | None] = mapped_column(Key(40))
    sender_until: Mapped[datetime | None] = mapped_column(UtcTime())


@dataclass(frozen=True, slots=True)
class Numbered:
    """What one relay step found: the events it numbered, how far was sent before, and whether it may send."""

    messages: list[Message]
    sent: int
    may_send: bool


def row_of(event: Event, row_id: int, now: datetime) -> dict[str, Any]:
    """The outbox row of one event; the body is the event's own fields."""
    return {
        "id": row_id,
        "operator_id": event.operator_id,
        "topic": event.topic,
        "partition_key": event.key,
        "headers": event.headers,
        "body": {each.name: getattr(event, each.name) for each in fields(event)},
        "created_at": now,
        "sequence": None,
    }


async def add(session: WriteSession, *events: Event) -> None:
    """Publish `events` if, and only if, the caller's transaction commits."""
    if not events:
        return
    now = session.now()
    await session.insert_many(OutboxRow, [row_of(event, session.new_id(), now) for event in events])
    session.after_commit(session.wake_relay)


async def has_work(session: ReadSession) -> bool:
    """Whether a relay would find something to number or to send."""
    if await session.scalar(select(OutboxRow.id).where(OutboxRow.sequence.is_(None)).limit(1)) is not None:
        return True
    counter = await session.first(select(OutboxCounterRow.numbered, OutboxCounterRow.sent))
    return counter is not None and counter.sent < counter.numbered


async def number_many(
    session: WriteSession, *, limit: int, sender: str, lease: timedelta, sent_at_once: bool
) -> Numbered:
    """Number up to `limit` new events, and take or keep the right to send when it is free.

    The counter's row lock makes numbering one at a time; commit order is number order. With `sent_at_once`
    (the bus reads the outbox itself) numbered means sent.
    """
    columns = OutboxCounterRow.__table__.c
    counter = await session.first(select(*columns).where(columns["id"] == THE_COUNTER).with_for_update())
    if counter is None:
        row = {"id": THE_COUNTER, "numbered": 0, "sent": 0, "sender": None, "sender_until": None}
        await upsert_many(session, OutboxCounterRow, [row], key=("id",), update=("id",))
        counter = await session.first(select(*columns).where(columns["id"] == THE_COUNTER).with_for_update())
        assert counter is not None
    found = await session.all(
        select(OutboxRow.__table__).where(OutboxRow.sequence.is_(None)).order_by(OutboxRow.id).limit(limit)
    )
    stamps = range(counter.numbered + 1, counter.numbered + 1 + len(found))
    await update_many(
        session,
        OutboxRow,
        [{"id": row.id, "sequence": stamp} for row, stamp in zip(found, stamps, strict=True)],
        key="id",
    )
    now = session.now()
    free = counter.sender in {None, sender} or counter.sender_until < now
    numbered = counter.numbered + len(found)
    values: dict[str, Any] = {"numbered": numbered}
    if sent_at_once:
        values["sent"] = numbered
    elif free:
        values |= {"sender": sender, "sender_until": now + lease}
    await session.run(update(OutboxCounterRow).where(columns["id"] == THE_COUNTER).values(values))
    messages = [_message(row, stamp) for row, stamp in zip(found, stamps, strict=True)]
    return Numbered(messages, counter.sent, may_send=free)


async def mark_sent(session: WriteSession, *, before: int, after: int) -> bool:
    """Note that events up to `after` are with the bus. False when another relay moved the mark meanwhile."""
    moved = await session.run(
        update(OutboxCounterRow)
        .where(OutboxCounterRow.id == THE_COUNTER, OutboxCounterRow.sent == before)
        .values(sent=after)
    )
    return moved == 1


async def stop_sending(session: WriteSession, *, sender: str) -> None:
    """Let another relay send at once; at shut-down."""
    await session.run(
        update(OutboxCounterRow)
        .where(OutboxCounterRow.id == THE_COUNTER, OutboxCounterRow.sender == sender)
        .values(sender=None, sender_until=None)
    )


async def events_after(
    session: ReadSession,
    sequence: int,
    *,
    limit: int,
    up_to: int | None = None,
    operator_id: int | None = None,
) -> list[Message]:
    """Numbered events in order. `operator_id` None sees every tenant: only for the platform's own parts."""
    statement = select(OutboxRow.__table__).where(OutboxRow.sequence > sequence)
    if up_to is not None:
        statement = statement.where(OutboxRow.sequence <= up_to)
    if operator_id is not None:
        statement = statement.where(OutboxRow.operator_id == operator_id)
    found = await session.all(statement.order_by(OutboxRow.sequence).limit(limit))
    return [_message(row, row.sequence) for row in found]


async def last_sequence(session: ReadSession) -> int:
    """The number of the newest event; 0 before the first."""
    return int(await session.scalar(select(OutboxCounterRow.numbered)) or 0)


async def first_sequence(session: ReadSession) -> int:
    """The number of the oldest event that is kept; 1 while there is none."""
    return int(await session.scalar(select(func.min(OutboxRow.sequence))) or 1)


async def backlog(session: ReadSession) -> int:
    """Events that the bus does not have yet; for metrics and alarms."""
    unnumbered = await session.scalar(
        select(func.count()).select_from(OutboxRow).where(OutboxRow.sequence.is_(None))
    )
    counter = await session.first(select(OutboxCounterRow.numbered, OutboxCounterRow.sent))
    return int(unnumbered or 0) + (0 if counter is None else counter.numbered - counter.sent)


async def send_again_since(session: WriteSession, since: datetime) -> int:
    """Send every kept event from `since` on once more, to rebuild lost queues. Receivers de-duplicate.

    Gives how many events will go out.
    """
    first = await session.scalar(select(func.min(OutboxRow.sequence)).where(OutboxRow.created_at >= since))
    if first is None:
        return 0
    counter = OutboxCounterRow.id == THE_COUNTER
    await session.run(
        update(OutboxCounterRow).where(counter, OutboxCounterRow.sent >= first).values(sent=first - 1)
    )
    session.after_commit(session.wake_relay)
    return await last_sequence(session) - int(first) + 1


async def forget_old(session: WriteSession, *, up_to: int | None = None) -> int:
    """Delete events past their time that were sent; a clock job. Gives how many went.

    `up_to` is the last sequence that nobody needs any more (the slowest cursor of the embedded bus).
    """
    sent = await session.scalar(select(OutboxCounterRow.sent)) or 0
    limit = sent if up_to is None else min(sent, up_to)
    old = await session.all(
        select(OutboxRow.id)
        .where(OutboxRow.sequence <= limit)
        .where(OutboxRow.created_at < session.now() - timedelta(days=KEPT_DAYS))
        .order_by(OutboxRow.sequence)
        .limit(FORGET_ROWS_MAX)
    )
    if not old:
        return 0
    return await session.run(delete(OutboxRow).where(OutboxRow.id.in_([row.id for row in old])))


def _message(row: Row[Any], sequence: int) -> Message:
    return Message(
        id=row.id,
        sequence=sequence,
        topic=row.topic,
        operator_id=row.operator_id,
        key=row.partition_key,
        headers=row.headers,
        body=row.body,
        created_at=row.created_at,
    )
