"""Operators: codes are unique, pages follow each other, nobody sees another."""

import pytest

from forecourt.core.actor import Actor, Operator, OperatorId, Platform, system
from forecourt.core.db import Database
from forecourt.core.errors import Forbidden
from forecourt.operators import queries, service
from forecourt.operators.errors import OperatorCodeTaken, OperatorNotFound
from forecourt.operators.types import OperatorInfo

PLATFORM = Actor(scope=Platform(), subject="root")


async def create(db: Database, code: str, actor: Actor = PLATFORM) -> OperatorInfo:
    return await db.transact(service.create_operator, actor, code=code, name=code.title())


async def test_a_code_belongs_to_one_operator(database: Database) -> None:
    await create(database, "sino")
    with pytest.raises(OperatorCodeTaken):
        await create(database, "sino", system("demo"))


async def test_pages_follow_each_other_newest_first(database: Database) -> None:
    made = [await create(database, code) for code in ("one", "two", "three")]
    async with database.read() as session:
        first = await queries.list_operators(session, PLATFORM.scope, limit=2)
        rest = await queries.list_operators(session, PLATFORM.scope, limit=2, after=first[-1].id)
    assert first + rest == list(reversed(made))


async def test_an_operator_sees_itself_only_and_makes_none(database: Database) -> None:
    one, two = await create(database, "one"), await create(database, "two")
    scope = Operator(OperatorId(one.id))
    async with database.read() as session:
        assert await queries.list_operators(session, scope, limit=9) == [one]
        assert await queries.find_operator(session, scope, "two") is None
        assert await queries.get_operator(session, scope, one.id) == one
        with pytest.raises(OperatorNotFound):
            await queries.get_operator(session, scope, two.id)
    with pytest.raises(Forbidden):
        await create(database, "three", Actor(scope=scope, subject="admin"))
