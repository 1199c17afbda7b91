"""THE price function, and whose amount counts. The centre and the edge both call these and nothing else."""

from dataclasses import dataclass
from enum import StrEnum

from forecourt_kit.limits import (
    AMOUNT_FEN_MAX,
    DISPLAY_STEP_E4_MAX,
    QUANTITY_E4_MAX,
    TOTALIZER_MODULUS_E4_MAX,
    UNIT_PRICE_E4_MAX,
    whole,
)
from forecourt_kit.quantity import shown_e4

E8_PER_FEN = 10**6  # A quantity of 1e-4 times a price of 1e-4 yuan is 1e-8 yuan; a fen is 1e-2 yuan.


class PresetKind(StrEnum):
    AMOUNT = "amount"
    QUANTITY = "quantity"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Preset:
    """Where the meter is told to stop. `value`: fen for AMOUNT, 1e-4 of the unit for QUANTITY, 0 for FULL."""

    kind: PresetKind
    value: int = 0

    def __post_init__(self) -> None:
        kind = PresetKind(self.kind)
        high = {PresetKind.AMOUNT: AMOUNT_FEN_MAX, PresetKind.QUANTITY: QUANTITY_E4_MAX, PresetKind.FULL: 0}[
            kind
        ]
        whole(f"preset {kind}", self.value, min(1, high), high)


class AmountSource(StrEnum):
    DEVICE = "device"  # The device's amount, within the rule.
    CENTRE = "centre"  # Quantity times the book's price.
    SEEN = "seen"  # What the customer saw, where ours would have been more.


class PriceMark(StrEnum):
    """Why a person should look at a delivery's amount."""

    PRICE_MISMATCH = "price_mismatch"  # The device sold at another price than the book's.
    PRICE_MISSING = "price_missing"  # The device told an amount, but not at which price.
    AMOUNT_MISMATCH = "amount_mismatch"  # The device's amount does not follow from quantity and price.


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterEvidence:
    """What the meter said of one delivery, kept as it came. None: this device does not tell it."""

    quantity_e4: int
    device_unit_price_e4: int | None = None
    device_amount_fen: int | None = None
    preset: Preset | None = None
    totalizer_before_e4: int | None = None
    totalizer_after_e4: int | None = None
    display_step_e4: int = 100

    def __post_init__(self) -> None:
        whole("quantity_e4", self.quantity_e4, 0, QUANTITY_E4_MAX)
        whole("display_step_e4", self.display_step_e4, 1, DISPLAY_STEP_E4_MAX)
        _whole_or_none("device_unit_price_e4", self.device_unit_price_e4, UNIT_PRICE_E4_MAX)
        _whole_or_none("device_amount_fen", self.device_amount_fen, AMOUNT_FEN_MAX)
        _whole_or_none("totalizer_before_e4", self.totalizer_before_e4, TOTALIZER_MODULUS_E4_MAX)
        _whole_or_none("totalizer_after_e4", self.totalizer_after_e4, TOTALIZER_MODULUS_E4_MAX)


@dataclass(frozen=True, slots=True)
class Priced:
    gross_fen: int
    source: AmountSource
    marks: tuple[PriceMark, ...] = ()


def amount_fen(quantity_e4: int, unit_price_e4: int) -> int:
    """Quantity times unit price, half-up to the fen, exactly.

    Raises:
        TypeError, ValueError: not whole numbers, negative, or above the limits.
    """
    whole("quantity_e4", quantity_e4, 0, QUANTITY_E4_MAX)
    whole("unit_price_e4", unit_price_e4, 0, UNIT_PRICE_E4_MAX)
    return _half_up(2 * quantity_e4 * unit_price_e4)


def gross(evidence: MeterEvidence, unit_price_e4: int) -> Priced:
    """The amount rule: what a delivery costs at the book's price, before discounts.

    The device's amount counts when its price is the book's and its amount differs from quantity times price
    by no more than half a display step of quantity at that price; both edges of that range are rounded to
    the fen as the meter rounds. Otherwise ours counts, never above what the customer saw, and a person is
    asked.
    A device that shows no money has nothing to contradict: ours counts, unmarked.
    """
    ours_fen = amount_fen(evidence.quantity_e4, unit_price_e4)
    device_fen = evidence.device_amount_fen
    device_price_e4 = evidence.device_unit_price_e4
    if device_price_e4 is None and device_fen is None:
        return Priced(ours_fen, AmountSource.CENTRE)

    marks = []
    if device_price_e4 is None:
        marks.append(PriceMark.PRICE_MISSING)
    elif device_price_e4 != unit_price_e4:
        marks.append(PriceMark.PRICE_MISMATCH)
    shown_price_e4 = unit_price_e4 if device_price_e4 is None else device_price_e4
    if device_fen is None:
        device_fen = amount_fen(evidence.quantity_e4, shown_price_e4)
    elif not follows(evidence.quantity_e4, shown_price_e4, device_fen, evidence.display_step_e4):
        marks.append(PriceMark.AMOUNT_MISMATCH)
    elif not marks:
        return Priced(device_fen, AmountSource.DEVICE)

    if device_fen < ours_fen:
        return Priced(device_fen, AmountSource.SEEN, tuple(marks))
    return Priced(ours_fen, AmountSource.CENTRE, tuple(marks))


def follows(quantity_e4: int, unit_price_e4: int, amount: int, display_step_e4: int) -> bool:
    """Whether a meter that shows this quantity may show this amount (fen) at this price.

    The meter knows the quantity finer than it shows it: up to half a display step to either side. Nothing
    shown costs nothing.
    """
    if quantity_e4 == 0:
        return amount == 0
    low = _half_up(max(0, 2 * quantity_e4 - display_step_e4) * unit_price_e4)
    high = _half_up((2 * quantity_e4 + display_step_e4) * unit_price_e4)
    return low <= amount <= high


def preset_quantity_e4(preset: Preset, unit_price_e4: int, display_step_e4: int = 100) -> int | None:
    """What the display shows where the meter stops; None for a full tank, which stops by itself.

    200 yuan at 7.85 stop at 25.4777 L: the display shows 25.48, and the customer pays 200.00.

    Raises:
        ValueError: an amount needs a price above zero, and may not buy more than one delivery can be.
    """
    match preset.kind:
        case PresetKind.FULL:
            return None
        case PresetKind.QUANTITY:
            return shown_e4(preset.value, display_step_e4)
        case PresetKind.AMOUNT:
            whole("unit_price_e4", unit_price_e4, 1, UNIT_PRICE_E4_MAX)
            step_price = unit_price_e4 * whole("display_step_e4", display_step_e4, 1, DISPLAY_STEP_E4_MAX)
            steps = (2 * preset.value * E8_PER_FEN + step_price) // (2 * step_price)
            return whole("quantity_e4", steps * display_step_e4, 0, QUANTITY_E4_MAX)


def _half_up(doubled_e8: int) -> int:
    """Fen of an amount given in half 1e-8 yuan, so that half a display step stays a whole number."""
    return (doubled_e8 + E8_PER_FEN) // (2 * E8_PER_FEN)


def _whole_or_none(name: str, value: int | None, high: int) -> None:
    if value is not None:
        whole(name, value, 0, high)
