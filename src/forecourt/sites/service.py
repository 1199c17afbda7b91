"""Verbs that build a station. Each runs in its caller's transaction."""

from dataclasses import dataclass
from datetime import datetime

from forecourt.core.actor import Actor
from forecourt.core.db import WriteSession
from forecourt.sites import queries
from forecourt.sites.errors import CodeTaken, NumberTaken, SupplyInThePast, TankNotFound, UnitsDiffer
from forecourt.sites.types import (
    DispenserId,
    Energy,
    Nozzle,
    NozzleId,
    PaymentPolicy,
    Product,
    ProductId,
    Station,
    StationId,
    Tank,
    TankId,
)
from forecourt_kit.quantity import Unit

DISPLAY_STEP_E4 = 100  # 0.01 of the unit, as nearly every meter shows.
TOTALIZER_MODULUS_E4 = 10_000_000_000  # 999,999.99 and then 0, as most registers have.


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNozzle:
    station_id: int
    number: int
    energy: Energy
    unit: Unit
    payment_policy: PaymentPolicy = PaymentPolicy.POSTPAY
    dispenser_id: DispenserId | None = None
    display_step_e4: int = DISPLAY_STEP_E4
    totalizer_modulus_e4: int = TOTALIZER_MODULUS_E4
    charge_point_device_id: int | None = None
    connector_number: int | None = None


async def add_station(
    session: WriteSession, actor: Actor, *, name: str, timezone: str, day_cut_min: int = 0
) -> Station:
    """A new station. `timezone` is an IANA name that the caller has checked."""
    station_id = StationId(session.new_id())
    row = {
        "id": station_id,
        "operator_id": actor.operator_id,
        "name": name,
        "timezone": timezone,
        "day_cut_min": day_cut_min,
        "created_at": session.now(),
    }
    await queries.insert_station(session, row, actor.operator_id)
    return await queries.get_station(session, actor.scope, station_id)


async def add_dispenser(session: WriteSession, actor: Actor, *, station_id: int, number: int) -> DispenserId:
    """Raises `StationNotFound`."""
    station = await queries.get_station(session, actor.scope, station_id)
    dispenser_id = DispenserId(session.new_id())
    row = {
        "id": dispenser_id,
        "operator_id": station.operator_id,
        "station_id": station.id,
        "number": number,
    }
    await queries.insert_dispenser(session, row, station.operator_id)
    return dispenser_id


async def add_product(
    session: WriteSession, actor: Actor, *, code: str, name: str, energy: Energy, unit: Unit
) -> Product:
    """Raises `CodeTaken`."""
    known = await queries.list_products(session, actor.scope)
    if any(product.code == code for product in known):
        raise CodeTaken(product_code=code)
    product_id = ProductId(session.new_id())
    row = {
        "id": product_id,
        "operator_id": actor.operator_id,
        "code": code,
        "name": name,
        "energy": energy,
        "unit": unit,
    }
    await queries.insert_product(session, row, actor.operator_id)
    return await queries.get_product(session, actor.scope, product_id)


async def add_tank(
    session: WriteSession, actor: Actor, *, station_id: int, number: int, product_id: int, capacity_e4: int
) -> Tank:
    """Raises `StationNotFound`, `ProductNotFound`, `NumberTaken`."""
    station = await queries.get_station(session, actor.scope, station_id)
    product = await queries.get_product(session, actor.scope, product_id)
    if any(
        tank.number == number for tank in await queries.tanks_by_station(session, actor.scope, station_id)
    ):
        raise NumberTaken(number=number)
    tank_id = TankId(session.new_id())
    row = {
        "id": tank_id,
        "operator_id": station.operator_id,
        "station_id": station.id,
        "number": number,
        "product_id": product.id,
        "capacity_e4": capacity_e4,
    }
    await queries.insert_tank(session, row, station.operator_id)
    return next(
        tank
        for tank in await queries.tanks_by_station(session, actor.scope, station_id)
        if tank.id == tank_id
    )


async def add_nozzle(session: WriteSession, actor: Actor, new: NewNozzle) -> Nozzle:
    """Raises `StationNotFound`, `NumberTaken`."""
    station = await queries.get_station(session, actor.scope, new.station_id)
    if await queries.nozzles_by_number_many(session, [(station.id, new.number)]):
        raise NumberTaken(number=new.number)
    nozzle_id = NozzleId(session.new_id())
    row = {
        "id": nozzle_id,
        "operator_id": station.operator_id,
        "station_id": station.id,
        "dispenser_id": new.dispenser_id,
        "number": new.number,
        "energy": new.energy,
        "unit": new.unit,
        "payment_policy": new.payment_policy,
        "display_step_e4": new.display_step_e4,
        "totalizer_modulus_e4": new.totalizer_modulus_e4,
        "charge_point_device_id": new.charge_point_device_id,
        "connector_number": new.connector_number,
    }
    await queries.insert_nozzle(session, row, station.operator_id)
    return await queries.get_nozzle(session, actor.scope, nozzle_id)


async def supply_nozzle(
    session: WriteSession,
    actor: Actor,
    *,
    nozzle_id: int,
    product_id: int,
    tank_id: int | None = None,
    valid_from: datetime | None = None,
) -> None:
    """From `valid_from` (None: now) on, the nozzle sells this product; what it sold before stays on record.

    Raises:
        NozzleNotFound, ProductNotFound, TankNotFound, UnitsDiffer, SupplyInThePast.
    """
    nozzle = await queries.get_nozzle(session, actor.scope, nozzle_id)
    product = await queries.get_product(session, actor.scope, product_id)
    if product.unit is not nozzle.unit:
        raise UnitsDiffer(nozzle_unit=nozzle.unit.value, product_unit=product.unit.value)
    if tank_id is not None:
        tanks = await queries.tanks_by_station(session, actor.scope, nozzle.station_id)
        if not any(tank.id == tank_id and tank.product_id == product.id for tank in tanks):
            raise TankNotFound(tank_id=tank_id)
    starts = session.now() if valid_from is None else valid_from
    last = await queries.last_supply_start(session, nozzle.id, nozzle.operator_id)
    if last is not None and (starts <= last or starts < session.now()):
        raise SupplyInThePast(valid_from=starts)
    await queries.end_supply(session, nozzle.id, nozzle.operator_id, starts)
    row = {
        "id": session.new_id(),
        "operator_id": nozzle.operator_id,
        "nozzle_id": nozzle.id,
        "product_id": product.id,
        "tank_id": tank_id,
        "valid_from": starts,
        "valid_to": None,
    }
    await queries.insert_supply(session, row, nozzle.operator_id)
