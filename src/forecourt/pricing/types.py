"""Prices as the rest of the house sees them. `unit_price_e4` is 1e-4 yuan a unit."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, NewType

from forecourt.core.actor import Permission
from forecourt.core.event import Event

PriceId = NewType("PriceId", int)

PRICES_READ = Permission("pricing:read")
PRICES_WRITE = Permission("pricing:write")


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A line of the book; it holds from `valid_from` until the next line of its station and product."""

    id: PriceId
    operator_id: int
    station_id: int
    product_id: int
    unit_price_e4: int
    valid_from: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class Quote:
    """Asks: what does this nozzle's product cost at that moment?"""

    operator_id: int
    station_id: int
    nozzle_id: int
    product_id: int
    at: datetime


@dataclass(frozen=True, slots=True)
class BookPrice:
    """The book's answer. `old_unit_price_e4`: what a nozzle sells at that has not acknowledged yet."""

    price_id: PriceId
    unit_price_e4: int
    old_unit_price_e4: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NozzlePrice:
    """What a nozzle was told and what it has acknowledged."""

    nozzle_id: int
    desired_unit_price_e4: int
    desired_at: datetime
    acknowledged_unit_price_e4: int | None
    acknowledged_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceSet(Event):
    topic: ClassVar[str] = "pricing.price.set"
    price_id: int
    station_id: int
    product_id: int
    unit_price_e4: int

    @property
    def key(self) -> str:
        return f"station:{self.station_id}"
