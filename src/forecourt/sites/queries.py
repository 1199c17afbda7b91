"""Every statement about sites.

`*_many` verbs serve rows of many operators at once: their ids come from rows that carry an operator, never
from a request. What a request names by id is read with a scope.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, true, update

from forecourt.core.actor import Device, Scope, operator_of
from forecourt.core.db import ReadSession, WriteSession, insert_new
from forecourt.core.verify import VIOLATIONS_MAX, Check, Violation
from forecourt.sites.errors import NozzleNotFound, ProductNotFound, StationNotFound
from forecourt.sites.models import (
    DispenserRow,
    NozzleRow,
    NozzleSupplyRow,
    ProductRow,
    StationRow,
    TankRow,
)
from forecourt.sites.types import Dispenser, Nozzle, NozzleId, Product, Station, Supply, Tank

STATION = StationRow.__table__.c
DISPENSER = DispenserRow.__table__.c
NOZZLE = NozzleRow.__table__.c
PRODUCT = ProductRow.__table__.c
TANK = TankRow.__table__.c
SUPPLY = NozzleSupplyRow.__table__.c

NOZZLE_COLUMNS = [NOZZLE[name] for name in Nozzle.__dataclass_fields__]
PRODUCT_COLUMNS = [PRODUCT[name] for name in Product.__dataclass_fields__]
TANK_COLUMNS = [TANK[name] for name in Tank.__dataclass_fields__]
SUPPLY_COLUMNS = [SUPPLY[name] for name in Supply.__dataclass_fields__]
STATION_COLUMNS = [STATION[name] for name in Station.__dataclass_fields__]


def _mine(scope: Scope, column: ColumnElement[int]) -> ColumnElement[bool]:
    """Rows of the scope's operator; the platform and the system see all."""
    own = operator_of(scope)
    return true() if own is None else column == own


def _here(scope: Scope, column: ColumnElement[int]) -> ColumnElement[bool]:
    """Rows of a device's own station: a stolen terminal tells nothing of the others."""
    return column == scope.station_id if isinstance(scope, Device) else true()


# --------------------------------------------------------------------------------------------- stations


async def get_station(session: ReadSession, scope: Scope, station_id: int) -> Station:
    row = await session.first(
        select(*STATION_COLUMNS).where(
            STATION.id == station_id, _mine(scope, STATION.operator_id), _here(scope, STATION.id)
        )
    )
    if row is None:
        raise StationNotFound
    return Station(**row._mapping)  # noqa: SLF001  (SQLAlchemy's name for a public attribute.)


async def stations_many(session: ReadSession, station_ids: Iterable[int]) -> dict[int, Station]:
    found = select(*STATION_COLUMNS).where(STATION.id.in_(set(station_ids)))
    return {row.id: Station(**row._mapping) for row in await session.all(found)}  # noqa: SLF001


async def list_stations(
    session: ReadSession, scope: Scope, *, limit: int, after: int | None = None
) -> list[Station]:
    """Newest first."""
    found = select(*STATION_COLUMNS).where(_mine(scope, STATION.operator_id), _here(scope, STATION.id))
    if after is not None:
        found = found.where(STATION.id < after)
    rows = await session.all(found.order_by(STATION.id.desc()).limit(limit))
    return [Station(**row._mapping) for row in rows]  # noqa: SLF001


async def insert_station(session: WriteSession, scope: Scope, station: Station) -> None:
    _check_tenant(scope, station.operator_id)
    await session.insert_many(StationRow, [asdict(station)])


async def update_station(session: WriteSession, scope: Scope, station: Station) -> None:
    await session.run(
        update(StationRow)
        .where(STATION.id == station.id, _mine(scope, STATION.operator_id))
        .values(name=station.name, timezone=station.timezone, day_cut_min=station.day_cut_min)
    )


# ---------------------------------------------------------------------------------------------- nozzles


