"""Messages whose handler failed: parked in the database until the next try, then dead letters with a reason.

Both adapters park here, so that a failing message never blocks the ones behind it, every failure can be seen
with a query, and a dead letter can be replayed. A message that is tried again comes after later ones.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Index, Row, delete, func, select, update
from sqlalchemy.orm import Mapped, mapped_column

from forecourt.core.bus.types import Delivery, Message, Subscription
from forecourt.core.db import Big, Json, Key, Model, ReadSession, Text, UtcTime, WriteSession, lease
from forecourt.core.db.types import from_micros, to_micros
from forecourt.core.errors import NotFound

REASON_CHARS_MAX = 500
RETRY_FIRST_MS = 500
RETRY_MS_MAX = 60_000
LEASE = timedelta(minutes=2)  # Longer than a handler may take; then another worker tries.
LIST_ROWS_MAX = 500


class ParkedRow(Model):
    __tablename__ = "bus_parked"
    __table_args__ = (Index("ix_bus_parked_due", "subscription", "retry_at"),)

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    subscription: Mapped[str] = mapped_column(Key(80))
    message: Mapped[dict[str, Any]] = mapped_column(Json())
    retry_at: Mapped[datetime] = mapped_column(UtcTime())
    reason: Mapped[str] = mapped_column(Text(REASON_CHARS_MAX))
    tries: Mapped[int] = mapped_column(Big())
    lease_owner: Mapped[str | None] = mapped_column(Key(40))
    lease_until: Mapped[datetime | None] = mapped_column(UtcTime())


class DeadLetterRow(Model):
    __tablename__ = "bus_dead_letter"

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    subscription: Mapped[str] = mapped_column(Key(80), index=True)
    operator_id: Mapped[int] = mapped_column(Big())
    topic: Mapped[str] = mapped_column(Key(80))
    message: Mapped[dict[str, Any]] = mapped_column(Json())
    reason: Mapped[str] = mapped_column(Text(REASON_CHARS_MAX))
    tries: Mapped[int] = mapped_column(Big())
    died_at: Mapped[datetime] = mapped_column(UtcTime(), index=True)


class DeadLetterNotFound(NotFound):
    """There is no such dead letter; it may have been replayed already."""

    code = "core.dead_letter_not_found"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    id: int
    subscription: str
    message: Message
    reason: str
    tries: int
    died_at: datetime


@dataclass(frozen=True, slots=True)
class Parked:
    """A parked message, leased for one more try."""

    id: int
    delivery: Delivery


async def park(session: WriteSession, subscription: Subscription, delivery: Delivery, reason: str) -> None:
    """Keep a message whose handler failed for its next try, or as a dead letter when it had its last."""
    if delivery.count >= subscription.deliveries_max:
        await bury(session, subscription.name, delivery.message, reason, delivery.count)
        return
    row = {
        "id": session.new_id(),
        "subscription": subscription.name,
        "message": dump(delivery.message),
        "retry_at": session.now() + pause_after(delivery.count),
        "reason": reason[:REASON_CHARS_MAX],
        "tries": delivery.count,
        "lease_owner": None,
        "lease_until": None,
    }
    await session.insert_many(ParkedRow, [row])


async def any_due(session: ReadSession, subscription: Subscription) -> bool:
    """A cheap look before `take_due` opens a unit of work."""
    due = (ParkedRow.subscription == subscription.name) & (ParkedRow.retry_at <= session.now())
    free = ParkedRow.lease_until.is_(None) | (ParkedRow.lease_until < session.now())
    return await session.scalar(select(ParkedRow.id).where(due, free).limit(1)) is not None


async def take_due(
    session: WriteSession, subscription: Subscription, *, owner: str, limit: int
) -> list[Parked]:
    """Lease parked messages whose time has come. A worker that dies with one has used up a try."""
    taken = await lease(
        session,
        ParkedRow,
        ready=(ParkedRow.subscription == subscription.name) & (ParkedRow.retry_at <= session.now()),
        order_by=ParkedRow.id.asc(),
        limit=limit,
        owner=owner,
        until=session.now() + LEASE,
    )
    if not taken:
        return []
    rows = await session.all(
        select(ParkedRow.__table__).where(ParkedRow.id.in_(taken)).order_by(ParkedRow.id)
    )
    due = []
    for row in rows:
        message = load(row.message)
        if row.tries > subscription.deliveries_max:
            await bury(
                session, subscription.name, message, f"worker died; before: {row.reason}", row.tries - 1
            )
            await forget(session, row.id)
        else:
            due.append(Parked(row.id, Delivery(message=message, count=row.tries)))
    return due


async def forget(session: WriteSession, parked_id: int) -> None:
    """It came through."""
    await session.run(delete(ParkedRow).where(ParkedRow.id == parked_id))


async def park_again(session: WriteSession, subscription: Subscription, parked: Parked, reason: str) -> None:
    if parked.delivery.count >= subscription.deliveries_max:
        await forget(session, parked.id)
        await park(session, subscription, parked.delivery, reason)
        return
    await session.run(
        update(ParkedRow)
        .where(ParkedRow.id == parked.id)
        .values(
            retry_at=session.now() + pause_after(parked.delivery.count),
            reason=reason[:REASON_CHARS_MAX],
            lease_owner=None,
            lease_until=None,
        )
    )


async def bury(session: WriteSession, subscription: str, message: Message, reason: str, tries: int) -> None:
    """A dead letter: a person decides."""
    row = {
        "id": session.new_id(),
        "subscription": subscription,
        "operator_id": message.operator_id,
        "topic": message.topic,
        "message": dump(message),
        "reason": reason[:REASON_CHARS_MAX],
        "tries": tries,
        "died_at": session.now(),
    }
    await session.insert_many(DeadLetterRow, [row])


async def list_dead(
    session: ReadSession, *, operator_id: int | None = None, limit: int = LIST_ROWS_MAX
) -> list[DeadLetter]:
    """Dead letters, newest first. `operator_id` None sees every tenant: for the platform only."""
    statement = select(DeadLetterRow.__table__).order_by(
        DeadLetterRow.died_at.desc(), DeadLetterRow.id.desc()
    )
    if operator_id is not None:
        statement = statement.where(DeadLetterRow.operator_id == operator_id)
    return [_dead(row) for row in await session.all(statement.limit(min(limit, LIST_ROWS_MAX)))]


async def replay(session: WriteSession, dead_letter_id: int, *, operator_id: int | None = None) -> DeadLetter:
    """Give a dead letter back to its subscription, with all its tries. Raises `DeadLetterNotFound`.

    The caller writes the audit record in the same transaction.
    """
    statement = select(DeadLetterRow.__table__).where(DeadLetterRow.id == dead_letter_id).with_for_update()
    if operator_id is not None:
        statement = statement.where(DeadLetterRow.operator_id == operator_id)
    row = await session.first(statement)
    if row is None:
        raise DeadLetterNotFound(dead_letter_id=dead_letter_id)
    await session.run(delete(DeadLetterRow).where(DeadLetterRow.id == dead_letter_id))
    parked = {
        "id": session.new_id(),
        "subscription": row.subscription,
        "message": row.message,
        "retry_at": session.now(),
        "reason": row.reason,
        "tries": 0,
        "lease_owner": None,
        "lease_until": None,
    }
    await session.insert_many(ParkedRow, [parked])
    return _dead(row)


async def count_parked(session: ReadSession) -> int:
    """Messages that wait for another try; for metrics."""
    return int(await session.scalar(select(func.count()).select_from(ParkedRow)) or 0)


def pause_after(tries: int) -> timedelta:
    """0.5 s, then twice as long each time, at most a minute."""
    return timedelta(milliseconds=min(RETRY_FIRST_MS * 2 ** (tries - 1), RETRY_MS_MAX))


def dump(message: Message) -> dict[str, Any]:
    """A message as JSON: what is parked, and what travels."""
    return {
        "id": message.id,
        "sequence": message.sequence,
        "topic": message.topic,
        "operator_id": message.operator_id,
        "key": message.key,
        "headers": dict(message.headers),
        "body": dict(message.body),
        "created_at": to_micros(message.created_at),
    }


def load(document: dict[str, Any]) -> Message:
    return Message(**{**document, "created_at": from_micros(document["created_at"])})


def _dead(row: Row[Any]) -> DeadLetter:
    return DeadLetter(row.id, row.subscription, load(row.message), row.reason, row.tries, row.died_at)
