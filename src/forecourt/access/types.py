"""Staff, roles, sessions: as the rest of the house sees them."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NewType

from forecourt.core.actor import Actor, OperatorId, Permission

StaffId = NewType("StaffId", int)
SessionId = NewType("SessionId", int)

ACCESS_READ = Permission("access:read")
ACCESS_WRITE = Permission("access:write")
AUDIT_READ = Permission("audit:read")

PLATFORM_ID = OperatorId(0)  # In the operator column of rows that belong to the platform itself.


class Role(StrEnum):
    PLATFORM_ADMIN = "platform_admin"
    OPERATOR_ADMIN = "operator_admin"
    CASHIER = "cashier"
    AUDITOR = "auditor"


class SessionKind(StrEnum):
    STAFF = "staff"
    DEVICE = "device"


@dataclass(frozen=True, slots=True, kw_only=True)
class Staff:
    """One person. `login` is unique on the platform; the platform's own staff have `PLATFORM_ID`."""

    id: StaffId
    operator_id: OperatorId
    login: str
    name: str
    role: Role
    locale: str
    disabled: bool
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionInfo:
    """One open session, as its owner sees it in the list."""

    id: SessionId
    kind: SessionKind
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    ip: str
    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who stands behind a token: the actor for every query, and the facts of the session itself."""

    actor: Actor
    session_id: SessionId
    kind: SessionKind
    name: str
    login: str | None
    role: Role | None
    locale: str
    last_seen_at: datetime
    staff_id: StaffId | None = None
    device_id: int | None = None
    station_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRecord:
    """A session as it is stored, with what its person is now; open or not."""

    id: SessionId
    operator_id: OperatorId
    kind: SessionKind
    name: str
    last_seen_at: datetime
    expires_at: datetime
    login: str | None = None
    role: Role | None = None
    locale: str = ""
    staff_id: StaffId | None = None
    staff_disabled: bool = False
    device_id: int | None = None
    station_id: int | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSession:
    """A session just opened; the token is shown this once and stored only as its hash."""

    id: SessionId
    token: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class TooManyTries:
    """A returned refusal, so that the try it counts stays counted."""

    retry_after_s: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """Whose password to verify, outside the transaction. `password_hash` is None where there is nobody."""

    staff_id: StaffId | None
    password_hash: str | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One privileged act: who did what to which thing, with the values before and after."""

    id: int
    operator_id: OperatorId
    at: datetime
    subject: str
    action: str
    target: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    request_id: str
