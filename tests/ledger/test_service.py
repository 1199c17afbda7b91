"""The book: what is posted, held, drawn and given back; on every engine."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import update

from forecourt.core.actor import Operator, OperatorId
from forecourt.core.batch import Batcher
from forecourt.core.db import Database, WriteSession
from forecourt.core.errors import Refusal
from forecourt.ledger import queries, service
from forecourt.ledger.errors import GiveBackTooLarge, HoldEnded, InsufficientFunds
from forecourt.ledger.models import PostingRow
from forecourt.ledger.types import (
    Account,
    Draw,
    DrawPolicy,
    GiveBack,
    Kind,
    Leg,
    Posted,
    Purpose,
    Side,
    Topup,
    Transfer,
    Wallet,
)

OPERATOR, MEMBER = 7, 11
CASH = Account(OPERATOR, Purpose.CASH_ON_HAND, 1)
SOLD = Account(OPERATOR, Purpose.OPERATOR_PAYABLE, 1)
SCOPE = Operator(OperatorId(OPERATOR))


def topup(reference: str, principal_fen: int, bonus_fen: int = 0) -> Topup:
    return Topup(
        operator_id=OPERATOR,
        reference=reference,
        member_id=MEMBER,
        principal_fen=principal_fen,
        bonus_fen=bonus_fen,
        debit=CASH,
    )


def draw(reference: str, amount_fen: int, **more: object) -> Draw:
    return Draw(
        operator_id=OPERATOR,
        reference=reference,
        member_id=MEMBER,
        amount_fen=amount_fen,
        credit=SOLD,
        **more,  # type: ignore[arg-type]
    )


def give_back(reference: str, spent: str, amount_fen: int) -> GiveBack:
    return GiveBack(
        operator_id=OPERATOR,
        reference=reference,
        spent_reference=spent,
        member_id=MEMBER,
        amount_fen=amount_fen,
        debit=SOLD,
    )


async def wallet(database: Database) -> Wallet:
    async with database.read() as session:
        return await queries.wallet(session, SCOPE, OPERATOR, MEMBER)


async def violations(database: Database) -> list[object]:
    async with database.read() as session:
        return [found for check in queries.CHECKS for found in await check(session)]


class TestPost:
    async def test_a_topup_gives_principal_and_bonus_in_lots_of_their_own(self, database: Database) -> None:
        await database.transact(service.post, topup("t1", 10000, 1000))

        assert await wallet(database) == Wallet(10000, 1000, 0)
        assert await violations(database) == []

    async def test_the_same_reference_again_is_the_same_transfer(self, database: Database) -> None:
        first = await database.transact(service.post, topup("t1", 10000))
        again = await database.transact(service.post, topup("t1", 10000))

        assert (again.transfer_id, again.replayed) == (first.transfer_id, True)
        assert (await wallet(database)).principal_fen == 10000

    async def test_bonus_is_drawn_first_and_what_is_short_from_principal(self, database: Database) -> None:
        await database.transact(service.post, topup("t1", 10000, 1000))
        await database.transact(service.post, draw("s1", 5500))

        assert await wallet(database) == Wallet(5500, 0, 0)

    async def test_proportional_draw_takes_from_both(self, database: Database) -> None:
        await database.transact(service.post, topup("t1", 9000, 1000))
        await database.transact(service.post, draw("s1", 1000, policy=DrawPolicy.PROPORTIONAL))

        assert await wallet(database) == Wallet(8100, 900, 0)

    async def test_more_than_there_is_is_refused_and_books_nothing(self, database: Database) -> None:
        await database.transact(service.post, topup("t1", 100))
        with pytest.raises(InsufficientFunds) as refusal:
            await database.transact(service.post, draw("s1", 101))

        assert refusal.value.facts == {"available_fen": 100, "asked_fen": 101}
        assert await wallet(database) == Wallet(100, 0, 0)

    async def test_movements_of_one_call_see_each_other(self, database: Database) -> None:
        await database.transact(service.post, topup("t1", 100))
        outcomes = await database.transact(
            service.post_many, [draw("s1", 60), draw("s2", 60), draw("s3", 40)]
        )

        assert [isinstance(each, Posted) for each in outcomes] == [True, False, True]
        assert await wallet(database) == Wallet(0, 0, 0)
        assert await violations(database) == []

    async def test_a_transfer_that_does_not_sum_to_zero_is_a_bug(self, database: Database) -> None:
        legs = (Leg(CASH, Side.DEBIT, 2), Leg(SOLD, Side.CREDIT, 1))
        crooked = Transfer(operator_id=OPERATOR, kind=Kind.CASH_TAKEN, reference="x", legs=legs)
        with pytest.raises(AssertionError, match="differ"):
            await database.transact(service.post, crooked)


class TestGiveBack:
    async def test_a_refund_goes_back_to_the_lots_it_came_from_in_proportion(
        self, database: Database
    ) -> None:
        await database.transact(service.post, topup("t1", 10000, 1000))
        await database.transact(service.post, draw("s1", 5000))
        await database.transact(service.post, give_back("r1", "s1", 2500))

        assert await wallet(database) == Wallet(8000, 500, 0)
        await database.transact(service.post, give_back("r2", "s1", 2500))
        assert await wallet(database) == Wallet(10000, 1000, 0)
        assert await violations(database) == []

    async def test_more_than_was_spent_is_refused(self, database: Database) -> None:
        await database.transact(service.post, topup("t1", 10000))
        await database.transact(service.post, draw("s1", 5000))
        await database.transact(service.post, give_back("r1", "s1", 4000))
        with pytest.raises(GiveBackTooLarge):
            await database.transact(service.post, give_back("r2", "s1", 1001))


class TestHold:
    async def hold(self, database: Database, reference: str, amount_fen: int) -> None:
        async def verb(session: WriteSession) -> None:
            await service.hold(
                session,
                operator_id=OPERATOR,
                member_id=MEMBER,
                reference=reference,
                amount_fen=amount_fen,
                expires_at=session.now() + timedelta(minutes=10),
            )

        await database.transact(verb)

    async def test_what_is_held_cannot_be_spent_by_others(self, database: Database) -> None:
        await database.transact(service.post, topup("t1", 10000))
        await self.hold(database, "h1", 8000)

        assert (await wallet(database)).available_fen == 2000
        with pytest.raises(InsufficientFunds):
            await database.transact(service.post, draw("s1", 2001))
        with pytest.raises(InsufficientFunds):
            await self.hold(database, "h2", 2001)

    async def test_a_hold_is_posted_in_part_and_the_rest_is_free_again(self, database: Database) -> None:
        await database.transact(service.post, topup("t1", 10000))
        await self.hold(database, "h1", 8000)
        await database.transact(service.post, draw("s1", 5000, hold_reference="h1"))

        assert await wallet(database) == Wallet(5000, 0, 0)
        with pytest.raises(HoldEnded):
            await database.transact(service.post, draw("s2", 1, hold_reference="h1"))
        assert await violations(database) == []

    async def test_a_voided_hold_frees_the_money_once(self, database: Database) -> None:
        await database.transact(service.post, topup("t1", 10000))
        await self.hold(database, "h1", 8000)

        assert await database.transact(service.void_hold, OPERATOR, "h1")
        assert not await database.transact(service.void_hold, OPERATOR, "h1")
        assert await wallet(database) == Wallet(10000, 0, 0)

    async def test_a_hold_past_its_time_expires(self, database: Database) -> None:
        await database.transact(service.post, topup("t1", 10000))
        await self.hold(database, "h1", 8000)
        database.clock.advance(601)  # type: ignore[attr-defined]

        assert await database.transact(service.expire_holds) == 1
        assert (await wallet(database)).available_fen == 10000


class TestSeal:
    async def test_every_byte_of_a_sealed_transfer_is_covered(self, database: Database) -> None:
        await database.transact(service.post, topup("t1", 10000))
        assert await database.transact(service.seal) == 1
        await database.transact(service.post, draw("s1", 300))
        assert await database.transact(service.seal) == 1
        assert await violations(database) == []

        async def tamper(session: WriteSession) -> None:
            await session.run(update(PostingRow).where(PostingRow.amount_fen == 300).values(amount_fen=301))

        await database.transact(tamper)
        checks = {found.check for found in await violations(database)}  # type: ignore[attr-defined]
        assert checks == {"ledger.chain", "ledger.balance_is_sum"}


async def test_another_operators_wallet_is_empty(database: Database) -> None:
    await database.transact(service.post, topup("t1", 10000))
    async with database.read() as session:
        seen = await queries.wallet(session, Operator(OperatorId(8)), OPERATOR, MEMBER)
    assert seen == Wallet(0, 0, 0)


async def test_ten_thousand_concurrent_debits_are_not_a_fen_off(database: Database) -> None:
    await database.transact(service.post, topup("t1", 1_000_000, 500_000))
    till: Batcher[Draw, Posted] = Batcher(database, service.post_many, commands_max=250)

    async def spend(at: int) -> int:
        amount_fen = at % 400 + 1
        try:
            await till.submit(draw(f"s{at}", amount_fen))
        except Refusal:
            return 0
        return amount_fen

    spent_fen = sum(await asyncio.gather(*(spend(at) for at in range(10_000))))

    left = await wallet(database)
    assert spent_fen + left.principal_fen + left.bonus_fen == 1_500_000
    assert 0 <= left.principal_fen + left.bonus_fen < 400
    assert await violations(database) == []
