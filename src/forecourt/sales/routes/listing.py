"""Sales over HTTP: the list, one sale's story, what a terminal has to show, void and refund."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from forecourt.core import idempotency
from forecourt.core.actor import Actor
from forecourt.core.errors import IdempotencyKeyReused
from forecourt.core.http import (
    Db,
    IdempotencyKey,
    Instant,
    PublicId,
    refusals,
    require,
)
from forecourt.core.idempotency import Ask
from forecourt.payments.types import Tender
from forecourt.sales import queries, rules, service
from forecourt.sales.errors import (
    AmountTooLarge,
    NothingPaid,
    SaleBeingPaid,
    SaleNotFound,
    SaleNotVoidable,
)
from forecourt.sales.routes.shown import shown
from forecourt.sales.schemas import (
    EntryOut,
    PostingOut,
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
    SALES_READ,
    SALES_REFUND,
    SALES_VOID,
    SaleFilter,
    SaleState,
)
from forecourt_kit.ids import to_public

router = APIRouter(tags=["sales"])

Reader = Annotated[Actor, Depends(require(SALES_READ))]
Voider = Annotated[Actor, Depends(require(SALES_VOID))]
Refunder = Annotated[Actor, Depends(require(SALES_REFUND))]
AtDevice = Annotated[Actor, Depends(require(SALES_AT_DEVICE))]


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
        items = await shown(session, sales)
    more = len(sales) == limit
    return SalesOut(items=items, next_cursor=to_public(sales[-1].id) if more else None)


@router.get("/sales/{sale_id}", responses=refusals(SaleNotFound))
async def get_sale(actor: Reader, db: Db, sale_id: PublicId) -> SaleOut:
    async with db.read() as session:
        sale = await queries.get_sale(session, actor.scope, sale_id)
        return (await shown(session, [sale]))[0]


@router.get("/sales/{sale_id}/timeline", responses=refusals(SaleNotFound))
async def get_timeline(actor: Reader, db: Db, sale_id: PublicId) -> TimelineOut:
    """Everything that happened to a sale: message, delivery, price, permission, payments, postings."""
    async with db.read() as session:
        story = await queries.story(session, actor.scope, sale_id)
        sale = (await shown(session, [story.sale]))[0]
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
        return SalesOut(items=await shown(session, sales), next_cursor=None)


@router.post(
    "/sales/{sale_id}/void",
    responses=refusals(SaleNotFound, SaleNotVoidable, SaleBeingPaid),
)
async def void_sale(actor: Voider, db: Db, sale_id: PublicId, body: VoidIn) -> SaleOut:
    """Cancel a sale of which nothing is paid."""
    sale = await db.transact(service.void, actor, sale_id, body.reason)
    async with db.read() as session:
        return (await shown(session, [sale]))[0]


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
