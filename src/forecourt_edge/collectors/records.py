"""The bodies of station records: JSON, UTF-8. docs/reference/station-records.md is their specification."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from forecourt_edge.drivers.types import FinishedSale, NozzleSetup, Reading, Totalizers
from forecourt_kit.clock import rfc3339
from forecourt_kit.price import Preset

Body = Mapping[str, Any]


def encode(body: Body) -> bytes:
    """The one form in which a body is written: keys in order, no blanks."""
    return json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def nozzle_state(nozzle: int, reading: Reading, unit_price_e4: int | None, at: datetime) -> Body:
    return {
        "kind": "nozzle.state",
        "nozzle": nozzle,
        "state": reading.state.value,
        "quantity_e4": reading.quantity_e4,
        "amount_fen": reading.amount_fen,
        "unit_price_e4": unit_price_e4,
        "at": rfc3339(at),
    }


def nozzle_event(nozzle: int, event: str, reading: Reading, at: datetime) -> Body:
    return {
        "kind": "nozzle.event",
        "nozzle": nozzle,
        "event": event,
        "state": reading.state.value,
        "faults": list(reading.faults),
        "quantity_e4": reading.quantity_e4,
        "amount_fen": reading.amount_fen,
        "at": rfc3339(at),
    }


@dataclass(frozen=True, slots=True)
class Times:
    """When a fill ran; `observed` when the station watched it, else reckoned back from when it was taken."""

    started_at: datetime
    ended_at: datetime
    observed: bool


def identity(nozzle: int, sale: FinishedSale) -> str:
    """What makes a sale of a dispenser itself: nozzle, totalizer after, sequence."""
    return f"{nozzle}:{sale.totalizer_after_e4}:{sale.sequence}"


def delivery_ended(
    setup: NozzleSetup, sale: FinishedSale, times: Times, authorisation_id: str | None, purpose: str
) -> Body:
    return {
        "kind": "delivery.ended",
        "identity": identity(setup.nozzle, sale),
        "nozzle": setup.nozzle,
        "product": setup.product,
        "unit": setup.unit.value,
        "quantity_e4": sale.quantity_e4,
        "device_unit_price_e4": sale.unit_price_e4,
        "device_amount_fen": sale.amount_fen,
        "preset": preset_body(sale.preset),
        "totalizer_before_e4": sale.totalizer_before_e4,
        "totalizer_after_e4": sale.totalizer_after_e4,
        "totalizer_modulus_e4": setup.totalizer_modulus_e4,
        "started_at": rfc3339(times.started_at),
        "ended_at": rfc3339(times.ended_at),
        "device_sequence": sale.sequence,
        "authorisation_id": authorisation_id,
        "purpose": purpose,
        "detail": {
            **sale.detail,
            "duration_s": sale.duration_s,
            "times": "observed" if times.observed else "reckoned",
        },
    }


def nothing_drawn(
    setup: NozzleSetup, authorisation_id: str, purpose: str, granted_at: str, reason: str, at: datetime
) -> Body:
    """An authorisation that ended without a sale of the dispenser: a delivery of nothing."""
    return {
        "kind": "delivery.ended",
        "identity": f"lapse:{authorisation_id}",
        "nozzle": setup.nozzle,
        "product": setup.product,
        "unit": setup.unit.value,
        "quantity_e4": 0,
        "device_unit_price_e4": None,
        "device_amount_fen": 0,
        "preset": None,
        "totalizer_before_e4": None,
        "totalizer_after_e4": None,
        "totalizer_modulus_e4": setup.totalizer_modulus_e4,
        "started_at": granted_at,
        "ended_at": rfc3339(at),
        "device_sequence": None,
        "authorisation_id": authorisation_id,
        "purpose": purpose,
        "detail": {"end_reason": reason},
    }


def price_acknowledged(
    nozzle: int, unit_price_e4: int, command_id: str, at: datetime, *, acknowledged: bool
) -> Body:
    return {
        "kind": "price.acknowledged",
        "nozzle": nozzle,
        "unit_price_e4": unit_price_e4,
        "command_id": command_id,
        "acknowledged": acknowledged,
        "at": rfc3339(at),
    }


def totalizer(nozzle: int, setup: NozzleSetup, read: Totalizers, at: datetime) -> Body:
    return {
        "kind": "totalizer",
        "nozzle": nozzle,
        "unit": setup.unit.value,
        "totalizer_e4": read.quantity_e4,
        "totalizer_modulus_e4": setup.totalizer_modulus_e4,
        "totalizer_amount_fen": read.amount_fen,
        "at": rfc3339(at),
    }


def command_result(command_id: str, command: str, outcome: str, reason: str | None, at: datetime) -> Body:
    return {
        "kind": "command.result",
        "command_id": command_id,
        "command": command,
        "outcome": outcome,
        "reason": reason,
        "at": rfc3339(at),
    }


def station_alarm(alarm: str, detail: Mapping[str, Any], at: datetime) -> Body:
    return {"kind": "station.alarm", "alarm": alarm, "detail": dict(detail), "at": rfc3339(at)}


def preset_body(preset: Preset | None) -> Body | None:
    return None if preset is None else {"kind": preset.kind.value, "value": preset.value}
