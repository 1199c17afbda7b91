from datetime import datetime

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from forecourt.charging.types import (
    ConnectorStatus,
    Registration,
    StrayReason,
    StrayState,
    TokenState,
    TransactionState,
    Verdict,
)
from forecourt.core.db import Big, Code, Key, Model, Text, UtcTime


class ChargePointRow(Model):
    """What a charge point tells of itself; the registry of `devices` decides whether it may."""

    __tablename__ = "charge_point"

    device_id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())
    station_id: Mapped[int] = mapped_column(Big(), index=True)
    registration: Mapped[Registration] = mapped_column(Code(Registration))
    vendor: Mapped[str] = mapped_column(Text(40))
    model: Mapped[str] = mapped_column(Text(40))
    serial: Mapped[str | None] = mapped_column(Text(40))
    firmware: Mapped[str | None] = mapped_column(Text(50))
    meter_serial: Mapped[str | None] = mapped_column(Text(40))
    firmware_status: Mapped[str | None] = mapped_column(Key(40))
    diagnostics_status: Mapped[str | None] = mapped_column(Key(40))
    connection: Mapped[str | None] = mapped_column(Key(16))  # The one that holds it now; none: it is away.
    heard_at: Mapped[datetime] = mapped_column(UtcTime())
    last_transaction: Mapped[int] = mapped_column(Big())
    claim: Mapped[int] = mapped_column(Big(), index=True)


class ChargePointSettingRow(Model):
    """The configuration as the charge point last reported it."""

    __tablename__ = "charge_point_setting"
    __table_args__ = (UniqueConstraint("device_id", "key"),)

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())
    device_id: Mapped[int] = mapped_column(Big())
    key: Mapped[str] = mapped_column(Key(50))
    value: Mapped[str | None] = mapped_column(Text(500))
    readonly: Mapped[int] = mapped_column(Big())  # 0 or 1.
    reported_at: Mapped[datetime] = mapped_column(UtcTime())


class ConnectorRow(Model):
    """Latest status only."""

    __tablename__ = "charging_connector"
    __table_args__ = (UniqueConstraint("device_id", "connector_number"),)

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())
    device_id: Mapped[int] = mapped_column(Big())
    connector_number: Mapped[int] = mapped_column(Big())
    status: Mapped[ConnectorStatus] = mapped_column(Code(ConnectorStatus))
    error: Mapped[str] = mapped_column(Key(40))
    info: Mapped[str | None] = mapped_column(Text(50))
    vendor_error: Mapped[str | None] = mapped_column(Text(50))
    at: Mapped[datetime] = mapped_column(UtcTime())


class TransactionRow(Model):
    __tablename__ = "charging_transaction"
    __table_args__ = (
        UniqueConstraint("device_id", "start_key"),
        UniqueConstraint("device_id", "transaction_id"),
        Index("ix_charging_transaction_operator_state", "operator_id", "state"),
        Index("ix_charging_transaction_operator_tag", "operator_id", "id_tag"),
    )

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())
    station_id: Mapped[int] = mapped_column(Big())
    device_id: Mapped[int] = mapped_column(Big())
    transaction_id: Mapped[int] = mapped_column(Big())
    start_key: Mapped[str] = mapped_column(Key(32))
    connector_number: Mapped[int] = mapped_column(Big())
    nozzle_number: Mapped[int | None] = mapped_column(Big())
    id_tag: Mapped[str] = mapped_column(Key(20))
    verdict: Mapped[Verdict] = mapped_column(Code(Verdict))
    authorisation_id: Mapped[int | None] = mapped_column(Big())
    member_id: Mapped[int | None] = mapped_column(Big())
    limit_e4: Mapped[int | None] = mapped_column(Big())
    state: Mapped[TransactionState] = mapped_column(Code(TransactionState))
    meter_start_wh: Mapped[int] = mapped_column(Big())
    started_at: Mapped[datetime] = mapped_column(UtcTime())
    meter_last_wh: Mapped[int] = mapped_column(Big())
    samples: Mapped[int] = mapped_column(Big())
    stop_asked_at: Mapped[datetime | None] = mapped_column(UtcTime())
    stop_key: Mapped[str | None] = mapped_column(Key(32))
    meter_stop_wh: Mapped[int | None] = mapped_column(Big())
    ended_at: Mapped[datetime | None] = mapped_column(UtcTime())
    stop_reason: Mapped[str | None] = mapped_column(Key(40))
    delivery_id: Mapped[int | None] = mapped_column(Big())
    ended_by: Mapped[str | None] = mapped_column(Key(120))  # A person, where the charge point told no end.
    recorded_at: Mapped[datetime] = mapped_column(UtcTime())
    claim: Mapped[int] = mapped_column(Big(), index=True)


class MeterValueRow(Model):
    """Readings of one session, a bounded number of them."""

    __tablename__ = "charging_meter_value"
    __table_args__ = (UniqueConstraint("charging_id", "at", "context"),)

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())
    charging_id: Mapped[int] = mapped_column(Big())
    at: Mapped[datetime] = mapped_column(UtcTime())
    context: Mapped[str] = mapped_column(Key(24))
    energy_wh: Mapped[int | None] = mapped_column(Big())
    power_w: Mapped[int | None] = mapped_column(Big())
    soc_percent: Mapped[int | None] = mapped_column(Big())
    claim: Mapped[int] = mapped_column(Big(), index=True)


class StrayStopRow(Model):
    __tablename__ = "charging_stray_stop"
    __table_args__ = (
        UniqueConstraint("device_id", "stop_key"),
        Index("ix_charging_stray_stop_operator_state", "operator_id", "state"),
    )

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())
    station_id: Mapped[int] = mapped_column(Big())
    device_id: Mapped[int] = mapped_column(Big())
    transaction_id: Mapped[int] = mapped_column(Big())
    stop_key: Mapped[str] = mapped_column(Key(32))
    reason: Mapped[StrayReason] = mapped_column(Code(StrayReason))
    state: Mapped[StrayState] = mapped_column(Code(StrayState))
    meter_stop_wh: Mapped[int] = mapped_column(Big())
    ended_at: Mapped[datetime] = mapped_column(UtcTime())
    id_tag: Mapped[str | None] = mapped_column(Key(20))
    stop_reason: Mapped[str] = mapped_column(Key(40))
    received_at: Mapped[datetime] = mapped_column(UtcTime())
    settled_by: Mapped[str | None] = mapped_column(Key(120))
    claim: Mapped[int] = mapped_column(Big(), index=True)


class IdTokenRow(Model):
    __tablename__ = "id_token"
    __table_args__ = (UniqueConstraint("operator_id", "tag"),)

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())
    tag: Mapped[str] = mapped_column(Key(20))
    member_id: Mapped[int | None] = mapped_column(Big(), index=True)
    state: Mapped[TokenState] = mapped_column(Code(TokenState))
    expires_at: Mapped[datetime | None] = mapped_column(UtcTime())
    parent_tag: Mapped[str | None] = mapped_column(Key(20))
    claim: Mapped[int] = mapped_column(Big(), index=True)
