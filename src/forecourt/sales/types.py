"""Sales and authorisations as the rest of the house sees them."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import ClassVar, NewType

from forecourt.core.actor import Permission
from forecourt.core.event import Event
from forecourt.deliveries.types import Delivery
from forecourt.ledger.types import PostingLine
from forecourt.payments.types import Attempt, NoticeTaken, Payment, Refund
from forecourt_kit.price import AmountSource, Preset
from forecourt_kit.quantity import Unit

SaleId = NewType("SaleId", int)
AuthorisationId = NewType("AuthorisationId", int)

SALES_READ = Permission("sales:read")
SALES_TAKE = Permission("sales:take")
SALES_VOID = Permission("sales:void")
SALES_REFUND = Permission("sales:refund")
SALES_AUTHORISE = Permission("sales:authorise")
SALES_AT_DEVICE = Permission("sales:at-device")  # A terminal: its own nozzles' open sales, and paying them.


class SaleState(StrEnum):
    OPEN = "open"  # To pay.
    PAYING = "paying"  # A channel is being asked.
    PAID = "paid"
    REFUNDED = "refunded"  # All of it went back.
    VOIDED = "voided"  # Cancelled before it was paid.


class SaleMark(StrEnum):
    """Why a person should look at a sale, besides the delivery's own marks."""

    PRICE_PENDING = "price_pending"  # The nozzle had not acknowledged the new price; it sold at its old one.
    NO_PRICE = "no_price"  # The book has no price; the sale waits at 0 until a person prices it.
    OVER_LIMIT = "over_limit"  # More flowed than was authorised.
    REFUND_ABNORMAL = "refund_abnormal"  # A channel could not give money back.


class AuthorisationKind(StrEnum):
    PREPAID = "prepaid"  # Preset and paid before flow; the rest goes back.
    BOUND = "bound"  # A payer is bound to the lifted nozzle (绑枪); charged at hang-up.


class AuthorisationState(StrEnum):
    AWAITING = "awaiting"  # Its payment is not in yet; nothing may flow.
    GRANTED = "granted"
    CONSUMED = "consumed"  # A delivery used it.
    RELEASED = "released"  # Cancelled, or refused; money went back.
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    id: SaleId
    operator_id: int
    station_id: int
    nozzle_id: int
    nozzle_number: int
    delivery_id: int
    product_id: int
    business_date: date
    unit: Unit
    quantity_e4: int
    price_id: int | None
    unit_price_e4: int
    gross_fen: int
    discount_fen: int
    due_fen: int
    paid_fen: int
    refunded_fen: int
    amount_source: AmountSource
    state: SaleState
    marks: tuple[str, ...]
    tenders: tuple[str, ...]
    authorisation_id: int | None
    opened_at: datetime
    paid_at: datetime | None

    @property
    def owed_fen(self) -> int:
        return self.due_fen - self.paid_fen


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorisation:
    """Permission as data: who may fill at a nozzle, up to how much, until when."""

    id: AuthorisationId
    operator_id: int
    station_id: int
    nozzle_id: int
    nozzle_number: int
    kind: AuthorisationKind
    state: AuthorisationState
    member_id: int | None  # Wallet: money is held under `hold_reference`.
    payment_id: int | None  # Channel: captured whole, the rest refunded.
    limit_fen: int
    preset: Preset
    unit_price_e4: int
    expires_at: datetime
    created_at: datetime

    @property
    def hold_reference(self) -> str:
        return f"authorisation:{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SaleFilter:
    """What a list of sales shows; None means any. `before` is the id of the last one seen."""

    station_id: int | None = None
    nozzle_id: int | None = None
    state: SaleState | None = None
    tender: str | None = None
    opened_from: datetime | None = None
    opened_to: datetime | None = None
    marked: bool | None = None
    before: int | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """One booked payment of one sale, as asked for. `key` and `input_hash` make it happen once."""

    operator_id: int
    sale_id: int
    tender: str
    member_id: int | None
    amount_fen: int | None  # None: all that is owed.
    key: str
    input_hash: str
    subject: str
    station_id: int | None = None  # A terminal may only take what its station sold.


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The answer to a checkout; a replay of the same key gives the same one."""

    payment_id: int
    sale_id: int
    tender: str
    amount_fen: int
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """All that happened to one sale, in the words of the modules it passed through."""

    sale: Sale
    delivery: Delivery
    authorisation: Authorisation | None
    payments: tuple[tuple[Payment, int, bool], ...]
    attempts: tuple[Attempt, ...]
    notices: tuple[NoticeTaken, ...]
    refunds: tuple[Refund, ...]
    postings: tuple[PostingLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _SaleEvent(Event):
    sale_id: int
    station_id: int
    nozzle_id: int

    @property
    def key(self) -> str:
        return f"sale:{self.sale_id}"

    @property
    def headers(self) -> dict[str, str]:
        return {"operator": str(self.operator_id), "station": str(self.station_id)}


@dataclass(frozen=True, slots=True, kw_only=True)
class SaleOpened(_SaleEvent):
    topic: ClassVar[str] = "sales.sale.opened"
    due_fen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SaleChanged(_SaleEvent):
    """Its state moved without being paid: asked of a channel, open again, voided, refunded."""

    topic: ClassVar[str] = "sales.sale.changed"
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SalePaid(_SaleEvent):
    topic: ClassVar[str] = "sales.sale.paid"
    paid_fen: int
    tenders: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorisationGranted(Event):
    topic: ClassVar[str] = "sales.authorisation.granted"
    authorisation_id: int
    station_id: int
    nozzle_id: int

    @property
    def key(self) -> str:
        return f"nozzle:{self.nozzle_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorisationEnded(Event):
    topic: ClassVar[str] = "sales.authorisation.ended"
    authorisation_id: int
    station_id: int
    nozzle_id: int
    state: str

    @property
    def key(self) -> str:
        return f"nozzle:{self.nozzle_id}"
