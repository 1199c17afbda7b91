"""HTTP shapes of access."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from forecourt.access.rules import LOGIN
from forecourt.access.types import Role, SessionKind
from forecourt.core.http import IdOut, In, InstantOut, Out, PublicId
from forecourt.core.http.fields import Flag, Name, SecretText


def _login(value: str) -> str:
    value = value.strip().casefold()
    if not LOGIN.fullmatch(value):
        raise ValueError("3 to 64 of a-z, 0-9, dot, underscore, hyphen, @")
    return value


Login = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_login)]
Locale = Literal["zh-CN", "en"]


class LogInIn(In):
    account: Annotated[str, Field(min_length=1, max_length=64)]
    password: SecretText


class ScopeOut(Out):
    kind: Literal["operator", "device", "platform"]
    operator_id: IdOut | None
    device_id: IdOut | None
    station_id: IdOut | None


class MeOut(Out):
    session_id: IdOut
    kind: SessionKind
    name: str
    login: str | None
    role: Role | None
    scope: ScopeOut
    permissions: list[str]
    locale: str


class SessionOut(Out):
    id: IdOut
    kind: SessionKind
    created_at: InstantOut
    last_seen_at: InstantOut
    expires_at: InstantOut
    ip: str
    agent: str
    current: bool = False


class SessionsOut(Out):
    items: list[SessionOut]


class PasswordIn(In):
    old: SecretText
    new: SecretText


class BootstrapIn(In):
    code: SecretText
    login: Login
    name: Name
    password: SecretText


class StaffIn(In):
    """`operator_id` is for the platform, which has no tenant of its own."""

    login: Login
    name: Name
    role: Role
    password: SecretText
    locale: Locale = "zh-CN"
    operator_id: PublicId | None = None


class StaffChangeIn(In):
    name: Name | None = None
    role: Role | None = None
    disabled: Flag | None = None
    password: SecretText | None = None


class StaffOut(Out):
    id: IdOut
    operator_id: IdOut
    login: str
    name: str
    role: Role
    locale: str
    disabled: bool
    created_at: InstantOut


class StaffListOut(Out):
    items: list[StaffOut]
    next_cursor: str | None


class OperatorIn(In):
    code: Annotated[str, Field(pattern=r"^[a-z0-9-]{2,16}$")]
    name: Name
    admin_login: Login
    admin_name: Name
    admin_password: SecretText


class NewOperatorOut(Out):
    id: IdOut
    code: str
    name: str


class OpenedOperatorOut(Out):
    operator: NewOperatorOut
    admin: StaffOut


class AuditEntryOut(Out):
    id: IdOut
    operator_id: IdOut
    at: InstantOut
    subject: str
    action: str
    target: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    request_id: str


class AuditOut(Out):
    items: list[AuditEntryOut]
    next_cursor: str | None
