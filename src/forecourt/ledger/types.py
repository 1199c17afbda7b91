"""Words of the book. Amounts are fen, above zero; the side says which way."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NewType

from forecourt.core.actor import Permission

AccountId = NewType("AccountId", int)
TransferId = NewType("TransferId", int)
HoldId = NewType("HoldId", int)

LEDGER_READ = Permission("ledger:read")


class Side(StrEnum):
    DEBIT = "debit"
    CREDIT = "credit"


class Purpose(StrEnum):
    """What an account is for; its owner is the number beside it (station, member, …; 0 = the operator)."""

    CHANNEL_RECEIVABLE = "channel_receivable"  # Owner: merchant at a channel (hash of provider and number).
    CASH_ON_HAND = "cash_on_hand"  # Owner: station.
    RECEIPTS_UNALLOCATED = "receipts_unallocated"  # Owner: station. Money in, its sale not settled yet.
    OPERATOR_PAYABLE = "operator_payable"  # Owner: station. What the station has sold.
    WALLET_PRINCIPAL = "wallet_principal"  # Owner: member. Floor 0.
    WALLET_BONUS = "wallet_bonus"  # Owner: member. Floor 0; never withdrawn.
    BONUS_COST = "bonus_cost"  # Owner: campaign, 0 = none.
    SUSPENSE_OVER = "suspense_over"  # Owner: merchant. Money nobody owed us.
    REFUND_IN_TRANSIT = "refund_in_transit"  # Owner: merchant.


class Kind(StrEnum):
    """Why money moved."""

    TOPUP = "topup"
    WALLET_SPENT = "wallet_spent"
    WALLET_REFUNDED = "wallet_refunded"
    CASH_TAKEN = "cash_taken"
    CASH_REFUNDED = "cash_refunded"
    CHANNEL_RECEIVED = "channel_received"
    RECEIPT_ALLOCATED = "receipt_allocated"
    RECEIPT_SUSPENDED = "receipt_suspended"
    REFUND_OPENED = "refund_opened"
    REFUND_CONFIRMED = "refund_confirmed"


class LotKind(StrEnum):
    PRINCIPAL = "principal"
    BONUS = "bonus"


class DrawPolicy(StrEnum):
    """How a wallet is drawn; stored on every transfer, so that a refund can go back the same way."""

    BONUS_FIRST = "bonus_first"
    PRINCIPAL_FIRST = "principal_first"
    PROPORTIONAL = "proportional"


class HoldState(StrEnum):
    HELD = "held"
    POSTED = "posted"
    VOIDED = "voided"
    EXPIRED = "expired"


NORMAL_SIDE: dict[Purpose, Side] = {
    Purpose.CHANNEL_RECEIVABLE: Side.DEBIT,
    Purpose.CASH_ON_HAND: Side.DEBIT,
    Purpose.RECEIPTS_UNALLOCATED: Side.CREDIT,
    Purpose.OPERATOR_PAYABLE: Side.CREDIT,
    Purpose.WALLET_PRINCIPAL: Side.CREDIT,
    Purpose.WALLET_BONUS: Side.CREDIT,
    Purpose.BONUS_COST: Side.DEBIT,
    Purpose.SUSPENSE_OVER: Side.CREDIT,
    Purpose.REFUND_IN_TRANSIT: Side.CREDIT,
}

FLOORED = frozenset({Purpose.WALLET_PRINCIPAL, Purpose.WALLET_BONUS})


@lru_cache(maxsize=65_536)
def _account_id(operator_id: int, purpose: Purpose, owner: int) -> AccountId:
    name = f"{operator_id}/{purpose.value}/{owner}".encode()
    return AccountId(int.from_bytes(blake2b(name, digest_size=8).digest(), "big") >> 1)


@dataclass(frozen=True, slots=True)
class Account:
    """Names one account. Its number follows from its name, so nobody has to look it up."""

    operator_id: int
    purpose: Purpose
    owner: int = 0

    @property
    def id(self) -> AccountId:
        return _account_id(self.operator_id, self.purpose, self.owner)

    @property
    def has_floor(self) -> bool:
        return self.purpose in FLOORED


def merchant_owner(provider: str, merchant: str) -> int:
    """The owner number of a merchant's accounts."""
    return int.from_bytes(blake2b(f"{provider}/{merchant}".encode(), digest_size=8).digest(), "big") >> 1


@dataclass(frozen=True, slots=True)
class Leg:
    account: Account
    side: Side
    amount_fen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """A movement whose legs are known. (operator, kind, reference) happens once; again is the same one."""

    operator_id: int
    kind: Kind
    reference: str
    legs: tuple[Leg, ...]
    memo: dict[str, Any] = field(default_factory=dict)
    reversal_of: TransferId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """Take money out of a member's wallet; which lots it comes from is decided under the lock.

    With `hold_reference` the money was set aside before: what is not drawn of it becomes free again.
    """

    operator_id: int
    reference: str
    member_id: int
    amount_fen: int
    credit: Account
    policy: DrawPolicy = DrawPolicy.BONUS_FIRST
    hold_reference: str | None = None
    memo: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Topup:
    """Fill a wallet: principal that was paid, and bonus that the operator gives, in lots of their own."""

    operator_id: int
    reference: str
    member_id: int
    principal_fen: int
    bonus_fen: int
    debit: Account
    campaign: int = 0
    bonus_expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveBack:
    """Refund part of a wallet spend to the lots it came from, in the proportion it was drawn."""

    operator_id: int
    reference: str
    spent_reference: str  # Of the `Draw` that is undone.
    member_id: int
    amount_fen: int
    debit: Account


Movement = Transfer | Draw | Topup | GiveBack


@dataclass(frozen=True, slots=True)
class LotPart:
    """So much of one lot."""

    lot_id: int
    kind: LotKind
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Lot:
    id: int
    kind: LotKind
    remaining_fen: int
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Wallet:
    """What a member has. `available_fen` is what may be spent now."""

    principal_fen: int
    bonus_fen: int
    held_fen: int

    @property
    def available_fen(self) -> int:
        return self.principal_fen + self.bonus_fen - self.held_fen


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """What a movement became. `replayed` when it had happened before."""

    transfer_id: TransferId
    replayed: bool = False
    parts: tuple[LotPart, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PostingLine:
    """One leg as booked, for statements and timelines."""

    transfer_id: int
    kind: Kind
    reference: str
    at: datetime
    purpose: Purpose
    owner: int
    side: Side
    amount_fen: int
