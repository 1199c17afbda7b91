"""Who may take on whom, who sees whom, and that each act leaves its trace."""

import pytest
from sqlalchemy import update
from tests.access.conftest import OURS, PASSWORD, THEIRS, of, take_on

from forecourt.access import queries, rules, service
from forecourt.access.errors import LoginTaken, NotYourself, RoleNotYours, SessionNotFound, StaffNotFound
from forecourt.access.models import StaffRow
from forecourt.access.types import PLATFORM_ID, Caller, Role, SessionId, SessionKind
from forecourt.core.actor import Actor, OperatorId, Platform, system
from forecourt.core.db import Database, WriteSession
from forecourt.core.passwords import Passwords
from forecourt.operators import queries as operators
from forecourt.operators.errors import OperatorCodeTaken, OperatorNotFound
from forecourt_kit.clock import ManualClock
from forecourt_kit.log import bound


async def create(
    db: Database, actor: Actor, giver: Role, role: Role, operator_id: int, login: str = "li"
) -> None:
    await db.transact(
        service.create_staff,
        actor,
        operator_id=operator_id,
        login=login,
        name="Li",
        role=role,
        password_hash="x",
        giver=giver,
    )


class TestRoles:
    @pytest.mark.parametrize(
        ("giver", "role", "operator_id", "allowed"),
        [
            (Role.OPERATOR_ADMIN, Role.CASHIER, OURS, True),
            (Role.OPERATOR_ADMIN, Role.OPERATOR_ADMIN, OURS, True),
            (Role.OPERATOR_ADMIN, Role.AUDITOR, OURS, True),
            (Role.OPERATOR_ADMIN, Role.PLATFORM_ADMIN, OURS, False),
            (Role.OPERATOR_ADMIN, Role.PLATFORM_ADMIN, PLATFORM_ID, False),
            (Role.OPERATOR_ADMIN, Role.CASHIER, THEIRS, False),
            (Role.CASHIER, Role.CASHIER, OURS, False),
            (Role.AUDITOR, Role.CASHIER, OURS, False),
        ],
    )
    async def test_staff_give_roles_of_their_own_operator_only(
        self, sqlite_database: Database, giver: Role, role: Role, operator_id: OperatorId, allowed: bool
    ) -> None:
        if allowed:
            await create(sqlite_database, of(OURS), giver, role, operator_id)
        else:
            with pytest.raises(RoleNotYours):
                await create(sqlite_database, of(OURS), giver, role, operator_id)

    async def test_the_platform_makes_administrators_and_nobody_else(self, sqlite_database: Database) -> None:
        platform = Actor(scope=Platform(), subject="root")
        await create(sqlite_database, platform, Role.PLATFORM_ADMIN, Role.OPERATOR_ADMIN, OURS, "a1")
        await create(sqlite_database, platform, Role.PLATFORM_ADMIN, Role.PLATFORM_ADMIN, PLATFORM_ID, "a2")
        for role, operator_id in (
            (Role.CASHIER, OURS),
            (Role.PLATFORM_ADMIN, OURS),
            (Role.OPERATOR_ADMIN, PLATFORM_ID),
        ):
            with pytest.raises(RoleNotYours):
                await create(sqlite_database, platform, Role.PLATFORM_ADMIN, role, operator_id, "a3")

    async def test_a_login_belongs_to_one_person_on_the_platform(
        self, database: Database, passwords: Passwords
    ) -> None:
        await take_on(database, passwords, "wang", Role.CASHIER, OURS)
        with pytest.raises(LoginTaken):
            await take_on(database, passwords, "wang", Role.CASHIER, THEIRS)

    async def test_nobody_disables_or_promotes_themselves(
        self, sqlite_database: Database, passwords: Passwords
    ) -> None:
        staff = await take_on(sqlite_database, passwords, "wang", Role.OPERATOR_ADMIN)
        for change in ({"disabled": True}, {"role": Role.CASHIER}):
            with pytest.raises(NotYourself):
                await sqlite_database.transact(
                    service.change_staff,
                    of(OURS),
                    staff.id,
                    giver=Role.OPERATOR_ADMIN,
                    own_id=staff.id,
                    **change,
                )

    def test_only_administrators_may_write_access(self) -> None:
        may = {role for role, held in rules.PERMISSIONS.items() if "access:write" in held}
        assert may == {Role.PLATFORM_ADMIN, Role.OPERATOR_ADMIN}


