"""Statements about the inbox. Storing is the hot path: one statement a set, in each engine's best form."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, delete, func, select, true, update

from forecourt.core.actor import OperatorId, Scope, System, operator_of
from forecourt.core.db import ReadSession, WriteSession
from forecourt.core.db.append import append_many
from forecourt.core.db.types import to_micros
from forecourt.devices.models import InboxRow
from forecourt.devices.rules import INBOX_LEASE
from forecourt.devices.types import (
    REASON_CHARS_MAX,
    DeviceId,
    InboxCounts,
    InboxMessage,
    InboxState,
    LeasedMessage,
    ParkedMessage,
)

INBOX = InboxRow.__table__.c
IDS_MAX = 1_000

STORED = (
    "id",
    "operator_id",
    "device_id",
    "station_id",
    "incarnation",
    "mid",
    "record_class",
    "channel",
    "format",
    "body",
    "received_at",
    "state",
    "tries",
)


async def insert_messages_many(
    session: WriteSession, messages: Sequence[InboxMessage], state: InboxState
) -> None:
    """Store messages; those that are there already stay as they are."""
    if not messages:
        return
    new_id = session.new_id
    rows = [
        (
            new_id(),
            message.operator_id,
            message.device_id,
            message.station_id,
            message.incarnation,
            message.mid,
            message.record_class,
            message.channel,
            message.format,
            message.body,
            to_micros(message.received_at),
            state.value,
            0,
        )
        for message in messages
    ]
    rows.sort(key=_lock_order)
    await append_many(session, InboxRow, STORED, rows, key=("device_id", "incarnation", "mid"))


def _lock_order(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Two gateways that store the same messages at once take their locks in one order."""
    return row[2], row[4], row[5]


async def park_messages_many(session: WriteSession, parked: Sequence[tuple[InboxMessage, str]]) -> None:
    """Store messages that nobody could read, each with the reason."""
    await insert_messages_many(session, [message for message, _ in parked], InboxState.PARKED)
    for message, reason in parked:
        where = and_(
            INBOX.device_id == message.device_id,
            INBOX.incarnation == message.incarnation,
            INBOX.mid == message.mid,
            INBOX.state == InboxState.PARKED,
        )
        await session.run(update(InboxRow).where(where).values(last_error=reason[:REASON_CHARS_MAX]))


# --------------------------------------------------------------------------------------------- draining


async def lease_messages_many(session: WriteSession, owner: str, limit: int) -> list[int]:
    """Take new messages, oldest first, of each device without a hole; gives the ids.

    While one worker holds messages of a device no other takes later ones: a totalizer read before the fill
    that moved it, or an old price acknowledged after a new one, would be a lie.
    """
    now = session.now()
    free = INBOX.lease_until.is_(None) | (INBOX.lease_until < now)
    new = INBOX.state == InboxState.NEW
    chosen = select(INBOX.id, INBOX.device_id).where(new, free).order_by(INBOX.id).limit(limit)
    if session.dialect != "sqlite":
        chosen = chosen.with_for_update(skip_locked=True)
    mine = {row.id: row.device_id for row in await session.all(chosen)}
    if not mine:
        return []
    # One that failed and waits for its next try is nobody's, and holds nothing up.
    in_line = INBOX.lease_owner.is_not(None) | free
    devices = sorted(set(mine.values()))
    waiting = select(INBOX.id, INBOX.device_id).where(
        new, in_line, INBOX.device_id.in_(devices), INBOX.id <= max(mine)
    )
    taken: list[int] = []
    elsewhere: set[int] = set()
    for row in await session.all(waiting.order_by(INBOX.id)):
        if row.id not in mine:
            elsewhere.add(row.device_id)
        elif row.device_id not in elsewhere:
            taken.append(row.id)
    if taken:
        await session.run(
            update(InboxRow)
            .where(INBOX.id.in_(taken))
            .values(lease_owner=owner, lease_until=now + INBOX_LEASE, tries=INBOX.tries + 1)
        )
    return taken


async def leased_messages(
    session: WriteSession, _: System, owner: str, ids: Sequence[int]
) -> list[LeasedMessage]:
    """Those still held by `owner` and still new, in the order each device sent them."""
    found = select(InboxRow.__table__).where(
        INBOX.id.in_(ids), INBOX.state == InboxState.NEW, INBOX.lease_owner == owner
    )
    rows = [
        LeasedMessage(id=row.id, tries=row.tries, message=_message(row)) for row in await session.all(found)
    ]
    return sorted(rows, key=lambda each: (each.message.device_id, each.message.incarnation, each.message.mid))


