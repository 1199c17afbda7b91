"""Which line of the book holds."""

from collections.abc import Sequence
from datetime import datetime

from forecourt.pricing.types import NozzlePrice, Price


def price_at(lines: Sequence[Price], at: datetime) -> Price | None:
    """The newest line in force at `at`."""
    in_force = [line for line in lines if line.valid_from <= at]
    return max(in_force, key=lambda line: line.valid_from, default=None)


def old_unit_price_e4(nozzle: NozzlePrice | None, book_unit_price_e4: int, at: datetime) -> int | None:
    """What a nozzle sold at, at `at`, that had acknowledged another price than the book's by then."""
    if nozzle is None or nozzle.acknowledged_at is None or nozzle.acknowledged_at > at:
        return None  # Nobody knows what it showed then; the device's own word stands in its evidence.
    acknowledged = nozzle.acknowledged_unit_price_e4
    return None if acknowledged == book_unit_price_e4 else acknowledged
