"""Verbs of sites. Every one names its thing by id and finds it within the actor's scope first."""

from dataclasses import replace
from datetime import datetime

from forecourt.access import service as access
from forecourt.core.actor import Actor, OperatorId, operator_of
from forecourt.core.db import WriteSession
from forecourt.core.errors import Forbidden, Invalid
from forecourt.sites import queries, rules
from forecourt.sites.errors import (
    NumberTaken,
    ProductCodeTaken,
    StationNotFound,
    SupplyMismatch,
    SupplyOverlaps,
)
from forecourt.sites.types import (
    Dispenser,
    DispenserId,
    Energy,
    Nozzle,
    NozzleId,
    PaymentPolicy,
    Product,
    ProductId,
    Station,
    StationId,
    Supply,
    Tank,
    TankId,
)
from forecourt_kit.ids import to_public
from forecourt_kit.quantity import DISPLAY_STEP_E4, TOTALIZER_MODULUS_E4, Unit


def _tenant(actor: Actor, operator_id: int | None) -> OperatorId:
    """The actor's own, or the one that the platform's job names."""
    own = operator_of(actor.scope)
    if own is not None and operator_id not in {None, own}:
        raise Forbidden
    found = own if own is not None else operator_id
    if found is None:
        raise Invalid("Name the operator.")
    return OperatorId(found)


async def create_station(
    session: WriteSession,
    actor: Actor,
    *,
    name: str,
    timezone: str = "Asia/Shanghai",
    day_cut_min: int = 0,
    operator_id: int | None = None,
) -> Station:
    """Open a station. `operator_id` is for the platform's own jobs."""
    _check_day(timezone, day_cut_min)
    station = Station(
        id=StationId(session.new_id()),
        operator_id=_tenant(actor, operator_id),
        name=name,
        timezone=timezone,
        day_cut_min=day_cut_min,
    )
    await queries.insert_station(session, actor.scope, station)
    await access.record(
        session,
        actor,
        "sites.create_station",
        _of(station),
        operator_id=station.operator_id,
        after=_shown(station),
    )
    return station


async def change_station(
    session: WriteSession,
    actor: Actor,
    station_id: int,
    *,
    name: str | None = None,
    timezone: str | None = None,
    day_cut_min: int | None = None,
) -> Station:
    """Rename, or move the cut of the business day; days already recorded stay as they are."""
    old = await queries.get_station(session, actor.scope, station_id)
    new = replace(
        old,
        name=old.name if name is None else name,
        timezone=old.timezone if timezone is None else timezone,
        day_cut_min=old.day_cut_min if day_cut_min is None else day_cut_min,
    )
    _check_day(new.timezone, new.day_cut_min)
    await queries.update_station(session, actor.scope, new)
    await access.record(
        session,
        actor,
        "sites.change_station",
        _of(old),
        operator_id=old.operator_id,
        before=_shown(old),
        after=_shown(new),
    )
    return new


def _check_day(timezone: str, day_cut_min: int) -> None:
    if not rules.is_timezone(timezone):
        raise Invalid("There is no such time zone.", timezone=timezone)
    if not 0 <= day_cut_min <= rules.DAY_CUT_MIN_MAX:
        raise Invalid("The cut is 0 to 1439 minutes after midnight.", day_cut_min=day_cut_min)


def _of(station: Station) -> str:
    return f"station:{to_public(station.id)}"


def _shown(station: Station) -> dict[str, object]:
    return {"name": station.name, "timezone": station.timezone, "day_cut_min": station.day_cut_min}


async def create_dispenser(session: WriteSession, actor: Actor, *, station_id: int, number: int) -> Dispenser:
    station = await queries.get_station(session, actor.scope, station_id)
    dispenser = Dispenser(
        id=DispenserId(session.new_id()),
        operator_id=station.operator_id,
        station_id=station.id,
        number=number,
    )
    if not await queries.insert_dispenser(session, actor.scope, dispenser):
        raise NumberTaken(number=number)
    return dispenser