def _message(row: Row[Any]) -> InboxMessage:
    return InboxMessage(
        device_id=DeviceId(row.device_id),
        operator_id=OperatorId(row.operator_id),
        station_id=row.station_id,
        incarnation=bytes(row.incarnation),
        mid=row.mid,
        record_class=row.record_class,
        channel=row.channel,
        format=row.format,
        body=bytes(row.body),
        received_at=row.received_at,
    )


async def finish_messages_many(session: WriteSession, ids: Collection[int]) -> None:
    if ids:
        await session.run(
            update(InboxRow)
            .where(INBOX.id.in_(ids))
            .values(state=InboxState.DONE, lease_owner=None, lease_until=None)
        )


async def park_leased_many(session: WriteSession, reasons: Mapping[int, str]) -> None:
    for message_id, reason in reasons.items():
        await session.run(
            update(InboxRow)
            .where(INBOX.id == message_id)
            .values(
                state=InboxState.PARKED,
                last_error=reason[:REASON_CHARS_MAX],
                lease_owner=None,
                lease_until=None,
            )
        )


async def release_message(
    session: WriteSession, _: System, message_id: int, error: str, not_before: datetime
) -> None:
    """Leave a message for a later try."""
    await session.run(
        update(InboxRow)
        .where(INBOX.id == message_id)
        .values(last_error=error[:REASON_CHARS_MAX], lease_owner=None, lease_until=not_before)
    )


# ------------------------------------------------------------------------------------------ for people


async def count_inbox(session: ReadSession, _: System) -> InboxCounts:
    """The whole platform's; for metrics."""
    found = select(INBOX.state, func.count().label("messages"), func.min(INBOX.received_at).label("oldest"))
    found = found.where(INBOX.state.in_([InboxState.NEW, InboxState.PARKED])).group_by(INBOX.state)
    by_state = {row.state: row for row in await session.all(found)}
    new, parked = by_state.get(InboxState.NEW), by_state.get(InboxState.PARKED)
    return InboxCounts(
        new=new.messages if new else 0,
        parked=parked.messages if parked else 0,
        oldest_new_at=new.oldest if new else None,
    )


async def list_parked(
    session: ReadSession, scope: Scope, *, limit: int, after: int | None = None
) -> list[ParkedMessage]:
    """Newest first."""
    own = operator_of(scope)
    mine = true() if own is None else INBOX.operator_id == own
    found = select(InboxRow.__table__).where(INBOX.state == InboxState.PARKED, mine)
    if after is not None:
        found = found.where(INBOX.id < after)
    return [
        ParkedMessage(id=row.id, reason=row.last_error or "", tries=row.tries, message=_message(row))
        for row in await session.all(found.order_by(INBOX.id.desc()).limit(limit))
    ]


async def replay_parked(session: WriteSession, scope: Scope, message_id: int) -> bool:
    """Put a parked message back to the new ones. Whether there was one."""
    own = operator_of(scope)
    mine = true() if own is None else INBOX.operator_id == own
    touched = await session.run(
        update(InboxRow)
        .where(INBOX.id == message_id, INBOX.state == InboxState.PARKED, mine)
        .values(state=InboxState.NEW, tries=0, lease_owner=None, lease_until=None)
    )
    return touched == 1


async def delete_done(session: WriteSession, _: System, before: datetime, limit: int = IDS_MAX) -> int:
    """Forget messages that were taken long ago; a clock job, in small steps."""
    old = select(INBOX.id).where(INBOX.state == InboxState.DONE, INBOX.received_at < before)
    ids = [row.id for row in await session.all(old.order_by(INBOX.id).limit(limit))]
    if ids:
        await session.run(delete(InboxRow).where(INBOX.id.in_(ids)))
    return len(ids)


async def highest_mids_many(
    session: ReadSession, journals: Sequence[tuple[int, bytes]]
) -> dict[tuple[int, bytes], int]:
    """The highest stored message id of each (device, incarnation); left out where nothing is stored."""
    wanted = set(journals)
    found = await session.all(
        select(INBOX.device_id, INBOX.incarnation, func.max(INBOX.mid))
        .where(INBOX.device_id.in_({device for device, _ in wanted}))
        .group_by(INBOX.device_id, INBOX.incarnation)
    )
    return {(row[0], bytes(row[1])): row[2] for row in found if (row[0], bytes(row[1])) in wanted}
