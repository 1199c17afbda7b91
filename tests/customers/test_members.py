"""Members: their number is sealed and masked, unique within an operator, unseen by strangers."""

import pytest

from forecourt.core.actor import Actor, Operator, OperatorId, system
from forecourt.core.db import Database
from forecourt.core.errors import Invalid
from forecourt.core.vault import Vault
from forecourt.customers import queries, rules, service
from forecourt.customers.errors import MemberNotFound, PhoneTaken
from forecourt.customers.models import MemberRow
from forecourt.customers.types import MemberInfo
from forecourt_kit.random import SeededRandom

OURS = Actor(scope=Operator(OperatorId(11)), subject="ours")
THEIRS = Actor(scope=Operator(OperatorId(22)), subject="theirs")
VAULT = Vault({1: b"m" * 32}, 1, SeededRandom("vault"))
PHONE = "13812345678"


async def create(db: Database, actor: Actor = OURS, phone: str = PHONE, **more: object) -> MemberInfo:
    return await db.transact(service.create_member, actor, VAULT, name="Lin", phone=phone, **more)  # type: ignore[arg-type]


async def test_the_number_is_sealed_and_shown_masked(database: Database) -> None:
    member = await create(database, plate="粤b·12345")
    assert (member.phone_masked, member.plate) == ("138****5678", "粤B12345")
    async with database.read() as session:
        assert await queries.get_member(session, OURS.scope, member.id) == member
        row = await session.first(MemberRow.__table__.select())
    assert row is not None
    assert PHONE.encode() not in row.phone_sealed
    assert VAULT.open(row.phone_sealed, f"member:{member.id}:phone") == PHONE.encode()


async def test_a_member_is_found_by_number_or_plate(database: Database) -> None:
    member = await create(database, plate="粤B12345")
    await create(database, phone="13900000000")
    index = service.phone_index(VAULT, 11, PHONE)
    async with database.read() as session:
        by_phone = await queries.list_members(session, OURS.scope, limit=5, phone_index=index)
        by_plate = await queries.list_members(session, OURS.scope, limit=5, plate="粤B12345")
        everyone = await queries.list_members(session, OURS.scope, limit=5)
    assert by_phone == by_plate == [member]
    assert len(everyone) == 2


async def test_a_number_is_one_member_with_each_operator(database: Database) -> None:
    await create(database)
    with pytest.raises(PhoneTaken):
        await create(database)
    await create(database, THEIRS)


async def test_strangers_see_nobody(database: Database) -> None:
    member = await create(database)
    async with database.read() as session:
        assert await queries.list_members(session, THEIRS.scope, limit=5) == []
        with pytest.raises(MemberNotFound):
            await queries.get_member(session, THEIRS.scope, member.id)
        theirs = service.phone_index(VAULT, 22, PHONE)
        assert await queries.list_members(session, OURS.scope, limit=5, phone_index=theirs) == []


@pytest.mark.parametrize(
    ("phone", "plate"),
    [("123", None), ("1381234567x", None), ("23812345678", None), (PHONE, "ABC"), (PHONE, "粤O1")],
)
async def test_what_is_no_number_or_plate_is_refused(
    sqlite_database: Database, phone: str, plate: str | None
) -> None:
    with pytest.raises(Invalid):
        await create(sqlite_database, phone=phone, plate=plate)


async def test_the_platforms_jobs_name_the_operator(sqlite_database: Database) -> None:
    assert (await create(sqlite_database, system("demo"), operator_id=11)).operator_id == 11
    with pytest.raises(Invalid):
        await create(sqlite_database, system("demo"))


@pytest.mark.parametrize("plate", ["粤B12345", "沪AD12345", "京A1234警", "粤Z1234港"])
def test_plates_of_common_kinds_are_plates(plate: str) -> None:
    assert rules.PLATE.fullmatch(plate)
