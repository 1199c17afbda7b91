"""What every dispenser driver offers, whatever it speaks. Quantities 1e-4 of the unit, prices 1e-4 yuan."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from forecourt_kit.price import Preset
from forecourt_kit.quantity import Unit


class NozzleState(StrEnum):
    """The field's (IFSF) names."""

    OFFLINE = "offline"
    CLOSED = "closed"
    IDLE = "idle"
    CALLING = "calling"
    AUTHORISED = "authorised"
    STARTED = "started"
    FUELLING = "fuelling"
    SUSPENDED = "suspended"
    ERROR = "error"


RUNNING = frozenset({NozzleState.STARTED, NozzleState.FUELLING, NozzleState.SUSPENDED})
ACTIVE = RUNNING | {NozzleState.CALLING, NozzleState.AUTHORISED}


class ReleaseMode(StrEnum):
    """Who lets a lifted nozzle flow."""

    FREE = "free"  # The station, at once: fill, then pay.
    AUTHORISE = "authorise"  # Only an authorisation of the centre.


@dataclass(frozen=True, slots=True, kw_only=True)
class NozzleSetup:
    """One nozzle: its number at the station and its gun on a line."""

    nozzle: int
    gun: int
    product: str
    unit: Unit
    mode: ReleaseMode = ReleaseMode.FREE
    totalizer_modulus_e4: int = 10**10


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a gun says of itself now."""

    state: NozzleState
    sale_waiting: bool
    quantity_e4: int = 0
    amount_fen: int = 0
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedSale:
    """A fill as the dispenser keeps it until it is cleared. `detail`: pressures, temperature, reasons."""

    sequence: int
    quantity_e4: int
    amount_fen: int
    unit_price_e4: int
    totalizer_before_e4: int
    totalizer_after_e4: int
    duration_s: int
    preset: Preset | None = None
    detail: Mapping[str, int | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Totalizers:
    quantity_e4: int
    amount_fen: int


class OrderResult(StrEnum):
    """How a gun took an order."""

    DONE = "done"
    WRONG_STATE = "wrong_state"
    OUT_OF_RANGE = "out_of_range"
    FAULTY = "faulty"


class NoAnswer(Exception):
    """The gun stayed silent, or its line is gone."""


class Dispenser(Protocol):
    """One gun. Every method raises NoAnswer when the gun stays silent."""

    async def read(self) -> Reading: ...
    async def take_control(self) -> OrderResult: ...
    async def release(self, preset: Preset | None) -> OrderResult: ...
    async def stop(self) -> OrderResult: ...
    async def unit_price_e4(self) -> int: ...
    async def set_price(self, unit_price_e4: int) -> OrderResult: ...
    async def totalizers(self) -> Totalizers: ...
    async def last_sequence(self) -> int:
        """Of the newest finished sale; 0 before the first."""
        ...

    async def oldest_sale(self) -> FinishedSale | None:
        """The oldest sale that was not cleared."""
        ...

    async def clear_sale(self, sequence: int) -> OrderResult:
        """The sale is safe here: the dispenser may forget it."""
        ...
