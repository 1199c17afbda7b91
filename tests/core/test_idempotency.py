import asyncio
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, insert, select
from tests.core.toys import ToyWallet

from forecourt.core import idempotency
from forecourt.core.db import Database, WriteSession
from forecourt.core.errors import IdempotencyKeyReused
from forecourt.core.idempotency import Ask, hash_of
from forecourt_kit.clock import ManualClock


def ask(key: str = "key-0001", operator_id: int = 1, what: str = "pay", **body: object) -> Ask:
    return Ask(operator_id, what, key, hash_of(body))


async def pay(session: WriteSession, asked: Ask) -> object:
    """A verb with one effect per key."""
    if (stored := await idempotency.begin(session, asked)) is not None:
        return stored
    wallet_id = session.new_id()
    await session.run(insert(ToyWallet), {"id": wallet_id, "balance_fen": 1})
    answer = {"wallet": wallet_id, "名": "已付"}
    await idempotency.finish(session, asked, answer)
    return answer


async def effects(database: Database) -> int:
    async with database.read() as session:
        return int(await session.scalar(select(func.count()).select_from(ToyWallet)))


class TestBegin:
    async def test_the_same_request_again_gets_the_same_answer(self, toys: Database) -> None:
        first = await toys.transact(pay, ask(amount=1))
        again = await toys.transact(pay, ask(amount=1))
        assert first == again
        assert await effects(toys) == 1

    async def test_another_request_under_the_same_key_is_refused_and_does_nothing(
        self, toys: Database
    ) -> None:
        await toys.transact(pay, ask(amount=1))
        with pytest.raises(IdempotencyKeyReused):
            await toys.transact(pay, ask(amount=2))
        assert await effects(toys) == 1

    @pytest.mark.parametrize(
        "other",
        [ask("KEY-0001"), ask("key-0001 "), ask(operator_id=2), ask(what="refund")],
        ids=["case", "blank", "tenant", "verb"],
    )
    async def test_keys_that_differ_at_all_are_others(self, toys: Database, other: Ask) -> None:
        first = await toys.transact(pay, ask())
        assert await toys.transact(pay, other) != first
        assert await effects(toys) == 2

    async def test_twenty_at_once_have_one_effect_and_one_answer(self, toys: Database) -> None:
        answers = await asyncio.gather(*(toys.transact(pay, ask(amount=1)) for _ in range(20)))
        assert answers == [answers[0]] * 20
        assert await effects(toys) == 1

    async def test_of_two_requests_racing_for_one_key_one_is_refused(self, toys: Database) -> None:
        outcomes = await asyncio.gather(
            *(toys.transact(pay, ask(amount=n % 2)) for n in range(10)), return_exceptions=True
        )
        assert sum(isinstance(each, IdempotencyKeyReused) for each in outcomes) == 5
        assert await effects(toys) == 1

    async def test_a_rolled_back_effect_leaves_the_key_free(self, toys: Database) -> None:
        async def fails(session: WriteSession) -> None:
            await pay(session, ask())
            raise LookupError

        with pytest.raises(LookupError):
            await toys.transact(fails)
        await toys.transact(pay, ask())
        assert await effects(toys) == 1


class TestSets:
    async def test_each_of_a_set_gets_its_own_outcome(self, toys: Database) -> None:
        await toys.transact(pay, ask("known-01", amount=1))
        asks = [ask("known-01", amount=1), ask("known-01", amount=2), ask("fresh-01", amount=3)]
        async with toys.write() as session:
            replayed, reused, fresh = (await idempotency.begin_many(session, asks)).values()
            await idempotency.finish_many(session, {asks[2]: {"n": 3}})
        assert isinstance(replayed, dict)
        assert isinstance(reused, IdempotencyKeyReused)
        assert fresh is None
        assert await toys.transact(pay, asks[2]) == {"n": 3}

    async def test_a_refused_request_may_come_again(self, toys: Database) -> None:
        async with toys.write() as session:
            await idempotency.begin(session, ask())
            await idempotency.forget_many(session, [ask()])
        await toys.transact(pay, ask())
        assert await effects(toys) == 1


class TestForgetOld:
    async def test_keys_are_kept_at_least_thirty_days(self, toys: Database, clock: ManualClock) -> None:
        await toys.transact(pay, ask("old-key-1"))
        clock.advance(timedelta(days=30).total_seconds())
        assert await toys.transact(idempotency.forget_old) == 0
        clock.advance(timedelta(days=11).total_seconds())
        assert await toys.transact(idempotency.forget_old) == 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


class TestHashOf:
    @given(st.dictionaries(st.text(), json_values, max_size=5))
    def test_the_order_of_fields_is_no_meaning(self, body: dict[str, object]) -> None:
        assert hash_of(body) == hash_of(dict(reversed(body.items())))

    @given(
        st.dictionaries(st.text(), json_values, max_size=3),
        st.dictionaries(st.text(), json_values, max_size=3),
    )
    def test_another_meaning_is_another_hash(self, one: dict[str, object], other: dict[str, object]) -> None:
        assert (hash_of(one) == hash_of(other)) == (repr_of(one) == repr_of(other))


def repr_of(value: object) -> object:
    """Equality that tells True from 1, as JSON does."""
    if isinstance(value, dict):
        return {key: repr_of(each) for key, each in value.items()}
    if isinstance(value, list):
        return [repr_of(each) for each in value]
    return (type(value).__name__, value)
