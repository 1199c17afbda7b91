"""What a payment is, what a channel must do, and what is told to the rest of the house."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, NewType, Protocol

from forecourt.core.actor import Permission
from forecourt.core.event import Event
from forecourt_kit.clock import rfc3339
from forecourt_kit.ids import to_public

PaymentId = NewType("PaymentId", int)
AttemptId = NewType("AttemptId", int)
RefundId = NewType("RefundId", int)

PAYMENTS_READ = Permission("payments:read")
PAYMENTS_TAKE = Permission("payments:take")
PAYMENTS_REFUND = Permission("payments:refund")
PAYMENTS_TOP_UP = Permission("payments:top-up")
PAYMENTS_AT_DEVICE = Permission("payments:at-device")  # A terminal: the payments of its own station.


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


LIVE = frozenset(
    {PaymentState.CREATED, PaymentState.PENDING, PaymentState.UNKNOWN}
)  # Its end is not known yet.
PAID_STATES = frozenset({PaymentState.PAID, PaymentState.PAID_LATE})


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
    """Wrong signature, age, serial or content. Answered with the channel's own failure."""

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
        """End a code payment for good (撤销): CLOSED (money goes back), PENDING or UNKNOWN: again."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """How long each step of an asked payment waits. Settings give them; the values are WeChat's advice."""

    native_expires_s: int = 300
    native_ask_every_s: int = 10
    code_ask_every_s: int = 5
    code_reverse_after_s: int = 45  # Never sooner than 15 s after the charge, says the channel.
    unknown_ask_every_s: int = 10
    unknown_ask_every_max_s: int = 60
    refund_ask_every_s: int = 15
    lease_s: int = 60  # Longer than a channel call may take, so that one order is asked by one worker.

    @classmethod
    def every(cls, ask_every_s: int, native_expires_s: int, code_reverse_after_s: int) -> "Waits":
        """The waits that the settings give."""
        return cls(
            native_expires_s=native_expires_s,
            native_ask_every_s=ask_every_s,
            code_ask_every_s=ask_every_s,
            code_reverse_after_s=code_reverse_after_s,
            unknown_ask_every_s=ask_every_s,
            refund_ask_every_s=ask_every_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    id: PaymentId
    operator_id: int
    station_id: int
    purpose: PaymentPurpose
    tender: Tender
    product: Product | None
    merchant: str | None
    member_id: int | None
    amount_fen: int
    paid_fen: int
    allocated_fen: int
    refunded_fen: int
    state: PaymentState
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    paid_at: datetime | None

    @property
    def free_fen(self) -> int:
        """Money that came in and neither settles a sale nor goes back."""
        return self.paid_fen - self.allocated_fen - self.refunded_fen


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentView:
    """A payment as the outside sees it; what the payer scans is there only while it can be paid."""

    id: PaymentId
    state: PaymentState
    tender: Tender
    product: Product | None
    amount_fen: int
    paid_fen: int
    refunded_fen: int
    sale_ids: tuple[int, ...]
    qr_text: str | None
    qr_svg: str | None
    expires_at: datetime | None
    created_at: datetime
    paid_at: datetime | None

    def as_json(self) -> dict[str, object]:
        """Public ids and RFC 3339 times: the form on every interface."""
        return {
            "id": to_public(self.id),
            "state": self.state.value,
            "tender": self.tender.value,
            "product": None if self.product is None else self.product.value,
            "amount_fen": self.amount_fen,
            "paid_fen": self.paid_fen,
            "refunded_fen": self.refunded_fen,
            "sale_ids": [to_public(each) for each in self.sale_ids],
            "qr_text": self.qr_text,
            "qr_svg": self.qr_svg,
            "expires_at": None if self.expires_at is None else rfc3339(self.expires_at),
            "created_at": rfc3339(self.created_at),
            "paid_at": None if self.paid_at is None else rfc3339(self.paid_at),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    id: AttemptId
    payment_id: PaymentId
    operator_id: int
    provider: Tender
    merchant: str
    product: Product
    out_trade_no: str
    amount_fen: int
    state: PaymentState
    qr: str | None
    channel_no: str | None
    last_code: str
    last_message: str
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    ending: bool
    reversing: (
        bool  # A reverse was decided on: whatever is paid now goes back, so no success counts any more.
    )
    asked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    id: RefundId
    operator_id: int
    station_id: int
    payment_id: PaymentId
    sale_id: int | None
    out_refund_no: str
    amount_fen: int
    reason: str
    state: RefundState
    last_code: str
    last_message: str
    created_by: str
    created_at: datetime
    ended_at: datetime | None
    asked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeTaken:
    """A notification as kept: what it did when it came."""

    payment_id: int
    effect: str
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBooked:
    """A booked payment that settles one sale, at once. `payment_id` is made by the caller."""

    payment_id: PaymentId
    operator_id: int
    station_id: int
    sale_id: int
    tender: Tender
    amount_fen: int
    member_id: int | None
    created_by: str
    hold_reference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAsked:
    """A payment to be asked of a channel. `sale_id` is what it is meant for, if anything yet."""

    payment_id: PaymentId
    operator_id: int
    station_id: int
    purpose: PaymentPurpose
    tender: Tender
    product: Product
    merchant: str
    amount_fen: int
    created_by: str
    sale_id: int | None = None
    member_id: int | None = None


class ChannelDirectory(Protocol):
    """Which merchant an operator has at which channel. The process wires it."""

    def find(self, operator_id: int, provider: Tender) -> Channel | None: ...

    def by_merchant(self, provider: Tender, merchant: str) -> tuple[int, Channel] | None:
        """(operator, channel) of a merchant number, for notifications."""
        ...

    def notify_url(self, provider: Tender, merchant: str) -> str: ...
