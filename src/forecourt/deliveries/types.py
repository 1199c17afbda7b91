"""What a delivery is, and what a door hands in. Quantities are 1e-4 of the unit, money is fen."""

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, ClassVar, NewType

from forecourt.core.actor import Permission
from forecourt.core.event import Event
from forecourt_kit.clock import rfc3339
from forecourt_kit.ids import to_public
from forecourt_kit.price import Preset
from forecourt_kit.quantity import Unit

DeliveryId = NewType("DeliveryId", int)

DELIVERIES_READ = Permission("deliveries:read")
DELIVERIES_REVIEW = Permission("deliveries:review")
LIVE_TOPIC = "deliveries.nozzle.read"  # Live only: never in the outbox.


class NozzleState(StrEnum):
    """The fuelling point's states, in IFSF's names (docs/glossary.md)."""

    OFFLINE = "offline"
    CLOSED = "closed"
    IDLE = "idle"
    CALLING = "calling"  # Lifted, or plugged in; nothing flows yet.
    AUTHORISED = "authorised"
    STARTED = "started"
    FUELLING = "fuelling"
    SUSPENDED = "suspended"
    ENDED = "ended"
    LOCKED = "locked"
    ERROR = "error"


class Purpose(StrEnum):
    """Why it left the nozzle; only `SALE` is priced."""

    SALE = "sale"
    OWN_USE = "own_use"
    TEST_RETURN = "test_return"
    TRANSFER = "transfer"
    STORED_FOR_OTHERS = "stored_for_others"
    MANUAL = "manual"


class DeliveryState(StrEnum):
    RECORDED = "recorded"  # Taken in, evidence agrees with itself.
    HELD = "held"  # Evidence disagrees, or nobody knows the nozzle: a person decides.
    RELEASED = "released"  # A person accepted it; it goes on as recorded.
    REJECTED = "rejected"  # A person found that nothing was delivered.


class Mark(StrEnum):
    """Why a person should look. Several may stand on one delivery."""

    UNKNOWN_NOZZLE = "unknown_nozzle"
    NO_PRODUCT = "no_product"  # The nozzle sold from nothing at that time.
    TOTALIZER_BACKWARDS = "totalizer_backwards"
    TOTALIZER_MISMATCH = "totalizer_mismatch"
    TOTALIZER_GAP = "totalizer_gap"  # The counter moved between two deliveries.
    UNIT_MISMATCH = "unit_mismatch"
    CLOCK_IMPLAUSIBLE = "clock_implausible"
    AMOUNT_MISMATCH = "amount_mismatch"
    PRICE_MISMATCH = "price_mismatch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a delivery came from: told once by (device, incarnation, message), however often it is sent."""

    device_id: int
    incarnation: str  # Hexadecimal; for OCPP the charge point's transaction key.
    message_id: int

    @property
    def key(self) -> str:
        return f"{self.device_id}:{self.incarnation}:{self.message_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A part of a charging session with one tariff or one stretch of time."""

    started_at: datetime
    ended_at: datetime
    quantity_e4: int
    meter_start_e4: int
    meter_end_e4: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryReport:
    """One finished delivery as a device tells it. Everything is evidence; nothing is decided here."""

    operator_id: int
    station_id: int
    source: Source
    nozzle_number: int
    quantity_e4: int
    unit: Unit
    started_at: datetime
    ended_at: datetime
    device_unit_price_e4: int | None = None
    device_amount_fen: int | None = None
    preset: Preset | None = None
    totalizer_before_e4: int | None = None
    totalizer_after_e4: int | None = None
    device_sequence: int | None = None
    authorisation_id: int | None = None
    purpose: Purpose = Purpose.SALE
    detail: dict[str, Any] = field(default_factory=dict)  # Pressures, temperature, stop reason; no floats.
    segments: tuple[Segment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NozzleReading:
    """A nozzle's live state as a device tells it; latest wins, never durable beyond the latest row."""

    operator_id: int
    station_id: int
    nozzle_number: int
    state: NozzleState
    at: datetime
    quantity_e4: int = 0
    amount_fen: int = 0
    unit_price_e4: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    id: DeliveryId
    operator_id: int
    station_id: int
    nozzle_id: int | None
    nozzle_number: int
    product_id: int | None
    tank_id: int | None
    state: DeliveryState
    purpose: Purpose
    marks: tuple[Mark, ...]
    business_date: date
    quantity_e4: int
    unit: Unit
    device_unit_price_e4: int | None
    device_amount_fen: int | None
    preset: Preset | None
    totalizer_before_e4: int | None
    totalizer_after_e4: int | None
    authorisation_id: int | None
    started_at: datetime
    ended_at: datetime
    recorded_at: datetime
    source_key: str
    detail: dict[str, Any]

    @property
    def is_sold(self) -> bool:
        """Whether it becomes a sale: something flowed, and it was meant for a customer."""
        return self.purpose is Purpose.SALE and self.quantity_e4 > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveNozzle:
    """The latest state of one nozzle, for tiles and pillars."""

    nozzle_id: int
    station_id: int
    state: NozzleState
    quantity_e4: int
    amount_fen: int
    unit_price_e4: int | None
    updated_at: datetime

    def as_update(self) -> dict[str, Any]:
        """The body of a live update: ids to filter by, and `shown`, what screens get."""
        return {
            "station_id": self.station_id,
            "nozzle_id": self.nozzle_id,
            "shown": {
                "id": to_public(self.nozzle_id),
                "station_id": to_public(self.station_id),
                "state": self.state.value,
                "quantity_e4": self.quantity_e4,
                "amount_fen": self.amount_fen,
                "unit_price_e4": self.unit_price_e4,
                "updated_at": rfc3339(self.updated_at),
            },
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryEnded(Event):
    """A delivery is recorded and may be priced (not sent for held ones until a person releases them)."""

    topic: ClassVar[str] = "deliveries.delivery.ended"
    delivery_id: int
    station_id: int
    nozzle_id: int

    @property
    def key(self) -> str:
        return f"nozzle:{self.nozzle_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryHeld(Event):
    topic: ClassVar[str] = "deliveries.delivery.held"
    delivery_id: int
    station_id: int
    marks: list[str]

    @property
    def key(self) -> str:
        return f"delivery:{self.delivery_id}"
