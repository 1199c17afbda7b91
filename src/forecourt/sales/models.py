from datetime import datetime

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from forecourt.core.db import Big, Code, Json, Key, Model, UtcTime
from forecourt.sales.types import AuthorisationKind, AuthorisationState, SaleState
from forecourt_kit.price import AmountSource, PresetKind
from forecourt_kit.quantity import Unit


class SaleRow(Model):
    __tablename__ = "sale"
    __table_args__ = (
        UniqueConstraint("delivery_id"),
        CheckConstraint("due_fen = gross_fen - discount_fen", name="due"),
        CheckConstraint("paid_fen >= 0 AND paid_fen <= due_fen", name="not_over_paid"),
        CheckConstraint("refunded_fen >= 0 AND refunded_fen <= paid_fen", name="not_over_refunded"),
        Index("ix_sale_operator_id", "operator_id", "id"),
        Index("ix_sale_station_state", "station_id", "state"),
    )

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())
    station_id: Mapped[int] = mapped_column(Big())
    nozzle_id: Mapped[int] = mapped_column(Big())
    nozzle_number: Mapped[int] = mapped_column(Big())
    delivery_id: Mapped[int] = mapped_column(Big())
    product_id: Mapped[int] = mapped_column(Big())
    business_date: Mapped[str] = mapped_column(Key(10))
    unit: Mapped[Unit] = mapped_column(Code(Unit))
    quantity_e4: Mapped[int] = mapped_column(Big())
    price_id: Mapped[int | None] = mapped_column(Big())
    unit_price_e4: Mapped[int] = mapped_column(Big())
    gross_fen: Mapped[int] = mapped_column(Big())
    discount_fen: Mapped[int] = mapped_column(Big())
    due_fen: Mapped[int] = mapped_column(Big())
    paid_fen: Mapped[int] = mapped_column(Big())
    refunded_fen: Mapped[int] = mapped_column(Big())
    amount_source: Mapped[AmountSource] = mapped_column(Code(AmountSource))
    state: Mapped[SaleState] = mapped_column(Code(SaleState))
    marks: Mapped[list[str]] = mapped_column(Json())
    marked: Mapped[int] = mapped_column(Big())  # 1 when there are marks: a person's queue is an index away.
    tenders: Mapped[str] = mapped_column(Key(80))  # Space-separated, in order of payment.
    authorisation_id: Mapped[int | None] = mapped_column(Big())
    opened_at: Mapped[datetime] = mapped_column(UtcTime())
    paid_at: Mapped[datetime | None] = mapped_column(UtcTime())
    claim: Mapped[int] = mapped_column(Big(), index=True)


class AuthorisationRow(Model):
    __tablename__ = "authorisation"
    __table_args__ = (
        CheckConstraint("limit_fen > 0", name="positive"),
        Index("ix_authorisation_nozzle_state", "nozzle_id", "state"),
        Index("ix_authorisation_state_expires", "state", "expires_at"),
        Index("ix_authorisation_payment", "payment_id"),
    )

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())
    station_id: Mapped[int] = mapped_column(Big())
    nozzle_id: Mapped[int] = mapped_column(Big())
    nozzle_number: Mapped[int] = mapped_column(Big())
    kind: Mapped[AuthorisationKind] = mapped_column(Code(AuthorisationKind))
    state: Mapped[AuthorisationState] = mapped_column(Code(AuthorisationState))
    member_id: Mapped[int | None] = mapped_column(Big())
    payment_id: Mapped[int | None] = mapped_column(Big())
    limit_fen: Mapped[int] = mapped_column(Big())
    preset_kind: Mapped[PresetKind] = mapped_column(Code(PresetKind))
    preset_value: Mapped[int] = mapped_column(Big())
    unit_price_e4: Mapped[int] = mapped_column(Big())
    expires_at: Mapped[datetime] = mapped_column(UtcTime())
    created_at: Mapped[datetime] = mapped_column(UtcTime())
    created_by: Mapped[str] = mapped_column(Key(120))