async def get_nozzle(session: ReadSession, scope: Scope, nozzle_id: int) -> Nozzle:
    found = await _nozzles_many(
        session,
        and_(NOZZLE.id == nozzle_id, _mine(scope, NOZZLE.operator_id), _here(scope, NOZZLE.station_id)),
    )
    if not found:
        raise NozzleNotFound
    return found[0]


async def nozzles_by_station(session: ReadSession, scope: Scope, station_ids: Iterable[int]) -> list[Nozzle]:
    """Those of the stations that the scope sees, in the order of their numbers."""
    which = and_(
        NOZZLE.station_id.in_(set(station_ids)),
        _mine(scope, NOZZLE.operator_id),
        _here(scope, NOZZLE.station_id),
    )
    return sorted(await _nozzles_many(session, which), key=lambda nozzle: (nozzle.station_id, nozzle.number))


async def nozzles_many(session: ReadSession, nozzle_ids: Iterable[int]) -> dict[int, Nozzle]:
    found = await _nozzles_many(session, NOZZLE.id.in_(set(nozzle_ids)))
    return {nozzle.id: nozzle for nozzle in found}


async def nozzles_by_number_many(
    session: ReadSession, places: Iterable[tuple[int, int]]
) -> dict[tuple[int, int], Nozzle]:
    """Nozzles by (station id, number): how a station agent names them."""
    wanted = set(places)
    stations, numbers = {station for station, _ in wanted}, {number for _, number in wanted}
    found = await _nozzles_many(session, and_(NOZZLE.station_id.in_(stations), NOZZLE.number.in_(numbers)))
    by_place: dict[tuple[int, int], Nozzle] = {(nozzle.station_id, nozzle.number): nozzle for nozzle in found}
    return {place: by_place[place] for place in wanted & by_place.keys()}


async def connectors_many(
    session: ReadSession, connectors: Iterable[tuple[int, int]]
) -> dict[tuple[int, int], Nozzle]:
    """Nozzles by (charge point's device id, connector number from 1): how OCPP names them."""
    wanted = set(connectors)
    found = await _nozzles_many(session, NOZZLE.charge_point_device_id.in_({device for device, _ in wanted}))
    by_connector = {
        (nozzle.charge_point_device_id, nozzle.connector_number): nozzle
        for nozzle in found
        if nozzle.charge_point_device_id is not None and nozzle.connector_number is not None
    }
    return {
        (device, number): by_connector[(device, number)]
        for device, number in wanted
        if (device, number) in by_connector
    }


async def lock_nozzle(session: WriteSession, nozzle_id: int, operator_id: int) -> None:
    """Hold the nozzle until the transaction ends: two who would both take it come one after the other."""
    await session.first(
        select(NOZZLE.id).where(NOZZLE.id == nozzle_id, NOZZLE.operator_id == operator_id).with_for_update()
    )


async def _nozzles_many(session: ReadSession, which: ColumnElement[bool]) -> list[Nozzle]:
    found = select(*NOZZLE_COLUMNS).where(which)
    return [Nozzle(**row._mapping) for row in await session.all(found)]  # noqa: SLF001


async def insert_nozzle(session: WriteSession, scope: Scope, nozzle: Nozzle) -> bool:
    """Whether the number was free on the station."""
    _check_tenant(scope, nozzle.operator_id)
    return bool(await insert_new(session, NozzleRow, [asdict(nozzle)], key=("station_id", "number")))


async def update_nozzle(session: WriteSession, scope: Scope, nozzle: Nozzle) -> None:
    await session.run(
        update(NozzleRow)
        .where(NOZZLE.id == nozzle.id, _mine(scope, NOZZLE.operator_id))
        .values(
            payment_policy=nozzle.payment_policy,
            charge_point_device_id=nozzle.charge_point_device_id,
            connector_number=nozzle.connector_number,
        )
    )


async def insert_dispenser(session: WriteSession, scope: Scope, dispenser: Dispenser) -> bool:
    """Whether the number was free on the station."""
    _check_tenant(scope, dispenser.operator_id)
    return bool(await insert_new(session, DispenserRow, [asdict(dispenser)], key=("station_id", "number")))


