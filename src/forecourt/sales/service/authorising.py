"""Permission before flow, as rows: pre-payment and the bound nozzle (绑枪); limits are tested first."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from forecourt.core import outbox
from forecourt.core.actor import Actor, Scope, operator_of
from forecourt.core.db import WriteSession
from forecourt.deliveries import queries as deliveries
from forecourt.devices import service as devices
from forecourt.devices.types import CommandKind
from forecourt.ledger import service as ledger
from forecourt.payments import service as payments
from forecourt.payments.types import Attempt, NewAsked, PaymentId, PaymentPurpose, Product, Tender, Waits
from forecourt.pricing import service as pricing
from forecourt.pricing.types import Quote
from forecourt.sales import queries, rules
from forecourt.sales.errors import (
    AuthorisationEndedAlready,
    NozzleBusy,
    NozzleNotFound,
    NozzleNotPriced,
)
from forecourt.sales.types import (
    Authorisation,
    AuthorisationEnded,
    AuthorisationGranted,
    AuthorisationId,
    AuthorisationKind,
    AuthorisationState,
)
from forecourt.sites import queries as sites
from forecourt.sites.types import Nozzle
from forecourt_kit.clock import rfc3339
from forecourt_kit.ids import to_public
from forecourt_kit.price import Preset, PresetKind, amount_fen

GRANTED_FOR = timedelta(minutes=15)  # From the grant to the lift; a fill under way is not cut off by it.
EXPIRED_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a payer wants at a nozzle. `limit_fen` bounds a full tank; a preset bounds itself."""

    nozzle_id: int
    kind: AuthorisationKind
    preset: Preset
    limit_fen: int


async def authorise_wallet(session: WriteSession, actor: Actor, wish: Wish, member_id: int) -> Authorisation:
    """Hold the limit in the member's wallet and let the nozzle run: pre-pay, or a payer bound to the nozzle.

    Raises:
        NozzleNotFound, NozzleBusy, NozzleNotPriced, InsufficientFunds: refused before anything flows.
    """
    nozzle, unit_price_e4 = await _free_nozzle(session, actor.scope, wish.nozzle_id)
    row = _row(session, actor, nozzle, wish, unit_price_e4)
    row |= {"member_id": member_id, "state": AuthorisationState.GRANTED}
    await queries.insert_authorisation(session, row, nozzle.operator_id)
    authorisation = await queries.get_authorisation(session, actor.scope, row["id"])
    await ledger.hold(
        session,
        operator_id=nozzle.operator_id,
        member_id=member_id,
        reference=authorisation.hold_reference,
        amount_fen=authorisation.limit_fen,
        expires_at=session.now() + timedelta(hours=12),
    )
    await _grant(session, authorisation)
    return authorisation


async def await_prepayment(
    session: WriteSession,
    actor: Actor,
    wish: Wish,
    *,
    tender: Tender,
    product: Product,
    merchant: str,
    waits: Waits,
) -> tuple[Authorisation, Attempt]:
    """Commit the intent to take a pre-payment from a channel; nothing flows until it is in.

    Raises:
        NozzleNotFound, NozzleBusy, NozzleNotPriced.
    """
    nozzle, unit_price_e4 = await _free_nozzle(session, actor.scope, wish.nozzle_id)
    row = _row(session, actor, nozzle, wish, unit_price_e4)
    new = NewAsked(
        payment_id=PaymentId(session.new_id()),
        operator_id=nozzle.operator_id,
        station_id=nozzle.station_id,
        purpose=PaymentPurpose.PREPAY,
        tender=tender,
        product=product,
        merchant=merchant,
        amount_fen=row["limit_fen"],
        created_by=actor.subject,
    )
    row |= {"payment_id": new.payment_id, "state": AuthorisationState.AWAITING}
    await queries.insert_authorisation(session, row, nozzle.operator_id)
    attempt = await payments.open_asked(session, new, waits)
    return await queries.get_authorisation(session, actor.scope, row["id"]), attempt


