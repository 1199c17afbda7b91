"""HTTP of sales: the list, one sale's story, the checkout, void, refund, authorisations."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from forecourt.core import idempotency
from forecourt.core.actor import Actor, Device
from forecourt.core.batch import Batcher
from forecourt.core.db import Database, ReadSession
from forecourt.core.errors import IdempotencyKeyReused, Invalid
from forecourt.core.http import (
    Db,
    HotRoute,
    IdempotencyKey,
    Instant,
    PublicId,
    part,
    part_of,
    refusals,
    require,
)
from forecourt.core.http.fields import idempotency_key
from forecourt.core.http.hot import decoded
from forecourt.core.http.permissions import actor_of
from forecourt.core.idempotency import Ask
from forecourt.ledger.errors import InsufficientFunds
from forecourt.payments import flows as payment_flows
from forecourt.payments import queries as payment_queries
from forecourt.payments.errors import ChannelNotConfigured, MemberNeeded, PayerCodeNeeded
from forecourt.payments.types import BOOKED, PaymentState, Product, Tender
from forecourt.sales import queries, rules, service
from forecourt.sales.errors import (
    AmountTooLarge,
    AuthorisationEndedAlready,
    AuthorisationNotFound,
    NothingPaid,
    NozzleBusy,
    NozzleNotFound,
    NozzleNotPriced,
    SaleBeingPaid,
    SaleNotFound,
    SaleNotPayable,
    SaleNotVoidable,
)
from forecourt.sales.schemas import (
    CHECKOUT_SCHEMA,
    AuthorisationOut,
    AuthoriseIn,
    CheckoutIn,
    EntryOut,
    PostingOut,
    ProductNameOut,
    RefundIn,
    RefundOut,
    RefundsOut,
    SaleOut,
    SalesOut,
    TimelineOut,
    VoidIn,
)
from forecourt.sales.types import (
    SALES_AT_DEVICE,
    SALES_AUTHORISE,
    SALES_READ,
    SALES_REFUND,
    SALES_TAKE,
    SALES_VOID,
    AuthorisationId,
    Checkout,
    Receipt,
    Sale,
    SaleFilter,
    SaleState,
)
from forecourt.sites import queries as sites
from forecourt_kit.ids import from_public, to_public
from forecourt_kit.limits import AMOUNT_FEN_MAX
from forecourt_kit.price import Preset, PresetKind

PAYER_CODE_CHARS = range(16, 25)  # 付款码: 18 digits at WeChat, 16 to 24 at others.

router = APIRouter(prefix="/api/v1", tags=["sales"])

Reader = Annotated[Actor, Depends(require(SALES_READ))]
Voider = Annotated[Actor, Depends(require(SALES_VOID))]
Refunder = Annotated[Actor, Depends(require(SALES_REFUND))]
Authoriser = Annotated[Actor, Depends(require(SALES_AUTHORISE))]
AtDevice = Annotated[Actor, Depends(require(SALES_AT_DEVICE))]
Desk = Annotated[payment_flows.Desk, Depends(part(payment_flows.Desk))]


@dataclass(slots=True)
class Till:
    """The checkout of one process: booked payments share transactions here."""

    batcher: Batcher[Checkout, Receipt]

    @classmethod
    def open(cls, database: Database) -> "Till":
        return cls(Batcher(database, service.pay_many))


@router.get("/sales")
async def list_sales(
    actor: Reader,
    db: Db,
    station_id: PublicId | None = None,
    nozzle_id: PublicId | None = None,
    state: SaleState | None = None,
    tender: Tender | None = None,
    marked: bool | None = None,  # noqa: FBT001 - a query parameter.
    opened_from: Annotated[Instant | None, Query(alias="from")] = None,
    opened_to: Annotated[Instant | None, Query(alias="to")] = None,
    cursor: PublicId | None = None,
    limit: Annotated[int, Query(ge=1, le=queries.LIST_ROWS_MAX)] = 50,
) -> SalesOut:
    """Sales, newest first; `next_cursor` goes on where this page ends."""
    wanted = SaleFilter(
        station_id=station_id,
        nozzle_id=nozzle_id,
        state=state,
        tender=None if tender is None else tender.value,
        opened_from=opened_from,
        opened_to=opened_to,
        marked=marked,
        before=cursor,
        limit=limit,
    )
    async with db.read() as session:
        sales = await queries.list_sales(session, actor.scope, wanted)
        items = await _shown(session, sales)
    more = len(sales) == limit
    return SalesOut(items=items, next_cursor=to_public(sales[-1].id) if more else None)


@router.get("/sales/{sale_id}", responses=refusals(SaleNotFound))
async def get_sale(actor: Reader, db: Db, sale_id: PublicId) -> SaleOut:
    async with db.read() as session:
        sale = await queries.get_sale(session, actor.scope, sale_id)
        return (await _shown(session, [sale]))[0]


@router.get("/sales/{sale_id}/timeline", responses=refusals(SaleNotFound))
async def get_timeline(actor: Reader, db: Db, sale_id: PublicId) -> TimelineOut:
    """Everything that happened to a sale: message, delivery, price, permission, payments, postings."""
    async with db.read() as session:
        story = await queries.story(session, actor.scope, sale_id)
        sale = (await _shown(session, [story.sale]))[0]
    return TimelineOut(
        sale=sale,
        entries=[EntryOut.model_validate(entry) for entry in rules.timeline(story)],
        postings=[
            PostingOut(
                transfer_id=line.transfer_id,
                at=line.at,
                kind=line.kind.value,
                account=line.purpose.value,
                side=line.side.value,
                amount_fen=line.amount_fen,
            )
            for line in story.postings
        ],
    )


@router.get("/device/sales")
async def list_device_sales(
    actor: AtDevice, db: Db, nozzle_id: Annotated[list[PublicId], Query(max_length=64)]
) -> SalesOut:
    """What is to pay at a terminal's nozzles, oldest first."""
    async with db.read() as session:
        sales = await queries.open_sales_of_nozzles(session, actor.scope, nozzle_id)
        return SalesOut(items=await _shown(session, sales), next_cursor=None)


