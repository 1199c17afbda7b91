"""What a payment is, what a channel must do, and what is told to the rest of the house."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, NewType, Protocol

from forecourt.core.actor import Permission
from forecourt.core.event import Event

PaymentId = NewType("PaymentId", int)
AttemptId = NewType("AttemptId", int)
RefundId = NewType("RefundId", int)

PAYMENTS_READ = Permission("payments:read")
PAYMENTS_TAKE = Permission("payments:take")
PAYMENTS_REFUND = Permission("payments:refund")


class Tender(StrEnum):
    """How money arrives. Booked tenders settle in one transaction; asked ones take three beats."""

    WALLET = "wallet"
    CASH = "cash"
    WECHAT = "wechat"


BOOKED = frozenset({Tender.WALLET, Tender.CASH})


class Product(StrEnum):
    """The form in which a channel is asked."""

    NATIVE = "native"  # The payer scans our QR.
    CODE = "code"  # We scan the payer's code (付款码).


class PaymentPurpose(StrEnum):
    SALE = "sale"  # Post-pay: the sale exists.
    PREPAY = "prepay"  # Paid before flow; allocated to the sale when the fill ends, the rest refunded.
    TOPUP = "topup"  # A member's wallet is filled.


class PaymentState(StrEnum):
    CREATED = "created"  # The intent is committed; nothing was asked yet.
    PENDING = "pending"  # The channel knows it; the payer has not paid.
    UNKNOWN = "unknown"  # No clear answer; asked again until there is one.
    PAID = "paid"
    CLOSED = "closed"  # Ended without money.
    PAID_LATE = "paid_late"  # Money came after the end; it goes to suspense and is refunded by itself.
    FAILED = "failed"


class RefundState(StrEnum):
    OPEN = "open"  # Money is set aside; the channel was not asked or has not answered.
    SUCCEEDED = "succeeded"
    ABNORMAL = "abnormal"  # The channel could not give the money back; a person must act.


class Outcome(StrEnum):
    """What a channel's answer means (one table for all channels)."""

    PAID = "paid"
    PENDING = "pending"
    UNKNOWN = "unknown"
    CLOSED = "closed"
    FAILED = "failed"  # A final no.
    NOT_FOUND = "not_found"  # The channel has never heard of this number.


class RefundOutcome(StrEnum):
    SUCCEEDED = "succeeded"
    PENDING = "pending"
    UNKNOWN = "unknown"
    ABNORMAL = "abnormal"
    REFUSED = "refused"  # A final no; nothing will be given back under this number.
    NOT_FOUND = "not_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a channel is asked to collect. `out_trade_no` is the same on every try, for ever."""

    out_trade_no: str  # 6..32 of [0-9A-Za-z_-], ours, unique per merchant.
    amount_fen: int
    description: str
    expires_at: datetime
    notify_url: str
    payer_code: str | None = field(default=None, repr=False)  # Product.CODE only; never logged or stored.
    station_name: str = ""
    terminal_ip: str = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A channel's word about one order, verified. Amounts and ids are the channel's own."""

    outcome: Outcome
    out_trade_no: str
    channel_no: str | None = None  # The channel's transaction number.
    amount_fen: int | None = None
    paid_at: datetime | None = None
    payer: str | None = None
    qr: str | None = None  # Product.NATIVE: what the payer scans.
    code: str = ""  # The channel's error code, for people.
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundOrder:
    out_refund_no: str
    out_trade_no: str
    amount_fen: int
    paid_fen: int
    reason: str
    notify_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundAnswer:
    outcome: RefundOutcome
    out_refund_no: str
    channel_no: str | None = None
    amount_fen: int | None = None
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A verified, decrypted notification. Exactly one of `payment` and `refund` is set."""

    notice_id: str  # The channel's own id of this notification.
    merchant: str  # Checked against the attempt's merchant before anything is believed.
    payment: Answer | None = None
    refund: RefundAnswer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeReply:
    """What the channel wants to hear, byte for byte."""

    status: int
    body: bytes
    content_type: str = "application/json"


class ForgedNotice(Exception):
    """The notification's signature, age, serial or content is wrong. Answered as the channel's own failure."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Channel(Protocol):
    """One merchant at one payment channel. Every method asks the network; none raises for a channel's
    refusal or silence: time-outs, 5xx and unreadable answers come back as `UNKNOWN`.

    Implementations live in `channels/<provider>/`; `payments.flows` is their only caller.
    """

    provider: Tender
    merchant: str

    async def create(self, order: Order) -> Answer:
        """Place a native order; PENDING with `qr`, or PAID/CLOSED/FAILED/UNKNOWN."""
        ...

    async def charge_code(self, order: Order) -> Answer:
        """Charge the payer's code (付款码); PAID, PENDING (the payer types a PIN), FAILED, UNKNOWN."""
        ...

    async def query(self, out_trade_no: str) -> Answer: ...

    async def close(self, out_trade_no: str) -> Answer:
        """End an unpaid order; CLOSED, or PAID when the payer was faster, or UNKNOWN."""
        ...

    async def reverse(self, out_trade_no: str) -> Answer:
        """End a code payment for good (撤销): CLOSED (money, if any, goes back), PENDING/UNKNOWN: call again."""
        ...

    async def refund(self, order: RefundOrder) -> RefundAnswer: ...

    async def query_refund(self, out_refund_no: str) -> RefundAnswer: ...

    def read_notice(self, headers: Mapping[str, str], body: bytes) -> Notice:
        """Verify and decrypt. Raises `ForgedNotice`."""
        ...

    def accept_notice(self) -> NoticeReply: ...

    def refuse_notice(self, reason: str) -> NoticeReply: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentSucceeded(Event):
    topic: ClassVar[str] = "payments.payment.succeeded"
    payment_id: int
    purpose: str
    tender: str
    amount_fen: int
    station_id: int

    @property
    def key(self) -> str:
        return f"payment:{self.payment_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentEnded(Event):
    """Ended without money: closed or failed."""

    topic: ClassVar[str] = "payments.payment.ended"
    payment_id: int
    state: str
    station_id: int

    @property
    def key(self) -> str:
        return f"payment:{self.payment_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundSettled(Event):
    topic: ClassVar[str] = "payments.refund.settled"
    refund_id: int
    payment_id: int
    amount_fen: int
    state: str
    station_id: int

    @property
    def key(self) -> str:
        return f"payment:{self.payment_id}"
