"""Every statement about deliveries and live nozzles."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import func, select, update

from forecourt.core.actor import Scope, operator_of
from forecourt.core.db import ReadSession, WriteSession, insert_new, upsert_many
from forecourt.core.verify import VIOLATIONS_MAX, Check, Violation
from forecourt.deliveries.errors import DeliveryNotFound
from forecourt.deliveries.models import DeliveryRow, NozzleLiveRow
from forecourt.deliveries.types import Delivery, DeliveryId, DeliveryState, LiveNozzle, Mark
from forecourt_kit.price import Preset

TOTALIZER_TOLERANCE_E4 = 10_000  # A whole unit: no meter here shows coarser steps.

DELIVERY = (
    DeliveryRow.id,
    DeliveryRow.operator_id,
    DeliveryRow.station_id,
    DeliveryRow.nozzle_id,
    DeliveryRow.nozzle_number,
    DeliveryRow.product_id,
    DeliveryRow.tank_id,
    DeliveryRow.state,
    DeliveryRow.purpose,
    DeliveryRow.marks,
    DeliveryRow.business_date,
    DeliveryRow.quantity_e4,
    DeliveryRow.unit,
    DeliveryRow.device_unit_price_e4,
    DeliveryRow.device_amount_fen,
    DeliveryRow.preset_kind,
    DeliveryRow.preset_value,
    DeliveryRow.totalizer_before_e4,
    DeliveryRow.totalizer_after_e4,
    DeliveryRow.authorisation_id,
    DeliveryRow.started_at,
    DeliveryRow.ended_at,
    DeliveryRow.recorded_at,
    DeliveryRow.source_key,
    DeliveryRow.detail,
)


LIVE = (
    NozzleLiveRow.nozzle_id,
    NozzleLiveRow.station_id,
    NozzleLiveRow.state,
    NozzleLiveRow.quantity_e4,
    NozzleLiveRow.amount_fen,
    NozzleLiveRow.unit_price_e4,
    NozzleLiveRow.updated_at,
)


def _live(row: Any) -> LiveNozzle:
    return LiveNozzle(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping.


def _delivery(row: Any) -> Delivery:
    return Delivery(
        id=DeliveryId(row.id),
        operator_id=row.operator_id,
        station_id=row.station_id,
        nozzle_id=row.nozzle_id,
        nozzle_number=row.nozzle_number,
        product_id=row.product_id,
        tank_id=row.tank_id,
        state=row.state,
        purpose=row.purpose,
        marks=tuple(Mark(mark) for mark in row.marks),
        business_date=date.fromisoformat(row.business_date),
        quantity_e4=row.quantity_e4,
        unit=row.unit,
        device_unit_price_e4=row.device_unit_price_e4,
        device_amount_fen=row.device_amount_fen,
        preset=None if row.preset_kind is None else Preset(row.preset_kind, row.preset_value),
        totalizer_before_e4=row.totalizer_before_e4,
        totalizer_after_e4=row.totalizer_after_e4,
        authorisation_id=row.authorisation_id,
        started_at=row.started_at,
        ended_at=row.ended_at,
        recorded_at=row.recorded_at,
        source_key=row.source_key,
        detail=row.detail,
    )


async def insert_new_many(session: WriteSession, rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Insert deliveries that were not told before; gives their source keys."""
    return {key for (key,) in await insert_new(session, DeliveryRow, rows, key=("source_key",))}


async def known_sources_many(session: ReadSession, source_keys: Iterable[str]) -> set[str]:
    keys = list(source_keys)
    found = await session.all(select(DeliveryRow.source_key).where(DeliveryRow.source_key.in_(keys)))
    return {row[0] for row in found}


async def last_totalizers_many(session: ReadSession, nozzle_ids: Iterable[int]) -> dict[int, int]:
    """The totalizer after each nozzle's latest delivery."""
    ids = sorted(set(nozzle_ids))
    if not ids:
        return {}
    latest = (
        select(DeliveryRow.nozzle_id, func.max(DeliveryRow.ended_at).label("ended_at"))
        .where(DeliveryRow.nozzle_id.in_(ids), DeliveryRow.totalizer_after_e4.is_not(None))
        .group_by(DeliveryRow.nozzle_id)
        .subquery()
    )
    rows = await session.all(
        select(DeliveryRow.nozzle_id, DeliveryRow.totalizer_after_e4)
        .join(
            latest,
            (latest.c.nozzle_id == DeliveryRow.nozzle_id) & (latest.c.ended_at == DeliveryRow.ended_at),
        )
        .order_by(DeliveryRow.id)
    )
    return {row[0]: row[1] for row in rows}


