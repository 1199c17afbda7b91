import asyncio
import contextvars

import pytest
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from tests.core.toys import ToyEntry, ToyWallet, balance_of, open_wallet

from forecourt.core.db import Database, WriteSession, assert_no_transaction
from forecourt.core.db.database import TRIES_MAX
from forecourt.core.errors import Forbidden, Unavailable


async def add(session: WriteSession, wallet_id: int, amount_fen: int) -> int:
    return await session.run(
        update(ToyWallet)
        .where(ToyWallet.id == wallet_id)
        .values(balance_fen=ToyWallet.balance_fen + amount_fen)
    )


class TestWrite:
    async def test_the_end_commits(self, toys: Database) -> None:
        async with toys.write() as session:
            await session.insert_many(ToyWallet, [{"id": 1, "balance_fen": 5}])
        assert await balance_of(toys, 1) == 5

    async def test_a_refusal_rolls_back(self, toys: Database) -> None:
        await open_wallet(toys, 1, 5)
        with pytest.raises(Forbidden):
            async with toys.write() as session:
                await add(session, 1, 10)
                raise Forbidden
        assert await balance_of(toys, 1) == 5

    async def test_a_unit_of_work_inside_another_is_a_bug(self, toys: Database) -> None:
        async with toys.write():
            with pytest.raises(AssertionError, match="inside another"):
                async with toys.write():
                    pass
            with pytest.raises(AssertionError, match="use the session you hold"):
                async with toys.read():
                    pass

    async def test_a_network_step_inside_one_is_a_bug(self, toys: Database) -> None:
        assert_no_transaction()
        async with toys.write():
            with pytest.raises(AssertionError, match="network step"):
                assert_no_transaction()
        async with toys.read():
            with pytest.raises(AssertionError, match="network step"):
                assert_no_transaction()
        assert_no_transaction()

    async def test_a_violated_constraint_stays_what_it_is(self, toys: Database) -> None:
        await open_wallet(toys, 1, 5)
        with pytest.raises(IntegrityError) as raised:
            await open_wallet(toys, 1, 5)
        assert raised.value.__cause__ is not raised.value

    async def test_wake_ups_follow_a_commit_only(self, toys: Database) -> None:
        rung: list[str] = []
        async with toys.write() as session:
            session.after_commit(lambda: rung.append("committed"))
            assert rung == []
        with pytest.raises(Forbidden):
            async with toys.write() as session:
                session.after_commit(lambda: rung.append("rolled back"))
                raise Forbidden
        assert rung == ["committed"]

    async def test_many_rows_and_a_row_count(self, toys: Database) -> None:
        async with toys.write() as session:
            await session.insert_many(ToyWallet, [{"id": n, "balance_fen": n} for n in range(2_500)])
            assert await add(session, 7, 0) == 1  # Matched, though nothing changed: the same on each engine.
            assert await add(session, -1, 0) == 0
        async with toys.read() as session:
            assert await session.scalar(select(func.count()).select_from(ToyWallet)) == 2_500

    async def test_a_write_through_a_reader_is_refused_on_sqlite(self, toys: Database) -> None:
        if toys.dialect == "sqlite":
            with pytest.raises(DBAPIError, match="readonly"):
                async with toys.read() as session:
                    await session.execute(insert(ToyWallet), {"id": 1, "balance_fen": 1})


class TestRead:
    async def test_a_snapshot_sees_one_moment(self, toys: Database) -> None:
        await open_wallet(toys, 1, 5)

        async def pay() -> None:
            async with toys.write() as session:
                await add(session, 1, 10)

        async with toys.read(snapshot=True) as session:
            statement = select(ToyWallet.balance_fen).where(ToyWallet.id == 1)
            before = await session.scalar(statement)
            await asyncio.create_task(pay(), context=_outside())
            after = await session.scalar(statement)
        assert (before, after) == (5, 5)
        assert await balance_of(toys, 1) == 15


