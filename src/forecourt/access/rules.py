"""What roles may do, how long sessions live, which passwords are too weak, how many tries there are."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from forecourt.access.types import PLATFORM_ID, Role, SessionKind
from forecourt.core.actor import OperatorId, Permission

# Permissions of higher modules stand here by name, because roles lie below them; a test of the API compares
# this table with what the endpoints ask.
READ_ALL = frozenset(
    {
        "access:read",
        "audit:read",
        "charging:read",
        "customers:read",
        "deliveries:read",
        "devices:read",
        "ledger:read",
        "operators:read",
        "payments:read",
        "pricing:read",
        "sales:read",
        "sites:read",
    }
)
ATTEND = frozenset(
    {
        "charging:read",
        "customers:read",
        "customers:write",
        "deliveries:read",
        "payments:read",
        "payments:take",
        "payments:top-up",
        "pricing:read",
        "sales:authorise",
        "sales:read",
        "sales:take",
        "sites:read",
    }
)
RUN_AN_OPERATOR = (
    READ_ALL
    | ATTEND
    | {
        "access:write",
        "charging:write",
        "deliveries:review",
        "devices:write",
        "payments:refund",
        "pricing:write",
        "sales:refund",
        "sales:void",
        "sites:write",
    }
)
RUN_THE_PLATFORM = frozenset(
    {
        "access:read",
        "access:write",
        "audit:read",
        "operators:read",
        "operators:write",
        "platform:docs",
        "platform:metrics",
    }
)
PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.PLATFORM_ADMIN: frozenset(map(Permission, RUN_THE_PLATFORM)),
    Role.OPERATOR_ADMIN: frozenset(map(Permission, RUN_AN_OPERATOR)),
    Role.CASHIER: frozenset(map(Permission, ATTEND)),
    Role.AUDITOR: frozenset(map(Permission, READ_ALL)),
}
TERMINAL_PERMISSIONS = frozenset(map(Permission, {"payments:at-device", "sales:at-device", "sites:read"}))
"""A terminal screen at the pumps: it shows what is to pay at its station and takes payment, nothing else."""


@dataclass(frozen=True, slots=True)
class Lifetime:
    idle: timedelta
    absolute: timedelta


LIFETIMES = {
    SessionKind.STAFF: Lifetime(timedelta(hours=2), timedelta(hours=12)),
    SessionKind.DEVICE: Lifetime(timedelta(days=30), timedelta(days=365)),
}
SEEN_EVERY = timedelta(minutes=1)  # `last_seen_at` is no finer than this: a read does not cost a write.
SESSIONS_PER_STAFF_MAX = 20  # One more ends the oldest.
BOOTSTRAP_LIFE = timedelta(minutes=10)


def is_open(
    now: datetime,
    *,
    kind: SessionKind,
    last_seen_at: datetime,
    expires_at: datetime,
    ended_at: datetime | None,
) -> bool:
    return ended_at is None and now < expires_at and now - last_seen_at < LIFETIMES[kind].idle


@dataclass(frozen=True, slots=True)
class Budget:
    """So many tries within a window that begins with the first."""

    tries: int
    window: timedelta


ACCOUNT_FROM_ADDRESS = Budget(10, timedelta(minutes=15))
ADDRESS = Budget(60, timedelta(minutes=15))
ACCOUNT_FROM_STRANGERS = Budget(50, timedelta(hours=1))
"""Of one account, from all addresses where it never logged in. An address where it did is not counted here,
so that nobody outside can lock a station's own people out."""
ENROL_FROM_ADDRESS = Budget(20, timedelta(minutes=10))
BOOTSTRAP_TRIES = Budget(10, timedelta(minutes=10))
TRUSTED_FOR = timedelta(days=60)


def may_give(giver: Role, role: Role) -> bool:
    """The platform's administrator makes administrators; an operator's makes everyone of that operator."""
    if giver is Role.PLATFORM_ADMIN:
        return role in {Role.PLATFORM_ADMIN, Role.OPERATOR_ADMIN}
    return giver is Role.OPERATOR_ADMIN and role is not Role.PLATFORM_ADMIN


def fits(role: Role, operator_id: OperatorId) -> bool:
    """Platform roles belong to the platform, all others to an operator."""
    return (role is Role.PLATFORM_ADMIN) == (operator_id == PLATFORM_ID)


PASSWORD_CHARS_MIN, PASSWORD_CHARS_MAX = 8, 128
LOGIN = re.compile(r"[a-z0-9][a-z0-9._@-]{2,63}")
COMMON_WORDS = """
    00000000 11111111 12341234 12344321 123456 1234567 12345678 123456789 1234567890 123123123 123321123
    123qwe123 147258369 159357456 1q2w3e4r 1q2w3e4r5t 1qaz2wsx 20002000 22222222 33333333 520131400 5201314520
    66666666 77777777 87654321 88888888 987654321 99999999 a1234567 a12345678 a123456789 aa123456 aa12345678
    aaaaaaaa abc12345 abc123456 abcd1234 abcdefgh admin123 admin1234 admin12345 admin123456 administrator
    asdfasdf asdfghjk asdfghjkl baseball changeme computer dragon12 football iloveyou iloveyou1 internet
    jennifer letmein1 liverpool michelle monkey12 p@ssw0rd p@ssword pass1234 passw0rd password password1
    password12 password123 password1234 princess princess1 q1w2e3r4 qazwsxedc qq123456 qwer1234 qwerasdf
    qwerty12 qwerty123 qwertyui qwertyuiop root1234 superman sunshine test1234 trustno1 welcome1 welcome123
    whatever woaini123 woaini1314 woaini520 wodemima xiaoming zaq12wsx zxcvbnm1 zxcvbnm123 forecourt
    forecourt1 gasstation petrol123
"""
COMMON = frozenset(COMMON_WORDS.split())


def weakness(password: str, login: str) -> str | None:
    """Why a password is refused; None when it may be used. No rules of composition (ASVS 6.2.5)."""
    plain = password.casefold()
    if not PASSWORD_CHARS_MIN <= len(password) <= PASSWORD_CHARS_MAX:
        return f"{PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX} characters"
    if plain in COMMON or len(set(plain)) < 4:
        return "too common"
    if login and (login.partition("@")[0] in plain or plain in login):
        return "holds the login"
    return None
