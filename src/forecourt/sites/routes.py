"""HTTP of sites."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from forecourt.core.actor import Actor
from forecourt.core.db import ReadSession
from forecourt.core.http import Db, Page, PublicId, refusals, require
from forecourt.sites import queries, service
from forecourt.sites.errors import (
    NozzleNotFound,
    NumberTaken,
    ProductCodeTaken,
    ProductNotFound,
    StationNotFound,
    SupplyMismatch,
    SupplyOverlaps,
)
from forecourt.sites.schemas import (
    DispenserIn,
    DispenserOut,
    ListedStationOut,
    NozzleChangeIn,
    NozzleIn,
    NozzleOut,
    NozzlesOut,
    ProductIn,
    ProductOut,
    ProductsOut,
    StationChangeIn,
    StationIn,
    StationOut,
    StationsOut,
    SupplyIn,
    SupplyOut,
    TankIn,
    TankOut,
    TanksOut,
)
from forecourt.sites.types import SITES_READ, SITES_WRITE, Nozzle, Station

router = APIRouter(tags=["sites"])

Reader = Annotated[Actor, Depends(require(SITES_READ))]
Writer = Annotated[Actor, Depends(require(SITES_WRITE))]


@router.get("/stations")
async def list_stations(actor: Reader, db: Db, page: Page) -> StationsOut:
    """Newest first."""
    async with db.read() as session:
        found = await queries.list_stations(session, actor.scope, limit=page.limit, after=page.after)
        nozzles = await queries.nozzles_by_station(session, actor.scope, [each.id for each in found])
    items = [_listed(each, [nozzle for nozzle in nozzles if nozzle.station_id == each.id]) for each in found]
    return StationsOut(items=items, next_cursor=page.next_cursor(found))


def _listed(station: Station, nozzles: list[Nozzle]) -> ListedStationOut:
    return ListedStationOut(
        id=station.id,
        operator_id=station.operator_id,
        name=station.name,
        timezone=station.timezone,
        day_cut_min=station.day_cut_min,
        energies=sorted({nozzle.energy for nozzle in nozzles}),
        nozzle_count=len(nozzles),
    )


@router.get("/stations/{station_id}", responses=refusals(StationNotFound))
async def get_station(station_id: PublicId, actor: Reader, db: Db) -> StationOut:
    async with db.read() as session:
        return StationOut.model_validate(await queries.get_station(session, actor.scope, station_id))


@router.post("/stations", status_code=201)
async def create_station(body: StationIn, actor: Writer, db: Db) -> StationOut:
    station = await db.transact(
        service.create_station,
        actor,
        name=body.name,
        timezone=body.timezone,
        day_cut_min=body.day_cut_min,
    )
    return StationOut.model_validate(station)


@router.patch("/stations/{station_id}", responses=refusals(StationNotFound))
async def change_station(station_id: PublicId, body: StationChangeIn, actor: Writer, db: Db) -> StationOut:
    station = await db.transact(
        service.change_station,
        actor,
        station_id,
        name=body.name,
        timezone=body.timezone,
        day_cut_min=body.day_cut_min,
    )
    return StationOut.model_validate(station)


@router.get("/nozzles", responses=refusals(StationNotFound))
async def list_nozzles(station_id: Annotated[PublicId, Query()], actor: Reader, db: Db) -> NozzlesOut:
    """By number, each with what it sells now."""
    async with db.read() as session:
        await queries.get_station(session, actor.scope, station_id)
        found = await queries.nozzles_by_station(session, actor.scope, [station_id])
        return NozzlesOut(items=await _with_products(session, found))


@router.get("/nozzles/{nozzle_id}", responses=refusals(NozzleNotFound))
async def get_nozzle(nozzle_id: PublicId, actor: Reader, db: Db) -> NozzleOut:
    async with db.read() as session:
        found = await queries.get_nozzle(session, actor.scope, nozzle_id)
        return (await _with_products(session, [found]))[0]


async def _with_products(session: ReadSession, nozzles: list[Nozzle]) -> list[NozzleOut]:
    now = session.now()
    supplies = await queries.supplies_at_many(session, [(each.id, now) for each in nozzles])
    sold = {nozzle_id: supply.product_id for (nozzle_id, _), supply in supplies.items()}
    products = await queries.products_many(session, set(sold.values()))
    shown = []
    for nozzle in nozzles:
        product = products.get(sold.get(nozzle.id, 0))
        out = NozzleOut.model_validate(nozzle)
        named = None if product is None else ProductOut.model_validate(product)
        shown.append(out.model_copy(update={"product": named}))
    return shown


@router.post(
    "/stations/{station_id}/dispensers", status_code=201, responses=refusals(StationNotFound, NumberTaken)
)
async def create_dispenser(station_id: PublicId, body: DispenserIn, actor: Writer, db: Db) -> DispenserOut:
    made = await db.transact(service.create_dispenser, actor, station_id=station_id, number=body.number)
    return DispenserOut.model_validate(made)


@router.post(
    "/stations/{station_id}/nozzles", status_code=201, responses=refusals(StationNotFound, NumberTaken)
)
async def create_nozzle(station_id: PublicId, body: NozzleIn, actor: Writer, db: Db) -> NozzleOut:
    made = await db.transact(
        service.create_nozzle,
        actor,
        station_id=station_id,
        number=body.number,
        energy=body.energy,
        unit=body.unit,
        payment_policy=body.payment_policy,
        dispenser_id=body.dispenser_id,
        display_step_e4=body.display_step_e4,
        charge_point_device_id=body.charge_point_device_id,
        connector_number=body.connector_number,
    )
    return NozzleOut.model_validate(made)


@router.patch("/nozzles/{nozzle_id}", responses=refusals(NozzleNotFound))
async def change_nozzle(nozzle_id: PublicId, body: NozzleChangeIn, actor: Writer, db: Db) -> NozzleOut:
    changed = await db.transact(service.change_nozzle, actor, nozzle_id, payment_policy=body.payment_policy)
    return NozzleOut.model_validate(changed)


@router.put(
    "/nozzles/{nozzle_id}/supply",
    responses=refusals(NozzleNotFound, ProductNotFound, SupplyMismatch, SupplyOverlaps),
)
async def set_supply(nozzle_id: PublicId, body: SupplyIn, actor: Writer, db: Db) -> SupplyOut:
    """Say what a nozzle sells from now, or from a time ahead."""
    supply = await db.transact(
        service.set_supply,
        actor,
        nozzle_id,
        product_id=body.product_id,
        tank_id=body.tank_id,
        valid_from=body.valid_from,
    )
    return SupplyOut.model_validate(supply)


@router.get("/products")
async def list_products(actor: Reader, db: Db) -> ProductsOut:
    async with db.read() as session:
        found = await queries.list_products(session, actor.scope)
    return ProductsOut(items=[ProductOut.model_validate(each) for each in found])


@router.post("/products", status_code=201, responses=refusals(ProductCodeTaken))
async def create_product(body: ProductIn, actor: Writer, db: Db) -> ProductOut:
    product = await db.transact(
        service.create_product, actor, code=body.code, name=body.name, energy=body.energy, unit=body.unit
    )
    return ProductOut.model_validate(product)


@router.get("/stations/{station_id}/tanks", responses=refusals(StationNotFound))
async def list_tanks(station_id: PublicId, actor: Reader, db: Db) -> TanksOut:
    async with db.read() as session:
        await queries.get_station(session, actor.scope, station_id)
        found = await queries.tanks_of_station(session, actor.scope, station_id)
    return TanksOut(items=[TankOut.model_validate(each) for each in found])


@router.post(
    "/stations/{station_id}/tanks",
    status_code=201,
    responses=refusals(StationNotFound, ProductNotFound, NumberTaken, SupplyMismatch),
)
async def create_tank(station_id: PublicId, body: TankIn, actor: Writer, db: Db) -> TankOut:
    tank = await db.transact(
        service.create_tank,
        actor,
        station_id=station_id,
        number=body.number,
        product_id=body.product_id,
        capacity_e4=body.capacity_e4,
    )
    return TankOut.model_validate(tank)
