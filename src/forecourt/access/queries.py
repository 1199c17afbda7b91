"""Every statement about staff, sessions, tries and the audit trail."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Row,
    Select,
    and_,
    any_,
    bindparam,
    case,
    delete,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    update,
)

from forecourt.access.errors import StaffNotFound
from forecourt.access.models import (
    AuditRow,
    BootstrapCodeRow,
    SessionRow,
    StaffRow,
    TrustedAddressRow,
    TryBudgetRow,
)
from forecourt.access.rules import LIFETIMES, Budget
from forecourt.access.types import (
    PLATFORM_ID,
    AuditEntry,
    Role,
    SessionId,
    SessionInfo,
    SessionKind,
    SessionRecord,
    Staff,
    StaffId,
)
from forecourt.core.actor import OperatorId, Scope, System, operator_of
from forecourt.core.db import ReadSession, UtcTime, WriteSession, insert_new, upsert_many
from forecourt.core.verify import VIOLATIONS_MAX, Check, Violation

STAFF = StaffRow.__table__.c
SESSION = SessionRow.__table__.c


def _mine(scope: Scope, column: ColumnElement[int]) -> ColumnElement[bool]:
    """Rows that the scope sees; the platform and the system see all."""
    own = operator_of(scope)
    return true() if own is None else column == own


# ------------------------------------------------------------------------------------------------ staff


def _staff(row: Row[Any]) -> Staff:
    return Staff(
        id=StaffId(row.id),
        operator_id=OperatorId(row.operator_id),
        login=row.login,
        name=row.name,
        role=row.role,
        locale=row.locale,
        disabled=row.disabled_at is not None,
        created_at=row.created_at,
    )


async def get_staff(session: ReadSession, scope: Scope, staff_id: int) -> Staff:
    row = await session.first(
        select(StaffRow.__table__).where(STAFF.id == staff_id, _mine(scope, STAFF.operator_id))
    )
    if row is None:
        raise StaffNotFound
    return _staff(row)


async def list_staff(
    session: ReadSession, scope: Scope, *, limit: int, after: int | None = None
) -> list[Staff]:
    """Newest first."""
    found = select(StaffRow.__table__).where(_mine(scope, STAFF.operator_id))
    if after is not None:
        found = found.where(STAFF.id < after)
    return [_staff(row) for row in await session.all(found.order_by(STAFF.id.desc()).limit(limit))]


async def find_password(session: ReadSession, _: System, login: str) -> tuple[StaffId, str] | None:
    """Whose login it is, and the hash to verify; None where nobody (or nobody any more) has it."""
    row = await session.first(
        select(STAFF.id, STAFF.password_hash).where(STAFF.login == login, STAFF.disabled_at.is_(None))
    )
    return None if row is None else (StaffId(row.id), row.password_hash)


async def find_password_of(session: ReadSession, scope: Scope, staff_id: int) -> str | None:
    found = await session.scalar(
        select(STAFF.password_hash).where(
            STAFF.id == staff_id, _mine(scope, STAFF.operator_id), STAFF.disabled_at.is_(None)
        )
    )
    return None if found is None else str(found)


async def count_platform_admins(session: ReadSession, _: System) -> int:
    return int(
        await session.scalar(
            select(func.count())
            .select_from(StaffRow)
            .where(STAFF.role == Role.PLATFORM_ADMIN, STAFF.disabled_at.is_(None))
        )
    )


async def insert_staff(session: WriteSession, scope: Scope, staff: Staff, password_hash: str) -> bool:
    """Whether the login was free. The row's operator is the scope's, unless the scope sees all."""
    own = operator_of(scope)
    assert own is None or own == staff.operator_id
    row = {
        "id": staff.id,
        "operator_id": staff.operator_id,
        "login": staff.login,
        "name": staff.name,
        "password_hash": password_hash,
        "role": staff.role,
        "locale": staff.locale,
        "disabled_at": None,
        "created_at": staff.created_at,
    }
    return bool(await insert_new(session, StaffRow, [row], key=("login",)))


async def update_staff(session: WriteSession, scope: Scope, staff_id: int, **values: Any) -> None:
    touched = await session.run(
        update(StaffRow).where(StaffRow.id == staff_id, _mine(scope, STAFF.operator_id)).values(**values)
    )
    if touched == 0 and session.dialect != "mysql":  # MariaDB counts changed rows, not found ones.
        raise StaffNotFound


# --------------------------------------------------------------------------------------------- sessions


def _sessions_by_hash(which: ColumnElement[bool]) -> Select[Any]:
    columns = (STAFF.role, STAFF.locale, STAFF.login, STAFF.name.label("staff_name"), STAFF.disabled_at)
    return (
        select(SessionRow.__table__, *columns).outerjoin(StaffRow, STAFF.id == SESSION.staff_id).where(which)
    )


# Asked on every request: made once, so that a request pays for its values only. PostgreSQL gets one array,
# and so prepares one statement for any number of tokens.
SESSIONS_IN_LIST = _sessions_by_hash(SESSION.token_hash.in_(bindparam("hashes", expanding=True)))
SESSIONS_IN_ARRAY = _sessions_by_hash(
    SESSION.token_hash == any_(bindparam("hashes", type_=ARRAY(SESSION.token_hash.type)))
)


async def find_sessions_many(session: ReadSession, token_hashes: Sequence[str]) -> dict[str, SessionRecord]:
    """What the tokens open, by hash: the session and, for a person, who they are now."""
    statement = SESSIONS_IN_ARRAY if session.dialect == "postgresql" else SESSIONS_IN_LIST
    rows = await session.all(statement, {"hashes": list(token_hashes)})
    return {row.token_hash: _record(row) for row in rows}


def _record(row: Row[Any]) -> SessionRecord:
    return SessionRecord(
        id=SessionId(row.id),
        operator_id=OperatorId(row.operator_id),
        kind=row.kind,
        name=row.staff_name if row.staff_id is not None else row.name,
        login=row.login,
        role=row.role,
        locale=row.locale or "",
        staff_id=None if row.staff_id is None else StaffId(row.staff_id),
        staff_disabled=row.disabled_at is not None,
        device_id=row.device_id,
        station_id=row.station_id,
        last_seen_at=row.last_seen_at,
        expires_at=row.expires_at,
        ended_at=row.ended_at,
    )


def _open(now: datetime) -> ColumnElement[bool]:
    """`rules.is_open`, in SQL."""
    alive = [
        and_(SESSION.kind == kind, SESSION.last_seen_at > now - LIFETIMES[kind].idle) for kind in SessionKind
    ]
    return and_(SESSION.ended_at.is_(None), SESSION.expires_at > now, or_(*alive))


def _own(staff_id: int | None, device_id: int | None) -> ColumnElement[bool]:
    assert (staff_id is None) != (device_id is None)
    return SESSION.staff_id == staff_id if device_id is None else SESSION.device_id == device_id


async def list_own_sessions(
    session: ReadSession, scope: Scope, *, staff_id: int | None = None, device_id: int | None = None
) -> list[SessionInfo]:
    """Open ones of one person or device, newest first."""
    own = and_(_own(staff_id, device_id), _mine(scope, SESSION.operator_id))
    found = select(SessionRow.__table__).where(own, _open(session.now())).order_by(SESSION.id.desc())
    return [
        SessionInfo(
            id=SessionId(row.id),
            kind=row.kind,
            created_at=row.created_at,
            last_seen_at=row.last_seen_at,
            expires_at=row.expires_at,
            ip=row.ip,
            agent=row.agent,
        )
        for row in await session.all(found)
    ]


async def insert_session(
    session: WriteSession, record: SessionRecord, token_hash: str, ip: str, agent: str
) -> None:
    now = session.now()
    row = {
        "id": record.id,
        "operator_id": record.operator_id,
        "kind": record.kind,
        "token_hash": token_hash,
        "name": record.name,
        "staff_id": record.staff_id,
        "device_id": record.device_id,
        "station_id": record.station_id,
        "ip": ip[:45],
        "agent": agent[:200],
        "created_at": now,
        "last_seen_at": record.last_seen_at,
        "expires_at": record.expires_at,
        "ended_at": None,
    }
    await session.insert_many(SessionRow, [row])


async def touch_sessions_many(session: WriteSession, session_ids: Sequence[int], seen_at: datetime) -> None:
    await session.run(
        update(SessionRow)
        .where(SESSION.id.in_(session_ids), SESSION.last_seen_at < seen_at)
        .values(last_seen_at=seen_at)
    )


async def end_session_by_hash(session: WriteSession, token_hash: str) -> None:
    await _end_many(session, SESSION.token_hash == token_hash)


async def end_own_session(
    session: WriteSession,
    scope: Scope,
    session_id: int,
    *,
    staff_id: int | None = None,
    device_id: int | None = None,
) -> int:
    return await _end_many(
        session, and_(SESSION.id == session_id, _own(staff_id, device_id), _mine(scope, SESSION.operator_id))
    )


async def end_sessions_of_staff(session: WriteSession, staff_id: int, *, but: int | None = None) -> int:
    which = SESSION.staff_id == staff_id
    return await _end_many(session, which if but is None else and_(which, SESSION.id != but))


async def end_sessions_of_device(session: WriteSession, device_id: int) -> int:
    return await _end_many(session, SESSION.device_id == device_id)


async def _end_many(session: WriteSession, which: ColumnElement[bool]) -> int:
    return await session.run(
        update(SessionRow).where(which, SESSION.ended_at.is_(None)).values(ended_at=session.now())
    )


async def delete_old_sessions(session: WriteSession, _: System, before: datetime) -> int:
    """Those that ended or ran out before; a clock job."""
    return await session.run(
        delete(SessionRow).where(or_(SESSION.ended_at < before, SESSION.expires_at < before))
    )


# ------------------------------------------------------------------------------------------------ tries


async def count_try(session: WriteSession, _: System, subject: str, budget: Budget) -> tuple[int, datetime]:
    """Count one more try of `subject`; gives how many this window has had, and when it ends.

    Counted before the outcome is known, in one guarded statement: a thousand at once are a thousand.
    """
    now = session.now()
    row = {"subject": subject, "tries": 0, "window_ends_at": now + budget.window}
    await insert_new(session, TryBudgetRow, [row], key=("subject",))
    columns = TryBudgetRow.__table__.c
    over = columns.window_ends_at <= now
    # In this order: MariaDB sets columns from left to right, and the first reads the second.
    await session.run(
        update(TryBudgetRow)
        .where(columns.subject == subject)
        .ordered_values(
            (columns.tries, case((over, 1), else_=columns.tries + 1)),
            (
                columns.window_ends_at,
                case((over, literal(now + budget.window, UtcTime())), else_=columns.window_ends_at),
            ),
        )
    )
    found = await session.first(
        select(columns.tries, columns.window_ends_at).where(columns.subject == subject)
    )
    assert found is not None
    return found.tries, found.window_ends_at


async def give_back_try(session: WriteSession, _: System, subject: str) -> None:
    """A try that succeeded was none."""
    columns = TryBudgetRow.__table__.c
    await session.run(
        update(TryBudgetRow)
        .where(columns.subject == subject, columns.tries > 0)
        .values(tries=columns.tries - 1)
    )


async def forget_tries(session: WriteSession, _: System, subject: str) -> None:
    await session.run(delete(TryBudgetRow).where(TryBudgetRow.subject == subject))


async def delete_old_tries(session: WriteSession, _: System, before: datetime) -> int:
    return await session.run(delete(TryBudgetRow).where(TryBudgetRow.window_ends_at < before))


async def is_trusted(session: ReadSession, _: System, staff_id: int, ip: str, since: datetime) -> bool:
    return (
        await session.scalar(
            select(TrustedAddressRow.staff_id).where(
                TrustedAddressRow.staff_id == staff_id,
                TrustedAddressRow.ip == ip,
                TrustedAddressRow.last_ok_at > since,
            )
        )
        is not None
    )


async def trust(session: WriteSession, staff_id: int, ip: str) -> None:
    row = {"staff_id": staff_id, "ip": ip, "last_ok_at": session.now()}
    await upsert_many(session, TrustedAddressRow, [row], key=("staff_id", "ip"), update=("last_ok_at",))


# -------------------------------------------------------------------------------------- bootstrap, audit


async def insert_bootstrap_code(session: WriteSession, code_hash: str, expires_at: datetime) -> None:
    row = {"id": session.new_id(), "code_hash": code_hash, "expires_at": expires_at, "used_at": None}
    await session.insert_many(BootstrapCodeRow, [row])


async def use_bootstrap_code(session: WriteSession, _: System, code_hash: str) -> bool:
    """Whether it was good; it is not, from now on."""
    now = session.now()
    return (
        await session.run(
            update(BootstrapCodeRow)
            .where(
                BootstrapCodeRow.code_hash == code_hash,
                BootstrapCodeRow.used_at.is_(None),
                BootstrapCodeRow.expires_at > now,
            )
            .values(used_at=now)
        )
        == 1
    )


async def insert_audit(session: WriteSession, entry: AuditEntry) -> None:
    row = {
        "id": entry.id,
        "operator_id": entry.operator_id,
        "at": entry.at,
        "subject": entry.subject[:120],
        "action": entry.action,
        "target": entry.target,
        "before": entry.before,
        "after": entry.after,
        "request_id": entry.request_id[:64],
    }
    await session.insert_many(AuditRow, [row])


async def list_audit(
    session: ReadSession, scope: Scope, *, limit: int, after: int | None = None
) -> list[AuditEntry]:
    """Newest first."""
    columns = AuditRow.__table__.c
    found: Select[Any] = select(AuditRow.__table__).where(_mine(scope, columns.operator_id))
    if after is not None:
        found = found.where(columns.id < after)
    return [
        AuditEntry(
            id=row.id,
            operator_id=OperatorId(row.operator_id),
            at=row.at,
            subject=row.subject,
            action=row.action,
            target=row.target,
            before=row.before,
            after=row.after,
            request_id=row.request_id,
        )
        for row in await session.all(found.order_by(columns.id.desc()).limit(limit))
    ]


async def check_roles_fit(session: ReadSession) -> list[Violation]:
    """Platform roles belong to the platform, all others to an operator."""
    at_home = STAFF.operator_id == PLATFORM_ID
    platforms = STAFF.role == Role.PLATFORM_ADMIN
    rows = await session.all(
        select(STAFF.id)
        .where(or_(and_(platforms, not_(at_home)), and_(not_(platforms), at_home)))
        .limit(VIOLATIONS_MAX)
    )
    return [
        Violation(check="access.role", subject=f"staff {row.id}", detail="a role of the other side")
        for row in rows
    ]


CHECKS: tuple[Check, ...] = (check_roles_fit,)
