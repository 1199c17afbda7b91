"""Permission before flow over HTTP: pre-payment and the bound nozzle."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends

from forecourt.core.actor import Actor
from forecourt.core.errors import Invalid
from forecourt.core.http import Db, PublicId, part, refusals, require
from forecourt.ledger.errors import InsufficientFunds
from forecourt.payments import flows as payment_flows
from forecourt.payments.errors import MemberNeeded
from forecourt.payments.types import Product, Tender
from forecourt.sales import queries, service
from forecourt.sales.errors import (
    AuthorisationEndedAlready,
    AuthorisationNotFound,
    NozzleBusy,
    NozzleNotFound,
    NozzleNotPriced,
)
from forecourt.sales.schemas import AuthorisationOut, AuthoriseIn
from forecourt.sales.types import SALES_AUTHORISE, AuthorisationId
from forecourt_kit.limits import AMOUNT_FEN_MAX
from forecourt_kit.price import PresetKind

router = APIRouter(tags=["sales"])

Authoriser = Annotated[Actor, Depends(require(SALES_AUTHORISE))]
Desk = Annotated[payment_flows.Desk, Depends(part(payment_flows.Desk))]


@router.post(
    "/authorisations",
    status_code=HTTPStatus.CREATED,
    responses=refusals(NozzleNotFound, NozzleBusy, NozzleNotPriced, InsufficientFunds, MemberNeeded),
)
async def authorise(actor: Authoriser, db: Db, desk: Desk, body: AuthoriseIn) -> AuthorisationOut:
    """Pre-pay a fill, or bind a payer to a lifted nozzle; refused before flow when money is short."""
    if body.preset.kind is PresetKind.FULL and body.limit_fen is None:
        raise Invalid("A full tank needs limit_fen.")
    wish = service.Wish(
        nozzle_id=body.nozzle_id,
        kind=body.kind,
        preset=body.preset.preset(),
        limit_fen=body.limit_fen or AMOUNT_FEN_MAX,
    )
    if body.tender is Tender.WALLET:
        if body.member_id is None:
            raise MemberNeeded
        granted = await db.transact(service.authorise_wallet, actor, wish, body.member_id)
        return AuthorisationOut.model_validate(granted)
    channel = desk.channel(actor.operator_id, body.tender)
    awaiting, attempt = await db.transact(
        service.await_prepayment,
        actor,
        wish,
        tender=body.tender,
        product=Product.NATIVE,
        merchant=channel.merchant,
        waits=desk.waits,
    )
    await payment_flows.start(desk, actor, attempt)
    return AuthorisationOut.model_validate(awaiting)


@router.get(
    "/authorisations/{authorisation_id}",
    responses=refusals(AuthorisationNotFound),
)
async def get_authorisation(actor: Authoriser, db: Db, authorisation_id: PublicId) -> AuthorisationOut:
    async with db.read() as session:
        found = await queries.get_authorisation(session, actor.scope, authorisation_id)
    return AuthorisationOut.model_validate(found)


@router.delete(
    "/authorisations/{authorisation_id}",
    responses=refusals(AuthorisationNotFound, AuthorisationEndedAlready),
)
async def release(actor: Authoriser, db: Db, authorisation_id: PublicId) -> AuthorisationOut:
    """Give an unused authorisation up; its money goes back."""
    ended = await db.transact(service.release, actor, AuthorisationId(authorisation_id))
    return AuthorisationOut.model_validate(ended)
