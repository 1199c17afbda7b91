"""HTTP of payments: their state, their end, top-ups, and what channels tell us."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from forecourt.core import idempotency
from forecourt.core.actor import Actor
from forecourt.core.db import WriteSession
from forecourt.core.errors import IdempotencyKeyReused, NotFound
from forecourt.core.http import Db, IdempotencyKey, PublicId, part, public, refusals, require
from forecourt.core.idempotency import Ask
from forecourt.customers import queries as customers
from forecourt.ledger import queries as ledger
from forecourt.payments import flows, queries, service
from forecourt.payments.errors import PaymentEndedAlready, PaymentNotFound
from forecourt.payments.schemas import PaymentOut, TopupIn, WalletOut
from forecourt.payments.types import (
    PAYMENTS_AT_DEVICE,
    PAYMENTS_READ,
    PAYMENTS_TAKE,
    PAYMENTS_TOP_UP,
    PaymentId,
    Tender,
)
from forecourt.sites import queries as sites

router = APIRouter(prefix="/api/v1", tags=["payments"])

Reader = Annotated[Actor, Depends(require(PAYMENTS_READ))]
Taker = Annotated[Actor, Depends(require(PAYMENTS_TAKE))]
AtDevice = Annotated[Actor, Depends(require(PAYMENTS_AT_DEVICE))]
TopperUp = Annotated[Actor, Depends(require(PAYMENTS_TOP_UP))]
Desk = Annotated[flows.Desk, Depends(part(flows.Desk))]


@router.get("/payments/{payment_id}", responses=refusals(PaymentNotFound))
async def get_payment(actor: Reader, db: Db, payment_id: PublicId) -> PaymentOut:
    async with db.read() as session:
        return PaymentOut.model_validate(await queries.payment_view(session, actor.scope, payment_id))


@router.post("/payments/{payment_id}/close", responses=refusals(PaymentNotFound, PaymentEndedAlready))
async def close_payment(actor: Taker, db: Db, desk: Desk, payment_id: PublicId) -> PaymentOut:
    """End an unpaid payment at its channel first. It may come back PAID: the payer was faster."""
    await flows.end(desk, actor, PaymentId(payment_id))
    async with db.read() as session:
        return PaymentOut.model_validate(await queries.payment_view(session, actor.scope, payment_id))


@router.get("/device/payments/{payment_id}", responses=refusals(PaymentNotFound))
async def get_payment_at_device(actor: AtDevice, db: Db, payment_id: PublicId) -> PaymentOut:
    """The same for a terminal: of its station."""
    return await get_payment(actor, db, payment_id)


@router.post("/device/payments/{payment_id}/close", responses=refusals(PaymentNotFound, PaymentEndedAlready))
async def close_payment_at_device(actor: AtDevice, db: Db, desk: Desk, payment_id: PublicId) -> PaymentOut:
    """The same for a terminal: a customer changed their mind, or the QR is too old."""
    return await close_payment(actor, db, desk, payment_id)


@router.get("/members/{member_id}/wallet")
async def get_wallet(actor: Reader, db: Db, member_id: PublicId) -> WalletOut:
    async with db.read() as session:
        member = await customers.get_member(session, actor.scope, member_id)
        wallet = await ledger.wallet(session, actor.scope, member.operator_id, member.id)
    return WalletOut.model_validate(wallet)


@router.post(
    "/members/{member_id}/topups",
    status_code=HTTPStatus.CREATED,
    responses=refusals(IdempotencyKeyReused),
)
async def top_up(
    actor: TopperUp, db: Db, member_id: PublicId, body: TopupIn, key: IdempotencyKey
) -> WalletOut:
    """Fill a member's wallet with cash taken at a station."""
    await db.transact(_top_up, actor, member_id, body, key)
    async with db.read() as session:
        wallet = await ledger.wallet(session, actor.scope, actor.operator_id, member_id)
    return WalletOut.model_validate(wallet)


async def _top_up(session: WriteSession, actor: Actor, member_id: int, body: TopupIn, key: str) -> None:
    meaning = {"member_id": member_id, **body.model_dump()}
    ask = Ask(actor.operator_id, "topup", key, idempotency.hash_of(meaning))
    if await idempotency.begin(session, ask) is not None:
        return
    member = await customers.get_member(session, actor.scope, member_id)
    station = await sites.get_station(session, actor.scope, body.station_id)
    payment_id = await service.top_up_cash(
        session,
        actor,
        operator_id=actor.operator_id,
        station_id=station.id,
        member_id=member.id,
        amount_fen=body.amount_fen,
        bonus_fen=body.bonus_fen,
    )
    await idempotency.finish(session, ask, {"payment_id": payment_id})


@router.post("/notify/{provider}/{merchant}", dependencies=[Depends(public())], include_in_schema=False)
async def notify(desk: Desk, request: Request, provider: Tender, merchant: str) -> Response:
    """A channel's notification; its signature is its permission. Accepted once its effect is durable."""
    reply = await flows.take_notice(desk, provider, merchant, request.headers, await request.body())
    if reply is None:
        raise NotFound(provider=provider.value)
    return Response(reply.body, reply.status, media_type=reply.content_type)
