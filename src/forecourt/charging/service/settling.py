"""What a person settles where no end was told, or one that fits nothing."""

from datetime import datetime
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
from forecourt_kit.ids import to_public

BY_HAND = "end told by a person"


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
