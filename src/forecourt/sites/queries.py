"""Every statement about stations and what stands on them."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select, tuple_, update

from forecourt.core.actor import OperatorId, Scope, operator_of
from forecourt.core.db import Model, ReadSession, WriteSession
from forecourt.sites.errors import NozzleNotFound, ProductNotFound, StationNotFound
from forecourt.sites.models import DispenserRow, NozzleRow, ProductRow, StationRow, SupplyRow, TankRow
from forecourt.sites.types import (
    DispenserId,
    Nozzle,
    NozzleId,
    Product,
    ProductId,
    Station,
    StationId,
    Supply,
    Tank,
    TankId,
)

LIST_ROWS_MAX = 500

STATION = (
    StationRow.id,
    StationRow.operator_id,
    StationRow.name,
    StationRow.timezone,
    StationRow.day_cut_min,
)
NOZZLE = (
    NozzleRow.id,
    NozzleRow.operator_id,
    NozzleRow.station_id,
    NozzleRow.dispenser_id,
    NozzleRow.number,
    NozzleRow.energy,
    NozzleRow.unit,
    NozzleRow.payment_policy,
    NozzleRow.display_step_e4,
    NozzleRow.totalizer_modulus_e4,
    NozzleRow.charge_point_device_id,
    NozzleRow.connector_number,
)
PRODUCT = (
    ProductRow.id,
    ProductRow.operator_id,
    ProductRow.code,
    ProductRow.name,
    ProductRow.energy,
    ProductRow.unit,
)
TANK = (
    TankRow.id,
    TankRow.operator_id,
    TankRow.station_id,
    TankRow.number,
    TankRow.product_id,
    TankRow.capacity_e4,
)


def _station(row: Any) -> Station:
    return Station(
        id=StationId(row[0]),
        operator_id=OperatorId(row[1]),
        name=row[2],
        timezone=row[3],
        day_cut_min=row[4],
    )


def _nozzle(row: Any) -> Nozzle:
    return Nozzle(
        id=NozzleId(row[0]),
        operator_id=OperatorId(row[1]),
        station_id=StationId(row[2]),
        dispenser_id=None if row[3] is None else DispenserId(row[3]),
        number=row[4],
        energy=row[5],
        unit=row[6],
        payment_policy=row[7],
        display_step_e4=row[8],
        totalizer_modulus_e4=row[9],
        charge_point_device_id=row[10],
        connector_number=row[11],
    )


def _product(row: Any) -> Product:
    return Product(
        id=ProductId(row[0]),
        operator_id=OperatorId(row[1]),
        code=row[2],
        name=row[3],
        energy=row[4],
        unit=row[5],
    )


def _tank(row: Any) -> Tank:
    return Tank(
        id=TankId(row[0]),
        operator_id=OperatorId(row[1]),
        station_id=StationId(row[2]),
        number=row[3],
        product_id=ProductId(row[4]),
        capacity_e4=row[5],
    )


async def insert(session: WriteSession, model: type[Model], row: Mapping[str, Any], operator_id: int) -> None:
    """One new row of this module's tables."""
    assert row["operator_id"] == operator_id
    await session.insert_many(model, [row])


async def insert_station(session: WriteSession, row: Mapping[str, Any], operator_id: int) -> None:
    await insert(session, StationRow, row, operator_id)


async def insert_dispenser(session: WriteSession, row: Mapping[str, Any], operator_id: int) -> None:
    await insert(session, DispenserRow, row, operator_id)


async def insert_nozzle(session: WriteSession, row: Mapping[str, Any], operator_id: int) -> None:
    await insert(session, NozzleRow, row, operator_id)


async def insert_product(session: WriteSession, row: Mapping[str, Any], operator_id: int) -> None:
    await insert(session, ProductRow, row, operator_id)


async def insert_tank(session: WriteSession, row: Mapping[str, Any], operator_id: int) -> None:
    await insert(session, TankRow, row, operator_id)