@router.post(
    "/sales/{sale_id}/void",
    responses=refusals(SaleNotFound, SaleNotVoidable, SaleBeingPaid),
)
async def void_sale(actor: Voider, db: Db, sale_id: PublicId, body: VoidIn) -> SaleOut:
    """Cancel a sale of which nothing is paid."""
    sale = await db.transact(service.void, actor, sale_id, body.reason)
    async with db.read() as session:
        return (await _shown(session, [sale]))[0]


@router.post(
    "/sales/{sale_id}/refunds",
    status_code=HTTPStatus.ACCEPTED,
    responses=refusals(SaleNotFound, NothingPaid, AmountTooLarge, IdempotencyKeyReused),
)
async def refund_sale(
    actor: Refunder, db: Db, sale_id: PublicId, body: RefundIn, key: IdempotencyKey
) -> RefundsOut:
    """Give money back. 202: it is set aside; a channel's word arrives as an event."""
    meaning = {"sale_id": sale_id, "amount_fen": body.amount_fen, "reason": body.reason}
    ask = Ask(actor.operator_id, "refund", key, idempotency.hash_of(meaning))
    refunds = await db.transact(
        service.refund, actor, sale_id=sale_id, amount_fen=body.amount_fen, reason=body.reason, ask=ask
    )
    return RefundsOut(items=[RefundOut.model_validate(each) for each in refunds])


