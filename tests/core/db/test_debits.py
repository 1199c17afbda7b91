"""Money moves by guarded statements: ten thousand debits at once, and not a fen is off."""

import asyncio
from collections.abc import Sequence

from sqlalchemy import func, select, update
from tests.core.toys import ToyEntry, ToyWallet, balance_of, open_wallet

from forecourt.core.batch import Batcher
from forecourt.core.db import Database, WriteSession
from forecourt.core.errors import Refusal

DEBITS = 10_000
FUNDS_FEN = 7_500  # A quarter of the debits must be refused.
ALONE = 500  # Of them each in a transaction of its own, against the batches and each other.


class Short(Refusal):
    """The wallet is short."""


GUARDED = (
    update(ToyWallet)
    .where(ToyWallet.id == 1, ToyWallet.balance_fen >= 1)
    .values(balance_fen=ToyWallet.balance_fen - 1)
)


async def debit_many(session: WriteSession, references: Sequence[str]) -> list[int | Refusal]:
    outcomes: list[int | Refusal] = [1 if await session.run(GUARDED) else Short() for _ in references]
    entries = [
        {"id": session.new_id(), "wallet_id": 1, "reference": reference, "amount_fen": -1}
        for reference, outcome in zip(references, outcomes, strict=True)
        if outcome == 1
    ]
    if entries:
        await session.insert_many(ToyEntry, entries)
    return outcomes


async def debit(session: WriteSession, reference: str) -> None:
    (outcome,) = await debit_many(session, [reference])
    if isinstance(outcome, Refusal):
        raise outcome


async def test_ten_thousand_debits_of_one_wallet(toys: Database) -> None:
    await open_wallet(toys, 1, FUNDS_FEN)
    batch: Batcher[str, int] = Batcher(toys, debit_many)
    lone = asyncio.Semaphore(20)

    async def alone(reference: str) -> None:
        async with lone:
            await toys.transact(debit, reference)

    outcomes = await asyncio.gather(
        *(alone(f"alone {n}") for n in range(ALONE)),
        *(batch.submit(f"batch {n}") for n in range(DEBITS - ALONE)),
        return_exceptions=True,
    )
    refused = [each for each in outcomes if isinstance(each, BaseException)]
    assert {type(each) for each in refused} == {Short}
    assert len(refused) == DEBITS - FUNDS_FEN
    assert await balance_of(toys, 1) == 0
    async with toys.read() as session:
        row = await session.first(select(func.sum(ToyEntry.amount_fen), func.count()).select_from(ToyEntry))
    assert row is not None
    assert tuple(row) == (-FUNDS_FEN, FUNDS_FEN)