async def insert_supply(session: WriteSession, row: Mapping[str, Any], operator_id: int) -> None:
    await insert(session, SupplyRow, row, operator_id)


async def end_supply(session: WriteSession, nozzle_id: int, operator_id: int, at: datetime) -> None:
    """The open interval of a nozzle ends at `at`."""
    await session.run(
        update(SupplyRow)
        .where(
            SupplyRow.nozzle_id == nozzle_id,
            SupplyRow.operator_id == operator_id,
            SupplyRow.valid_to.is_(None),
        )
        .values(valid_to=at)
    )


async def last_supply_start(session: ReadSession, nozzle_id: int, operator_id: int) -> datetime | None:
    found: datetime | None = await session.scalar(
        select(SupplyRow.valid_from)
        .where(SupplyRow.nozzle_id == nozzle_id, SupplyRow.operator_id == operator_id)
        .order_by(SupplyRow.valid_from.desc())
        .limit(1)
    )
    return found


async def get_station(session: ReadSession, scope: Scope, station_id: int) -> Station:
    """Raises `StationNotFound`."""
    wanted = select(*STATION).where(StationRow.id == station_id)
    if (mine := operator_of(scope)) is not None:
        wanted = wanted.where(StationRow.operator_id == mine)
    row = await session.first(wanted)
    if row is None:
        raise StationNotFound(station_id=station_id)
    return _station(row)


async def list_stations(session: ReadSession, scope: Scope) -> list[Station]:
    wanted = select(*STATION).order_by(StationRow.id).limit(LIST_ROWS_MAX)
    if (mine := operator_of(scope)) is not None:
        wanted = wanted.where(StationRow.operator_id == mine)
    return [_station(row) for row in await session.all(wanted)]


async def stations_many(session: ReadSession, station_ids: Iterable[int]) -> dict[int, Station]:
    ids = sorted(set(station_ids))
    rows = await session.all(select(*STATION).where(StationRow.id.in_(ids))) if ids else []
    return {row[0]: _station(row) for row in rows}


async def get_nozzle(session: ReadSession, scope: Scope, nozzle_id: int) -> Nozzle:
    """Raises `NozzleNotFound`."""
    wanted = select(*NOZZLE).where(NozzleRow.id == nozzle_id)
    if (mine := operator_of(scope)) is not None:
        wanted = wanted.where(NozzleRow.operator_id == mine)
    row = await session.first(wanted)
    if row is None:
        raise NozzleNotFound(nozzle_id=nozzle_id)
    return _nozzle(row)


async def lock_nozzle(session: WriteSession, nozzle_id: int, operator_id: int) -> None:
    """Hold a nozzle's row until the transaction ends: two who want it at once come one after the other."""
    await session.scalar(
        select(NozzleRow.id)
        .where(NozzleRow.id == nozzle_id, NozzleRow.operator_id == operator_id)
        .with_for_update()
    )


async def nozzles_many(session: ReadSession, nozzle_ids: Iterable[int]) -> dict[int, Nozzle]:
    ids = sorted(set(nozzle_ids))
    rows = await session.all(select(*NOZZLE).where(NozzleRow.id.in_(ids))) if ids else []
    return {row[0]: _nozzle(row) for row in rows}


async def nozzles_by_number_many(
    session: ReadSession, numbers: Iterable[tuple[int, int]]
) -> dict[tuple[int, int], Nozzle]:
    """Nozzles by (station, number)."""
    pairs = sorted(set(numbers))
    if not pairs:
        return {}
    wanted = select(*NOZZLE).where(tuple_(NozzleRow.station_id, NozzleRow.number).in_(pairs))
    return {(row[2], row[4]): _nozzle(row) for row in await session.all(wanted)}


