"""What a person settles where no end was told, or one that fits nothing."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from forecourt.access import service as access
from forecourt.charging import queries
from forecourt.charging.errors import StopElsewhere, TransactionEnded
from forecourt.charging.service import sessions
from forecourt.charging.types import (
    Stop,
    StrayState,
    Transaction,
    TransactionState,
)
from forecourt.core.actor import Actor
from forecourt.core.db import WriteSession
from forecourt.devices import service as devices
from forecourt.devices.types import CommandKind
from forecourt_kit.ids import to_public

BY_HAND = "end told by a person"
CALL_LIFE = timedelta(minutes=10)


async def match_stray_stop(
    session: WriteSession, actor: Actor, stray_id: int, charging_id: int
) -> Transaction:
    """A person found the session that a stray end belongs to; it ends as the charge point told.

    Raises:
        StrayStopNotFound, TransactionNotFound, TransactionEnded, StopElsewhere.
    """
    found = await queries.lock_transaction_by_id(session, actor.scope, charging_id)
    if found.state is TransactionState.ENDED:
        raise TransactionEnded(charging_id=charging_id)
    stray = await queries.settle_stray_stop(session, actor.scope, stray_id, StrayState.MATCHED, actor.subject)
    if stray.device_id != found.device_id:
        raise StopElsewhere(stray_id=stray_id, charging_id=charging_id)
    told = Stop(
        transaction_id=found.transaction_id,
        meter_stop_wh=stray.meter_stop_wh,
        ended_at=stray.ended_at,
        reason=stray.stop_reason,
        id_tag=stray.id_tag,
    )
    await sessions.end(session, found, told, ended_by=actor.subject)
    await _record(session, actor, "charging.match_stray_stop", found, {"stray_stop": to_public(stray_id)})
    return await queries.get_transaction(session, actor.scope, charging_id)


async def dismiss_stray_stop(session: WriteSession, actor: Actor, stray_id: int) -> None:
    """A person found that a stray end belongs to nothing. Raises `StrayStopNotFound`."""
    stray = await queries.settle_stray_stop(
        session, actor.scope, stray_id, StrayState.DISMISSED, actor.subject
    )
    target = f"stray_stop:{to_public(stray_id)}"
    await access.record(session, actor, "charging.dismiss_stray_stop", target, operator_id=stray.operator_id)


async def end_by_hand(
    session: WriteSession, actor: Actor, charging_id: int, meter_stop_wh: int, ended_at: datetime
) -> Transaction:
    """A person read the meter of a session whose end nobody told.

    Raises:
        TransactionNotFound, TransactionEnded.
    """
    found = await queries.lock_transaction_by_id(session, actor.scope, charging_id)
    if found.state is TransactionState.ENDED:
        raise TransactionEnded(charging_id=charging_id)
    told = Stop(
        transaction_id=found.transaction_id,
        meter_stop_wh=meter_stop_wh,
        ended_at=ended_at,
        reason=BY_HAND,
    )
    await sessions.end(session, found, told, ended_by=actor.subject)
    await _record(session, actor, "charging.end_by_hand", found, {"meter_stop_wh": meter_stop_wh})
    return await queries.get_transaction(session, actor.scope, charging_id)


async def stop_remotely(session: WriteSession, actor: Actor, charging_id: int) -> Transaction:
    """A person has a session stopped from afar; it ends when the charge point says so.

    Raises:
        TransactionNotFound, TransactionEnded.
    """
    found = await queries.lock_transaction_by_id(session, actor.scope, charging_id)
    if found.state is TransactionState.ENDED:
        raise TransactionEnded(charging_id=charging_id)
    await sessions.ask_stop(session, found)
    await _record(session, actor, "charging.stop_remotely", found)
    return await queries.get_transaction(session, actor.scope, charging_id)


async def call_charge_point(
    session: WriteSession, actor: Actor, device_id: int, action: str, payload: Mapping[str, Any]
) -> int:
    """Have a charge point asked something else of OCPP; gives the command's id. Raises `ChargePointNotFound`.

    A later call of the same action takes the place of one that is still waiting.
    """
    found = await queries.get_charge_point(session, actor.scope, device_id)
    command = await devices.queue_command(
        session,
        device_id=device_id,
        kind=CommandKind.CHARGE_POINT_CALL,
        subject=f"call:{action}",
        body={"action": action, "payload": dict(payload)},
        expires_at=session.now() + CALL_LIFE,
    )
    target = f"device:{to_public(device_id)}"
    after = {"action": action}
    await access.record(session, actor, "charging.call", target, operator_id=found.operator_id, after=after)
    return command.id


async def _record(
    session: WriteSession,
    actor: Actor,
    action: str,
    transaction: Transaction,
    after: dict[str, Any] | None = None,
) -> None:
    target = f"charging:{to_public(transaction.id)}"
    operator_id = transaction.operator_id
    await access.record(session, actor, action, target, operator_id=operator_id, after=after)
