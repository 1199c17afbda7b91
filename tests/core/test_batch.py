import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy import func, insert, select
from tests.core.toys import ToyWallet

from forecourt.core import batch as batch_module
from forecourt.core.batch import Batcher
from forecourt.core.db import Database, WriteSession
from forecourt.core.errors import Forbidden, Refusal, TooManyRequests, Unavailable


class Recorder:
    """A set-based verb that keeps what it was handed; negative numbers are refused, zero is a bug."""

    def __init__(self) -> None:
        self.sets: list[list[int]] = []

    async def __call__(self, session: WriteSession, numbers: Sequence[int]) -> list[int | Refusal]:
        self.sets.append(list(numbers))
        outcomes: list[int | Refusal] = []
        for number in numbers:
            if number < 0:
                outcomes.append(Forbidden())
                continue
            await session.run(insert(ToyWallet), {"id": number, "balance_fen": 10 // number})
            outcomes.append(number * 2)
        return outcomes


async def stored(database: Database) -> int:
    async with database.read() as session:
        return int(await session.scalar(select(func.count()).select_from(ToyWallet)))


class TestSubmit:
    async def test_each_gets_its_own_answer(self, toys: Database) -> None:
        verb = Recorder()
        batch: Batcher[int, int] = Batcher(toys, verb, commands_max=16)
        answers = await asyncio.gather(*(batch.submit(number) for number in range(1, 101)))
        assert answers == [number * 2 for number in range(1, 101)]
        assert len(verb.sets) < 20
        assert max(len(each) for each in verb.sets) <= 16
        assert await stored(toys) == 100

    async def test_a_lone_one_does_not_wait_for_company(self, toys: Database) -> None:
        verb = Recorder()
        batch: Batcher[int, int] = Batcher(toys, verb)
        assert await batch.submit(1) == 2
        assert verb.sets == [[1]]

    async def test_whoever_submits_again_at_once_is_not_forgotten(self, toys: Database) -> None:
        batch: Batcher[int, int] = Batcher(toys, Recorder(), flights_max=1)
        async with asyncio.timeout(30):
            assert [await batch.submit(number) for number in range(1, 6)] == [2, 4, 6, 8, 10]

    async def test_a_refused_one_fails_alone(self, toys: Database) -> None:
        batch: Batcher[int, int] = Batcher(toys, Recorder())
        outcomes = await asyncio.gather(*(batch.submit(n) for n in (1, -1, 2)), return_exceptions=True)
        assert (outcomes[0], outcomes[2]) == (2, 4)
        assert isinstance(outcomes[1], Forbidden)
        assert await stored(toys) == 2

    async def test_one_bad_command_does_not_fail_the_others(self, toys: Database) -> None:
        batch: Batcher[int, int] = Batcher(toys, Recorder())
        outcomes = await asyncio.gather(*(batch.submit(n) for n in (1, 0, 2)), return_exceptions=True)
        assert (outcomes[0], outcomes[2]) == (2, 4)
        assert isinstance(outcomes[1], ZeroDivisionError)
        assert await stored(toys) == 2

    async def test_one_that_violates_a_constraint_does_neither(self, toys: Database) -> None:
        batch: Batcher[int, int] = Batcher(toys, Recorder())
        await batch.submit(7)
        outcomes = await asyncio.gather(*(batch.submit(n) for n in (1, 7, 2)), return_exceptions=True)
        assert (outcomes[0], outcomes[2]) == (2, 4)
        assert isinstance(outcomes[1], Exception)
        assert await stored(toys) == 3

    async def test_a_caller_who_leaves_changes_nothing_for_the_others(self, toys: Database) -> None:
        batch: Batcher[int, int] = Batcher(toys, Recorder())
        tasks = [asyncio.create_task(batch.submit(n)) for n in (1, 2, 0, 3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        tasks[2].cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert (outcomes[0], outcomes[3]) == (2, 6)
        await batch.drain()

    async def test_a_store_that_is_away_is_told_to_all_and_not_asked_one_by_one(
        self, sqlite_database: Database
    ) -> None:
        asked: list[int] = []

        async def away(_: WriteSession, numbers: Sequence[int]) -> list[int | Refusal]:
            asked.append(len(numbers))
            raise Unavailable

        batch: Batcher[int, int] = Batcher(sqlite_database, away)
        outcomes = await asyncio.gather(*(batch.submit(n) for n in range(5)), return_exceptions=True)
        assert {type(each) for each in outcomes} == {Unavailable}
        assert asked == [5]

    async def test_a_queue_that_is_full_says_so(
        self, sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(batch_module, "QUEUE_MAX", 3)
        release = asyncio.Event()

        async def slow(_: WriteSession, numbers: Sequence[int]) -> list[int | Refusal]:
            await release.wait()
            return list(numbers)

        batch: Batcher[int, int] = Batcher(sqlite_database, slow)
        waiting = [asyncio.create_task(batch.submit(n)) for n in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(TooManyRequests):
            await batch.submit(4)
        release.set()
        assert await asyncio.gather(*waiting) == [0, 1, 2]

    async def test_not_from_inside_a_transaction(self, toys: Database) -> None:
        batch: Batcher[int, int] = Batcher(toys, Recorder())
        async with toys.write():
            with pytest.raises(AssertionError, match="network step"):
                await batch.submit(1)
