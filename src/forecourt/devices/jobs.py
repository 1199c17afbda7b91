"""The worker's part of the inbox, and clock jobs."""

import logging
from collections.abc import Sequence
from datetime import timedelta

from forecourt.core.actor import System
from forecourt.core.db import Database, WriteSession
from forecourt.core.errors import Unavailable
from forecourt.devices import queries, rules, service
from forecourt.devices.types import Door, LeasedMessage

log = logging.getLogger(__name__)


async def drain_inbox(
    db: Database, door: Door[WriteSession], *, owner: str, limit: int = rules.INBOX_SET_MAX
) -> int:
    """Lease new messages and hand them to the door as one list, in one transaction with their effect.

    A list that fails is tried message by message; a message that fails five times is parked with its reason
    and holds up nobody. Gives how many messages were leased: 0 means that the inbox is empty.
    """
    ids = await db.transact(queries.lease_messages_many, owner, limit)
    if not ids:
        return 0
    try:
        await db.transact(_deliver, door, owner, ids)
    except Unavailable:
        raise  # Not the messages' fault: the leases run out and the messages come again.
    except Exception:
        # Whatever a decoder or a rule trips over, it is in one message and the others must go on.
        log.exception("a set of messages failed; each is tried alone", extra={"messages": len(ids)})
        for message_id in ids:
            await _deliver_alone(db, door, owner, message_id)
    return len(ids)


async def _deliver(session: WriteSession, door: Door[WriteSession], owner: str, ids: Sequence[int]) -> None:
    held = await queries.leased_messages(session, System(), owner, ids)
    if not held:
        return
    outcomes = await door.deliver_many(session, [each.message for each in held])
    assert len(outcomes) == len(held)
    parked = {
        each.id: outcome.parked
        for each, outcome in zip(held, outcomes, strict=True)
        if outcome.parked is not None
    }
    await queries.finish_messages_many(session, [each.id for each in held if each.id not in parked])
    await queries.park_leased_many(session, parked)


async def _deliver_alone(db: Database, door: Door[WriteSession], owner: str, message_id: int) -> None:
    try:
        await db.transact(_deliver, door, owner, [message_id])
    except Unavailable:
        raise
    except Exception as error:
        log.exception("a message failed", extra={"message_id": message_id})
        await db.transact(_put_back, owner, message_id, f"{type(error).__name__}: {error}")


async def _put_back(session: WriteSession, owner: str, message_id: int, why: str) -> None:
    held: list[LeasedMessage] = await queries.leased_messages(session, System(), owner, [message_id])
    if not held:
        return
    tries = held[0].tries
    if tries >= rules.INBOX_TRIES_MAX:
        await queries.park_leased_many(session, {message_id: why})
    else:
        await queries.release_message(
            session, System(), message_id, why, session.now() + timedelta(seconds=2**tries)
        )


async def expire_commands(db: Database) -> int:
    """Every few seconds: commands that nobody answered in time."""
    return await db.transact(service.expire_commands)


async def forget_done(db: Database) -> int:
    """Hourly: raw messages that were taken a week ago."""
    gone = 0
    while step := await db.transact(service.forget_done):
        gone += step
    return gone
