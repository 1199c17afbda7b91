"""A database server is killed and comes back: 503 meanwhile, nothing acknowledged is lost."""

import asyncio

import pytest
from sqlalchemy import make_url, select
from tests import services
from tests.core.toys import ToyEntry
from tests.private_servers import PrivateMariaDB, PrivatePostgreSQL

from forecourt.core.db import Database, WriteSession, insert_new
from forecourt.core.db import database as database_module
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


@pytest.mark.parametrize(
    "engine",
    [
        pytest.param("mariadb", marks=pytest.mark.mariadb),
        pytest.param("postgresql", marks=pytest.mark.postgresql),
    ],
)
async def test_a_server_that_falls_silent_is_given_up(
    toys: Database, monkeypatch: pytest.MonkeyPatch, chance: SeededRandom
) -> None:
    """The line is up and nobody answers: 503 within the limit, and the pool is whole when the line is."""
    parsed = make_url(toys.engine.url.render_as_string(hide_password=False))
    silent = asyncio.Event()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if not silent.is_set():
                writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other_reader, other_writer = await asyncio.open_connection(parsed.host, parsed.port)
        await asyncio.gather(forward(reader, other_writer), forward(other_reader, writer))

    line = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = line.sockets[0].getsockname()[1]
    family = "postgresql" if toys.dialect == "postgresql" else "mysql"
    url = parsed.set(drivername=family, host="127.0.0.1", port=port).render_as_string(hide_password=False)
    database = Database.open(url, toys.clock, toys.ids, chance)
    await database.transact(book, "before")
    monkeypatch.setattr(database_module, "UNIT_TIMEOUT_S", 0.5)
    silent.set()
    with pytest.raises(Unavailable):
        await database.transact(book, "silent")
    silent.clear()
    monkeypatch.undo()
    assert await database.transact(book, "after")
    await database.close()
    line.close()
    await line.wait_closed()
