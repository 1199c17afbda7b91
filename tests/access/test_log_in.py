"""Who gets in, how often one may try, and that nobody outside can lock anybody out."""

import asyncio

import pytest
from tests.access.conftest import IP, OURS, PASSWORD, of, take_on

from forecourt.access import flows, queries, rules, service
from forecourt.access.errors import AlreadySetUp, CodeUnknown, LogInFailed, PasswordTooWeak, TooManyLogIns
from forecourt.access.flows import Authenticator
from forecourt.access.types import OpenedSession, Role, SessionKind
from forecourt.core.actor import Device, Operator, Platform
from forecourt.core.db import Database
from forecourt.core.errors import Unauthenticated, Unavailable
from forecourt.core.http import Credentials
from forecourt.core.passwords import Passwords
from forecourt_kit.clock import ManualClock


async def log_in(
    db: Database,
    passwords: Passwords,
    login: str = "wang",
    password: str = PASSWORD,
    ip: str = IP,
    replaces: str | None = None,
) -> OpenedSession:
    return await flows.log_in(
        db, passwords, login=login, password=password, ip=ip, agent="tests", replaces=replaces
    )


async def fails(db: Database, passwords: Passwords, times: int, *, login: str = "wang", ip: str = IP) -> None:
    for _ in range(times):
        with pytest.raises(LogInFailed):
            await log_in(db, passwords, login=login, password="wrong one", ip=ip)


def offered(token: str) -> Credentials:
    return Credentials(token, by_cookie=True)


class TestLogIn:
    async def test_the_right_password_opens_a_session_for_the_role(
        self, database: Database, passwords: Passwords
    ) -> None:
        staff = await take_on(database, passwords, "wang", Role.CASHIER)
        opened = await log_in(database, passwords, login=" WANG ")
        caller = await Authenticator(database).caller(offered(opened.token))
        assert caller.actor.scope == Operator(OURS)
        assert caller.actor.subject == "wang"
        assert caller.actor.permissions == rules.PERMISSIONS[Role.CASHIER]
        assert (caller.staff_id, caller.session_id, caller.name) == (staff.id, opened.id, "Wang")

    async def test_the_token_itself_is_not_stored(
        self, sqlite_database: Database, passwords: Passwords
    ) -> None:
        await take_on(sqlite_database, passwords, "wang", Role.CASHIER)
        opened = await log_in(sqlite_database, passwords)
        assert len(opened.token) >= 32
        assert opened.token not in repr(opened)
        async with sqlite_database.read() as session:
            found = await queries.find_sessions_many(session, [opened.token])
            assert found == {}
            assert await queries.find_sessions_many(session, [service.hash_token(opened.token)])

    async def test_the_platforms_people_have_the_platforms_scope(
        self, sqlite_database: Database, passwords: Passwords
    ) -> None:
        await take_on(sqlite_database, passwords, "root1", Role.PLATFORM_ADMIN)
        opened = await log_in(sqlite_database, passwords, login="root1")
        caller = await Authenticator(sqlite_database).caller(offered(opened.token))
        assert caller.actor.scope == Platform()

    async def test_wrong_name_and_wrong_password_are_one_answer(
        self, sqlite_database: Database, passwords: Passwords
    ) -> None:
        await take_on(sqlite_database, passwords, "wang", Role.CASHIER)
        told = []
        for login, password in (("wang", "wrong one"), ("nobody", PASSWORD)):
            with pytest.raises(LogInFailed) as refusal:
                await log_in(sqlite_database, passwords, login=login, password=password)
            told.append((refusal.value.code, refusal.value.detail, refusal.value.facts))
        assert told[0] == told[1]

    async def test_a_log_in_always_opens_a_new_session_and_ends_the_one_before(
        self, sqlite_database: Database, passwords: Passwords
    ) -> None:
        await take_on(sqlite_database, passwords, "wang", Role.CASHIER)
        first = await log_in(sqlite_database, passwords)
        second = await log_in(sqlite_database, passwords, replaces=first.token)
        assert second.token != first.token
        authenticator = Authenticator(sqlite_database)
        await authenticator.caller(offered(second.token))
        with pytest.raises(Unauthenticated):
            await authenticator.caller(offered(first.token))

    async def test_one_person_has_so_many_sessions_and_the_oldest_ends(
        self, sqlite_database: Database, passwords: Passwords
    ) -> None:
        staff = await take_on(sqlite_database, passwords, "wang", Role.CASHIER)
        opened = [
            await log_in(sqlite_database, passwords, ip=f"198.51.100.{number}")
            for number in range(rules.SESSIONS_PER_STAFF_MAX + 3)
        ]
        async with sqlite_database.read() as session:
            held = await queries.list_own_sessions(session, Operator(OURS), staff_id=staff.id)
        assert [each.id for each in held] == [each.id for each in reversed(opened)][: len(held)]
        assert len(held) == rules.SESSIONS_PER_STAFF_MAX