async def deliveries_many(session: ReadSession, delivery_ids: Iterable[int]) -> dict[int, Delivery]:
    """For the jobs of this house, whatever the operator."""
    ids = list(delivery_ids)
    rows = await session.all(select(*DELIVERY).where(DeliveryRow.id.in_(ids)))
    return {row.id: _delivery(row) for row in rows}


async def get_delivery(session: ReadSession, scope: Scope, delivery_id: int) -> Delivery:
    """Raises `DeliveryNotFound`."""
    wanted = select(*DELIVERY).where(DeliveryRow.id == delivery_id)
    if (mine := operator_of(scope)) is not None:
        wanted = wanted.where(DeliveryRow.operator_id == mine)
    row = await session.first(wanted)
    if row is None:
        raise DeliveryNotFound(delivery_id=delivery_id)
    return _delivery(row)


async def list_held(session: ReadSession, scope: Scope, limit: int) -> list[Delivery]:
    """What waits for a person, oldest first."""
    wanted = select(*DELIVERY).where(DeliveryRow.state == DeliveryState.HELD)
    if (mine := operator_of(scope)) is not None:
        wanted = wanted.where(DeliveryRow.operator_id == mine)
    return [_delivery(row) for row in await session.all(wanted.order_by(DeliveryRow.id).limit(limit))]


async def review(
    session: WriteSession, scope: Scope, delivery_id: int, state: DeliveryState, by: str, reason: str
) -> bool:
    """Move a held delivery on; False when it was not held (any more)."""
    statement = update(DeliveryRow).where(
        DeliveryRow.id == delivery_id, DeliveryRow.state == DeliveryState.HELD
    )
    if (mine := operator_of(scope)) is not None:
        statement = statement.where(DeliveryRow.operator_id == mine)
    return await session.run(statement.values(state=state, reviewed_by=by, review_reason=reason)) == 1


async def upsert_live_many(session: WriteSession, rows: Sequence[Mapping[str, Any]]) -> None:
    await upsert_many(
        session,
        NozzleLiveRow,
        rows,
        key=("nozzle_id",),
        update=("state", "quantity_e4", "amount_fen", "unit_price_e4", "updated_at"),
    )


async def live_many(session: ReadSession, nozzle_ids: Iterable[int]) -> dict[int, LiveNozzle]:
    """Latest states by nozzle, whatever the operator; for the jobs of this house."""
    wanted = select(*LIVE).where(NozzleLiveRow.nozzle_id.in_(list(nozzle_ids)))
    return {row.nozzle_id: _live(row) for row in await session.all(wanted)}


async def live_by_station(session: ReadSession, scope: Scope, station_id: int) -> dict[int, LiveNozzle]:
    """Latest states of a station's nozzles."""
    wanted = select(*LIVE).where(NozzleLiveRow.station_id == station_id)
    if (mine := operator_of(scope)) is not None:
        wanted = wanted.where(NozzleLiveRow.operator_id == mine)
    return {row.nozzle_id: _live(row) for row in await session.all(wanted)}


async def check_evidence(session: ReadSession) -> list[Violation]:
    """A delivery that was taken without a mark agrees with its own totalizers."""
    moved = DeliveryRow.totalizer_after_e4 - DeliveryRow.totalizer_before_e4
    wanted = (
        select(DeliveryRow.id, DeliveryRow.quantity_e4, moved)
        .where(
            DeliveryRow.state == DeliveryState.RECORDED,
            DeliveryRow.totalizer_after_e4 >= DeliveryRow.totalizer_before_e4,
            func.abs(moved - DeliveryRow.quantity_e4) > TOTALIZER_TOLERANCE_E4,
        )
        .limit(VIOLATIONS_MAX)
    )
    return [
        Violation(
            check="deliveries.quantity_is_totalizer_delta",
            subject=f"delivery {row[0]}",
            detail=f"quantity {row[1]}, the totalizer moved {row[2]} (1e-4)",
        )
        for row in await session.all(wanted)
    ]


CHECKS: tuple[Check, ...] = (check_evidence,)
