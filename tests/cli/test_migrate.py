"""The schema that migrations make is the schema that the tables declare, on every engine."""

from tests.services import Engine

from forecourt.cli.migrate import differences, migrate
from forecourt.core.db import Database
from forecourt_kit.clock import ManualClock
from forecourt_kit.ids import TimeOrderedIds
from forecourt_kit.random import SeededRandom


async def test_an_empty_database_gets_every_table(
    empty_database_url: str, engine: Engine, clock: ManualClock, ids: TimeOrderedIds, chance: SeededRandom
) -> None:
    database = Database.open(empty_database_url, clock, ids, chance)
    try:
        await migrate(database)
        await migrate(database)  # Again changes nothing.

        assert await differences(database) == [], engine
    finally:
        await database.close()
