"""Station records (docs/reference/station-records.md) into deliveries, live nozzles and acknowledgements."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from forecourt.core.db import WriteSession
from forecourt.core.live import LiveHub
from forecourt.deliveries import service
from forecourt.deliveries.types import (
    LIVE_TOPIC,
    DeliveryReport,
    LiveNozzle,
    NozzleReading,
    NozzleState,
    Purpose,
    Source,
)
from forecourt.devices import service as devices
from forecourt.devices.types import TAKEN, DoorOutcome, InboxMessage
from forecourt.pricing import service as pricing
from forecourt.sites import queries as sites
from forecourt_kit.clock import parse_rfc3339
from forecourt_kit.ids import from_public
from forecourt_kit.limits import (
    AMOUNT_FEN_MAX,
    QUANTITY_E4_MAX,
    TOTALIZER_MODULUS_E4_MAX,
    UNIT_PRICE_E4_MAX,
    whole,
)
from forecourt_kit.price import Preset, PresetKind
from forecourt_kit.quantity import Unit

FORMAT_JSON = 2  # SLP/1's number for JSON bodies.
# Kept in the inbox as evidence; nothing to do.
NOTED = frozenset({"nozzle.event", "totalizer", "station.alarm"})
DETAIL_CHARS_MAX = 2_000


Live = Callable[[int, Sequence[LiveNozzle]], None]
"""Told of live nozzles of an operator once they are stored; never durable."""


def shown_live(hub: LiveHub) -> Live:
    """Tells whoever watches, in every process; never durable."""

    def show(operator_id: int, nozzles: Sequence[LiveNozzle]) -> None:
        for nozzle in nozzles:
            hub.publish_live(LIVE_TOPIC, operator_id, nozzle.as_update())

    return show


@dataclass(slots=True)
class _Batch:
    """What the bodies of one list say."""

    reports: list[DeliveryReport] = field(default_factory=list)
    readings: list[NozzleReading] = field(default_factory=list)
    prices: list[tuple[int, int, int]] = field(default_factory=list)
    results: list[tuple[int, int, bool, str]] = field(default_factory=list)


class StationDoor:
    """The `Door` of station agents. Holds no state; `live` is told after the commit."""

    def __init__(self, live: Live) -> None:
        self._live = live

    async def deliver_many(
        self, session: WriteSession, messages: Sequence[InboxMessage]
    ) -> Sequence[DoorOutcome]:
        """Read all bodies first; one that cannot be read is parked and holds nothing up."""
        batch = _Batch()
        outcomes = [_sort(message, batch) for message in messages]
        await service.record_many(session, batch.reports)
        if batch.readings:
            await self._read(session, batch.readings)
        if batch.prices:
            await _acknowledge(session, batch.prices)
        if batch.results:
            for device_id, command_id, done, reason in batch.results:
                await devices.answer_command(session, device_id, command_id, done=done, error=reason)
        return outcomes

    async def _read(self, session: WriteSession, readings: Sequence[NozzleReading]) -> None:
        operator_id = readings[0].operator_id
        live = await service.read_nozzles(session, readings)
        session.after_commit(lambda: self._live(operator_id, live))


def _sort(message: InboxMessage, batch: _Batch) -> DoorOutcome:
    try:
        body = _body(message)
        kind = body["kind"]
        if kind == "delivery.ended":
            batch.reports.append(_report(message, body))
        elif kind == "nozzle.state":
            batch.readings.append(_reading(message, body))
        elif kind == "price.acknowledged":
            batch.prices += _price(message, body)
        elif kind == "command.result":
            batch.results.append(_result(message, body))
        elif kind not in NOTED:
            return DoorOutcome(parked=f"unknown kind {kind!r:.40}")
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        return DoorOutcome(parked=f"{type(error).__name__}: {error}"[:300])
    return TAKEN


def _body(message: InboxMessage) -> Mapping[str, Any]:
    if message.format != FORMAT_JSON:
        raise ValueError(f"format {message.format} is not JSON")
    body = json.loads(message.body)
    if not isinstance(body, dict):
        raise TypeError("the body is no object")
    return body


def _report(message: InboxMessage, body: Mapping[str, Any]) -> DeliveryReport:
    detail = body.get("detail") or {}
    if not isinstance(detail, dict) or len(json.dumps(detail)) > DETAIL_CHARS_MAX or _has_float(detail):
        raise ValueError("detail is too long, or holds a fraction")
    preset = body.get("preset")
    authorisation = body.get("authorisation_id")
    return DeliveryReport(
        operator_id=message.operator_id,
        station_id=message.station_id,
        source=Source(
            device_id=message.device_id, incarnation=message.incarnation.hex(), message_id=message.mid
        ),
        nozzle_number=whole("nozzle", body["nozzle"], 1, 9_999),
        quantity_e4=whole("quantity_e4", body["quantity_e4"], 0, QUANTITY_E4_MAX),
        unit=Unit(body["unit"]),
        started_at=parse_rfc3339(body["started_at"]),
        ended_at=parse_rfc3339(body["ended_at"]),
        device_unit_price_e4=_maybe(body, "device_unit_price_e4", UNIT_PRICE_E4_MAX),
        device_amount_fen=_maybe(body, "device_amount_fen", AMOUNT_FEN_MAX),
        preset=None if preset is None else Preset(PresetKind(preset["kind"]), preset.get("value", 0)),
        totalizer_before_e4=_maybe(body, "totalizer_before_e4", TOTALIZER_MODULUS_E4_MAX),
        totalizer_after_e4=_maybe(body, "totalizer_after_e4", TOTALIZER_MODULUS_E4_MAX),
        device_sequence=_maybe(body, "device_sequence", 2**62),
        authorisation_id=None if authorisation is None else from_public(authorisation),
        purpose=Purpose(body.get("purpose", "sale")),
        detail=detail,
    )


def _reading(message: InboxMessage, body: Mapping[str, Any]) -> NozzleReading:
    return NozzleReading(
        operator_id=message.operator_id,
        station_id=message.station_id,
        nozzle_number=whole("nozzle", body["nozzle"], 1, 9_999),
        state=NozzleState(body["state"]),
        at=parse_rfc3339(body["at"]),
        quantity_e4=whole("quantity_e4", body["quantity_e4"], 0, QUANTITY_E4_MAX),
        amount_fen=whole("amount_fen", body["amount_fen"], 0, AMOUNT_FEN_MAX),
        unit_price_e4=_maybe(body, "unit_price_e4", UNIT_PRICE_E4_MAX),
    )


def _price(message: InboxMessage, body: Mapping[str, Any]) -> list[tuple[int, int, int]]:
    """(station, nozzle number, price); nothing when the nozzle said no."""
    number = whole("nozzle", body["nozzle"], 1, 9_999)
    price_e4 = whole("unit_price_e4", body["unit_price_e4"], 0, UNIT_PRICE_E4_MAX)
    return [(message.station_id, number, price_e4)] if body["acknowledged"] is True else []


def _result(message: InboxMessage, body: Mapping[str, Any]) -> tuple[int, int, bool, str]:
    """(device, command, carried out?, reason)."""
    reason = body.get("reason") or ""
    return (
        message.device_id,
        from_public(body["command_id"]),
        body["outcome"] in {"done", "accepted"},
        str(reason)[:300],
    )


async def _acknowledge(session: WriteSession, prices: Sequence[tuple[int, int, int]]) -> None:
    nozzles = await sites.nozzles_by_number_many(
        session, [(station, number) for station, number, _ in prices]
    )
    said: dict[int, int] = {
        nozzles[station, number].id: price
        for station, number, price in prices
        if (station, number) in nozzles
    }
    await pricing.acknowledge_many(session, said)


def _maybe(body: Mapping[str, Any], name: str, high: int) -> int | None:
    value = body.get(name)
    return None if value is None else whole(name, value, 0, high)


def _has_float(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_float(each) for each in value.values())
    if isinstance(value, list):
        return any(_has_float(each) for each in value)
    return isinstance(value, float)