async def dispensers_of_station(session: ReadSession, scope: Scope, station_id: int) -> list[Dispenser]:
    names = [DISPENSER[name] for name in Dispenser.__dataclass_fields__]
    found = select(*names).where(DISPENSER.station_id == station_id, _mine(scope, DISPENSER.operator_id))
    rows = await session.all(found.order_by(DISPENSER.number))
    return [Dispenser(**row._mapping) for row in rows]  # noqa: SLF001


# ------------------------------------------------------------------------------------- products, supply


async def get_product(session: ReadSession, scope: Scope, product_id: int) -> Product:
    row = await session.first(
        select(*PRODUCT_COLUMNS).where(PRODUCT.id == product_id, _mine(scope, PRODUCT.operator_id))
    )
    if row is None:
        raise ProductNotFound
    return Product(**row._mapping)  # noqa: SLF001


async def products_many(session: ReadSession, product_ids: Iterable[int]) -> dict[int, Product]:
    found = select(*PRODUCT_COLUMNS).where(PRODUCT.id.in_(set(product_ids)))
    return {row.id: Product(**row._mapping) for row in await session.all(found)}  # noqa: SLF001


async def list_products(session: ReadSession, scope: Scope) -> list[Product]:
    found = select(*PRODUCT_COLUMNS).where(_mine(scope, PRODUCT.operator_id))
    rows = await session.all(found.order_by(PRODUCT.operator_id, PRODUCT.code))
    return [Product(**row._mapping) for row in rows]  # noqa: SLF001


async def insert_product(session: WriteSession, scope: Scope, product: Product) -> bool:
    """Whether the code was free with the operator."""
    _check_tenant(scope, product.operator_id)
    return bool(await insert_new(session, ProductRow, [asdict(product)], key=("operator_id", "code")))


async def insert_tank(session: WriteSession, scope: Scope, tank: Tank) -> bool:
    """Whether the number was free on the station."""
    _check_tenant(scope, tank.operator_id)
    return bool(await insert_new(session, TankRow, [asdict(tank)], key=("station_id", "number")))


async def find_tank(session: ReadSession, scope: Scope, tank_id: int) -> Tank | None:
    row = await session.first(select(*TANK_COLUMNS).where(TANK.id == tank_id, _mine(scope, TANK.operator_id)))
    return None if row is None else Tank(**row._mapping)  # noqa: SLF001


async def tanks_many(session: ReadSession, tank_ids: Iterable[int]) -> dict[int, Tank]:
    found = select(*TANK_COLUMNS).where(TANK.id.in_(set(tank_ids)))
    return {row.id: Tank(**row._mapping) for row in await session.all(found)}  # noqa: SLF001


async def tanks_of_station(session: ReadSession, scope: Scope, station_id: int) -> list[Tank]:
    found = select(*TANK_COLUMNS).where(
        TANK.station_id == station_id, _mine(scope, TANK.operator_id), _here(scope, TANK.station_id)
    )
    rows = await session.all(found.order_by(TANK.number))
    return [Tank(**row._mapping) for row in rows]  # noqa: SLF001


async def supplies_at_many(
    session: ReadSession, moments: Sequence[tuple[int, datetime]]
) -> dict[tuple[int, datetime], Supply]:
    """What each nozzle sold at its instant, by (nozzle id, instant); absent where it sold nothing."""
    if not moments:
        return {}
    first = min(at for _, at in moments)
    last = max(at for _, at in moments)
    found = select(*SUPPLY_COLUMNS).where(
        SUPPLY.nozzle_id.in_({nozzle for nozzle, _ in moments}),
        SUPPLY.valid_from <= last,
        or_(SUPPLY.valid_to.is_(None), SUPPLY.valid_to > first),
    )
    by_nozzle: dict[int, list[Supply]] = {}
    for row in await session.all(found):
        by_nozzle.setdefault(row.nozzle_id, []).append(Supply(**row._mapping))  # noqa: SLF001
    answers = {}
    for nozzle_id, at in moments:
        for supply in by_nozzle.get(nozzle_id, ()):
            if supply.valid_from <= at and (supply.valid_to is None or at < supply.valid_to):
                answers[(nozzle_id, at)] = supply
    return answers


