"""Deliveries that wait for a person, over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Depends

from forecourt.core.actor import Actor
from forecourt.core.http import Db, PublicId, refusals, require
from forecourt.deliveries import queries, service
from forecourt.deliveries.errors import DeliveryNotFound, DeliveryNotHeld, ReleaseNeedsNozzle
from forecourt.deliveries.schemas import DeliveriesOut, DeliveryOut, ReviewIn
from forecourt.deliveries.types import DELIVERIES_READ, DELIVERIES_REVIEW

HELD_MAX = 200

router = APIRouter(prefix="/api/v1/deliveries", tags=["deliveries"])

Reader = Annotated[Actor, Depends(require(DELIVERIES_READ))]
Reviewer = Annotated[Actor, Depends(require(DELIVERIES_REVIEW))]


@router.get("/held")
async def list_held(actor: Reader, db: Db) -> DeliveriesOut:
    """What does not add up and waits for a decision, oldest first."""
    async with db.read() as session:
        held = await queries.list_held(session, actor.scope, HELD_MAX)
    return DeliveriesOut(items=[DeliveryOut.model_validate(each) for each in held])


@router.get("/{delivery_id}", responses=refusals(DeliveryNotFound))
async def get_delivery(actor: Reader, db: Db, delivery_id: PublicId) -> DeliveryOut:
    async with db.read() as session:
        return DeliveryOut.model_validate(await queries.get_delivery(session, actor.scope, delivery_id))


@router.post(
    "/{delivery_id}/release", responses=refusals(DeliveryNotFound, DeliveryNotHeld, ReleaseNeedsNozzle)
)
async def release(actor: Reviewer, db: Db, delivery_id: PublicId, body: ReviewIn) -> DeliveryOut:
    """Accept a held delivery as it stands; it is priced like any other."""
    return DeliveryOut.model_validate(await db.transact(service.release, actor, delivery_id, body.reason))


@router.post("/{delivery_id}/reject", responses=refusals(DeliveryNotFound, DeliveryNotHeld))
async def reject(actor: Reviewer, db: Db, delivery_id: PublicId, body: ReviewIn) -> DeliveryOut:
    """Find that a held delivery did not happen; it stays on record, unpriced."""
    return DeliveryOut.model_validate(await db.transact(service.reject, actor, delivery_id, body.reason))
