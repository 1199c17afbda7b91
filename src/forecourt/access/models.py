"""Tables of access."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from forecourt.access.types import Role, SessionKind
from forecourt.core.db import Big, Code, Json, Key, Model, Text, UtcTime


class StaffRow(Model):
    __tablename__ = "staff"
    __table_args__ = (UniqueConstraint("login"), Index("ix_staff_operator", "operator_id", "id"))

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())
    login: Mapped[str] = mapped_column(Key(64))
    name: Mapped[str] = mapped_column(Text(80))
    password_hash: Mapped[str] = mapped_column(Key(200))
    role: Mapped[Role] = mapped_column(Code(Role))
    locale: Mapped[str] = mapped_column(Key(16))
    disabled_at: Mapped[datetime | None] = mapped_column(UtcTime())
    created_at: Mapped[datetime] = mapped_column(UtcTime())
    claim: Mapped[int] = mapped_column(Big(), index=True)


class SessionRow(Model):
    """A session of a person or a device. Only the hash of its token is kept."""

    __tablename__ = "access_session"
    __table_args__ = (
        UniqueConstraint("token_hash"),
        Index("ix_access_session_staff", "staff_id"),
        Index("ix_access_session_device", "device_id"),
        Index("ix_access_session_expires", "expires_at"),
    )

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())
    kind: Mapped[SessionKind] = mapped_column(Code(SessionKind))
    token_hash: Mapped[str] = mapped_column(Key(64))
    name: Mapped[str] = mapped_column(Text(80))
    staff_id: Mapped[int | None] = mapped_column(Big())
    device_id: Mapped[int | None] = mapped_column(Big())
    station_id: Mapped[int | None] = mapped_column(Big())
    ip: Mapped[str] = mapped_column(Key(45))
    agent: Mapped[str] = mapped_column(Text(200))
    created_at: Mapped[datetime] = mapped_column(UtcTime())
    last_seen_at: Mapped[datetime] = mapped_column(UtcTime())
    expires_at: Mapped[datetime] = mapped_column(UtcTime())
    ended_at: Mapped[datetime | None] = mapped_column(UtcTime())


class TryBudgetRow(Model):
    """Tries counted by subject: an address, an account, or an account from an address."""

    __tablename__ = "try_budget"

    subject: Mapped[str] = mapped_column(Key(160), primary_key=True)
    tries: Mapped[int] = mapped_column(Big())
    window_ends_at: Mapped[datetime] = mapped_column(UtcTime(), index=True)
    claim: Mapped[int] = mapped_column(Big(), index=True)


class TrustedAddressRow(Model):
    """Where an account has logged in: strangers elsewhere cannot use up its tries from there."""

    __tablename__ = "trusted_address"

    staff_id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    ip: Mapped[str] = mapped_column(Key(45), primary_key=True)
    last_ok_at: Mapped[datetime] = mapped_column(UtcTime())


class BootstrapCodeRow(Model):
    """One-time codes that make the first administrator."""

    __tablename__ = "bootstrap_code"

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    code_hash: Mapped[str] = mapped_column(Key(64))
    expires_at: Mapped[datetime] = mapped_column(UtcTime())
    used_at: Mapped[datetime | None] = mapped_column(UtcTime())


class AuditRow(Model):
    """Appended, never changed."""

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_operator", "operator_id", "id"),)

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())
    at: Mapped[datetime] = mapped_column(UtcTime())
    subject: Mapped[str] = mapped_column(Text(120))
    action: Mapped[str] = mapped_column(Key(80))
    target: Mapped[str] = mapped_column(Key(120))
    before: Mapped[Any] = mapped_column(Json(), nullable=True)
    after: Mapped[Any] = mapped_column(Json(), nullable=True)
    request_id: Mapped[str] = mapped_column(Key(64))