async def _free_nozzle(session: WriteSession, scope: Scope, nozzle_id: int) -> tuple[Nozzle, int]:
    """The nozzle, if it is the caller's and nobody else stands at it; and its product's price."""
    nozzle = (await sites.nozzles_many(session, [nozzle_id])).get(nozzle_id)
    mine = operator_of(scope)
    if nozzle is None or (mine is not None and nozzle.operator_id != mine):
        raise NozzleNotFound(nozzle_id=to_public(nozzle_id))
    # Two grants at once: the second waits here and then sees the first.
    await sites.lock_nozzle(session, nozzle.id, nozzle.operator_id)
    if nozzle.id in await queries.live_authorisations_many(session, [nozzle.id]):
        raise NozzleBusy(nozzle_id=to_public(nozzle.id))
    now = session.now()
    supply = (await sites.supplies_at_many(session, [(nozzle.id, now)])).get((nozzle.id, now))
    if supply is None:
        raise NozzleNotPriced(nozzle_id=to_public(nozzle.id))
    quote = Quote(nozzle.operator_id, nozzle.station_id, nozzle.id, supply.product_id, now)
    price = (await pricing.quote_many(session, [quote]))[quote]
    if price is None:
        raise NozzleNotPriced(nozzle_id=to_public(nozzle.id))
    return nozzle, price.unit_price_e4


def _row(
    session: WriteSession, actor: Actor, nozzle: Nozzle, wish: Wish, unit_price_e4: int
) -> dict[str, Any]:
    limit_fen = wish.limit_fen
    if wish.preset.kind is PresetKind.AMOUNT:
        limit_fen = wish.preset.value
    elif wish.preset.kind is PresetKind.QUANTITY:
        limit_fen = amount_fen(wish.preset.value, unit_price_e4)
    now = session.now()
    return {
        "id": session.new_id(),
        "operator_id": nozzle.operator_id,
        "station_id": nozzle.station_id,
        "nozzle_id": nozzle.id,
        "nozzle_number": nozzle.number,
        "kind": wish.kind,
        "member_id": None,
        "payment_id": None,
        "limit_fen": limit_fen,
        "preset_kind": wish.preset.kind,
        "preset_value": wish.preset.value,
        "unit_price_e4": unit_price_e4,
        "expires_at": now + GRANTED_FOR,
        "created_at": now,
        "created_by": actor.subject,
    }


async def _grant(session: WriteSession, authorisation: Authorisation) -> None:
    """Tell the station, and whoever watches the nozzle. A full tank stops at the limit it was granted."""
    preset = authorisation.preset
    if preset.kind is PresetKind.FULL:
        preset = Preset(PresetKind.AMOUNT, authorisation.limit_fen)
    nozzle = (await sites.nozzles_many(session, [authorisation.nozzle_id]))[authorisation.nozzle_id]
    at_charger = nozzle.charge_point_device_id is not None
    await devices.queue_for_nozzle(
        session,
        nozzle_id=nozzle.id,
        kind=CommandKind.REMOTE_START if at_charger else CommandKind.AUTHORISE,
        body={
            "nozzle": nozzle.number,
            "authorisation_id": to_public(authorisation.id),
            "limit_fen": authorisation.limit_fen,
            "preset": {"kind": preset.kind.value, "value": preset.value},
            "expires_at": rfc3339(authorisation.expires_at),
        },
        expires_at=authorisation.expires_at,
    )
    event = AuthorisationGranted(
        operator_id=authorisation.operator_id,
        authorisation_id=authorisation.id,
        station_id=authorisation.station_id,
        nozzle_id=authorisation.nozzle_id,
    )
    await outbox.add(session, event)


async def grant_paid(session: WriteSession, actor: Actor, payment_id: int, operator_id: int) -> None:
    """A pre-payment is in: its nozzle may run. One that was given up meanwhile goes back."""
    authorisation = await queries.authorisation_of_payment(session, payment_id, operator_id)
    assert authorisation is not None, "a pre-payment without its authorisation"
    if authorisation.state is AuthorisationState.AWAITING:
        if await queries.move_authorisation(session, authorisation, operator_id, AuthorisationState.GRANTED):
            await _grant(session, authorisation)
            return
        # Somebody was faster: it was given up between our look and our move.
        authorisation = await queries.get_authorisation(session, actor.scope, authorisation.id)
    if authorisation.state in {AuthorisationState.RELEASED, AuthorisationState.EXPIRED}:
        await payments.refund_rest(session, actor, payment_id, "given up before it was paid")


