"""Once per consumer: a handler that must not repeat its effect notes the message in the same transaction."""

from datetime import datetime, timedelta

from sqlalchemy import UniqueConstraint, delete
from sqlalchemy.orm import Mapped, mapped_column

from forecourt.core.db import Big, Key, Model, UtcTime, WriteSession, insert_new

KEPT_DAYS = 40  # Longer than the outbox keeps events, so that no replay of a queue finds a note gone.


class InboxRow(Model):
    __tablename__ = "consumed_message"
    __table_args__ = (UniqueConstraint("consumer", "message_id"),)

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    consumer: Mapped[str] = mapped_column(Key(80))
    message_id: Mapped[int] = mapped_column(Big())
    received_at: Mapped[datetime] = mapped_column(UtcTime(), index=True)
    claim: Mapped[int] = mapped_column(Big(), index=True)


async def first_time(session: WriteSession, consumer: str, message_id: int) -> bool:
    """True for the one transaction that may have the effect. Of two at once, one waits and is told False."""
    row = {
        "id": session.new_id(),
        "consumer": consumer,
        "message_id": message_id,
        "received_at": session.now(),
    }
    return bool(await insert_new(session, InboxRow, [row], key=("consumer", "message_id")))


async def forget_old(session: WriteSession) -> int:
    """Delete notes past their time; a clock job. Gives how many went."""
    limit = session.now() - timedelta(days=KEPT_DAYS)
    return await session.run(delete(InboxRow).where(InboxRow.received_at < limit))
