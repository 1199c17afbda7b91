from datetime import datetime

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from forecourt.core.db import Big, Key, Model, UtcTime


class PriceRow(Model):
    __tablename__ = "pricing_price"
    __table_args__ = (
        UniqueConstraint("station_id", "product_id", "valid_from"),
        CheckConstraint("unit_price_e4 > 0", name="positive"),
        Index("ix_pricing_price_due", "pushed", "valid_from"),
    )

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big(), index=True)
    station_id: Mapped[int] = mapped_column(Big())
    product_id: Mapped[int] = mapped_column(Big())
    unit_price_e4: Mapped[int] = mapped_column(Big())
    valid_from: Mapped[datetime] = mapped_column(UtcTime())
    created_by: Mapped[str] = mapped_column(Key(120))
    created_at: Mapped[datetime] = mapped_column(UtcTime())
    pushed: Mapped[int] = mapped_column(Big())  # 1 once its nozzles were told.


class NozzlePriceRow(Model):
    __tablename__ = "pricing_nozzle_price"

    nozzle_id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big(), index=True)
    station_id: Mapped[int] = mapped_column(Big(), index=True)
    desired_price_id: Mapped[int] = mapped_column(Big())
    desired_unit_price_e4: Mapped[int] = mapped_column(Big())
    desired_at: Mapped[datetime] = mapped_column(UtcTime())
    acknowledged_unit_price_e4: Mapped[int | None] = mapped_column(Big())
    acknowledged_at: Mapped[datetime | None] = mapped_column(UtcTime())
