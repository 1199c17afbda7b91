"""Orders of the centre: read from JSON, held as values."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from forecourt_kit.clock import parse_rfc3339
from forecourt_kit.limits import AMOUNT_FEN_MAX, QUANTITY_E4_MAX, UNIT_PRICE_E4_MAX, whole
from forecourt_kit.price import E8_PER_FEN, Preset, PresetKind

ID_CHARS_MAX = 64


class BadOrder(ValueError):
    """Not an order; the text says why. `command_id` when it could be read."""

    def __init__(self, why: str, command_id: str | None = None, command: str = "") -> None:
        super().__init__(why)
        self.command_id, self.command = command_id, command


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorise:
    """Let one fill run. The tighter of limit and preset holds; without either it is a full vessel."""

    command_id: str
    nozzle: int
    authorisation_id: str
    expires_at: datetime
    limit_fen: int | None = None
    limit_quantity_e4: int | None = None
    preset: Preset | None = None
    purpose: str = "sale"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetNozzlePrice:
    """Bring this price to the dispenser, from `effective_at` on, and keep at it until it says yes."""

    command_id: str
    nozzle: int
    unit_price_e4: int
    effective_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Let a lifted nozzle flow without a limit."""

    command_id: str
    nozzle: int
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    command_id: str
    nozzle: int


NozzleOrder = Authorise | SetNozzlePrice | Release | Stop


def parse(body: bytes) -> NozzleOrder:
    """Read an order. Raises BadOrder."""
    try:
        table = json.loads(body)
    except (ValueError, RecursionError) as why:
        raise BadOrder("not JSON") from why
    if not isinstance(table, dict):
        raise BadOrder("not an object")
    command_id, command = table.get("command_id"), table.get("command")
    if not isinstance(command_id, str) or not 1 <= len(command_id) <= ID_CHARS_MAX:
        raise BadOrder("command_id is missing")
    try:
        return _read(str(command), command_id, table)
    except (KeyError, TypeError, ValueError) as why:
        raise BadOrder(f"{type(why).__name__}: {why}", command_id, str(command)) from why


def _read(command: str, command_id: str, table: dict[str, Any]) -> NozzleOrder:
    nozzle = whole("nozzle", table["nozzle"], 1, 255)
    match command:
        case "authorise":
            return Authorise(
                command_id=command_id,
                nozzle=nozzle,
                authorisation_id=_text(table["authorisation_id"]),
                expires_at=parse_rfc3339(table["expires_at"]),
                limit_fen=_optional(table, "limit_fen", AMOUNT_FEN_MAX),
                limit_quantity_e4=_optional(table, "limit_quantity_e4", QUANTITY_E4_MAX),
                preset=_preset(table.get("preset")),
                purpose=_text(table.get("purpose", "sale")),
            )
        case "price.set":
            effective = table.get("effective_at")
            return SetNozzlePrice(
                command_id=command_id,
                nozzle=nozzle,
                unit_price_e4=whole("unit_price_e4", table["unit_price_e4"], 0, UNIT_PRICE_E4_MAX),
                effective_at=None if effective is None else parse_rfc3339(effective),
            )
        case "release":
            return Release(
                command_id=command_id, nozzle=nozzle, expires_at=parse_rfc3339(table["expires_at"])
            )
        case "stop":
            return Stop(command_id=command_id, nozzle=nozzle)
    raise ValueError("no such command")


def _text(value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= ID_CHARS_MAX:
        raise ValueError("expected a short text")
    return value


def _optional(table: dict[str, Any], name: str, high: int) -> int | None:
    value = table.get(name)
    return None if value is None else whole(name, value, 1, high)


def _preset(table: Any) -> Preset | None:
    return None if table is None else Preset(PresetKind(table["kind"]), table.get("value", 0))


def limit_of(order: Authorise, unit_price_e4: int, step_e4: int = 100) -> Preset | None:
    """Where the dispenser is told to stop: the tightest of preset, money limit and quantity limit.

    A quantity is compared with money at the dispenser's own price. A limit in quantity is cut down to whole
    steps of the display, never rounded up.
    """
    limits = []
    if order.preset is not None and order.preset.kind is not PresetKind.FULL:
        limits.append(order.preset)
    if order.limit_fen is not None:
        limits.append(Preset(PresetKind.AMOUNT, order.limit_fen))
    if order.limit_quantity_e4 is not None:
        limits.append(Preset(PresetKind.QUANTITY, max(1, order.limit_quantity_e4 // step_e4 * step_e4)))
    if not limits:
        return None
    return min(limits, key=lambda limit: _worth_e8(limit, unit_price_e4))


def _worth_e8(limit: Preset, unit_price_e4: int) -> int:
    """In 1e-8 yuan: exact, so that two limits within one fen are still told apart."""
    return limit.value * E8_PER_FEN if limit.kind is PresetKind.AMOUNT else limit.value * unit_price_e4
