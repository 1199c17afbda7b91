from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from forecourt.core.db import Big, Code, Json, Key, Model, UtcTime
from forecourt.ledger.types import HoldState, Kind, LotKind, Purpose, Side


class AccountRow(Model):
    __tablename__ = "ledger_account"

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big(), index=True)
    purpose: Mapped[Purpose] = mapped_column(Code(Purpose))
    owner: Mapped[int] = mapped_column(Big())
    claim: Mapped[int] = mapped_column(Big())


class BalanceRow(Model):
    """Only accounts with a floor have one: a shared row would make every sale wait for every other."""

    __tablename__ = "ledger_balance"
    __table_args__ = (
        CheckConstraint("balance_fen >= 0", name="floor"),
        CheckConstraint("held_fen >= 0", name="held"),
    )

    account_id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())
    balance_fen: Mapped[int] = mapped_column(Big())
    held_fen: Mapped[int] = mapped_column(Big())
    claim: Mapped[int] = mapped_column(Big())


class LotRow(Model):
    __tablename__ = "ledger_lot"
    __table_args__ = (
        CheckConstraint("remaining_fen >= 0 AND remaining_fen <= amount_fen", name="remaining"),
        Index("ix_ledger_lot_account", "account_id", "remaining_fen"),
    )

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    account_id: Mapped[int] = mapped_column(Big())
    operator_id: Mapped[int] = mapped_column(Big())
    kind: Mapped[LotKind] = mapped_column(Code(LotKind))
    campaign: Mapped[int] = mapped_column(Big())
    amount_fen: Mapped[int] = mapped_column(Big())
    remaining_fen: Mapped[int] = mapped_column(Big())
    expires_at: Mapped[datetime | None] = mapped_column(UtcTime())
    created_at: Mapped[datetime] = mapped_column(UtcTime())


class TransferRow(Model):
    __tablename__ = "ledger_transfer"
    __table_args__ = (
        UniqueConstraint("operator_id", "kind", "reference"),
        Index("ix_ledger_transfer_unsealed", "seal_sequence", "operator_id"),
    )

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())
    kind: Mapped[Kind] = mapped_column(Code(Kind))
    reference: Mapped[str] = mapped_column(Key(80))
    effective_at: Mapped[datetime] = mapped_column(UtcTime())
    reversal_of: Mapped[int | None] = mapped_column(Big(), index=True)
    memo: Mapped[dict[str, Any]] = mapped_column(Json())
    seal_sequence: Mapped[int | None] = mapped_column(Big())  # Set by the sealer, seconds later.


class PostingRow(Model):
    __tablename__ = "ledger_posting"
    __table_args__ = (
        CheckConstraint("amount_fen > 0", name="positive"),
        Index("ix_ledger_posting_account", "account_id", "transfer_id"),
    )

    transfer_id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    leg: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())
    account_id: Mapped[int] = mapped_column(Big())
    side: Mapped[Side] = mapped_column(Code(Side))
    amount_fen: Mapped[int] = mapped_column(Big())


class HoldRow(Model):
    __tablename__ = "ledger_hold"
    __table_args__ = (
        UniqueConstraint("operator_id", "reference"),
        CheckConstraint("amount_fen > 0", name="positive"),
        Index("ix_ledger_hold_state", "state", "expires_at"),
    )

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())
    member_id: Mapped[int] = mapped_column(Big())
    reference: Mapped[str] = mapped_column(Key(80))
    amount_fen: Mapped[int] = mapped_column(Big())
    state: Mapped[HoldState] = mapped_column(Code(HoldState))
    expires_at: Mapped[datetime] = mapped_column(UtcTime())
    created_at: Mapped[datetime] = mapped_column(UtcTime())


class SealRow(Model):
    """A link of the chain over one operator's transfers."""

    __tablename__ = "ledger_seal"

    operator_id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    sequence: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    transfers: Mapped[int] = mapped_column(Big())
    hash: Mapped[str] = mapped_column(Key(64))
    previous: Mapped[str] = mapped_column(Key(64))
    sealed_at: Mapped[datetime] = mapped_column(UtcTime())
