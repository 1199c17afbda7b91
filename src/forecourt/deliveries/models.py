from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from forecourt.core.db import Big, Code, Json, Key, Model, UtcTime
from forecourt.deliveries.types import DeliveryState, NozzleState, Purpose
from forecourt_kit.price import PresetKind
from forecourt_kit.quantity import Unit


class DeliveryRow(Model):
    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("source_key"),
        CheckConstraint("quantity_e4 >= 0", name="quantity"),
        Index("ix_delivery_nozzle_ended", "nozzle_id", "ended_at"),
        Index("ix_delivery_operator_state", "operator_id", "state"),
    )

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())
    station_id: Mapped[int] = mapped_column(Big())
    nozzle_id: Mapped[int | None] = mapped_column(Big())
    nozzle_number: Mapped[int] = mapped_column(Big())
    product_id: Mapped[int | None] = mapped_column(Big())
    tank_id: Mapped[int | None] = mapped_column(Big())
    device_id: Mapped[int] = mapped_column(Big())
    source_key: Mapped[str] = mapped_column(Key(80))
    state: Mapped[DeliveryState] = mapped_column(Code(DeliveryState))
    purpose: Mapped[Purpose] = mapped_column(Code(Purpose))
    marks: Mapped[list[str]] = mapped_column(Json())
    business_date: Mapped[str] = mapped_column(Key(10))  # ISO date of the station's business day.
    quantity_e4: Mapped[int] = mapped_column(Big())
    unit: Mapped[Unit] = mapped_column(Code(Unit))
    device_unit_price_e4: Mapped[int | None] = mapped_column(Big())
    device_amount_fen: Mapped[int | None] = mapped_column(Big())
    preset_kind: Mapped[PresetKind | None] = mapped_column(Code(PresetKind))
    preset_value: Mapped[int | None] = mapped_column(Big())
    totalizer_before_e4: Mapped[int | None] = mapped_column(Big())
    totalizer_after_e4: Mapped[int | None] = mapped_column(Big())
    device_sequence: Mapped[int | None] = mapped_column(Big())
    authorisation_id: Mapped[int | None] = mapped_column(Big())
    started_at: Mapped[datetime] = mapped_column(UtcTime())
    ended_at: Mapped[datetime] = mapped_column(UtcTime())
    recorded_at: Mapped[datetime] = mapped_column(UtcTime())
    detail: Mapped[dict[str, Any]] = mapped_column(Json())
    segments: Mapped[list[Any]] = mapped_column(Json())
    reviewed_by: Mapped[str | None] = mapped_column(Key(120))
    review_reason: Mapped[str | None] = mapped_column(Key(500))
    claim: Mapped[int] = mapped_column(Big(), index=True)


class NozzleLiveRow(Model):
    """Latest state only; a set of readings is one statement."""

    __tablename__ = "nozzle_live"

    nozzle_id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())
    station_id: Mapped[int] = mapped_column(Big(), index=True)
    state: Mapped[NozzleState] = mapped_column(Code(NozzleState))
    quantity_e4: Mapped[int] = mapped_column(Big())
    amount_fen: Mapped[int] = mapped_column(Big())
    unit_price_e4: Mapped[int | None] = mapped_column(Big())
    updated_at: Mapped[datetime] = mapped_column(UtcTime())
