"""Id tags of an operator, and the default answer to who may charge."""

from datetime import datetime, timedelta

from forecourt.access import service as access
from forecourt.charging import queries, rules
from forecourt.charging.errors import TokenTaken
from forecourt.charging.types import (
    ChargeAsk,
    Permit,
    Token,
    TokenState,
    Verdict,
)
from forecourt.core.actor import Actor
from forecourt.core.db import ReadSession, WriteSession
from forecourt.customers import queries as customers
from forecourt_kit.ids import to_public

CONCURRENT_SPAN = timedelta(hours=24)  # An older session that is still open has lost its end.


async def authorise_by_token(session: ReadSession, ask: ChargeAsk) -> Permit:
    """The default answer: the operator's own id tags. One tag charges at one connector at a time."""
    token = await queries.token_by_tag(session, ask.operator_id, ask.id_tag)
    permit = rules.token_permit(token, session.now())
    if permit.verdict is not Verdict.ACCEPTED or ask.connector_number is None:
        return permit  # A card is also shown to stop: only a start can be one too many.
    since = session.now() - CONCURRENT_SPAN
    elsewhere = await queries.charges_elsewhere(
        session, ask.operator_id, ask.id_tag, ask.device_id, ask.connector_number, since
    )
    return Permit(verdict=Verdict.CONCURRENT) if elsewhere else permit


async def add_token(
    session: WriteSession, actor: Actor, tag: str, member_id: int | None, expires_at: datetime | None
) -> Token:
    """Register a card. Raises `TokenTaken`, `MemberNotFound`."""
    if member_id is not None:
        await customers.get_member(session, actor.scope, member_id)
    token = Token(
        id=session.new_id(),
        operator_id=actor.operator_id,
        tag=tag,
        member_id=member_id,
        state=TokenState.ACTIVE,
        expires_at=expires_at,
        parent_tag=None,
    )
    row = {
        "id": token.id,
        "operator_id": token.operator_id,
        "tag": tag,
        "member_id": member_id,
        "state": token.state,
        "expires_at": expires_at,
        "parent_tag": None,
    }
    if not await queries.insert_token(session, row):
        raise TokenTaken(tag=tag)
    after = {"tag_ends": tag[-4:], "member": None if member_id is None else to_public(member_id)}
    await access.record(session, actor, "charging.add_token", f"token:{to_public(token.id)}", after=after)
    return token


async def set_token_state(session: WriteSession, actor: Actor, token_id: int, state: TokenState) -> Token:
    """Block a card, or let it charge again. Raises `TokenNotFound`."""
    token = await queries.get_token(session, actor.scope, token_id)
    await queries.update_token(session, actor.scope, token_id, {"state": state})
    await access.record(
        session,
        actor,
        "charging.set_token_state",
        f"token:{to_public(token_id)}",
        operator_id=token.operator_id,
        before={"state": token.state.value},
        after={"state": state.value},
    )
    return await queries.get_token(session, actor.scope, token_id)
