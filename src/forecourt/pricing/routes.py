"""The price book over HTTP."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends

from forecourt.core.actor import Actor
from forecourt.core.db import WriteSession
from forecourt.core.http import Db, PublicId, refusals, require
from forecourt.pricing import queries, service
from forecourt.pricing.errors import PriceExists, PriceInThePast
from forecourt.pricing.schemas import PriceIn, PriceOut, PricesOut
from forecourt.pricing.types import PRICES_READ, PRICES_WRITE, Price
from forecourt.sites import queries as sites
from forecourt.sites.errors import ProductNotFound, StationNotFound

router = APIRouter(prefix="/api/v1/stations/{station_id}/prices", tags=["pricing"])

Reader = Annotated[Actor, Depends(require(PRICES_READ))]
Writer = Annotated[Actor, Depends(require(PRICES_WRITE))]


@router.get("", responses=refusals(StationNotFound))
async def list_prices(actor: Reader, db: Db, station_id: PublicId) -> PricesOut:
    """A station's book, newest first: what is, was and will be in force."""
    async with db.read() as session:
        station = await sites.get_station(session, actor.scope, station_id)
        found = await queries.list_prices(session, actor.scope, station.id)
    return PricesOut(items=[PriceOut.model_validate(each) for each in found])


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    responses=refusals(StationNotFound, ProductNotFound, PriceInThePast, PriceExists),
)
async def set_price(actor: Writer, db: Db, station_id: PublicId, body: PriceIn) -> PriceOut:
    """Change a price, now or later. Nozzles are told when it comes into force; nobody touches a dispenser."""
    return PriceOut.model_validate(await db.transact(_set_price, actor, station_id, body))


async def _set_price(session: WriteSession, actor: Actor, station_id: int, body: PriceIn) -> Price:
    station = await sites.get_station(session, actor.scope, station_id)
    product = await sites.get_product(session, actor.scope, body.product_id)
    return await service.set_price(
        session,
        actor,
        station_id=station.id,
        product_id=product.id,
        unit_price_e4=body.unit_price_e4,
        valid_from=body.valid_from,
    )
