"""Verbs of access. Passwords are verified between these verbs, never inside: that takes too long."""

from dataclasses import asdict, replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

from forecourt.access import queries, rules
from forecourt.access.errors import (
    AlreadySetUp,
    CodeUnknown,
    LoginTaken,
    NotYourself,
    PasswordTooWeak,
    RoleNotYours,
    SessionNotFound,
)
from forecourt.access.types import (
    PLATFORM_ID,
    AuditEntry,
    Caller,
    Candidate,
    OpenedSession,
    Role,
    SessionId,
    SessionKind,
    SessionRecord,
    Staff,
    StaffId,
    TooManyTries,
)
from forecourt.core.actor import Actor, OperatorId, System, operator_of
from forecourt.core.db import WriteSession
from forecourt.operators import service as operators
from forecourt.operators.types import OperatorInfo
from forecourt_kit import log as kit_log
from forecourt_kit.ids import to_public

SESSIONS_KEPT = timedelta(days=30)


def hash_token(token: str) -> str:
    """What is stored of a token or code. It is random and long: a plain hash cannot be turned back."""
    return sha256(token.encode()).hexdigest()


# ------------------------------------------------------------------------------------------------ audit


async def record(
    session: WriteSession,
    actor: Actor,
    action: str,
    target: str,
    *,
    operator_id: int | None = None,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Leave one entry in the audit trail, in the transaction of the act itself.

    `action` is `module.verb`; `target` names the thing, such as `staff:01j…`. `operator_id` must be given
    where the actor has no tenant. `before` and `after` hold no secrets and no unmasked personal data.
    """
    own = operator_of(actor.scope)
    entry = AuditEntry(
        id=session.new_id(),
        operator_id=OperatorId(own if own is not None else operator_id or PLATFORM_ID),
        at=session.now(),
        subject=actor.subject,
        action=action,
        target=target,
        before=before,
        after=after,
        request_id=str(kit_log.fields().get("request_id", "")),
    )
    await queries.insert_audit(session, entry)


# ----------------------------------------------------------------------------------------------- log-in


async def count_try(session: WriteSession, subject: str, budget: rules.Budget) -> TooManyTries | None:
    """Count a try; a *returned* refusal when the budget is spent, so that the count is kept."""
    tries, window_ends_at = await queries.count_try(session, System(), subject, budget)
    if tries <= budget.tries:
        return None
    return TooManyTries(max(1, int((window_ends_at - session.now()).total_seconds()) + 1))


async def count_enrolment_try(session: WriteSession, ip: str) -> TooManyTries | None:
    """Count a try to enrol a device from an address; a returned refusal when there were too many."""
    return await count_try(session, f"enrol:{ip}", rules.ENROL_FROM_ADDRESS)


async def begin_log_in(session: WriteSession, login: str, ip: str) -> Candidate | TooManyTries:
    """Count the try, then say whose password to verify. A returned `TooManyTries` keeps its count."""
    found = await queries.find_password(session, System(), login)
    budgets = [(f"ip:{ip}", rules.ADDRESS), (_account_from(login, ip), rules.ACCOUNT_FROM_ADDRESS)]
    since = session.now() - rules.TRUSTED_FOR
    if found is None or not await queries.is_trusted(session, System(), found[0], ip, since):
        budgets.append((_account(login), rules.ACCOUNT_FROM_STRANGERS))
    for subject, budget in budgets:
        refused = await count_try(session, subject, budget)
        if refused is not None:
            return refused
    return Candidate(None, None) if found is None else Candidate(*found)


async def finish_log_in(
    session: WriteSession,
    candidate: Candidate,
    *,
    login: str,
    ip: str,
    agent: str,
    token: str,
    replaces: str | None,
) -> OpenedSession | None:
    """Open a session for a person whose password was right; None when they were disabled meanwhile.

    The session is always a new one; `replaces`, the token the browser had, opens nothing from now on.
    """
    assert candidate.staff_id is not None
    now = session.now()
    staff = await queries.get_staff(session, System(), candidate.staff_id)
    if staff.disabled:
        return None
    await queries.give_back_try(session, System(), f"ip:{ip}")
    await queries.give_back_try(session, System(), _account(login))
    await queries.forget_tries(session, System(), _account_from(login, ip))
    await queries.trust(session, staff.id, ip)
    if replaces is not None:
        await queries.end_session_by_hash(session, hash_token(replaces))
    await _make_room(session, staff.id)
    opened = SessionRecord(
        id=SessionId(session.new_id()),
        operator_id=staff.operator_id,
        kind=SessionKind.STAFF,
        name=staff.name,
        staff_id=staff.id,
        last_seen_at=now,
        expires_at=now + rules.LIFETIMES[SessionKind.STAFF].absolute,
    )
    await queries.insert_session(session, opened, hash_token(token), ip, agent)
    by = Actor(scope=System(), subject=staff.login)
    await record(session, by, "access.log_in", _of(staff), operator_id=staff.operator_id, after={"ip": ip})
    return OpenedSession(id=opened.id, token=token, expires_at=opened.expires_at)


async def _make_room(session: WriteSession, staff_id: StaffId) -> None:
    held = await queries.list_own_sessions(session, System(), staff_id=staff_id)
    for surplus in held[rules.SESSIONS_PER_STAFF_MAX - 1 :]:
        await queries.end_own_session(session, System(), surplus.id, staff_id=staff_id)


def _account(login: str) -> str:
    return f"account:{login}"


def _account_from(login: str, ip: str) -> str:
    return f"account:{login}|{ip}"


def _of(staff: Staff) -> str:
    return f"staff:{to_public(staff.id)}"


# --------------------------------------------------------------------------------------------- sessions


async def open_device_session(
    session: WriteSession,
    *,
    operator_id: int,
    station_id: int,
    device_id: int,
    name: str,
    ip: str,
    agent: str,
    token: str,
) -> OpenedSession:
    """Open the one session of an enrolled terminal; an earlier one is over. `devices` checks the code."""
    now = session.now()
    await queries.end_sessions_of_device(session, device_id)
    opened = SessionRecord(
        id=SessionId(session.new_id()),
        operator_id=OperatorId(operator_id),
        kind=SessionKind.DEVICE,
        name=name,
        device_id=device_id,
        station_id=station_id,
        last_seen_at=now,
        expires_at=now + rules.LIFETIMES[SessionKind.DEVICE].absolute,
    )
    await queries.insert_session(session, opened, hash_token(token), ip, agent)
    return OpenedSession(id=opened.id, token=token, expires_at=opened.expires_at)


async def touch_session(session: WriteSession, session_id: int) -> None:
    await queries.touch_sessions_many(session, [session_id], session.now())


async def end_own_session(session: WriteSession, caller: Caller, session_id: int) -> None:
    """Log out, here or elsewhere. Raises `SessionNotFound` for one that is not the caller's, or is over."""
    ended = await queries.end_own_session(
        session, caller.actor.scope, session_id, staff_id=caller.staff_id, device_id=caller.device_id
    )
    if not ended:
        raise SessionNotFound


async def end_device_sessions(session: WriteSession, device_id: int) -> None:
    """A device was revoked: its next request is refused."""
    await queries.end_sessions_of_device(session, device_id)


async def forget_old(session: WriteSession) -> int:
    """Delete sessions and tries that nobody asks about any more; a clock job."""
    now = session.now()
    gone = await queries.delete_old_sessions(session, System(), now - SESSIONS_KEPT)
    return gone + await queries.delete_old_tries(session, System(), now)


# ------------------------------------------------------------------------------------------------ staff


def check_password(password: str, login: str) -> None:
    """Raises `PasswordTooWeak`."""
    why = rules.weakness(password, login)
    if why is not None:
        raise PasswordTooWeak(why=why)


async def create_staff(
    session: WriteSession,
    actor: Actor,
    *,
    operator_id: int,
    login: str,
    name: str,
    role: Role,
    password_hash: str,
    locale: str = "zh-CN",
    giver: Role | None = None,
) -> Staff:
    """Take on a person. `giver` is the caller's own role; None only for the platform's own jobs."""
    if not isinstance(actor.scope, System) and (giver is None or not rules.may_give(giver, role)):
        raise RoleNotYours(role=role)
    own = operator_of(actor.scope)
    if (own is not None and own != operator_id) or not rules.fits(role, OperatorId(operator_id)):
        raise RoleNotYours(role=role)
    staff = Staff(
        id=StaffId(session.new_id()),
        operator_id=OperatorId(operator_id),
        login=login,
        name=name,
        role=role,
        locale=locale,
        disabled=False,
        created_at=session.now(),
    )
    if not await queries.insert_staff(session, actor.scope, staff, password_hash):
        raise LoginTaken(login=login)
    shown = {"login": login, "role": role.value, "name": name}
    await record(session, actor, "access.create_staff", _of(staff), operator_id=operator_id, after=shown)
    return staff


async def change_staff(
    session: WriteSession,
    actor: Actor,
    staff_id: int,
    *,
    giver: Role | None,
    own_id: int | None,
    name: str | None = None,
    role: Role | None = None,
    disabled: bool | None = None,
) -> Staff:
    """Change name or role, disable or enable. A role taken away or a person disabled ends their sessions."""
    old = await queries.get_staff(session, actor.scope, staff_id)
    if own_id == staff_id and (role not in {None, old.role} or disabled):
        raise NotYourself
    new = replace(
        old,
        name=old.name if name is None else name,
        role=old.role if role is None else role,
        disabled=old.disabled if disabled is None else disabled,
    )
    allowed = giver is not None and rules.may_give(giver, old.role) and rules.may_give(giver, new.role)
    if not isinstance(actor.scope, System) and (not allowed or not rules.fits(new.role, new.operator_id)):
        raise RoleNotYours(role=new.role)
    await queries.update_staff(
        session,
        actor.scope,
        staff_id,
        name=new.name,
        role=new.role,
        disabled_at=session.now() if new.disabled else None,
    )
    if new.disabled or new.role is not old.role:
        await queries.end_sessions_of_staff(session, staff_id)
    before, after = (
        {key: value for key, value in asdict(each).items() if key in {"name", "role", "disabled"}}
        for each in (old, new)
    )
    await record(
        session,
        actor,
        "access.change_staff",
        _of(old),
        operator_id=old.operator_id,
        before=before,
        after=after,
    )
    return new


async def set_password(
    session: WriteSession, actor: Actor, staff_id: int, password_hash: str, *, but_session: int | None
) -> None:
    """Put a new password in place; every other session of that person is over."""
    staff = await queries.get_staff(session, actor.scope, staff_id)
    await queries.update_staff(session, actor.scope, staff_id, password_hash=password_hash)
    await queries.end_sessions_of_staff(session, staff_id, but=but_session)
    await record(session, actor, "access.set_password", _of(staff), operator_id=staff.operator_id)


# ------------------------------------------------------------------------------- the first ones of each


async def make_bootstrap_code(session: WriteSession, code: str) -> None:
    """Accept `code` for ten minutes, once, to make the first administrator. Raises `AlreadySetUp`."""
    if await queries.count_platform_admins(session, System()):
        raise AlreadySetUp
    await queries.insert_bootstrap_code(session, hash_token(code), session.now() + rules.BOOTSTRAP_LIFE)


async def redeem_bootstrap_code(
    session: WriteSession, code: str, *, login: str, name: str, password_hash: str
) -> Staff:
    """Make the first administrator. Raises `CodeUnknown`, `AlreadySetUp`, `LoginTaken`."""
    if not await queries.use_bootstrap_code(session, System(), hash_token(code)):
        raise CodeUnknown
    if await queries.count_platform_admins(session, System()):
        raise AlreadySetUp
    return await create_staff(
        session,
        Actor(scope=System(), subject="bootstrap"),
        operator_id=PLATFORM_ID,
        login=login,
        name=name,
        role=Role.PLATFORM_ADMIN,
        password_hash=password_hash,
    )


async def open_operator(
    session: WriteSession,
    actor: Actor,
    *,
    code: str,
    name: str,
    admin_login: str,
    admin_name: str,
    admin_password_hash: str,
) -> tuple[OperatorInfo, Staff]:
    """Take on a tenant with its first administrator: one without the other helps nobody."""
    operator = await operators.create_operator(session, actor, code=code, name=name)
    admin = await create_staff(
        session,
        actor,
        operator_id=operator.id,
        login=admin_login,
        name=admin_name,
        role=Role.OPERATOR_ADMIN,
        password_hash=admin_password_hash,
        giver=Role.PLATFORM_ADMIN,
    )
    target = f"operator:{to_public(operator.id)}"
    shown = {"code": code, "name": name}
    await record(session, actor, "operators.open", target, operator_id=operator.id, after=shown)
    return operator, admin