class TestTransact:
    async def test_answers_what_the_verb_answers(self, toys: Database) -> None:
        await open_wallet(toys, 1, 5)
        assert await toys.transact(add, 1, amount_fen=10) == 1
        assert await balance_of(toys, 1) == 15

    async def test_two_that_wait_for_each_other_both_come_through(self, toys: Database) -> None:
        await open_wallet(toys, 1, 0)
        await open_wallet(toys, 2, 0)
        runs: list[int] = []

        async def move(session: WriteSession, source: int, target: int) -> None:
            runs.append(source)
            await add(session, source, -1)
            if toys.dialect != "sqlite":
                await asyncio.sleep(0.2)
            await add(session, target, 1)

        await asyncio.gather(toys.transact(move, 1, 2), toys.transact(move, 2, 1))
        assert (await balance_of(toys, 1), await balance_of(toys, 2)) == (0, 0)
        assert len(runs) == (2 if toys.dialect == "sqlite" else 3)  # The victim ran again, whole.

    async def test_gives_up_after_five_tries_and_says_so(self, toys: Database) -> None:
        tries: list[int] = []

        async def always_busy(session: WriteSession) -> None:
            tries.append(1)
            await add(session, 1, 1)
            raise DBAPIError("", {}, _busy(toys))

        await open_wallet(toys, 1, 5)
        with pytest.raises(Unavailable, match="nothing was done"):
            await toys.transact(always_busy)
        assert len(tries) == TRIES_MAX
        assert await balance_of(toys, 1) == 5

    async def test_a_cancelled_one_is_whole_or_not_at_all(self, toys: Database) -> None:
        """Cancelled at each turn of the loop, the commit's included; the store goes on after each."""
        await open_wallet(toys, 1, 0)

        async def pay(session: WriteSession, reference: str) -> None:
            await add(session, 1, 1)
            entry = {"id": session.new_id(), "wallet_id": 1, "reference": reference, "amount_fen": 1}
            await session.insert_many(ToyEntry, [entry])

        for turns in range(40):
            task = asyncio.create_task(toys.transact(pay, str(turns)))
            for _ in range(turns):
                await asyncio.sleep(0)
            if turns > 20:
                await asyncio.sleep(0.001 * (turns - 20) / 4)
            task.cancel()
            await asyncio.wait([task])
        await toys.transact(pay, "last")
        async with toys.read() as session:
            booked = await session.scalar(select(func.count()).select_from(ToyEntry))
        assert booked == await balance_of(toys, 1) >= 1


class TestServers:
    async def test_times_are_bounded(self, toys: Database) -> None:
        if toys.dialect == "sqlite":
            return
        sleep = "SELECT SLEEP(10)" if toys.dialect == "mysql" else "SELECT pg_sleep(10)"
        limit = (
            "SET SESSION max_statement_time=0.1"
            if toys.dialect == "mysql"
            else "SET LOCAL statement_timeout='100ms'"
        )
        with pytest.raises(Unavailable):
            async with toys.write() as session:
                await session.execute(text(limit))
                await session.execute(text(sleep))

    async def test_isolation_is_stated(self, toys: Database) -> None:
        asked = {"mysql": "SELECT @@tx_isolation", "postgresql": "SHOW transaction_isolation"}
        if toys.dialect in asked:
            async with toys.write() as session:
                level = await session.scalar(text(asked[toys.dialect]))
            assert level.lower().replace("-", " ") == "read committed"


class TestOpen:
    @pytest.mark.parametrize("url", ["oracle://x/y", "sqlite://", "sqlite:///:memory:"])
    def test_a_store_the_house_does_not_know_is_refused(self, sqlite_database: Database, url: str) -> None:
        known = sqlite_database
        with pytest.raises(ValueError, match=r"sqlite|SQLite"):
            Database.open(url, known.clock, known.ids, known.random)


def _outside() -> contextvars.Context:
    """A context without the unit of work of the test around it: what another request has."""
    return contextvars.Context()


def _busy(database: Database) -> Exception:
    error = Exception(1213, "Deadlock found")
    if database.dialect == "postgresql":
        error.sqlstate = "40P01"  # type: ignore[attr-defined]
    return error