class TestTries:
    async def test_an_account_from_one_address_has_ten_tries_and_then_waits(
        self, database: Database, passwords: Passwords, clock: ManualClock
    ) -> None:
        await take_on(database, passwords, "wang", Role.CASHIER)
        await fails(database, passwords, rules.ACCOUNT_FROM_ADDRESS.tries)
        with pytest.raises(TooManyLogIns) as refusal:
            await log_in(database, passwords)
        assert 0 < refusal.value.facts["retry_after_s"] <= 901  # type: ignore[operator]
        clock.advance(15 * 60 + 1)
        await log_in(database, passwords)

    async def test_success_forgives_the_tries_before(
        self, sqlite_database: Database, passwords: Passwords
    ) -> None:
        await take_on(sqlite_database, passwords, "wang", Role.CASHIER)
        for _ in range(4):
            await fails(sqlite_database, passwords, rules.ACCOUNT_FROM_ADDRESS.tries - 1)
            await log_in(sqlite_database, passwords)

    async def test_an_address_that_tries_many_accounts_is_stopped(
        self, sqlite_database: Database, passwords: Passwords
    ) -> None:
        for number in range(rules.ADDRESS.tries):
            await fails(sqlite_database, passwords, 1, login=f"guess{number}")
        with pytest.raises(TooManyLogIns):
            await log_in(sqlite_database, passwords, login="another")

    async def test_strangers_cannot_lock_the_station_out(
        self, sqlite_database: Database, passwords: Passwords
    ) -> None:
        await take_on(sqlite_database, passwords, "wang", Role.CASHIER)
        at_the_station = await log_in(sqlite_database, passwords)
        for number in range(rules.ACCOUNT_FROM_STRANGERS.tries):
            await fails(sqlite_database, passwords, 1, ip=f"198.51.100.{number}")
        with pytest.raises(TooManyLogIns):
            await log_in(sqlite_database, passwords, ip="192.0.2.1")
        await log_in(sqlite_database, passwords)  # The station's own address is trusted.
        await Authenticator(sqlite_database).caller(offered(at_the_station.token))

    async def test_a_thousand_tries_at_once_are_a_thousand(self, database: Database) -> None:
        outcomes = await asyncio.gather(
            *(database.transact(service.count_enrolment_try, IP) for _ in range(40))
        )
        assert sum(outcome is None for outcome in outcomes) == rules.ENROL_FROM_ADDRESS.tries


