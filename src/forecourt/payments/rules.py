"""The payment's state table, the next step of an order, and which legs a movement of money has."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from forecourt.ledger.types import Account, Kind, Leg, Purpose, Side, Transfer, merchant_owner
from forecourt.payments.types import (
    LIVE,
    Attempt,
    Outcome,
    PaymentState,
    Product,
    RefundOutcome,
    RefundState,
    Tender,
    Waits,
)

_S, _O = PaymentState, Outcome
PAYMENT_TRANSITIONS: dict[tuple[PaymentState, Outcome], PaymentState] = {
    **{
        (state, outcome): after
        for state in (_S.CREATED, _S.PENDING, _S.UNKNOWN)
        for outcome, after in {
            _O.PENDING: _S.PENDING,
            _O.UNKNOWN: _S.UNKNOWN,
            _O.PAID: _S.PAID,
            _O.CLOSED: _S.CLOSED,
            _O.FAILED: _S.FAILED,
        }.items()
    },
    # The channel has never heard of the order: it is asked for again, or ended; until then nothing is known.
    (_S.CREATED, _O.NOT_FOUND): _S.CREATED,
    (_S.PENDING, _O.NOT_FOUND): _S.UNKNOWN,
    (_S.UNKNOWN, _O.NOT_FOUND): _S.UNKNOWN,
    # Money after the end is kept apart and goes back by itself. Success is never taken back later.
    (_S.CLOSED, _O.PAID): _S.PAID_LATE,
    (_S.FAILED, _O.PAID): _S.PAID_LATE,
}

REVERSE_NOT_BEFORE = timedelta(seconds=15)  # After the charge; the channel advises so.


def after(attempt: Attempt, outcome: Outcome) -> PaymentState:
    """Where an answer brings an order; where it is, when the answer tells nothing new.

    Once a reverse was decided on, money that came in meanwhile is on its way back, or will be by another
    reverse: nothing is known until the channel says that the order has ended.
    """
    if attempt.reversing and outcome is _O.PAID:
        return _S.UNKNOWN
    return PAYMENT_TRANSITIONS.get((attempt.state, outcome), attempt.state)


REFUND_TRANSITIONS: dict[tuple[RefundState, RefundOutcome], RefundState] = {
    (RefundState.OPEN, RefundOutcome.SUCCEEDED): RefundState.SUCCEEDED,
    (RefundState.OPEN, RefundOutcome.ABNORMAL): RefundState.ABNORMAL,
    (RefundState.OPEN, RefundOutcome.REFUSED): RefundState.ABNORMAL,
    (RefundState.OPEN, RefundOutcome.PENDING): RefundState.OPEN,
    (RefundState.OPEN, RefundOutcome.UNKNOWN): RefundState.OPEN,
    (RefundState.OPEN, RefundOutcome.NOT_FOUND): RefundState.OPEN,
    (RefundState.ABNORMAL, RefundOutcome.SUCCEEDED): RefundState.SUCCEEDED,
}


class Step(StrEnum):
    """What to ask a channel about an order next."""

    CREATE = "create"
    QUERY = "query"
    CLOSE = "close"
    REVERSE = "reverse"
    NOTHING = "nothing"


def next_step(attempt: Attempt, now: datetime, waits: Waits) -> Step:
    """The next question about an order: ask until its time is over, then end it at the channel."""
    if attempt.state not in LIVE:
        return Step.NOTHING
    if attempt.product is Product.CODE:
        return Step.REVERSE if now >= _reversed_at(attempt, waits) else Step.QUERY
    if attempt.ending or now >= attempt.expires_at:
        return Step.CLOSE
    if attempt.state is _S.CREATED or (attempt.state is _S.UNKNOWN and attempt.qr is None):
        return Step.CREATE  # The same number again: the channel answers as the first time.
    return Step.QUERY


def _reversed_at(attempt: Attempt, waits: Waits) -> datetime:
    """From when on a code payment is reversed instead of asked about."""
    patience = timedelta(seconds=0 if attempt.ending else waits.code_reverse_after_s)
    return attempt.created_at + max(REVERSE_NOT_BEFORE, patience)


def next_ask(attempt: Attempt, state: PaymentState, now: datetime, waits: Waits) -> datetime | None:
    """When to ask again; None when there is nothing to ask."""
    if state not in LIVE:
        return None
    if state is _S.UNKNOWN:
        pause = min(waits.unknown_ask_every_s * 2 ** min(attempt.asked, 6), waits.unknown_ask_every_max_s)
    elif attempt.product is Product.CODE:
        pause = waits.code_ask_every_s
    else:
        pause = waits.native_ask_every_s
    at = now + timedelta(seconds=pause)
    if attempt.product is Product.CODE:
        turn = _reversed_at(attempt, waits)
    elif attempt.ending:
        return at
    else:
        turn = attempt.expires_at
    return min(at, turn) if now < turn else at


@dataclass(frozen=True, slots=True)
class Accounts:
    """The accounts of one payment."""

    operator_id: int
    station_id: int
    provider: Tender
    merchant: str

    @property
    def receivable(self) -> Account:
        owner = merchant_owner(self.provider, self.merchant)
        return Account(self.operator_id, Purpose.CHANNEL_RECEIVABLE, owner)

    @property
    def unallocated(self) -> Account:
        return Account(self.operator_id, Purpose.RECEIPTS_UNALLOCATED, self.station_id)

    @property
    def payable(self) -> Account:
        return Account(self.operator_id, Purpose.OPERATOR_PAYABLE, self.station_id)

    @property
    def suspense(self) -> Account:
        return Account(self.operator_id, Purpose.SUSPENSE_OVER, merchant_owner(self.provider, self.merchant))

    @property
    def in_transit(self) -> Account:
        return Account(
            self.operator_id, Purpose.REFUND_IN_TRANSIT, merchant_owner(self.provider, self.merchant)
        )

    @property
    def cash(self) -> Account:
        return Account(self.operator_id, Purpose.CASH_ON_HAND, self.station_id)


def move(
    kind: Kind, reference: str, debit: Account, credit: Account, amount_fen: int, **memo: object
) -> Transfer:
    """A transfer with two legs."""
    return Transfer(
        operator_id=debit.operator_id,
        kind=kind,
        reference=reference,
        legs=(Leg(debit, Side.DEBIT, amount_fen), Leg(credit, Side.CREDIT, amount_fen)),
        memo=memo,
    )