@router.post(
    "/authorisations",
    status_code=HTTPStatus.CREATED,
    responses=refusals(NozzleNotFound, NozzleBusy, NozzleNotPriced, InsufficientFunds, MemberNeeded),
)
async def authorise(actor: Authoriser, db: Db, desk: Desk, body: AuthoriseIn) -> AuthorisationOut:
    """Pre-pay a fill, or bind a payer to a lifted nozzle; refused before flow when money is short."""
    if body.preset.kind is PresetKind.FULL and body.limit_fen is None:
        raise Invalid("A full tank needs limit_fen.")
    preset = Preset(body.preset.kind, body.preset.value)
    wish = service.Wish(
        nozzle_id=body.nozzle_id,
        kind=body.kind,
        preset=preset,
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


_CHECKOUT = msgspec.json.Decoder(CheckoutIn)


async def pay_sale(request: Request) -> Response:
    """Pay a sale: wallet and cash at once (201), a channel by its three beats (202 while it is asked)."""
    actor = await actor_of(request)
    key = await idempotency_key(request.headers.get("idempotency-key"))
    body = await decoded(request, _CHECKOUT)
    sale_id = _id(request.path_params["sale_id"], "sale_id")
    member_id = None if body.member_id is None else _id(body.member_id, "member_id")
    if body.amount_fen is not None and not 1 <= body.amount_fen <= AMOUNT_FEN_MAX:
        raise Invalid(fields=[{"path": "amount_fen", "code": "range", "message": f"1..{AMOUNT_FEN_MAX}"}])
    tender = Tender(body.tender)
    meaning = {
        "sale_id": sale_id,
        "tender": body.tender,
        "product": body.product,
        "amount_fen": body.amount_fen,
        "member_id": member_id,
    }
    input_hash = idempotency.hash_of(meaning)
    if tender in BOOKED:
        return await _pay_booked(request, actor, sale_id, body, member_id, key, input_hash)
    ask = Ask(actor.operator_id, "checkout", key, input_hash)
    return await _pay_asked(request, actor, sale_id, body, ask)


async def _pay_booked(
    request: Request,
    actor: Actor,
    sale_id: int,
    body: CheckoutIn,
    member_id: int | None,
    key: str,
    input_hash: str,
) -> Response:
    checkout = Checkout(
        operator_id=actor.operator_id,
        sale_id=sale_id,
        tender=body.tender,
        member_id=member_id,
        amount_fen=body.amount_fen,
        key=key,
        input_hash=input_hash,
        subject=actor.subject,
        station_id=actor.scope.station_id if isinstance(actor.scope, Device) else None,
    )
    receipt = await part_of(request, Till).batcher.submit(checkout)
    answer = {
        "id": to_public(receipt.payment_id),
        "state": receipt.state,
        "tender": receipt.tender,
        "amount_fen": receipt.amount_fen,
        "sale_ids": [to_public(receipt.sale_id)],
    }
    return Response(msgspec.json.encode(answer), HTTPStatus.CREATED, media_type="application/json")


async def _pay_asked(request: Request, actor: Actor, sale_id: int, body: CheckoutIn, ask: Ask) -> Response:
    desk = part_of(request, payment_flows.Desk)
    tender, product = Tender(body.tender), Product(body.product or Product.NATIVE)
    code = body.payer_code
    if product is Product.CODE and (code is None or not code.isdigit() or len(code) not in PAYER_CODE_CHARS):
        raise PayerCodeNeeded
    channel = desk.channel(actor.operator_id, tender)
    attempt, new = await desk.database.transact(
        service.open_asked,
        actor,
        sale_id=sale_id,
        tender=tender,
        product=product,
        merchant=channel.merchant,
        amount_fen=body.amount_fen,
        ask=ask,
        waits=desk.waits,
    )
    if new:
        await payment_flows.start(desk, actor, attempt, code)
    async with desk.database.read() as session:
        view = await payment_queries.payment_view(session, actor.scope, attempt.payment_id)
    status = HTTPStatus.CREATED if view.state is PaymentState.PAID else HTTPStatus.ACCEPTED
    return Response(msgspec.json.encode(view.as_json()), status, media_type="application/json")


def _id(text: str, path: str) -> int:
    try:
        return from_public(text)
    except ValueError as error:
        raise Invalid(fields=[{"path": path, "code": "invalid", "message": str(error)}]) from error


def _operation(summary: str) -> dict[str, Any]:
    return {
        "summary": summary,
        "tags": ["sales"],
        "parameters": [
            {"name": "sale_id", "in": "path", "required": True, "schema": {"type": "string"}},
            {"name": "Idempotency-Key", "in": "header", "required": True, "schema": {"type": "string"}},
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": CHECKOUT_SCHEMA}}},
        "responses": {
            "201": {"description": "Paid.", "content": {"application/json": {"schema": PAYMENT_SCHEMA}}},
            "202": {
                "description": "The channel is being asked.",
                "content": {"application/json": {"schema": PAYMENT_SCHEMA}},
            },
            **refusals(
                SaleNotFound,
                SaleNotPayable,
                AmountTooLarge,
                InsufficientFunds,
                MemberNeeded,
                PayerCodeNeeded,
                ChannelNotConfigured,
                IdempotencyKeyReused,
            ),
        },
    }


PAYMENT_SCHEMA = {"$ref": "#/components/schemas/PaymentOut"}  # Declared by payments.

hot_routes = [
    HotRoute(
        "/api/v1/sales/{sale_id}/payments",
        pay_sale,
        methods=["POST"],
        declaration=require(SALES_TAKE),
        operation=_operation("The forecourt's checkout"),
    ),
    HotRoute(
        "/api/v1/device/sales/{sale_id}/payments",
        pay_sale,
        methods=["POST"],
        declaration=require(SALES_AT_DEVICE),
        operation=_operation("The checkout at a terminal of the station"),
    ),
]


async def _shown(session: ReadSession, sales: Sequence[Sale]) -> list[SaleOut]:
    stations = await sites.stations_many(session, [sale.station_id for sale in sales])
    products = await sites.products_many(session, [sale.product_id for sale in sales])
    return [
        SaleOut(
            **{name: getattr(sale, name) for name in SALE_FIELDS},
            station_name=stations[sale.station_id].name,
            station_timezone=stations[sale.station_id].timezone,
            product=ProductNameOut(
                name=products[sale.product_id].code, name_zh=products[sale.product_id].name
            ),
        )
        for sale in sales
    ]


SALE_FIELDS = tuple(
    name for name in SaleOut.model_fields if name not in {"station_name", "station_timezone", "product"}
)
