"""Tables of devices."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from forecourt.core.db import Big, Bytes, Code, Json, Key, Model, Text, UtcTime
from forecourt.devices.types import (
    BODY_BYTES_MAX,
    REASON_CHARS_MAX,
    CommandKind,
    CommandState,
    DeviceKind,
    DeviceState,
    InboxState,
)


class DeviceRow(Model):
    """`psk_sealed` and its previous one are sealed by the vault for `device:<id>:psk:<key id>`."""

    __tablename__ = "device"
    __table_args__ = (
        UniqueConstraint("code"),
        Index("ix_device_operator", "operator_id", "id"),
        Index("ix_device_station", "station_id"),
    )

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())
    station_id: Mapped[int] = mapped_column(Big())
    kind: Mapped[DeviceKind] = mapped_column(Code(DeviceKind))
    name: Mapped[str] = mapped_column(Text(80))
    state: Mapped[DeviceState] = mapped_column(Code(DeviceState))
    code: Mapped[str | None] = mapped_column(Key(48))
    created_at: Mapped[datetime] = mapped_column(UtcTime())
    key_id: Mapped[int | None] = mapped_column(Big())
    psk_sealed: Mapped[bytes | None] = mapped_column(Bytes(128))
    previous_key_id: Mapped[int | None] = mapped_column(Big())
    previous_psk_sealed: Mapped[bytes | None] = mapped_column(Bytes(128))
    previous_until: Mapped[datetime | None] = mapped_column(UtcTime())
    password_hash: Mapped[str | None] = mapped_column(Key(64))


class TerminalNozzleRow(Model):
    """Which nozzles a terminal shows, or a station agent drives where a station has several agents."""

    __tablename__ = "device_nozzle"

    device_id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    nozzle_id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())


class EnrolmentRow(Model):
    __tablename__ = "enrolment_code"
    __table_args__ = (Index("ix_enrolment_code_hash", "code_hash"),)

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())
    device_id: Mapped[int] = mapped_column(Big(), index=True)
    code_hash: Mapped[str] = mapped_column(Key(64))
    expires_at: Mapped[datetime] = mapped_column(UtcTime())
    used_at: Mapped[datetime | None] = mapped_column(UtcTime())


class InboxRow(Model):
    """Raw messages, as authenticated. The unique key is what makes a repetition free."""

    __tablename__ = "inbox"
    __table_args__ = (
        UniqueConstraint("device_id", "incarnation", "mid"),
        Index("ix_inbox_state", "state", "id"),
    )

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())
    device_id: Mapped[int] = mapped_column(Big())
    station_id: Mapped[int] = mapped_column(Big())
    incarnation: Mapped[bytes] = mapped_column(Bytes(8))
    mid: Mapped[int] = mapped_column(Big())
    record_class: Mapped[int] = mapped_column(Big())
    channel: Mapped[int] = mapped_column(Big())
    format: Mapped[int] = mapped_column(Big())
    body: Mapped[bytes] = mapped_column(Bytes(BODY_BYTES_MAX))
    received_at: Mapped[datetime] = mapped_column(UtcTime())
    state: Mapped[InboxState] = mapped_column(Code(InboxState))
    tries: Mapped[int] = mapped_column(Big())
    last_error: Mapped[str | None] = mapped_column(Text(REASON_CHARS_MAX))
    lease_owner: Mapped[str | None] = mapped_column(Key(64))
    lease_until: Mapped[datetime | None] = mapped_column(UtcTime())


class CommandRow(Model):
    __tablename__ = "device_command"
    __table_args__ = (
        Index("ix_device_command_state", "state", "device_id", "id"),
        Index("ix_device_command_subject", "device_id", "subject"),
    )

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())
    device_id: Mapped[int] = mapped_column(Big())
    kind: Mapped[CommandKind] = mapped_column(Code(CommandKind))
    subject: Mapped[str] = mapped_column(Key(80))
    body: Mapped[dict[str, Any]] = mapped_column(Json())
    state: Mapped[CommandState] = mapped_column(Code(CommandState))
    created_at: Mapped[datetime] = mapped_column(UtcTime())
    expires_at: Mapped[datetime] = mapped_column(UtcTime())
    sent_at: Mapped[datetime | None] = mapped_column(UtcTime())
    ended_at: Mapped[datetime | None] = mapped_column(UtcTime())
    tries: Mapped[int] = mapped_column(Big())
    error: Mapped[str] = mapped_column(Text(REASON_CHARS_MAX))
