"""Every statement of the price book."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, tuple_, update

from forecourt.core.actor import Scope, operator_of
from forecourt.core.db import ReadSession, WriteSession, upsert_many
from forecourt.pricing.models import NozzlePriceRow, PriceRow
from forecourt.pricing.types import NozzlePrice, Price, PriceId

PRICE = (
    PriceRow.id,
    PriceRow.operator_id,
    PriceRow.station_id,
    PriceRow.product_id,
    PriceRow.unit_price_e4,
    PriceRow.valid_from,
    PriceRow.created_by,
)
NOZZLE_PRICE = (
    NozzlePriceRow.nozzle_id,
    NozzlePriceRow.desired_unit_price_e4,
    NozzlePriceRow.desired_at,
    NozzlePriceRow.acknowledged_unit_price_e4,
    NozzlePriceRow.acknowledged_at,
)


def _price(row: Any) -> Price:
    return Price(
        id=PriceId(row[0]),
        operator_id=row[1],
        station_id=row[2],
        product_id=row[3],
        unit_price_e4=row[4],
        valid_from=row[5],
        created_by=row[6],
    )


def _nozzle_price(row: Any) -> NozzlePrice:
    return NozzlePrice(
        nozzle_id=row[0],
        desired_unit_price_e4=row[1],
        desired_at=row[2],
        acknowledged_unit_price_e4=row[3],
        acknowledged_at=row[4],
    )


async def insert_price(session: WriteSession, row: Mapping[str, Any]) -> None:
    await session.insert_many(PriceRow, [row])


async def lines_many(
    session: ReadSession, wanted: Iterable[tuple[int, int]], until: datetime
) -> dict[tuple[int, int], list[Price]]:
    """The book's lines of (station, product) pairs with `valid_from` <= `until`."""
    pairs = sorted(set(wanted))
    if not pairs:
        return {}
    found: dict[tuple[int, int], list[Price]] = {pair: [] for pair in pairs}
    statement = select(*PRICE).where(
        tuple_(PriceRow.station_id, PriceRow.product_id).in_(pairs), PriceRow.valid_from <= until
    )
    for row in await session.all(statement):
        found[row[2], row[3]].append(_price(row))
    return found


async def nozzle_prices_many(session: ReadSession, nozzle_ids: Iterable[int]) -> dict[int, NozzlePrice]:
    ids = sorted(set(nozzle_ids))
    if not ids:
        return {}
    rows = await session.all(select(*NOZZLE_PRICE).where(NozzlePriceRow.nozzle_id.in_(ids)))
    return {row[0]: _nozzle_price(row) for row in rows}


async def list_prices(session: ReadSession, scope: Scope, station_id: int) -> list[Price]:
    """A station's book, newest first."""
    wanted = select(*PRICE).where(PriceRow.station_id == station_id)
    if (mine := operator_of(scope)) is not None:
        wanted = wanted.where(PriceRow.operator_id == mine)
    return [_price(row) for row in await session.all(wanted.order_by(PriceRow.valid_from.desc()).limit(200))]


async def due_many(session: ReadSession, now: datetime, limit: int) -> list[Price]:
    """Lines in force whose nozzles were not told yet."""
    wanted = select(*PRICE).where(PriceRow.pushed == 0, PriceRow.valid_from <= now)
    return [_price(row) for row in await session.all(wanted.order_by(PriceRow.valid_from).limit(limit))]


async def mark_pushed_many(session: WriteSession, price_ids: Sequence[int]) -> None:
    await session.run(update(PriceRow).where(PriceRow.id.in_(price_ids)).values(pushed=1))


async def tell_nozzles_many(session: WriteSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store what nozzles are told; what they acknowledged before stays."""
    await upsert_many(
        session,
        NozzlePriceRow,
        rows,
        key=("nozzle_id",),
        update=("desired_price_id", "desired_unit_price_e4", "desired_at"),
    )


async def acknowledge_many(session: WriteSession, items: Mapping[int, int], at: datetime) -> None:
    """Store the price (1e-4 yuan) that each nozzle says it sells at."""
    for nozzle_id, unit_price_e4 in sorted(items.items()):
        await session.run(
            update(NozzlePriceRow)
            .where(NozzlePriceRow.nozzle_id == nozzle_id)
            .values(acknowledged_unit_price_e4=unit_price_e4, acknowledged_at=at)
        )


async def list_nozzle_prices(session: ReadSession, scope: Scope, station_id: int) -> list[NozzlePrice]:
    """What every nozzle of a station was told and has acknowledged."""
    wanted = select(*NOZZLE_PRICE).where(NozzlePriceRow.station_id == station_id)
    if (mine := operator_of(scope)) is not None:
        wanted = wanted.where(NozzlePriceRow.operator_id == mine)
    return [_nozzle_price(row) for row in await session.all(wanted)]
