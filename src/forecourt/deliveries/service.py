"""Taking deliveries in, in sets, and letting a person decide about the ones that do not add up."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from forecourt.core import outbox
from forecourt.core.actor import Actor
from forecourt.core.db import WriteSession
from forecourt.core.event import Event
from forecourt.deliveries import queries, rules
from forecourt.deliveries.errors import DeliveryNotHeld, ReleaseNeedsNozzle
from forecourt.deliveries.types import (
    Delivery,
    DeliveryEnded,
    DeliveryHeld,
    DeliveryReport,
    DeliveryState,
    LiveNozzle,
    NozzleReading,
)
from forecourt.sites import queries as sites
from forecourt.sites.types import Nozzle, Station, Supply
from forecourt_kit.clock import business_date


async def record_many(session: WriteSession, reports: Sequence[DeliveryReport]) -> list[int]:
    """Take deliveries in; a report told before has no second effect. Gives the ids of the new ones.

    Evidence that does not add up is kept and marked, and what nobody can price is held for a person.
    """
    known = await queries.known_sources_many(session, [report.source.key for report in reports])
    reports = [report for report in reports if report.source.key not in known]
    if not reports:
        return []
    nozzles = await sites.nozzles_by_number_many(
        session, [(report.station_id, report.nozzle_number) for report in reports]
    )
    stations = await sites.stations_many(session, [report.station_id for report in reports])
    found = [nozzles.get((report.station_id, report.nozzle_number)) for report in reports]
    supplies = await sites.supplies_at_many(
        session,
        [(nozzle.id, report.started_at) for nozzle, report in zip(found, reports, strict=True) if nozzle],
    )
    last = await queries.last_totalizers_many(session, [nozzle.id for nozzle in found if nozzle])
    rows = []
    for report, nozzle in sorted(zip(reports, found, strict=True), key=lambda pair: pair[0].started_at):
        supply = supplies.get((nozzle.id, report.started_at)) if nozzle else None
        previous = last.get(nozzle.id) if nozzle else None
        rows.append(_row(session, report, nozzle, supply, stations.get(report.station_id), previous))
        if nozzle and report.totalizer_after_e4 is not None:
            last[nozzle.id] = report.totalizer_after_e4
    new = await queries.insert_new_many(session, rows)
    rows = [row for row in rows if row["source_key"] in new]
    await outbox.add(session, *(event for row in rows if (event := _event(row)) is not None))
    return [row["id"] for row in rows]


def _row(
    session: WriteSession,
    report: DeliveryReport,
    nozzle: Nozzle | None,
    supply: Supply | None,
    station: Station | None,
    last_totalizer_e4: int | None,
) -> dict[str, Any]:
    meter = None
    if nozzle is not None:
        meter = rules.Meter(
            nozzle.unit, nozzle.display_step_e4, nozzle.totalizer_modulus_e4, last_totalizer_e4
        )
    now = session.now()
    marks = rules.marks_of(report, meter, has_product=supply is not None, now=now)
    return {
        "id": session.new_id(),
        "operator_id": report.operator_id,
        "station_id": report.station_id,
        "nozzle_id": nozzle.id if nozzle else None,
        "nozzle_number": report.nozzle_number,
        "product_id": supply.product_id if supply else None,
        "tank_id": supply.tank_id if supply else None,
        "device_id": report.source.device_id,
        "source_key": report.source.key,
        "state": rules.first_state(marks),
        "purpose": report.purpose,
        "marks": [mark.value for mark in marks],
        "business_date": _business_date(report.ended_at, station).isoformat(),
        "quantity_e4": report.quantity_e4,
        "unit": report.unit,
        "device_unit_price_e4": report.device_unit_price_e4,
        "device_amount_fen": report.device_amount_fen,
        "preset_kind": report.preset.kind if report.preset else None,
        "preset_value": report.preset.value if report.preset else None,
        "totalizer_before_e4": report.totalizer_before_e4,
        "totalizer_after_e4": report.totalizer_after_e4,
        "device_sequence": report.device_sequence,
        "authorisation_id": report.authorisation_id,
        "started_at": report.started_at,
        "ended_at": report.ended_at,
        "recorded_at": now,
        "detail": report.detail,
        "segments": [
            [
                each.started_at.isoformat(),
                each.ended_at.isoformat(),
                each.quantity_e4,
                each.meter_start_e4,
                each.meter_end_e4,
            ]
            for each in report.segments
        ],
        "reviewed_by": None,
        "review_reason": None,
    }


def _business_date(at: datetime, station: Station | None) -> Any:
    if station is None:
        return business_date(at, ZoneInfo("Asia/Shanghai"))
    cut = time(station.day_cut_min // 60, station.day_cut_min % 60)
    return business_date(at, ZoneInfo(station.timezone), cut)


def _event(row: dict[str, Any]) -> Event | None:
    if row["state"] is DeliveryState.HELD:
        return DeliveryHeld(
            operator_id=row["operator_id"],
            delivery_id=row["id"],
            station_id=row["station_id"],
            marks=row["marks"],
        )
    # One without flow is told too: an authorisation may wait for its end, and its money must go back.
    return DeliveryEnded(
        operator_id=row["operator_id"],
        delivery_id=row["id"],
        station_id=row["station_id"],
        nozzle_id=row["nozzle_id"],
    )


async def release(session: WriteSession, actor: Actor, delivery_id: int, reason: str) -> Delivery:
    """A person accepts a held delivery as it stands; it is priced like any other.

    Raises:
        DeliveryNotFound, DeliveryNotHeld, ReleaseNeedsNozzle.
    """
    delivery = await queries.get_delivery(session, actor.scope, delivery_id)
    if delivery.nozzle_id is None or delivery.product_id is None:
        raise ReleaseNeedsNozzle(delivery_id=delivery_id)
    if not await queries.review(
        session, actor.scope, delivery_id, DeliveryState.RELEASED, actor.subject, reason
    ):
        raise DeliveryNotHeld(delivery_id=delivery_id, state=delivery.state.value)
    event = DeliveryEnded(
        operator_id=delivery.operator_id,
        delivery_id=delivery.id,
        station_id=delivery.station_id,
        nozzle_id=delivery.nozzle_id,
    )
    await outbox.add(session, event)
    return await queries.get_delivery(session, actor.scope, delivery_id)


async def reject(session: WriteSession, actor: Actor, delivery_id: int, reason: str) -> Delivery:
    """A person finds that a held delivery did not happen. It stays on record, unpriced.

    Raises:
        DeliveryNotFound, DeliveryNotHeld.
    """
    delivery = await queries.get_delivery(session, actor.scope, delivery_id)
    if not await queries.review(
        session, actor.scope, delivery_id, DeliveryState.REJECTED, actor.subject, reason
    ):
        raise DeliveryNotHeld(delivery_id=delivery_id, state=delivery.state.value)
    return await queries.get_delivery(session, actor.scope, delivery_id)


async def read_nozzles(session: WriteSession, readings: Sequence[NozzleReading]) -> list[LiveNozzle]:
    """Keep the latest state of nozzles; readings of unknown nozzles are passed over."""
    nozzles = await sites.nozzles_by_number_many(
        session, [(reading.station_id, reading.nozzle_number) for reading in readings]
    )
    latest: dict[int, tuple[NozzleReading, Nozzle]] = {}
    for reading in sorted(readings, key=lambda each: each.at):
        if (nozzle := nozzles.get((reading.station_id, reading.nozzle_number))) is not None:
            latest[nozzle.id] = (reading, nozzle)
    live = [
        LiveNozzle(
            nozzle_id=nozzle.id,
            station_id=nozzle.station_id,
            state=reading.state,
            quantity_e4=reading.quantity_e4,
            amount_fen=reading.amount_fen,
            unit_price_e4=reading.unit_price_e4,
            updated_at=reading.at,
        )
        for reading, nozzle in latest.values()
    ]
    owners: dict[int, int] = {nozzle.id: nozzle.operator_id for _, nozzle in latest.values()}
    rows = [{**asdict(each), "operator_id": owners[each.nozzle_id]} for each in live]
    await queries.upsert_live_many(session, rows)
    return live
