"""Verbs of the inbox: messages are stored raw before anything is acknowledged, and understood later."""

from collections.abc import Sequence

from forecourt.access import service as access
from forecourt.core.actor import Actor, System
from forecourt.core.db import WriteSession
from forecourt.devices import queries, rules
from forecourt.devices.errors import DeviceNotFound
from forecourt.devices.types import InboxMessage, InboxState
from forecourt_kit.ids import to_public


async def store_messages(session: WriteSession, messages: Sequence[InboxMessage]) -> None:
    """Make messages durable with the caller's commit; one that was stored before is free.

    The gateway acknowledges when the transaction has committed, never earlier.
    """
    await queries.insert_messages_many(session, messages, InboxState.NEW)


async def keep_many(session: WriteSession, messages: Sequence[InboxMessage]) -> None:
    """Keep raw messages whose effect is in this same transaction (synchronous doors)."""
    await queries.insert_messages_many(session, messages, InboxState.DONE)


async def park_many(session: WriteSession, parked: Sequence[tuple[InboxMessage, str]]) -> None:
    """Keep messages that nobody could read, with the reason, for a person."""
    await queries.park_messages_many(session, parked)


async def replay(session: WriteSession, actor: Actor, message_id: int) -> None:
    """Give a parked message another try. Raises `DeviceNotFound` when there is none such."""
    if not await queries.replay_parked(session, actor.scope, message_id):
        raise DeviceNotFound("There is no such parked message.")
    await access.record(session, actor, "devices.replay_message", f"message:{to_public(message_id)}")


async def forget_done(session: WriteSession) -> int:
    """Delete messages that were taken a week ago; called until it gives 0."""
    return await queries.delete_done(session, System(), session.now() - rules.INBOX_KEPT)
