"""What screens watch: live nozzles, sales and payments as they happen, with a place to resume from."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query
from starlette.requests import Request

from forecourt.core.actor import Actor, Device, operator_of
from forecourt.core.db import Database
from forecourt.core.errors import NotFound
from forecourt.core.http import (
    Db,
    EventStream,
    PublicId,
    ServerEvent,
    last_event_id,
    part,
    refusals,
    require,
)
from forecourt.core.http.permissions import still_allowed
from forecourt.core.live import LiveHub, Lost, Update
from forecourt.deliveries import queries as deliveries
from forecourt.deliveries.types import LIVE_TOPIC, NozzleState
from forecourt.payments import queries as payments
from forecourt.pricing import queries as pricing
from forecourt.pricing import service as prices
from forecourt.pricing.types import Quote
from forecourt.sales import queries
from forecourt.sales.routes.shown import shown
from forecourt.sales.schemas import ForecourtOut, NozzleOut, ProductNameOut
from forecourt.sales.types import SALES_AT_DEVICE, SALES_READ
from forecourt.sites import queries as sites
from forecourt.sites.errors import StationNotFound
from forecourt.sites.types import SITES_READ

TOPICS = (LIVE_TOPIC, "sales.sale.*", "payments.payment.*")
HEARTBEAT_S = 5.0  # A screen calls itself stale after ten.
OFFLINE_AFTER_S = 30  # A nozzle of which nothing was heard for so long.

router = APIRouter(tags=["live"])

Watcher = Annotated[Actor, Depends(require(SALES_READ))]
SiteReader = Annotated[Actor, Depends(require(SITES_READ))]
AtDevice = Annotated[Actor, Depends(require(SALES_AT_DEVICE))]
Hub = Annotated[LiveHub, Depends(part(LiveHub))]
Place = Annotated[str | None, Depends(last_event_id)]


@router.get("/stations/{station_id}/forecourt", responses=refusals(StationNotFound))
async def get_forecourt(actor: SiteReader, db: Db, station_id: PublicId) -> ForecourtOut:
    """Every nozzle of a station as it is now: state, live figures, product, price, what is unpaid."""
    now = db.clock.now()
    async with db.read() as session:
        station = await sites.get_station(session, actor.scope, station_id)
        nozzles = await sites.nozzles_by_station(session, actor.scope, [station.id])
        live = await deliveries.live_by_station(session, actor.scope, station.id)
        told = await pricing.list_nozzle_prices(session, actor.scope, station.id)
        supplies = await sites.supplies_at_many(session, [(nozzle.id, now) for nozzle in nozzles])
        products = await sites.products_many(session, {supply.product_id for supply in supplies.values()})
        quotes = {
            nozzle.id: Quote(
                nozzle.operator_id, nozzle.station_id, nozzle.id, supplies[nozzle.id, now].product_id, now
            )
            for nozzle in nozzles
            if (nozzle.id, now) in supplies
        }
        book = await prices.quote_many(session, list(quotes.values()))
        unpaid = await queries.open_sales_of_nozzles(session, actor.scope, [nozzle.id for nozzle in nozzles])
    acknowledged = {each.nozzle_id: each.acknowledged_unit_price_e4 for each in told}
    items = []
    for nozzle in nozzles:
        seen = live.get(nozzle.id)
        # A charge point tells a connector's state when it changes; a station agent tells it all the time.
        silent_s = 0.0 if seen is None else (now - seen.updated_at).total_seconds()
        heard = nozzle.charge_point_device_id is not None or silent_s <= OFFLINE_AFTER_S
        supply = supplies.get((nozzle.id, now))
        product = products.get(supply.product_id) if supply else None
        price = book.get(quotes[nozzle.id]) if nozzle.id in quotes else None
        items.append(
            NozzleOut(
                id=nozzle.id,
                number=nozzle.number,
                energy=nozzle.energy,
                unit=nozzle.unit,
                product=None if product is None else ProductNameOut(name=product.code, name_zh=product.name),
                unit_price_e4=None if price is None else price.unit_price_e4,
                state=seen.state if seen is not None and heard else NozzleState.OFFLINE,
                quantity_e4=seen.quantity_e4 if seen else 0,
                amount_fen=seen.amount_fen if seen else 0,
                updated_at=seen.updated_at if seen else None,
                unpaid_count=sum(sale.nozzle_id == nozzle.id for sale in unpaid),
                price_pending=(
                    price is not None
                    and nozzle.id in acknowledged
                    and acknowledged[nozzle.id] != price.unit_price_e4
                ),
            )
        )
    return ForecourtOut(items=items)


@router.get("/stream", response_class=EventStream)
async def watch(
    request: Request,
    actor: Watcher,
    db: Db,
    hub: Hub,
    place: Place,
    station_id: Annotated[PublicId | None, Query()] = None,
) -> EventStream:
    """Server-sent events: `nozzle` (live), `sale` and `payment` (with an id to resume from)."""
    if station_id is not None:
        async with db.read() as session:
            await sites.get_station(session, actor.scope, station_id)
    events = _events(db, hub, actor, place, station_id, None)
    return EventStream(
        events, still_allowed=lambda: still_allowed(request, SALES_READ), heartbeat_s=HEARTBEAT_S
    )


@router.get("/device/stream", response_class=EventStream)
async def watch_from_device(
    request: Request,
    actor: AtDevice,
    db: Db,
    hub: Hub,
    place: Place,
    nozzle_id: Annotated[list[PublicId], Query(max_length=64)],
) -> EventStream:
    """The same for a terminal: its station, its nozzles."""
    if not isinstance(actor.scope, Device):
        raise NotFound
    events = _events(db, hub, actor, place, actor.scope.station_id, frozenset(nozzle_id))
    return EventStream(
        events, still_allowed=lambda: still_allowed(request, SALES_AT_DEVICE), heartbeat_s=HEARTBEAT_S
    )


async def _events(
    db: Database,
    hub: LiveHub,
    actor: Actor,
    place: str | None,
    station_id: int | None,
    nozzle_ids: frozenset[int] | None,
) -> AsyncIterator[ServerEvent]:
    def wanted(update: Update) -> bool:
        body = update.body
        if station_id is not None and body.get("station_id") != station_id:
            return False
        return nozzle_ids is None or "nozzle_id" not in body or body["nozzle_id"] in nozzle_ids

    after = int(place) if place is not None and place.isdigit() else None
    yield ServerEvent("{}", "hello")
    updates = hub.stream(TOPICS, operator_of(actor.scope), after=after, wanted=wanted)
    try:
        async for update in updates:
            if isinstance(update, Lost):
                yield ServerEvent(msgspec.json.encode({"count": update.count}).decode(), "lost")
            else:
                event = await _shown(db, actor, update)
                if event is not None:
                    yield event
    finally:
        await updates.aclose()  # type: ignore[attr-defined]


async def _shown(db: Database, actor: Actor, update: Update) -> ServerEvent | None:
    """An event with the thing as it is now, so that a screen which resumes shows no old state as new."""
    place = None if update.sequence is None else str(update.sequence)
    if update.topic == LIVE_TOPIC:
        return ServerEvent(msgspec.json.encode(update.body["shown"]).decode(), "nozzle")
    async with db.read() as session:
        if update.topic.startswith("sales."):
            sale = await queries.get_sale(session, actor.scope, update.body["sale_id"])
            (out,) = await shown(session, [sale])
            return ServerEvent(out.model_dump_json(), "sale", place)
        view = await payments.payment_view(session, actor.scope, update.body["payment_id"])
    return ServerEvent(_json(view.as_json()), "payment", place)


def _json(value: dict[str, Any]) -> str:
    return msgspec.json.encode(value).decode()
