import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from tests.core.toys import ToyEntry, ToyTask, ToyWallet, balance_of

from forecourt.core.db import Database, WriteSession, insert_new, lease, upsert_many
from forecourt_kit.clock import ManualClock


async def claim(session: WriteSession, *references: str, wallet_id: int = 1) -> set[tuple[int, str]]:
    rows = [
        {"id": session.new_id(), "wallet_id": wallet_id, "reference": each, "amount_fen": 1}
        for each in references
    ]
    return await insert_new(session, ToyEntry, rows, key=("wallet_id", "reference"))


async def take(session: WriteSession, owner: str, limit: int = 2) -> list[int]:
    return await lease(
        session,
        ToyTask,
        ready=ToyTask.done == 0,
        order_by=ToyTask.id.asc(),
        limit=limit,
        owner=owner,
        until=session.now() + timedelta(seconds=30),
    )


async def add_tasks(database: Database, count: int) -> None:
    async with database.write() as session:
        rows = [
            {"id": n, "done": 0, "lease_owner": None, "lease_until": None, "tries": 0}
            for n in range(1, count + 1)
        ]
        await session.insert_many(ToyTask, rows)


class TestInsertNew:
    async def test_tells_the_new_from_the_known(self, toys: Database) -> None:
        assert await toys.transact(claim, "a", "b") == {(1, "a"), (1, "b")}
        assert await toys.transact(claim, "b", "c", "B", "b ") == {(1, "c"), (1, "B"), (1, "b ")}
        assert await toys.transact(claim, "a", wallet_id=2) == {(2, "a")}

    async def test_equal_keys_of_one_call_count_once(self, toys: Database) -> None:
        assert await toys.transact(claim, "a", "a") == {(1, "a")}
        async with toys.read() as session:
            assert await session.scalar(select(func.count()).select_from(ToyEntry)) == 1

    async def test_nothing_claims_nothing(self, toys: Database) -> None:
        assert await toys.transact(claim) == set()

    async def test_of_racing_callers_exactly_one_is_told_it_is_new(self, toys: Database) -> None:
        references = [f"r{n}" for n in range(50)]
        results = await asyncio.gather(
            *(toys.transact(claim, *(references[n:] + references[:n])) for n in range(0, 50, 5))
        )
        won = [key for result in results for key in result]
        assert sorted(won) == sorted((1, each) for each in references)

    async def test_a_missing_value_is_an_error_not_a_default(self, toys: Database) -> None:
        async def without_amount(session: WriteSession) -> set[tuple[int, str]]:
            row = {"id": 1, "wallet_id": 1, "reference": "x", "amount_fen": None}
            return await insert_new(session, ToyEntry, [row], key=("wallet_id", "reference"))

        with pytest.raises(IntegrityError):
            await toys.transact(without_amount)


class TestUpsertMany:
    async def test_inserts_and_overwrites(self, toys: Database) -> None:
        async def put(session: WriteSession, /, **balances: int) -> None:
            rows = [{"id": int(name[1:]), "balance_fen": value} for name, value in balances.items()]
            await upsert_many(session, ToyWallet, rows, key=("id",), update=("balance_fen",))

        await toys.transact(put, w1=1, w2=2)
        await toys.transact(put, w2=20, w3=30)
        assert [await balance_of(toys, n) for n in (1, 2, 3)] == [1, 20, 30]

    async def test_the_later_row_of_one_call_wins(self, toys: Database) -> None:
        async with toys.write() as session:
            rows = [{"id": 1, "balance_fen": 1}, {"id": 1, "balance_fen": 2}]
            await upsert_many(session, ToyWallet, rows, key=("id",), update=("balance_fen",))
        assert await balance_of(toys, 1) == 2


class TestLease:
    async def test_rows_go_to_one_owner_in_order(self, toys: Database) -> None:
        await add_tasks(toys, 3)
        assert await toys.transact(take, "a") == [1, 2]
        assert await toys.transact(take, "b") == [3]
        assert await toys.transact(take, "c") == []

    async def test_an_expired_lease_is_free_again_and_counted(
        self, toys: Database, clock: ManualClock
    ) -> None:
        await add_tasks(toys, 1)
        assert await toys.transact(take, "a") == [1]
        clock.advance(31)
        assert await toys.transact(take, "b") == [1]
        async with toys.read() as session:
            row = await session.first(select(ToyTask.lease_owner, ToyTask.tries))
        assert row is not None
        assert tuple(row) == ("b", 2)

    async def test_what_is_done_is_not_leased(self, toys: Database) -> None:
        await add_tasks(toys, 2)
        async with toys.write() as session:
            await session.run(update(ToyTask).where(ToyTask.id == 1).values(done=1))
        assert await toys.transact(take, "a") == [2]

    async def test_racing_owners_share_without_waiting_or_doubling(self, toys: Database) -> None:
        await add_tasks(toys, 40)
        taken = await asyncio.gather(*(toys.transact(take, f"owner {n}", 5) for n in range(8)))
        assert sorted(n for each in taken for n in each) == sorted({n for each in taken for n in each})
        left = await toys.transact(take, "last", 100)
        assert sorted([n for each in taken for n in each] + left) == list(range(1, 41))
