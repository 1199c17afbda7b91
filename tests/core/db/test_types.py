from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError
from tests.core.toys import Colour, ToyValue

from forecourt.core.db import Database

EVERYTHING = {
    "id": 2**63 - 1,
    "words": "晚上好 ⛽🚗 Größe",
    "number": "粤B·12345D",
    "colour": Colour.DEEP_BLUE,
    "at": datetime(2026, 11, 22, 2, 3, 4, 123_457, tzinfo=UTC),
    "document": {"名": ["a", 1, None, True], "z": {"deep": 2**60}},
}


async def store(database: Database, **values: object) -> None:
    async with database.write() as session:
        await session.run(insert(ToyValue), {"id": session.new_id(), **values})


class TestColumns:
    async def test_what_goes_in_comes_out(self, toys: Database) -> None:
        await store(toys, **EVERYTHING)
        async with toys.read() as session:
            row = await session.first(select(ToyValue.__table__))
        assert row is not None
        assert row._asdict() == EVERYTHING

    async def test_nothing_stays_nothing(self, toys: Database) -> None:
        await store(toys, words=None, number=None, colour=None, at=None, document=None)
        async with toys.read() as session:
            row = await session.first(select(ToyValue.__table__))
        assert row is not None
        assert list(row)[1:] == [None] * 5

    async def test_a_time_of_any_zone_is_one_instant_to_the_microsecond(self, toys: Database) -> None:
        beijing = datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=timezone(timedelta(hours=8)))
        await store(toys, at=beijing)
        async with toys.read() as session:
            found = await session.scalar(select(ToyValue.at))
        assert found == beijing
        assert found.tzinfo is UTC

    async def test_a_naive_time_is_a_bug(self, toys: Database) -> None:
        with pytest.raises((TypeError, StatementError)):
            await store(toys, at=datetime(2026, 1, 1))

    async def test_not_a_number_is_no_json(self, toys: Database) -> None:
        with pytest.raises((ValueError, StatementError)):
            await store(toys, document={"x": float("nan")})

    async def test_words_that_do_not_fit_are_refused_on_servers(self, toys: Database) -> None:
        if toys.dialect == "sqlite":
            await store(toys, words="x" * 41)  # SQLite has no lengths; the API's schemas have.
            return
        with pytest.raises(DBAPIError):
            await store(toys, words="x" * 41)


class TestKey:
    async def test_two_keys_are_one_only_when_every_character_is(self, toys: Database) -> None:
        distinct = ["abc", "ABC", "abc ", "ABC ", "a", "a ", "á", "京A12345", "京a12345", ""]
        for each in distinct:
            await store(toys, number=each)
        for each in distinct:
            async with toys.read() as session:
                found = await session.all(select(ToyValue.number).where(ToyValue.number == each))
            assert [row[0] for row in found] == [each]

    async def test_the_same_key_twice_is_refused(self, toys: Database) -> None:
        await store(toys, number="ABC ")
        with pytest.raises(IntegrityError):
            await store(toys, number="ABC ")


class TestCode:
    async def test_an_unknown_code_is_refused_on_the_way_in(self, toys: Database) -> None:
        with pytest.raises((ValueError, StatementError)):
            await store(toys, colour="green")

    @pytest.mark.parametrize("bad", ["green", "RED", "red "])
    async def test_and_by_the_engine_when_written_by_hand(self, toys: Database, bad: str) -> None:
        with pytest.raises(DBAPIError):
            async with toys.write() as session:
                await session.run(text("INSERT INTO toy_value (id, colour) VALUES (1, :bad)"), {"bad": bad})
