"""Statements about commands to devices."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, or_, select, true, update

from forecourt.core.actor import OperatorId, Scope, System, operator_of
from forecourt.core.db import ReadSession, WriteSession
from forecourt.devices.models import CommandRow
from forecourt.devices.rules import ended_by
from forecourt.devices.types import (
    REASON_CHARS_MAX,
    Command,
    CommandEvent,
    CommandId,
    CommandState,
    DeviceId,
)

COMMAND = CommandRow.__table__.c
RESEND_AFTER = timedelta(seconds=15)
DUE = frozenset({CommandState.QUEUED, CommandState.SENT})


def _command(row: Row[Any]) -> Command:
    return Command(
        id=CommandId(row.id),
        operator_id=OperatorId(row.operator_id),
        device_id=DeviceId(row.device_id),
        kind=row.kind,
        subject=row.subject,
        body=row.body,
        state=row.state,
        created_at=row.created_at,
        expires_at=row.expires_at,
        sent_at=row.sent_at,
        ended_at=row.ended_at,
        tries=row.tries,
        error=row.error,
    )


async def insert_commands_many(session: WriteSession, commands: Sequence[Command]) -> None:
    if commands:
        names = Command.__dataclass_fields__
        rows = [{name: getattr(command, name) for name in names} for command in commands]
        await session.insert_many(CommandRow, rows)


async def supersede(session: WriteSession, operator_id: int, device_id: int, subject: str) -> list[Command]:
    """End what is still open about a subject; gives those commands, as they were."""
    which = and_(
        COMMAND.operator_id == operator_id,
        COMMAND.device_id == device_id,
        COMMAND.subject == subject,
        COMMAND.state.in_(DUE),
    )
    found = await session.all(select(CommandRow.__table__).where(which).with_for_update())
    commands = [_command(row) for row in found]
    await end_many(session, [command.id for command in commands], CommandEvent.EXPIRE, "superseded")
    return commands


async def commands_due_many(
    session: ReadSession, *, limit: int, device_ids: Collection[int] | None = None
) -> list[Command]:
    """What is to be sent now, oldest first: queued, or sent a while ago and not answered.

    A gateway asks for the devices whose connections it holds; None asks for all.
    """
    now = session.now()
    which: ColumnElement[bool] = and_(
        COMMAND.expires_at > now,
        or_(
            COMMAND.state == CommandState.QUEUED,
            and_(COMMAND.state == CommandState.SENT, COMMAND.sent_at < now - RESEND_AFTER),
        ),
    )
    if device_ids is not None:
        which = and_(which, COMMAND.device_id.in_(device_ids))
    found = select(CommandRow.__table__).where(which).order_by(COMMAND.id).limit(limit)
    return [_command(row) for row in await session.all(found)]


async def mark_sent_many(session: WriteSession, command_ids: Collection[int]) -> None:
    sources, sent = ended_by(CommandEvent.SEND)
    if command_ids:
        await session.run(
            update(CommandRow)
            .where(COMMAND.id.in_(command_ids), COMMAND.state.in_(sources))
            .values(state=sent, sent_at=session.now(), tries=COMMAND.tries + 1)
        )


async def lock_command(session: WriteSession, _: System, device_id: int, command_id: int) -> Command | None:
    """A device's own command, locked until the transaction ends."""
    row = await session.first(
        select(CommandRow.__table__)
        .where(COMMAND.id == command_id, COMMAND.device_id == device_id)
        .with_for_update()
    )
    return None if row is None else _command(row)


async def lock_expired(session: WriteSession, _: System, limit: int) -> list[Command]:
    """Open commands whose time is over, locked; what another worker holds is passed over."""
    found = (
        select(CommandRow.__table__)
        .where(COMMAND.state.in_(DUE), COMMAND.expires_at <= session.now())
        .order_by(COMMAND.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return [_command(row) for row in await session.all(found)]


async def end_many(
    session: WriteSession, command_ids: Collection[int], event: CommandEvent, error: str = ""
) -> None:
    sources, ended = ended_by(event)
    if command_ids:
        await session.run(
            update(CommandRow)
            .where(COMMAND.id.in_(command_ids), COMMAND.state.in_(sources))
            .values(state=ended, ended_at=session.now(), error=error[:REASON_CHARS_MAX])
        )


async def list_commands(
    session: ReadSession, scope: Scope, device_id: int, *, limit: int, after: int | None = None
) -> list[Command]:
    """Of one device, newest first."""
    own = operator_of(scope)
    mine = true() if own is None else COMMAND.operator_id == own
    found = select(CommandRow.__table__).where(COMMAND.device_id == device_id, mine)
    if after is not None:
        found = found.where(COMMAND.id < after)
    return [_command(row) for row in await session.all(found.order_by(COMMAND.id.desc()).limit(limit))]


async def stale_commands(
    session: ReadSession, _: System, subject_prefix: str, since: datetime
) -> list[Command]:
    """Open commands about subjects of one kind that were queued before `since`: who does not acknowledge."""
    found = select(CommandRow.__table__).where(
        COMMAND.state.in_(DUE),
        COMMAND.created_at < since,
        COMMAND.subject.startswith(subject_prefix, autoescape=True),
    )
    return [_command(row) for row in await session.all(found.order_by(COMMAND.id).limit(1_000))]