async def release(session: WriteSession, actor: Actor, authorisation_id: AuthorisationId) -> Authorisation:
    """Give an unused authorisation up; its money goes back.

    Raises:
        AuthorisationNotFound, AuthorisationEndedAlready.
    """
    authorisation = await queries.get_authorisation(session, actor.scope, authorisation_id)
    if not await _end(session, actor, authorisation, AuthorisationState.RELEASED):
        raise AuthorisationEndedAlready(state=authorisation.state.value)
    return await queries.get_authorisation(session, actor.scope, authorisation_id)


async def expire_authorisations(session: WriteSession, actor: Actor) -> int:
    """End what nobody used in time; a clock job."""
    ended = 0
    expired = await queries.expired_authorisations_many(session, session.now(), EXPIRED_MAX)
    live = await deliveries.live_many(session, [each.nozzle_id for each in expired])
    for each in expired:
        state = live[each.nozzle_id].state if each.nozzle_id in live else None
        if rules.may_expire(state, each.created_at, session.now()):
            ended += await _end(session, actor, each, AuthorisationState.EXPIRED)
    return ended


async def refuse_unpaid(session: WriteSession, actor: Actor, payment_id: int, operator_id: int) -> None:
    """A pre-payment ended without money: nothing may flow on it."""
    authorisation = await queries.authorisation_of_payment(session, payment_id, operator_id)
    if authorisation is not None:
        await _end(session, actor, authorisation, AuthorisationState.RELEASED)


async def command_failed(
    session: WriteSession, actor: Actor, authorisation_id: int, operator_id: int, *, refused: bool
) -> bool:
    """What drives the nozzle would not, or did not in time, let it run: the money goes back.

    `refused` says that the device itself answered no. When it only was not heard from, it may have obeyed:
    while something flows there the authorisation stays, and ends with the fill or by its time.
    """
    found = (await queries.authorisations_many(session, [authorisation_id])).get(authorisation_id)
    if found is None or found.operator_id != operator_id:
        return False
    if not refused:
        live = (await deliveries.live_many(session, [found.nozzle_id])).get(found.nozzle_id)
        if not rules.may_expire(live.state if live else None, found.created_at, session.now()):
            return False
    # A stop would reach a nozzle that may run for somebody else: it never ran for this one.
    return await _end(session, actor, found, AuthorisationState.RELEASED, stop=not refused)


async def _end(
    session: WriteSession,
    actor: Actor,
    authorisation: Authorisation,
    state: AuthorisationState,
    *,
    stop: bool = True,
) -> bool:
    if authorisation.state not in {AuthorisationState.AWAITING, AuthorisationState.GRANTED}:
        return False
    if not await queries.move_authorisation(session, authorisation, authorisation.operator_id, state):
        return False
    was_granted = authorisation.state is AuthorisationState.GRANTED
    if authorisation.member_id is not None:
        await ledger.void_hold(session, authorisation.operator_id, authorisation.hold_reference)
    else:
        assert authorisation.payment_id is not None
        if was_granted:
            await payments.refund_rest(session, actor, authorisation.payment_id, "not used")
        else:
            await payments.give_up(session, actor, authorisation.payment_id)
    if was_granted and stop:
        nozzle = (await sites.nozzles_many(session, [authorisation.nozzle_id]))[authorisation.nozzle_id]
        await devices.queue_for_nozzle(
            session,
            nozzle_id=nozzle.id,
            kind=CommandKind.STOP,
            body={"nozzle": nozzle.number, "authorisation_id": to_public(authorisation.id)},
            expires_at=session.now() + GRANTED_FOR,
        )
    event = AuthorisationEnded(
        operator_id=authorisation.operator_id,
        authorisation_id=authorisation.id,
        station_id=authorisation.station_id,
        nozzle_id=authorisation.nozzle_id,
        state=state.value,
    )
    await outbox.add(session, event)
    return True
