"""Tables of sites."""

from datetime import datetime

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from forecourt.core.db import Big, Code, Key, Model, Text, UtcTime
from forecourt.sites.types import Energy, PaymentPolicy
from forecourt_kit.quantity import Unit


class StationRow(Model):
    __tablename__ = "station"
    __table_args__ = (Index("ix_station_operator", "operator_id", "id"),)

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())
    name: Mapped[str] = mapped_column(Text(80))
    timezone: Mapped[str] = mapped_column(Key(64))
    day_cut_min: Mapped[int] = mapped_column(Big())


class DispenserRow(Model):
    __tablename__ = "dispenser"
    __table_args__ = (UniqueConstraint("station_id", "number"),)

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big(), index=True)
    station_id: Mapped[int] = mapped_column(Big())
    number: Mapped[int] = mapped_column(Big())
    claim: Mapped[int] = mapped_column(Big(), index=True)


class NozzleRow(Model):
    __tablename__ = "nozzle"
    __table_args__ = (
        UniqueConstraint("station_id", "number"),
        UniqueConstraint("charge_point_device_id", "connector_number"),
    )

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big(), index=True)
    station_id: Mapped[int] = mapped_column(Big())
    dispenser_id: Mapped[int | None] = mapped_column(Big())
    number: Mapped[int] = mapped_column(Big())
    energy: Mapped[Energy] = mapped_column(Code(Energy))
    unit: Mapped[Unit] = mapped_column(Code(Unit))
    payment_policy: Mapped[PaymentPolicy] = mapped_column(Code(PaymentPolicy))
    display_step_e4: Mapped[int] = mapped_column(Big())
    totalizer_modulus_e4: Mapped[int] = mapped_column(Big())
    charge_point_device_id: Mapped[int | None] = mapped_column(Big())
    connector_number: Mapped[int | None] = mapped_column(Big())
    claim: Mapped[int] = mapped_column(Big(), index=True)


class ProductRow(Model):
    __tablename__ = "product"
    __table_args__ = (UniqueConstraint("operator_id", "code"),)

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())
    code: Mapped[str] = mapped_column(Key(32))
    name: Mapped[str] = mapped_column(Text(80))
    energy: Mapped[Energy] = mapped_column(Code(Energy))
    unit: Mapped[Unit] = mapped_column(Code(Unit))
    claim: Mapped[int] = mapped_column(Big(), index=True)


class TankRow(Model):
    __tablename__ = "tank"
    __table_args__ = (UniqueConstraint("station_id", "number"),)

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big(), index=True)
    station_id: Mapped[int] = mapped_column(Big())
    number: Mapped[int] = mapped_column(Big())
    product_id: Mapped[int] = mapped_column(Big())
    capacity_e4: Mapped[int] = mapped_column(Big())
    claim: Mapped[int] = mapped_column(Big(), index=True)


class NozzleSupplyRow(Model):
    """What a nozzle sells from when to when. Rows of one nozzle never overlap; an open end is the present."""

    __tablename__ = "nozzle_supply"
    __table_args__ = (UniqueConstraint("nozzle_id", "valid_from"),)

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big(), index=True)
    nozzle_id: Mapped[int] = mapped_column(Big())
    product_id: Mapped[int] = mapped_column(Big())
    tank_id: Mapped[int | None] = mapped_column(Big())
    valid_from: Mapped[datetime] = mapped_column(UtcTime())
    valid_to: Mapped[datetime | None] = mapped_column(UtcTime())
