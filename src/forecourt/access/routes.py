"""HTTP of access: log in and out, one's own sessions, staff, operators with their first administrator."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response

from forecourt.access import flows, queries, rules, service
from forecourt.access.errors import (
    AlreadySetUp,
    CodeUnknown,
    LogInFailed,
    LoginTaken,
    NotYourself,
    PasswordTooWeak,
    RoleNotYours,
    SessionNotFound,
    StaffNotFound,
    TooManyLogIns,
)
from forecourt.access.flows import Authenticator
from forecourt.access.schemas import (
    AuditEntryOut,
    AuditOut,
    BootstrapIn,
    LogInIn,
    MeOut,
    NewOperatorOut,
    OpenedOperatorOut,
    OperatorIn,
    PasswordIn,
    ScopeOut,
    SessionOut,
    SessionsOut,
    StaffChangeIn,
    StaffIn,
    StaffListOut,
    StaffOut,
)
from forecourt.access.types import ACCESS_READ, ACCESS_WRITE, AUDIT_READ, PLATFORM_ID, Caller, SessionKind
from forecourt.core.actor import Actor, Device, Platform, Scope, operator_of
from forecourt.core.errors import Unauthenticated
from forecourt.core.http import Credentials, Db, Page, PublicId, part, public, refusals, require, signed_in
from forecourt.core.http.cookies import address_of, end_session_cookie, set_session_cookie
from forecourt.core.http.permissions import DEVICE_COOKIE, STAFF_COOKIE, credentials_of
from forecourt.core.passwords import Passwords
from forecourt.operators.errors import OperatorCodeTaken
from forecourt.operators.types import OPERATORS_WRITE

router = APIRouter(tags=["access"])

COOKIE_AGE = rules.LIFETIMES[SessionKind.STAFF].absolute

SignedIn = Annotated[Actor, Depends(signed_in())]
Reader = Annotated[Actor, Depends(require(ACCESS_READ))]
Writer = Annotated[Actor, Depends(require(ACCESS_WRITE))]
Hashes = Annotated[Passwords, Depends(part(Passwords))]


Doorman = Annotated[Authenticator, Depends(part(Authenticator))]


async def current_caller(request: Request, _: SignedIn, authenticator: Doorman) -> Caller:
    credentials = credentials_of(request)
    if credentials is None:
        raise Unauthenticated
    return await authenticator.caller(credentials)


Me = Annotated[Caller, Depends(current_caller)]


@router.post(
    "/session",
    dependencies=[Depends(public())],
    responses=refusals(LogInFailed, TooManyLogIns),
)
async def log_in(
    body: LogInIn,
    request: Request,
    response: Response,
    db: Db,
    passwords: Hashes,
    authenticator: Doorman,
) -> MeOut:
    """Log in; the answer sets the cookie `forecourt_session`."""
    opened = await flows.log_in(
        db,
        passwords,
        login=body.account,
        password=body.password,
        ip=address_of(request),
        agent=request.headers.get("user-agent", ""),
        replaces=request.cookies.get(STAFF_COOKIE),
    )
    set_session_cookie(response, request, STAFF_COOKIE, opened.token, COOKIE_AGE)
    return _me(await authenticator.caller(Credentials(opened.token, by_cookie=True)))


@router.delete("/session", status_code=204)
async def log_out(me: Me, response: Response, db: Db) -> None:
    """End the session this request came with."""
    await db.transact(service.end_own_session, me, me.session_id)
    end_session_cookie(response, STAFF_COOKIE if me.kind is SessionKind.STAFF else DEVICE_COOKIE)


@router.get("/session")
async def get_me(me: Me) -> MeOut:
    """Who the caller is and what they may do."""
    return _me(me)


def _me(caller: Caller) -> MeOut:
    scope = ScopeOut(
        kind=_scope_kind(caller.actor.scope),
        operator_id=operator_of(caller.actor.scope),
        device_id=caller.device_id,
        station_id=caller.station_id,
    )
    return MeOut(
        session_id=caller.session_id,
        kind=caller.kind,
        name=caller.name,
        login=caller.login,
        role=caller.role,
        scope=scope,
        permissions=sorted(caller.actor.permissions),
        locale=caller.locale,
    )


def _scope_kind(scope: Scope) -> Literal["operator", "device", "platform"]:
    if isinstance(scope, Device):
        return "device"
    return "platform" if isinstance(scope, Platform) else "operator"


@router.get("/sessions")
async def list_sessions(me: Me, db: Db) -> SessionsOut:
    """The caller's own open sessions."""
    async with db.read() as session:
        held = await queries.list_own_sessions(
            session, me.actor.scope, staff_id=me.staff_id, device_id=me.device_id
        )
    shown = [SessionOut.model_validate(each) for each in held]
    return SessionsOut(
        items=[each.model_copy(update={"current": each.id == me.session_id}) for each in shown]
    )


