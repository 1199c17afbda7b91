"""Steps around password work, which waits for a worker and holds no transaction; and who a token is."""

import asyncio
from dataclasses import replace

from sqlalchemy.exc import SQLAlchemyError

from forecourt.access import queries, rules, service
from forecourt.access.errors import CodeUnknown, LogInFailed, TooManyLogIns
from forecourt.access.types import (
    Caller,
    OpenedSession,
    Role,
    SessionKind,
    SessionRecord,
    Staff,
    TooManyTries,
)
from forecourt.core.actor import Actor, Device, Operator, Platform, Scope, System
from forecourt.core.db import Database
from forecourt.core.errors import Refusal, Unauthenticated
from forecourt.core.http import Credentials
from forecourt.core.passwords import Passwords

TOKEN_BYTES = 24  # 192 bits.
LOOK_UPS_MAX = 200  # Tokens in one statement.


async def log_in(
    db: Database,
    passwords: Passwords,
    *,
    login: str,
    password: str,
    ip: str,
    agent: str,
    replaces: str | None,
) -> OpenedSession:
    """Open a session for a login and password.

    Raises `LogInFailed`, the same in the same time whether the login exists, and `TooManyLogIns`.
    """
    login = login.strip().casefold()[:64]
    candidate = await db.transact(service.begin_log_in, login, ip)
    if isinstance(candidate, TooManyTries):
        raise TooManyLogIns(retry_after_s=candidate.retry_after_s)
    if not await passwords.verify(candidate.password_hash, password):
        raise LogInFailed
    opened = await db.transact(
        service.finish_log_in,
        candidate,
        login=login,
        ip=ip,
        agent=agent,
        token=db.random.token(TOKEN_BYTES),
        replaces=replaces,
    )
    if opened is None:
        raise LogInFailed
    return opened


async def change_own_password(
    db: Database, passwords: Passwords, caller: Caller, *, old: str, new: str, ip: str
) -> None:
    """Raises `LogInFailed` when the old one is wrong, `TooManyLogIns`, `PasswordTooWeak`."""
    if caller.staff_id is None:
        raise LogInFailed
    subject = f"account:{caller.login}|{ip}"
    refused = await db.transact(service.count_try, subject, rules.ACCOUNT_FROM_ADDRESS)
    if refused is not None:
        raise TooManyLogIns(retry_after_s=refused.retry_after_s)
    service.check_password(new, caller.login or "")
    async with db.read() as session:
        held = await queries.find_password_of(session, caller.actor.scope, caller.staff_id)
    if not await passwords.verify(held, old):
        raise LogInFailed
    made = await passwords.hash(new)
    await db.transact(
        service.set_password, caller.actor, caller.staff_id, made, but_session=caller.session_id
    )


async def redeem_bootstrap_code(
    db: Database, passwords: Passwords, *, code: str, login: str, name: str, password: str, ip: str
) -> Staff:
    """Make the first administrator with the code that `forecourt admin create` printed."""
    refused = await db.transact(service.count_try, f"bootstrap:{ip}", rules.BOOTSTRAP_TRIES)
    if refused is not None:
        raise TooManyLogIns(retry_after_s=refused.retry_after_s)
    service.check_password(password, login)
    async with db.read() as session:
        if await queries.count_platform_admins(session, System()):
            raise CodeUnknown  # Say nothing of the platform's state to who has no code.
    made = await passwords.hash(password)
    return await db.transact(service.redeem_bootstrap_code, code, login=login, name=name, password_hash=made)


class Authenticator:
    """Who a token is, asked on every request: what was revoked a moment ago opens nothing.

    Requests of one turn of the loop share one statement, so that the answer stays fresh and cheap at once.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: dict[str, asyncio.Future[SessionRecord | None]] = {}
        self._flights: set[asyncio.Task[None]] = set()

    async def __call__(self, credentials: Credentials) -> Actor:
        """`core.http.Authenticate`."""
        return (await self.caller(credentials)).actor

    async def caller(self, credentials: Credentials) -> Caller:
        """Who it is, with the facts of their session. Raises `Unauthenticated`."""
        now = self._db.clock.now()
        record = await self._look_up(service.hash_token(credentials.token))
        if (
            record is None
            or record.staff_disabled
            or not rules.is_open(
                now,
                kind=record.kind,
                last_seen_at=record.last_seen_at,
                expires_at=record.expires_at,
                ended_at=record.ended_at,
            )
        ):
            raise Unauthenticated
        if now - record.last_seen_at >= rules.SEEN_EVERY:
            await self._db.transact(service.touch_session, record.id)
            record = replace(record, last_seen_at=now)
        return _caller(record)

    async def _look_up(self, token_hash: str) -> SessionRecord | None:
        waiting = self._waiting.get(token_hash)
        if waiting is None:
            loop = asyncio.get_running_loop()
            waiting = self._waiting[token_hash] = loop.create_future()
            if len(self._waiting) == 1:
                flight = loop.create_task(self._fly())
                self._flights.add(flight)
                flight.add_done_callback(self._flights.discard)
        return await asyncio.shield(waiting)

    async def _fly(self) -> None:
        await asyncio.sleep(0)
        wanted, self._waiting = self._waiting, {}
        hashes = list(wanted)
        try:
            found: dict[str, SessionRecord] = {}
            for start in range(0, len(hashes), LOOK_UPS_MAX):
                async with self._db.read() as session:
                    found |= await queries.find_sessions_many(session, hashes[start : start + LOOK_UPS_MAX])
        except (Refusal, SQLAlchemyError) as error:
            for future in wanted.values():
                future.set_exception(error)
                future.exception()  # Whoever asked may be gone; the error is not lost on those who wait.
        else:
            for token_hash, future in wanted.items():
                future.set_result(found.get(token_hash))
        finally:
            for future in wanted.values():
                if not future.done():  # A bug above: whoever waits must hear of it rather than hang.
                    future.set_exception(RuntimeError("the look-up of a session failed"))


def _caller(record: SessionRecord) -> Caller:
    scope: Scope
    if record.kind is SessionKind.DEVICE:
        assert record.device_id is not None
        assert record.station_id is not None
        scope = Device(record.operator_id, record.device_id, record.station_id)
        permissions, subject = rules.TERMINAL_PERMISSIONS, f"device:{record.name}"
    else:
        assert record.role is not None
        scope = Platform() if record.role is Role.PLATFORM_ADMIN else Operator(record.operator_id)
        permissions, subject = rules.PERMISSIONS[record.role], record.login or ""
    return Caller(
        actor=Actor(scope=scope, subject=subject, permissions=permissions),
        session_id=record.id,
        kind=record.kind,
        name=record.name,
        login=record.login,
        role=record.role,
        locale=record.locale,
        last_seen_at=record.last_seen_at,
        staff_id=record.staff_id,
        device_id=record.device_id,
        station_id=record.station_id,
    )
