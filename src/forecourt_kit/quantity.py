"""Quantity: whole 1e-4 of its unit, `quantity_e4`; what a display shows; totalizers that roll over."""

import re
from enum import StrEnum

from forecourt_kit.limits import (
    DISPLAY_STEP_E4_MAX,
    QUANTITY_E4_MAX,
    TEXT_NUMBER_CHARS_MAX,
    TOTALIZER_MODULUS_E4_MAX,
    UNIT_PRICE_E4_MAX,
    whole,
)

E4 = 10_000
QUANTITY = re.compile(r"(0|[1-9][0-9]{0,14})(?:\.([0-9]{1,4}))?")

TOTALIZER_MODULUS_E4 = 1_000_000 * E4
"""The common eight-digit register: 999999.99, then 0.00."""


class Unit(StrEnum):
    """What a nozzle or connector sells by. Litre of petrol and diesel, kilogram of LNG, CNG and hydrogen,
    normal cubic metre of CNG, kilowatt-hour of electricity.
    """

    L = "L"
    KG = "kg"
    NM3 = "Nm3"
    KWH = "kWh"


DISPLAY_STEP_E4 = {Unit.L: 100, Unit.KG: 100, Unit.NM3: 100, Unit.KWH: 10}
"""The usual step of a display, where a nozzle states none: 0.01 of the unit; a kWh meter counts Wh."""


def quantity_text(quantity_e4: int, step_e4: int = 100) -> str:
    """254800 -> "25.48" with the decimals of the step, and more where hiding them would change the value."""
    whole("step_e4", step_e4, 1, DISPLAY_STEP_E4_MAX)
    decimals = _e4_text(whole("quantity_e4", quantity_e4, -QUANTITY_E4_MAX, QUANTITY_E4_MAX))
    kept = 4
    while kept and step_e4 % 10 ** (5 - kept) == 0 and quantity_e4 % 10 ** (5 - kept) == 0:
        kept -= 1
    return decimals[: len(decimals) - 4 + kept].rstrip(".")


def quantity_label(quantity_e4: int, unit: Unit, step_e4: int | None = None) -> str:
    """For people: "32.50 kg"."""
    return f"{quantity_text(quantity_e4, step_e4 or DISPLAY_STEP_E4[unit])} {unit}"


def parse_quantity(text: str) -> int:
    """Read "25.48" as 254800; at most four decimals, no sign.

    Raises:
        TypeError: it is not text.
        ValueError: it is not such a number.
    """
    return whole("quantity_e4", _parse_e4(text), 0, QUANTITY_E4_MAX)


def unit_price_text(unit_price_e4: int) -> str:
    """78500 -> "7.85"; at least two decimals, all that are not zero."""
    text = _e4_text(whole("unit_price_e4", unit_price_e4, 0, UNIT_PRICE_E4_MAX))
    return text[:-2] if unit_price_e4 % 100 == 0 else text.rstrip("0")


def parse_unit_price(text: str) -> int:
    """Read "7.85" yuan as 78500; at most four decimals, no sign.

    Raises:
        TypeError: it is not text.
        ValueError: it is not such a number.
    """
    return whole("unit_price_e4", _parse_e4(text), 0, UNIT_PRICE_E4_MAX)


def shown_e4(quantity_e4: int, step_e4: int) -> int:
    """What a display of this step shows of an exact quantity: the nearest step, half up."""
    whole("quantity_e4", quantity_e4, 0, QUANTITY_E4_MAX)
    whole("step_e4", step_e4, 1, DISPLAY_STEP_E4_MAX)
    return (2 * quantity_e4 + step_e4) // (2 * step_e4) * step_e4


def totalizer_delta(
    before_e4: int, after_e4: int, modulus_e4: int, bound_e4: int | None = None
) -> int | None:
    """What a totalizer counted between two readings, over at most one roll-over.

    None when that cannot be told: a reading outside the register (0..modulus-1), or more than `bound_e4`
    (a quarter of the register, unless the caller knows what can flow between the readings). A register that
    ran backwards, was reset or exchanged looks like an enormous roll-over; it is for a person to judge.
    """
    whole("modulus_e4", modulus_e4, 1, TOTALIZER_MODULUS_E4_MAX)
    for reading in (before_e4, after_e4):
        whole("totalizer reading", reading, -TOTALIZER_MODULUS_E4_MAX, TOTALIZER_MODULUS_E4_MAX)
    limit_e4 = modulus_e4 // 4 if bound_e4 is None else whole("bound_e4", bound_e4, 0, modulus_e4 - 1)
    if not (0 <= before_e4 < modulus_e4 and 0 <= after_e4 < modulus_e4):
        return None
    counted_e4 = (after_e4 - before_e4) % modulus_e4
    return counted_e4 if counted_e4 <= limit_e4 else None


def _e4_text(value: int) -> str:
    units, rest = divmod(abs(value), E4)
    return f"{'-' if value < 0 else ''}{units}.{rest:04d}"


def _parse_e4(text: str) -> int:
    if type(text) is not str:
        raise TypeError(f"a number is read from text, not from {type(text).__name__}")
    match = QUANTITY.fullmatch(text) if len(text) <= TEXT_NUMBER_CHARS_MAX else None
    if match is None:
        raise ValueError(f"not a number such as 25.48, with at most four decimals: {text!r:.40}")
    units, rest = match.groups()
    return int(units) * E4 + int((rest or "").ljust(4, "0"))
