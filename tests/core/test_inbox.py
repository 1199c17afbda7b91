import asyncio
from datetime import timedelta

from sqlalchemy import update
from tests.core.toys import ToyWallet, balance_of, open_wallet

from forecourt.core import inbox
from forecourt.core.db import Database, WriteSession
from forecourt_kit.clock import ManualClock


async def reward(session: WriteSession, message_id: int, consumer: str = "loyalty") -> bool:
    if not await inbox.first_time(session, consumer, message_id):
        return False
    await session.run(
        update(ToyWallet).where(ToyWallet.id == 1).values(balance_fen=ToyWallet.balance_fen + 1)
    )
    return True


class TestFirstTime:
    async def test_a_message_that_comes_again_has_no_second_effect(self, toys: Database) -> None:
        await open_wallet(toys, 1, 0)
        assert [await toys.transact(reward, 7) for _ in range(3)] == [True, False, False]
        assert await toys.transact(reward, 8)
        assert await toys.transact(reward, 7, "notices")
        assert await balance_of(toys, 1) == 3

    async def test_of_ten_at_once_one_has_the_effect(self, toys: Database) -> None:
        await open_wallet(toys, 1, 0)
        assert sum(await asyncio.gather(*(toys.transact(reward, 7) for _ in range(10)))) == 1
        assert await balance_of(toys, 1) == 1

    async def test_notes_outlive_the_events_they_note(self, toys: Database, clock: ManualClock) -> None:
        await open_wallet(toys, 1, 0)
        await toys.transact(reward, 7)
        clock.advance(timedelta(days=30).total_seconds())
        assert await toys.transact(inbox.forget_old) == 0
        clock.advance(timedelta(days=11).total_seconds())
        assert await toys.transact(inbox.forget_old) == 1