class TestSessions:
    async def test_idle_and_absolute_limits_end_a_session(
        self, database: Database, passwords: Passwords, clock: ManualClock
    ) -> None:
        await take_on(database, passwords, "wang", Role.CASHIER)
        lifetime = rules.LIFETIMES[SessionKind.STAFF]
        authenticator = Authenticator(database)
        idle = await log_in(database, passwords)
        used = await log_in(database, passwords)
        for _ in range(int(lifetime.absolute / lifetime.idle)):
            clock.advance(lifetime.idle.total_seconds() - 1)
            await authenticator.caller(offered(used.token))
        with pytest.raises(Unauthenticated):
            await authenticator.caller(offered(idle.token))
        clock.advance(lifetime.idle.total_seconds() - 1)
        with pytest.raises(Unauthenticated):
            await authenticator.caller(offered(used.token))

    async def test_a_person_disabled_or_changed_is_out_at_once(
        self, database: Database, passwords: Passwords
    ) -> None:
        authenticator = Authenticator(database)
        for login, change in (("wang", {"disabled": True}), ("zhao", {"role": Role.AUDITOR})):
            staff = await take_on(database, passwords, login, Role.CASHIER)
            opened = await log_in(database, passwords, login=login)
            await authenticator.caller(offered(opened.token))
            await database.transact(
                service.change_staff,
                of(OURS),
                staff.id,
                giver=Role.OPERATOR_ADMIN,
                own_id=1,
                **change,
            )
            with pytest.raises(Unauthenticated):
                await authenticator.caller(offered(opened.token))
        with pytest.raises(LogInFailed):
            await log_in(database, passwords, login="wang")

    async def test_many_requests_of_one_moment_share_one_look_up(
        self, sqlite_database: Database, passwords: Passwords, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await take_on(sqlite_database, passwords, "wang", Role.CASHIER)
        tokens = [(await log_in(sqlite_database, passwords)).token for _ in range(3)]
        asked = []
        look_up = queries.find_sessions_many

        async def counted(session: object, hashes: list[str]) -> object:
            asked.append(len(hashes))
            return await look_up(session, hashes)  # type: ignore[arg-type]

        monkeypatch.setattr(queries, "find_sessions_many", counted)
        authenticator = Authenticator(sqlite_database)
        callers = await asyncio.gather(*(authenticator.caller(offered(token)) for token in tokens * 10))
        assert len(callers) == 30
        assert asked == [3]

    async def test_a_bug_in_the_look_up_reaches_whoever_waits(
        self, sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def broken(session: object, hashes: list[str]) -> object:
            raise LookupError

        monkeypatch.setattr(queries, "find_sessions_many", broken)
        authenticator = Authenticator(sqlite_database)
        outcomes = await asyncio.gather(
            *(authenticator.caller(offered(token)) for token in "abc"), return_exceptions=True
        )
        assert [type(each) for each in outcomes] == [RuntimeError] * 3

    async def test_a_store_that_is_away_is_told_to_all_who_wait(
        self, sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def away(session: object, hashes: list[str]) -> object:
            raise Unavailable

        monkeypatch.setattr(queries, "find_sessions_many", away)
        authenticator = Authenticator(sqlite_database)
        outcomes = await asyncio.gather(
            *(authenticator.caller(offered(token)) for token in "abc"), return_exceptions=True
        )
        assert [type(each) for each in outcomes] == [Unavailable] * 3

    async def test_a_device_session_has_the_devices_scope_and_is_one(self, database: Database) -> None:
        tokens = ["t" * 32, "u" * 32]
        for token in tokens:
            await database.transact(
                service.open_device_session,
                operator_id=OURS,
                station_id=5,
                device_id=6,
                name="Pillar",
                ip=IP,
                agent="",
                token=token,
            )
        authenticator = Authenticator(database)
        caller = await authenticator.caller(offered(tokens[1]))
        assert caller.actor.scope == Device(OURS, 6, 5)
        assert caller.actor.permissions == rules.TERMINAL_PERMISSIONS
        with pytest.raises(Unauthenticated):
            await authenticator.caller(offered(tokens[0]))
        await database.transact(service.end_device_sessions, 6)
        with pytest.raises(Unauthenticated):
            await authenticator.caller(offered(tokens[1]))

    async def test_what_is_over_is_forgotten_in_time(
        self, database: Database, passwords: Passwords, clock: ManualClock
    ) -> None:
        await take_on(database, passwords, "wang", Role.CASHIER)
        await log_in(database, passwords)
        assert await database.transact(service.forget_old) == 0
        clock.advance(40 * 24 * 3600)
        assert await database.transact(service.forget_old) >= 1


class TestPasswords:
    @pytest.mark.parametrize(
        "password", ["short", "x" * 129, "password123", "aaaaaaaa", "wang-2026!", "12345678"]
    )
    def test_a_weak_password_is_refused(self, password: str) -> None:
        with pytest.raises(PasswordTooWeak):
            service.check_password(password, "wang")

    @pytest.mark.parametrize("password", [PASSWORD, "只要够长就好了吧", "x7#kQ-22 zz"])
    def test_no_rule_of_composition(self, password: str) -> None:
        service.check_password(password, "wang")

    async def test_a_changed_password_ends_the_other_sessions(
        self, sqlite_database: Database, passwords: Passwords
    ) -> None:
        await take_on(sqlite_database, passwords, "wang", Role.CASHIER)
        here, there = [await log_in(sqlite_database, passwords) for _ in range(2)]
        authenticator = Authenticator(sqlite_database)
        caller = await authenticator.caller(offered(here.token))
        with pytest.raises(LogInFailed):
            await flows.change_own_password(
                sqlite_database, passwords, caller, old="wrong one", new="brand new words", ip=IP
            )
        await flows.change_own_password(
            sqlite_database, passwords, caller, old=PASSWORD, new="brand new words", ip=IP
        )
        await authenticator.caller(offered(here.token))
        with pytest.raises(Unauthenticated):
            await authenticator.caller(offered(there.token))
        await log_in(sqlite_database, passwords, password="brand new words")


class TestBootstrap:
    async def redeem(self, db: Database, passwords: Passwords, code: str) -> None:
        await flows.redeem_bootstrap_code(
            db, passwords, code=code, login="root1", name="Root", password=PASSWORD, ip=IP
        )

    async def test_the_first_administrator_is_made_once(
        self, database: Database, passwords: Passwords
    ) -> None:
        await database.transact(service.make_bootstrap_code, "one-time")
        await self.redeem(database, passwords, "one-time")
        await log_in(database, passwords, login="root1")
        with pytest.raises(CodeUnknown):
            await self.redeem(database, passwords, "one-time")
        with pytest.raises(AlreadySetUp):
            await database.transact(service.make_bootstrap_code, "another")

    async def test_a_code_is_good_for_ten_minutes_and_few_tries(
        self, sqlite_database: Database, passwords: Passwords, clock: ManualClock
    ) -> None:
        await sqlite_database.transact(service.make_bootstrap_code, "one-time")
        for _ in range(rules.BOOTSTRAP_TRIES.tries - 1):
            with pytest.raises(CodeUnknown):
                await self.redeem(sqlite_database, passwords, "a guess")
        clock.advance(10 * 60)
        with pytest.raises(CodeUnknown):
            await self.redeem(sqlite_database, passwords, "one-time")
        for _ in range(rules.BOOTSTRAP_TRIES.tries - 1):
            with pytest.raises(CodeUnknown):
                await self.redeem(sqlite_database, passwords, "a guess")
        with pytest.raises(TooManyLogIns):
            await self.redeem(sqlite_database, passwords, "a guess")