class TestStrangers:
    async def test_see_nobody(self, database: Database, passwords: Passwords) -> None:
        wang = await take_on(database, passwords, "wang", Role.CASHIER, OURS)
        async with database.read() as session:
            assert [each.id for each in await queries.list_staff(session, of(OURS).scope, limit=9)] == [
                wang.id
            ]
            assert await queries.list_staff(session, of(THEIRS).scope, limit=9) == []
            with pytest.raises(StaffNotFound):
                await queries.get_staff(session, of(THEIRS).scope, wang.id)
            assert await queries.list_audit(session, of(THEIRS).scope, limit=9) == []

    async def test_change_nobody(self, database: Database, passwords: Passwords) -> None:
        wang = await take_on(database, passwords, "wang", Role.CASHIER, OURS)
        with pytest.raises(StaffNotFound):
            await database.transact(
                service.change_staff,
                of(THEIRS),
                wang.id,
                giver=Role.OPERATOR_ADMIN,
                own_id=1,
                name="Mine",
            )
        with pytest.raises(StaffNotFound):
            await database.transact(service.set_password, of(THEIRS), wang.id, "x", but_session=None)

    async def test_end_no_sessions(self, database: Database) -> None:
        opened = await database.transact(
            service.open_device_session,
            operator_id=OURS,
            station_id=5,
            device_id=6,
            name="Pillar",
            ip="",
            agent="",
            token="t" * 32,
        )
        stranger = Caller(
            actor=of(THEIRS),
            session_id=SessionId(1),
            kind=SessionKind.DEVICE,
            name="",
            login=None,
            role=None,
            locale="",
            last_seen_at=database.clock.now(),
            device_id=7,
        )
        with pytest.raises(SessionNotFound):
            await database.transact(service.end_own_session, stranger, opened.id)


class TestAudit:
    async def test_an_act_leaves_who_what_and_before_and_after(
        self, database: Database, passwords: Passwords
    ) -> None:
        wang = await take_on(database, passwords, "wang", Role.CASHIER)
        with bound(request_id="req-00000001"):
            await database.transact(
                service.change_staff,
                of(OURS),
                wang.id,
                giver=Role.OPERATOR_ADMIN,
                own_id=1,
                name="Wang Wei",
            )
        async with database.read() as session:
            entry = (await queries.list_audit(session, of(OURS).scope, limit=1))[0]
        assert (entry.subject, entry.action, entry.request_id) == (
            "somebody",
            "access.change_staff",
            "req-00000001",
        )
        assert entry.before == {"name": "Wang", "role": "cashier", "disabled": False}
        assert entry.after == {"name": "Wang Wei", "role": "cashier", "disabled": False}

    async def test_an_act_that_rolls_back_leaves_none(self, sqlite_database: Database) -> None:
        with pytest.raises(RoleNotYours):
            await create(sqlite_database, of(OURS), Role.CASHIER, Role.CASHIER, OURS)
        async with sqlite_database.read() as session:
            assert await queries.list_audit(session, system("t").scope, limit=9) == []


class TestOperators:
    async def test_an_operator_comes_with_its_administrator_or_not_at_all(
        self, database: Database, passwords: Passwords, clock: ManualClock
    ) -> None:
        platform = Actor(scope=Platform(), subject="root")
        made = await passwords.hash(PASSWORD)

        async def open_one(code: str, login: str) -> OperatorId:
            operator, admin = await database.transact(
                service.open_operator,
                platform,
                code=code,
                name="Sinolng",
                admin_login=login,
                admin_name="Admin",
                admin_password_hash=made,
            )
            assert admin.operator_id == operator.id
            assert operator.created_at == clock.now()
            return operator.id

        first = await open_one("sino", "admin1")
        with pytest.raises(OperatorCodeTaken):
            await open_one("sino", "admin2")
        with pytest.raises(LoginTaken):
            await open_one("other", "admin1")
        second = await open_one("other", "admin2")
        async with database.read() as session:
            everyone = await operators.list_operators(session, platform.scope, limit=9)
            assert {each.id for each in everyone} == {first, second}
            own = await operators.list_operators(session, of(first).scope, limit=9)
            assert [each.id for each in own] == [first]
            with pytest.raises(OperatorNotFound):
                await operators.get_operator(session, of(first).scope, second)
            found = await operators.find_operator(session, platform.scope, "sino")
            assert found is not None
            assert found.id == first


async def _plant(session: WriteSession, staff_id: int) -> None:
    await session.run(update(StaffRow).where(StaffRow.id == staff_id).values(operator_id=PLATFORM_ID))


async def test_verify_names_a_role_of_the_other_side(database: Database, passwords: Passwords) -> None:
    wang = await take_on(database, passwords, "wang", Role.CASHIER)
    async with database.read() as session:
        assert await queries.check_roles_fit(session) == []
    await database.transact(_plant, wang.id)
    async with database.read() as session:
        assert [each.subject for each in await queries.check_roles_fit(session)] == [f"staff {wang.id}"]
