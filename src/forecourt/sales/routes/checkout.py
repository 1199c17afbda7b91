"""The forecourt's checkout: hot, so outside the framework's dependencies."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from forecourt.core import idempotency
from forecourt.core.actor import Actor, Device
from forecourt.core.batch import Batcher
from forecourt.core.db import Database
from forecourt.core.errors import IdempotencyKeyReused, Invalid
from forecourt.core.http import HotRoute, part_of, refusals, require
from forecourt.core.http.fields import idempotency_key
from forecourt.core.http.hot import decoded
from forecourt.core.http.permissions import actor_of
from forecourt.core.idempotency import Ask
from forecourt.ledger.errors import InsufficientFunds
from forecourt.payments import flows as payment_flows
from forecourt.payments import queries as payment_queries
from forecourt.payments.errors import ChannelNotConfigured, MemberNeeded, PayerCodeNeeded
from forecourt.payments.types import BOOKED, PaymentState, Product, Tender
from forecourt.sales import service
from forecourt.sales.errors import AmountTooLarge, SaleNotFound, SaleNotPayable
from forecourt.sales.schemas import CHECKOUT_SCHEMA, CheckoutIn
from forecourt.sales.types import SALES_AT_DEVICE, SALES_TAKE, Checkout, Receipt
from forecourt_kit.ids import from_public, to_public
from forecourt_kit.limits import AMOUNT_FEN_MAX

PAYER_CODE_CHARS = range(16, 25)  # 付款码: 18 digits at WeChat, 16 to 24 at others.


@dataclass(slots=True)
class Till:
    """The checkout of one process: booked payments share transactions here."""

    batcher: Batcher[Checkout, Receipt]

    @classmethod
    def open(cls, database: Database) -> "Till":
        return cls(Batcher(database, service.pay_many))


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
