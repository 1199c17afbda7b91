"""A database server is killed and comes back: 503 meanwhile, nothing acknowledged is lost."""

import asyncio

import pytest
from sqlalchemy import select
from tests import services
from tests.core.toys import ToyEntry
from tests.private_servers import PrivateMariaDB, PrivatePostgreSQL

from forecourt.core.db import Database, WriteSession, insert_new
from forecourt.core.errors import Unavailable
from forecourt_kit.clock import SystemClock
from forecourt_kit.ids import TimeOrderedIds
from forecourt_kit.random import SeededRandom

KILLS = 3
WRITERS = 4

pytestmark = pytest.mark.timeout(180)


async def book(session: WriteSession, reference: str) -> bool:
    """With a client-made key: asked again after a lost answer, it has one effect."""
    row = {"id": session.new_id(), "wallet_id": 1, "reference": reference, "amount_fen": 1}
    return bool(await insert_new(session, ToyEntry, [row], key=("wallet_id", "reference")))


@pytest.mark.parametrize(
    "server_type",
    [
        pytest.param(PrivateMariaDB, marks=pytest.mark.mariadb),
        pytest.param(PrivatePostgreSQL, marks=pytest.mark.postgresql),
    ],
)
async def test_killed_under_writers_and_started_again(
    server_type: type[PrivateMariaDB | PrivatePostgreSQL], chance: SeededRandom
) -> None:
    server = server_type()
    clock = SystemClock()
    database = Database.open(server.url, clock, TimeOrderedIds(clock, chance), chance)
    acknowledged: set[str] = set()
    refused: list[str] = []
    stop = asyncio.Event()

    async def writer(name: int) -> None:
        number = 0
        while not stop.is_set():
            reference = f"{name}-{number}"
            try:
                await database.transact(book, reference)
            except Unavailable:
                refused.append(reference)
                await asyncio.sleep(0.02)  # The same reference again: the commit may have come through.
            else:
                acknowledged.add(reference)
                number += 1

    try:
        with pytest.raises(Unavailable):
            await database.ping()
        await server.start()
        await services.create_schema(database, [ToyEntry])
        writers = [asyncio.create_task(writer(name)) for name in range(WRITERS)]
        for _ in range(KILLS):
            await asyncio.sleep(0.5)
            await server.kill()
            await asyncio.sleep(0.2)
            await server.start()
        before = len(acknowledged)
        while len(acknowledged) < before + WRITERS:
            await asyncio.sleep(0.02)
        stop.set()
        await asyncio.gather(*writers)
        async with database.read() as session:
            stored = [row[0] for row in await session.all(select(ToyEntry.reference))]
    finally:
        await database.close()
        await server.stop()
    assert len(refused) >= KILLS
    assert acknowledged <= set(stored)
    assert len(stored) == len(set(stored))
