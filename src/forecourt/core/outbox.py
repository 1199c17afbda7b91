"""Events are rows, written in the transaction that caused them; the relay numbers and sends them later.

Insert order is not commit order, so `sequence` stays empty until the relay sends the row; stream resume and
the embedded bus run on that stamp.
"""

from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from forecourt.core.db import Big, Json, Key, Model, UtcTime, WriteSession
from forecourt.core.event import Event


class OutboxRow(Model):
    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_sequence", "sequence"),)

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())
    topic: Mapped[str] = mapped_column(Key(80))
    partition_key: Mapped[str] = mapped_column(Key(80))
    headers: Mapped[dict[str, str]] = mapped_column(Json())
    body: Mapped[dict[str, Any]] = mapped_column(Json())
    created_at: Mapped[datetime] = mapped_column(UtcTime())
    sequence: Mapped[int | None] = mapped_column(Big())  # Empty until the relay has sent it.


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
