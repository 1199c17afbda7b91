"""Verbs of commands. A command is a row; a gateway sends it, repeats it, and brings the answer."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from forecourt.core import outbox
from forecourt.core.actor import System
from forecourt.core.db import WriteSession
from forecourt.devices import queries, rules
from forecourt.devices.types import (
    Command,
    CommandEnded,
    CommandEvent,
    CommandId,
    CommandKind,
    CommandQueued,
    CommandState,
    DeviceId,
)
from forecourt.sites import queries as sites

EXPIRED_AT_ONCE_MAX = 200

SUBJECTS = {
    CommandKind.SET_PRICE: "price",
    CommandKind.AUTHORISE: "authorise",
    CommandKind.RELEASE: "authorise",
    CommandKind.STOP: "authorise",
    CommandKind.BLOCK: "block",
    CommandKind.UNBLOCK: "block",
    CommandKind.REMOTE_START: "authorise",
    CommandKind.REMOTE_STOP: "authorise",
}
"""What a command about a nozzle is about: a later one of the same subject takes the earlier one's place."""


async def queue_command(
    session: WriteSession,
    *,
    device_id: int,
    kind: CommandKind,
    subject: str,
    body: Mapping[str, Any],
    expires_at: datetime,
) -> Command:
    """Have a device do something by `expires_at`. What was still open about the `subject` is superseded."""
    device = await queries.get_device(session, System(), device_id)
    superseded = await queries.supersede(session, device.operator_id, device_id, subject)
    command = Command(
        id=CommandId(session.new_id()),
        operator_id=device.operator_id,
        device_id=DeviceId(device_id),
        kind=kind,
        subject=subject,
        body=dict(body),
        state=CommandState.QUEUED,
        created_at=session.now(),
        expires_at=expires_at,
        sent_at=None,
        ended_at=None,
        tries=0,
        error="",
    )
    await queries.insert_commands_many(session, [command])
    queued = CommandQueued(operator_id=device.operator_id, command_id=command.id, device_id=command.device_id)
    ended = [_ended(each, CommandState.EXPIRED) for each in superseded]
    await outbox.add(session, *ended, queued)
    return command


async def queue_for_nozzle(
    session: WriteSession,
    *,
    nozzle_id: int,
    kind: CommandKind,
    body: Mapping[str, Any],
    expires_at: datetime,
) -> Command | None:
    """Have whatever drives a nozzle do something: its charge point, or its station's agent.

    The body gets `nozzle_id`, `nozzle_number` and, for a charger, `connector_number`. None when nothing
    drives it: the station has no agent (yet).
    """
    nozzle = (await sites.nozzles_many(session, [nozzle_id]))[nozzle_id]
    where: dict[str, Any] = {"nozzle_id": nozzle.id, "nozzle_number": nozzle.number}
    if nozzle.charge_point_device_id is not None:
        device_id = DeviceId(nozzle.charge_point_device_id)
        where["connector_number"] = nozzle.connector_number
    else:
        agents = await queries.agents_of_nozzles_many(session, [(nozzle.id, nozzle.station_id)])
        if nozzle.id not in agents:
            return None
        device_id = agents[nozzle.id]
    return await queue_command(
        session,
        device_id=device_id,
        kind=kind,
        subject=f"{SUBJECTS[kind]}:nozzle:{nozzle.id}",
        body={**where, **body},
        expires_at=expires_at,
    )


async def mark_sent_many(session: WriteSession, command_ids: Collection[int]) -> None:
    """A gateway has sent these; what is not answered is due again after a while, until it expires."""
    await queries.mark_sent_many(session, command_ids)


async def answer_command(
    session: WriteSession, device_id: int, command_id: int, *, done: bool, error: str = ""
) -> CommandState | None:
    """The device answered. Gives where the command ended; None when it is not this device's.

    A repeated answer changes nothing.
    """
    command = await queries.lock_command(session, System(), device_id, command_id)
    if command is None:
        return None
    event = CommandEvent.ACKNOWLEDGE if done else CommandEvent.REFUSE
    after = rules.COMMAND_TRANSITIONS.get((command.state, event))
    if after is None:
        return command.state
    await queries.end_many(session, [command.id], event, error)
    await outbox.add(session, _ended(command, after))
    return after


async def expire_commands(session: WriteSession) -> int:
    """End commands whose time is over; a clock job. Gives how many."""
    late = await queries.lock_expired(session, System(), EXPIRED_AT_ONCE_MAX)
    await queries.end_many(
        session, [command.id for command in late], CommandEvent.EXPIRE, "no answer in time"
    )
    await outbox.add(session, *(_ended(command, CommandState.EXPIRED) for command in late))
    return len(late)


def _ended(command: Command, state: CommandState) -> CommandEnded:
    return CommandEnded(
        operator_id=command.operator_id,
        command_id=command.id,
        device_id=command.device_id,
        kind=command.kind.value,
        subject=command.subject,
        state=state.value,
        body=command.body,
    )