async def connectors_many(
    session: ReadSession, connectors: Iterable[tuple[int, int]]
) -> dict[tuple[int, int], Nozzle]:
    """Nozzles by (charge point device, connector number)."""
    pairs = sorted(set(connectors))
    if not pairs:
        return {}
    wanted = select(*NOZZLE).where(
        tuple_(NozzleRow.charge_point_device_id, NozzleRow.connector_number).in_(pairs)
    )
    return {(row[10], row[11]): _nozzle(row) for row in await session.all(wanted)}


async def nozzles_by_station(session: ReadSession, scope: Scope, station_ids: Iterable[int]) -> list[Nozzle]:
    """By station and number."""
    wanted = select(*NOZZLE).where(NozzleRow.station_id.in_(sorted(set(station_ids))))
    if (mine := operator_of(scope)) is not None:
        wanted = wanted.where(NozzleRow.operator_id == mine)
    return [
        _nozzle(row) for row in await session.all(wanted.order_by(NozzleRow.station_id, NozzleRow.number))
    ]


async def supplies_at_many(
    session: ReadSession, moments: Iterable[tuple[int, datetime]]
) -> dict[tuple[int, datetime], Supply]:
    """What each (nozzle, instant) sold; no entry where it sold nothing."""
    wanted = sorted(set(moments))
    if not wanted:
        return {}
    first, last = min(at for _, at in wanted), max(at for _, at in wanted)
    rows = await session.all(
        select(
            SupplyRow.nozzle_id,
            SupplyRow.product_id,
            SupplyRow.tank_id,
            SupplyRow.valid_from,
            SupplyRow.valid_to,
        ).where(
            SupplyRow.nozzle_id.in_({nozzle for nozzle, _ in wanted}),
            SupplyRow.valid_from <= last,
            or_(SupplyRow.valid_to.is_(None), SupplyRow.valid_to > first),
        )
    )
    by_nozzle: dict[int, list[Supply]] = {}
    for row in rows:
        supply = Supply(
            nozzle_id=NozzleId(row[0]),
            product_id=ProductId(row[1]),
            tank_id=None if row[2] is None else TankId(row[2]),
            valid_from=row[3],
            valid_to=row[4],
        )
        by_nozzle.setdefault(row[0], []).append(supply)
    found: dict[tuple[int, datetime], Supply] = {}
    for nozzle, at in wanted:
        for supply in by_nozzle.get(nozzle, []):
            if supply.valid_from <= at and (supply.valid_to is None or at < supply.valid_to):
                found[nozzle, at] = supply
    return found


async def get_product(session: ReadSession, scope: Scope, product_id: int) -> Product:
    """Raises `ProductNotFound`."""
    wanted = select(*PRODUCT).where(ProductRow.id == product_id)
    if (mine := operator_of(scope)) is not None:
        wanted = wanted.where(ProductRow.operator_id == mine)
    row = await session.first(wanted)
    if row is None:
        raise ProductNotFound(product_id=product_id)
    return _product(row)


async def list_products(session: ReadSession, scope: Scope) -> list[Product]:
    wanted = select(*PRODUCT).order_by(ProductRow.id).limit(LIST_ROWS_MAX)
    if (mine := operator_of(scope)) is not None:
        wanted = wanted.where(ProductRow.operator_id == mine)
    return [_product(row) for row in await session.all(wanted)]


async def products_many(session: ReadSession, product_ids: Iterable[int]) -> dict[int, Product]:
    ids = sorted(set(product_ids))
    rows = await session.all(select(*PRODUCT).where(ProductRow.id.in_(ids))) if ids else []
    return {row[0]: _product(row) for row in rows}


async def tanks_by_station(session: ReadSession, scope: Scope, station_id: int) -> list[Tank]:
    wanted = select(*TANK).where(TankRow.station_id == station_id)
    if (mine := operator_of(scope)) is not None:
        wanted = wanted.where(TankRow.operator_id == mine)
    return [_tank(row) for row in await session.all(wanted.order_by(TankRow.number))]
