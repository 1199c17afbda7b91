"""Charging as the rest of the house sees it. Meters count in Wh; 1 Wh is 10 of 1e-4 kWh."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType, Protocol, TypeVar

from forecourt.core.actor import Permission

ChargingId = NewType("ChargingId", int)

CHARGING_READ = Permission("charging:read")
CHARGING_WRITE = Permission("charging:write")

E4_PER_WH = 10
ID_TAG_CHARS_MAX = 20
METER_WH_MAX = 10**15  # Beyond any register; also below zero.


class Registration(StrEnum):
    """What a charge point is told at boot."""

    ACCEPTED = "accepted"
    PENDING = "pending"  # Known, but no nozzle of a station stands for any of its connectors yet.
    REJECTED = "rejected"


class ConnectorStatus(StrEnum):
    AVAILABLE = "available"
    PREPARING = "preparing"
    CHARGING = "charging"
    SUSPENDED_EVSE = "suspended_evse"
    SUSPENDED_EV = "suspended_ev"
    FINISHING = "finishing"
    RESERVED = "reserved"
    UNAVAILABLE = "unavailable"
    FAULTED = "faulted"


class Verdict(StrEnum):
    """What an id tag is worth here and now."""

    ACCEPTED = "accepted"
    BLOCKED = "blocked"
    EXPIRED = "expired"
    INVALID = "invalid"
    CONCURRENT = "concurrent"  # It charges elsewhere already.


class TokenState(StrEnum):
    ACTIVE = "active"
    BLOCKED = "blocked"


class TransactionState(StrEnum):
    OPEN = "open"
    LOST = (
        "lost"  # The connector went on without telling an end; its end may still come, or a person tells it.
    )
    ENDED = "ended"


class StrayState(StrEnum):
    OPEN = "open"
    MATCHED = "matched"  # A person found the transaction it ends.
    DISMISSED = "dismissed"  # A person found that it ends none.


class StrayReason(StrEnum):
    UNKNOWN_TRANSACTION = "unknown_transaction"
    CONTRADICTS = "contradicts"  # The transaction has ended already, with another meter value or time.


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargePointRef:
    """Who speaks: a device of kind charge point, authenticated."""

    operator_id: int
    station_id: int
    device_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RawFrame:
    """What came over the wire, kept beside its effect. (connection, number) names it."""

    connection: bytes  # Eight bytes, drawn for each connection.
    number: int
    body: bytes
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeAsk:
    """May this tag charge here? `connector_number` is None where the charge point did not say."""

    operator_id: int
    station_id: int
    device_id: int
    connector_number: int | None
    id_tag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """The answer. `limit_e4` (1e-4 kWh) is where the platform stops the charge point by itself."""

    verdict: Verdict
    authorisation_id: int | None = None
    member_id: int | None = None
    parent_tag: str | None = None
    expires_at: datetime | None = None
    limit_e4: int | None = None


Unit = TypeVar("Unit", contravariant=True)  # noqa: PLC0105  (A unit of work; variance is not its name.)


class Authorise(Protocol[Unit]):
    """Who may charge. The process wires it in as `Authorise[WriteSession]`; `sales` knows who paid ahead."""

    async def __call__(self, session: Unit, ask: ChargeAsk) -> Permit:
        """Decide. The same tag is asked at `Authorize`, without a connector, and again when a session starts.

        A start that is told again is not asked again.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    vendor: str
    model: str
    serial: str | None = None
    firmware: str | None = None
    meter_serial: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How a connector is; number 0 is the charge point itself."""

    connector_number: int
    status: ConnectorStatus
    error: str
    info: str | None = None
    vendor_error: str | None = None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One reading of the connector's meter. `energy_wh` is the register, not what this session took."""

    at: datetime
    context: str
    energy_wh: int | None = None
    power_w: int | None = None
    soc_percent: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    connector_number: int
    id_tag: str
    meter_start_wh: int
    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    transaction_id: int
    meter_stop_wh: int
    ended_at: datetime
    reason: str
    id_tag: str | None = None
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    connector_number: int
    transaction_id: int | None
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Started:
    """The number to answer with, the same for the same start; and what the tag is worth."""

    transaction_id: int
    permit: Permit


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One charging session. `transaction_id` is the number the charge point knows it by, 1…2**31-1."""

    id: ChargingId
    operator_id: int
    station_id: int
    device_id: int
    transaction_id: int
    connector_number: int
    nozzle_number: int | None
    id_tag: str
    verdict: Verdict
    authorisation_id: int | None
    member_id: int | None
    limit_e4: int | None
    state: TransactionState
    meter_start_wh: int
    started_at: datetime
    meter_last_wh: int
    meter_stop_wh: int | None
    ended_at: datetime | None
    stop_reason: str | None
    delivery_id: int | None
    start_key: str
    stop_asked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StrayStop:
    """An end that fits no transaction: answered, kept, and left to a person."""

    id: int
    operator_id: int
    station_id: int
    device_id: int
    transaction_id: int
    reason: StrayReason
    state: StrayState
    meter_stop_wh: int
    ended_at: datetime
    id_tag: str | None
    stop_reason: str
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargePoint:
    device_id: int
    operator_id: int
    station_id: int
    registration: Registration
    vendor: str
    model: str
    firmware: str | None
    connected: bool
    heard_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    device_id: int
    connector_number: int
    status: ConnectorStatus
    error: str
    info: str | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A card or key fob, by the text its reader sends."""

    id: int
    operator_id: int
    tag: str
    member_id: int | None
    state: TokenState
    expires_at: datetime | None
    parent_tag: str | None