async def create_nozzle(
    session: WriteSession,
    actor: Actor,
    *,
    station_id: int,
    number: int,
    energy: Energy,
    unit: Unit,
    payment_policy: PaymentPolicy = PaymentPolicy.POSTPAY,
    dispenser_id: int | None = None,
    display_step_e4: int | None = None,
    totalizer_modulus_e4: int = TOTALIZER_MODULUS_E4,
    charge_point_device_id: int | None = None,
    connector_number: int | None = None,
) -> Nozzle:
    """Put a nozzle or connector on a station. A connector names its charge point, nothing else does."""
    station = await queries.get_station(session, actor.scope, station_id)
    if unit not in rules.UNITS[energy]:
        raise Invalid(f"{energy} is not sold by {unit}.", energy=energy, unit=unit)
    if (charge_point_device_id is None) != (connector_number is None):
        raise Invalid("A connector has both a charge point and a connector number.")
    if charge_point_device_id is not None and energy is not Energy.EV:
        raise Invalid("Only a charger's connector belongs to a charge point.")
    nozzle = Nozzle(
        id=NozzleId(session.new_id()),
        operator_id=station.operator_id,
        station_id=station.id,
        dispenser_id=None if dispenser_id is None else DispenserId(dispenser_id),
        number=number,
        energy=energy,
        unit=unit,
        payment_policy=payment_policy,
        display_step_e4=DISPLAY_STEP_E4[unit] if display_step_e4 is None else display_step_e4,
        totalizer_modulus_e4=totalizer_modulus_e4,
        charge_point_device_id=charge_point_device_id,
        connector_number=connector_number,
    )
    if dispenser_id is not None:
        standing = await queries.dispensers_of_station(session, actor.scope, station.id)
        if dispenser_id not in {dispenser.id for dispenser in standing}:
            raise StationNotFound("There is no such dispenser on this station.")
    if charge_point_device_id is not None and connector_number is not None:
        connector = (charge_point_device_id, connector_number)
        if await queries.connectors_many(session, [connector]):
            raise NumberTaken(connector_number=connector_number)
    if not await queries.insert_nozzle(session, actor.scope, nozzle):
        raise NumberTaken(number=number)
    return nozzle


async def change_nozzle(
    session: WriteSession, actor: Actor, nozzle_id: int, *, payment_policy: PaymentPolicy
) -> Nozzle:
    """Set what the nozzle asks before it lets anything flow."""
    old = await queries.get_nozzle(session, actor.scope, nozzle_id)
    new = replace(old, payment_policy=payment_policy)
    await queries.update_nozzle(session, actor.scope, new)
    await access.record(
        session,
        actor,
        "sites.change_nozzle",
        f"nozzle:{to_public(old.id)}",
        operator_id=old.operator_id,
        before={"payment_policy": old.payment_policy.value},
        after={"payment_policy": new.payment_policy.value},
    )
    return new


async def create_product(
    session: WriteSession,
    actor: Actor,
    *,
    code: str,
    name: str,
    energy: Energy,
    unit: Unit,
    operator_id: int | None = None,
) -> Product:
    if unit not in rules.UNITS[energy]:
        raise Invalid(f"{energy} is not sold by {unit}.", energy=energy, unit=unit)
    product = Product(
        id=ProductId(session.new_id()),
        operator_id=_tenant(actor, operator_id),
        code=code,
        name=name,
        energy=energy,
        unit=unit,
    )
    if not await queries.insert_product(session, actor.scope, product):
        raise ProductCodeTaken(product_code=code)
    return product


async def create_tank(
    session: WriteSession, actor: Actor, *, station_id: int, number: int, product_id: int, capacity_e4: int
) -> Tank:
    station = await queries.get_station(session, actor.scope, station_id)
    product = await queries.get_product(session, actor.scope, product_id)
    tank = Tank(
        id=TankId(session.new_id()),
        operator_id=station.operator_id,
        station_id=station.id,
        number=number,
        product_id=product.id,
        capacity_e4=capacity_e4,
    )
    if product.operator_id != station.operator_id:
        raise SupplyMismatch
    if not await queries.insert_tank(session, actor.scope, tank):
        raise NumberTaken(number=number)
    return tank


async def set_supply(
    session: WriteSession,
    actor: Actor,
    nozzle_id: int,
    *,
    product_id: int,
    tank_id: int | None,
    valid_from: datetime | None = None,
) -> Supply:
    """From `valid_from` (now, when None) the nozzle sells this product; what it sold before ends there.

    Raises `SupplyOverlaps` for a time at or before the start of the last supply planned: what was sold stays.
    """
    nozzle = await queries.get_nozzle(session, actor.scope, nozzle_id)
    product = await queries.get_product(session, actor.scope, product_id)
    tank = None
    if tank_id is not None:
        tank = await queries.find_tank(session, actor.scope, tank_id)
        if tank is None:
            raise SupplyMismatch("There is no such tank.")
    why = rules.supply_mismatch(nozzle, product, tank)
    if why is not None or product.operator_id != nozzle.operator_id:
        raise SupplyMismatch(why or "")
    start = session.now() if valid_from is None else valid_from
    last = await queries.latest_supply(session, actor.scope, nozzle.id)
    if last is not None and last.valid_from >= start:
        raise SupplyOverlaps(last_valid_from=last.valid_from)
    if last is not None:
        await queries.end_supply(session, actor.scope, last, start)
    supply = Supply(
        nozzle_id=nozzle.id,
        product_id=product.id,
        tank_id=None if tank is None else tank.id,
        valid_from=start,
        valid_to=None,
    )
    await queries.insert_supply(session, actor.scope, nozzle.operator_id, supply)
    await access.record(
        session,
        actor,
        "sites.set_supply",
        f"nozzle:{to_public(nozzle.id)}",
        operator_id=nozzle.operator_id,
        before=None if last is None else {"product_id": to_public(last.product_id)},
        after={"product_id": to_public(product.id)},
    )
    return supply
