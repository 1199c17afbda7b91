from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from forecourt.core.db import Big, Code, Json, Key, Model, Text, UtcTime
from forecourt.payments.types import PaymentPurpose, PaymentState, Product, RefundState, Tender


class PaymentRow(Model):
    __tablename__ = "payment"
    __table_args__ = (
        CheckConstraint("amount_fen > 0", name="positive"),
        CheckConstraint("refunded_fen >= 0 AND refunded_fen <= paid_fen", name="not_over_refunded"),
        CheckConstraint("allocated_fen >= 0 AND allocated_fen <= paid_fen", name="not_over_allocated"),
        Index("ix_payment_operator_created", "operator_id", "created_at"),
    )

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())
    station_id: Mapped[int] = mapped_column(Big())
    purpose: Mapped[PaymentPurpose] = mapped_column(Code(PaymentPurpose))
    tender: Mapped[Tender] = mapped_column(Code(Tender))
    product: Mapped[Product | None] = mapped_column(Code(Product))
    merchant: Mapped[str | None] = mapped_column(Key(64))
    member_id: Mapped[int | None] = mapped_column(Big())
    amount_fen: Mapped[int] = mapped_column(Big())
    paid_fen: Mapped[int] = mapped_column(Big())
    allocated_fen: Mapped[int] = mapped_column(Big())
    refunded_fen: Mapped[int] = mapped_column(Big())  # Set aside for refunds, sent or not.
    state: Mapped[PaymentState] = mapped_column(Code(PaymentState))
    created_by: Mapped[str] = mapped_column(Key(120))
    created_at: Mapped[datetime] = mapped_column(UtcTime())
    expires_at: Mapped[datetime | None] = mapped_column(UtcTime())
    paid_at: Mapped[datetime | None] = mapped_column(UtcTime())


class AttemptRow(Model):
    """One order at a channel. Its number never changes; asking again asks about the same order."""

    __tablename__ = "payment_attempt"
    __table_args__ = (
        UniqueConstraint("provider", "merchant", "out_trade_no"),
        Index("ix_payment_attempt_due", "next_ask_at"),
    )

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    payment_id: Mapped[int] = mapped_column(Big(), index=True)
    operator_id: Mapped[int] = mapped_column(Big())
    provider: Mapped[Tender] = mapped_column(Code(Tender))
    merchant: Mapped[str] = mapped_column(Key(64))
    product: Mapped[Product] = mapped_column(Code(Product))
    out_trade_no: Mapped[str] = mapped_column(Key(32))
    amount_fen: Mapped[int] = mapped_column(Big())
    state: Mapped[PaymentState] = mapped_column(Code(PaymentState))
    qr: Mapped[str | None] = mapped_column(Key(512))
    channel_no: Mapped[str | None] = mapped_column(Key(64))
    last_code: Mapped[str] = mapped_column(Key(80))
    last_message: Mapped[str] = mapped_column(Text(300))
    created_at: Mapped[datetime] = mapped_column(UtcTime())
    expires_at: Mapped[datetime] = mapped_column(UtcTime())
    ended_at: Mapped[datetime | None] = mapped_column(UtcTime())
    ending: Mapped[int] = mapped_column(Big())  # 1: to be ended at the channel; 2: a reverse was decided on.
    asked: Mapped[int] = mapped_column(Big())
    next_ask_at: Mapped[datetime | None] = mapped_column(UtcTime())  # Empty: nothing to ask.
    lease_owner: Mapped[str | None] = mapped_column(Key(80))
    lease_until: Mapped[datetime | None] = mapped_column(UtcTime())
    tries: Mapped[int] = mapped_column(Big())


class AllocationRow(Model):
    """So much of a payment settles so much of a sale; many to many."""

    __tablename__ = "payment_allocation"
    __table_args__ = (
        CheckConstraint("amount_fen > 0", name="positive"),
        Index("ix_payment_allocation_sale", "sale_id"),
    )

    payment_id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    sale_id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())
    amount_fen: Mapped[int] = mapped_column(Big())
    settled: Mapped[int] = mapped_column(Big())  # 0: meant for this sale; 1: booked to it.
    created_at: Mapped[datetime] = mapped_column(UtcTime())


class RefundRow(Model):
    __tablename__ = "payment_refund"
    __table_args__ = (
        UniqueConstraint("operator_id", "out_refund_no"),
        CheckConstraint("amount_fen > 0", name="positive"),
        Index("ix_payment_refund_due", "next_ask_at"),
    )

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())
    station_id: Mapped[int] = mapped_column(Big())
    payment_id: Mapped[int] = mapped_column(Big(), index=True)
    sale_id: Mapped[int | None] = mapped_column(Big(), index=True)
    attempt_id: Mapped[int | None] = mapped_column(Big())
    out_refund_no: Mapped[str] = mapped_column(Key(64))
    amount_fen: Mapped[int] = mapped_column(Big())
    reason: Mapped[str] = mapped_column(Text(200))
    state: Mapped[RefundState] = mapped_column(Code(RefundState))
    channel_no: Mapped[str | None] = mapped_column(Key(64))
    last_code: Mapped[str] = mapped_column(Key(80))
    last_message: Mapped[str] = mapped_column(Text(300))
    created_by: Mapped[str] = mapped_column(Key(120))
    created_at: Mapped[datetime] = mapped_column(UtcTime())
    ended_at: Mapped[datetime | None] = mapped_column(UtcTime())
    asked: Mapped[int] = mapped_column(Big())
    next_ask_at: Mapped[datetime | None] = mapped_column(UtcTime())
    lease_owner: Mapped[str | None] = mapped_column(Key(80))
    lease_until: Mapped[datetime | None] = mapped_column(UtcTime())
    tries: Mapped[int] = mapped_column(Big())


class NoticeRow(Model):
    """A channel's notification, kept as evidence; told twice, it has one effect."""

    __tablename__ = "payment_notice"
    __table_args__ = (UniqueConstraint("provider", "notice_id"),)

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    provider: Mapped[Tender] = mapped_column(Code(Tender))
    merchant: Mapped[str] = mapped_column(Key(64))
    notice_id: Mapped[str] = mapped_column(Key(80))
    operator_id: Mapped[int] = mapped_column(Big())
    payment_id: Mapped[int | None] = mapped_column(Big(), index=True)
    effect: Mapped[str] = mapped_column(Key(40))
    body: Mapped[dict[str, Any]] = mapped_column(Json())
    received_at: Mapped[datetime] = mapped_column(UtcTime())
    claim: Mapped[int] = mapped_column(Big(), index=True)
