"""Which line of the book holds."""

from collections.abc import Sequence
from datetime import datetime

from forecourt.pricing.types import NozzlePrice, Price


def price_at(lines: Sequence[Price], at: datetime) -> Price | None:
    """The newest line in force at `at`."""
    in_force = [line for line in lines if line.valid_from <= at]
    return max(in_force, key=lambda line: line.valid_from, default=None)


def old_unit_price_e4(nozzle: NozzlePrice | None, book_unit_price_e4: int, at: datetime) -> int | None:
    """What a nozzle sells at that was told the book's price and has not acknowledged it by `at`."""
    if nozzle is None or nozzle.acknowledged_unit_price_e4 in {None, book_unit_price_e4}:
        return None
    told_another = nozzle.desired_unit_price_e4 != book_unit_price_e4
    if told_another and (nozzle.acknowledged_at is None or nozzle.acknowledged_at <= at):
        return None  # The fill was before this price was told; the nozzle sold at the book's.
    return nozzle.acknowledged_unit_price_e4