@router.delete("/sessions/{session_id}", status_code=204, responses=refusals(SessionNotFound))
async def end_session(session_id: PublicId, me: Me, db: Db) -> None:
    """End one of the caller's own sessions."""
    await db.transact(service.end_own_session, me, session_id)


@router.put(
    "/session/password",
    status_code=204,
    responses=refusals(LogInFailed, PasswordTooWeak, TooManyLogIns),
)
async def change_password(body: PasswordIn, me: Me, request: Request, db: Db, passwords: Hashes) -> None:
    """Change the caller's own password; their other sessions are over."""
    await flows.change_own_password(db, passwords, me, old=body.old, new=body.new, ip=address_of(request))


@router.post(
    "/bootstrap",
    status_code=201,
    dependencies=[Depends(public())],
    responses=refusals(CodeUnknown, AlreadySetUp, PasswordTooWeak, TooManyLogIns),
)
async def bootstrap(body: BootstrapIn, request: Request, db: Db, passwords: Hashes) -> StaffOut:
    """Make the first administrator with the one-time code of `forecourt admin create`."""
    staff = await flows.redeem_bootstrap_code(
        db,
        passwords,
        code=body.code,
        login=body.login,
        name=body.name,
        password=body.password,
        ip=address_of(request),
    )
    return StaffOut.model_validate(staff)


@router.get("/staff")
async def list_staff(actor: Reader, db: Db, page: Page) -> StaffListOut:
    """The people whom the caller sees, newest first."""
    async with db.read() as session:
        found = await queries.list_staff(session, actor.scope, limit=page.limit, after=page.after)
    return StaffListOut(
        items=[StaffOut.model_validate(each) for each in found], next_cursor=page.next_cursor(found)
    )


@router.get("/staff/{staff_id}", responses=refusals(StaffNotFound))
async def get_staff(staff_id: PublicId, actor: Reader, db: Db) -> StaffOut:
    async with db.read() as session:
        return StaffOut.model_validate(await queries.get_staff(session, actor.scope, staff_id))


@router.post("/staff", status_code=201, responses=refusals(LoginTaken, RoleNotYours, PasswordTooWeak))
async def create_staff(body: StaffIn, actor: Writer, me: Me, db: Db, passwords: Hashes) -> StaffOut:
    """Take on a person, with a first password."""
    own = operator_of(actor.scope)
    if own is not None and body.operator_id not in {None, own}:
        raise RoleNotYours(role=body.role)
    service.check_password(body.password, body.login)
    made = await passwords.hash(body.password)
    staff = await db.transact(
        service.create_staff,
        actor,
        operator_id=own if own is not None else body.operator_id or PLATFORM_ID,
        login=body.login,
        name=body.name,
        role=body.role,
        password_hash=made,
        locale=body.locale,
        giver=me.role,
    )
    return StaffOut.model_validate(staff)


@router.patch(
    "/staff/{staff_id}",
    responses=refusals(StaffNotFound, RoleNotYours, NotYourself, PasswordTooWeak),
)
async def change_staff(
    staff_id: PublicId, body: StaffChangeIn, actor: Writer, me: Me, db: Db, passwords: Hashes
) -> StaffOut:
    """Rename, give another role, disable, or set a new first password."""
    staff = await db.transact(
        service.change_staff,
        actor,
        staff_id,
        giver=me.role,
        own_id=me.staff_id,
        name=body.name,
        role=body.role,
        disabled=body.disabled,
    )
    if body.password is not None:
        service.check_password(body.password, staff.login)
        made = await passwords.hash(body.password)
        kept = me.session_id if me.staff_id == staff_id else None
        await db.transact(service.set_password, actor, staff_id, made, but_session=kept)
    return StaffOut.model_validate(staff)


@router.post(
    "/operators",
    status_code=201,
    tags=["operators"],
    responses=refusals(OperatorCodeTaken, LoginTaken, PasswordTooWeak),
)
async def open_operator(
    body: OperatorIn, actor: Annotated[Actor, Depends(require(OPERATORS_WRITE))], db: Db, passwords: Hashes
) -> OpenedOperatorOut:
    """Take on an operator with its first administrator."""
    service.check_password(body.admin_password, body.admin_login)
    made = await passwords.hash(body.admin_password)
    operator, admin = await db.transact(
        service.open_operator,
        actor,
        code=body.code,
        name=body.name,
        admin_login=body.admin_login,
        admin_name=body.admin_name,
        admin_password_hash=made,
    )
    return OpenedOperatorOut(
        operator=NewOperatorOut.model_validate(operator), admin=StaffOut.model_validate(admin)
    )


@router.get("/audit")
async def list_audit(actor: Annotated[Actor, Depends(require(AUDIT_READ))], db: Db, page: Page) -> AuditOut:
    """Privileged acts, newest first."""
    async with db.read() as session:
        found = await queries.list_audit(session, actor.scope, limit=page.limit, after=page.after)
    return AuditOut(
        items=[AuditEntryOut.model_validate(each) for each in found], next_cursor=page.next_cursor(found)
    )