async def latest_supply(session: WriteSession, scope: Scope, nozzle_id: NozzleId) -> Supply | None:
    """The last one planned, locked until the transaction ends."""
    row = await session.first(
        select(*SUPPLY_COLUMNS)
        .where(SUPPLY.nozzle_id == nozzle_id, _mine(scope, SUPPLY.operator_id))
        .order_by(SUPPLY.valid_from.desc())
        .limit(1)
        .with_for_update()
    )
    return None if row is None else Supply(**row._mapping)  # noqa: SLF001


async def end_supply(session: WriteSession, scope: Scope, supply: Supply, at: datetime) -> None:
    await session.run(
        update(NozzleSupplyRow)
        .where(
            SUPPLY.nozzle_id == supply.nozzle_id,
            SUPPLY.valid_from == supply.valid_from,
            _mine(scope, SUPPLY.operator_id),
        )
        .values(valid_to=at)
    )


async def insert_supply(session: WriteSession, scope: Scope, operator_id: int, supply: Supply) -> None:
    _check_tenant(scope, operator_id)
    row: dict[str, Any] = {"id": session.new_id(), "operator_id": operator_id, **asdict(supply)}
    await session.insert_many(NozzleSupplyRow, [row])


def _check_tenant(scope: Scope, operator_id: int) -> None:
    """Rows are written for the scope's own operator; services take the operator from the scope's rows."""
    own = operator_of(scope)
    assert own is None or own == operator_id


# ------------------------------------------------------------------------------------------------ verify


async def check_supplies_do_not_overlap(session: ReadSession) -> list[Violation]:
    """At any instant a nozzle sells one product."""
    later = NozzleSupplyRow.__table__.alias("later")
    rows = await session.all(
        select(SUPPLY.id, SUPPLY.nozzle_id)
        .join(
            later,
            and_(later.c.nozzle_id == SUPPLY.nozzle_id, later.c.valid_from > SUPPLY.valid_from),
        )
        .where(or_(SUPPLY.valid_to.is_(None), SUPPLY.valid_to > later.c.valid_from))
        .limit(VIOLATIONS_MAX)
    )
    return [
        Violation(check="sites.one_supply", subject=f"nozzle {row.nozzle_id}", detail=f"supply {row.id}")
        for row in rows
    ]


async def check_nozzles_stand_on_stations(session: ReadSession) -> list[Violation]:
    """A nozzle and its station are one operator's."""
    rows = await session.all(
        select(NOZZLE.id)
        .outerjoin(
            StationRow, and_(STATION.id == NOZZLE.station_id, STATION.operator_id == NOZZLE.operator_id)
        )
        .where(STATION.id.is_(None))
        .limit(VIOLATIONS_MAX)
    )
    return [
        Violation(
            check="sites.nozzle_station", subject=f"nozzle {row.id}", detail="no station of its operator"
        )
        for row in rows
    ]


async def check_supplies_fit(session: ReadSession) -> list[Violation]:
    """A nozzle sells a product of its own operator, energy and unit."""
    fits = and_(
        PRODUCT.id == SUPPLY.product_id,
        PRODUCT.operator_id == SUPPLY.operator_id,
        PRODUCT.energy == NOZZLE.energy,
        PRODUCT.unit == NOZZLE.unit,
    )
    rows = await session.all(
        select(SUPPLY.id)
        .join(NozzleRow, NOZZLE.id == SUPPLY.nozzle_id)
        .outerjoin(ProductRow, fits)
        .where(PRODUCT.id.is_(None))
        .limit(VIOLATIONS_MAX)
    )
    return [
        Violation(
            check="sites.supply_fits", subject=f"supply {row.id}", detail="no such product for the nozzle"
        )
        for row in rows
    ]


CHECKS: tuple[Check, ...] = (
    check_nozzles_stand_on_stations,
    check_supplies_do_not_overlap,
    check_supplies_fit,
)
