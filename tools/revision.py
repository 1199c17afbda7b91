"""Write the next schema revision from what has changed in the tables: `tools/revision.py 0002 "what for"`."""

import asyncio
import re
import sys
import tempfile
from pathlib import Path

from alembic import command
from sqlalchemy import Connection

from forecourt.cli import migrate
from forecourt.core.db import Database
from forecourt_kit.clock import SystemClock
from forecourt_kit.ids import TimeOrderedIds
from forecourt_kit.random import SystemRandom

VERSIONS = migrate.HERE / "versions"
# The CHECK of a Code column is attached to its table twice while Alembic renders; the unnamed twin goes.
TWIN = re.compile(r"^\s*sa\.CheckConstraint\(.*name='[a-z_0-9]+'\),\n", re.MULTILINE)


async def write(number: str, message: str) -> Path:
    """Migrate an empty database to the newest revision, compare, and write what is missing."""
    clock, random = SystemClock(), SystemRandom()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/revision.db"
        database = Database.open(url, clock, TimeOrderedIds(clock, random), random)
        if any(VERSIONS.glob("*.py")):
            await migrate.migrate(database)
        async with database.engine.begin() as connection:
            await connection.run_sync(_revision, number, message)
        await database.close()
    path = next(VERSIONS.glob(f"{number}_*.py"))
    path.write_text(TWIN.sub("", path.read_text("utf-8")), "utf-8")
    return path


def _revision(connection: Connection, number: str, message: str) -> None:
    config = migrate.config_for(connection)
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    command.revision(config, message, autogenerate=True, rev_id=number)


if __name__ == "__main__":
    print(asyncio.run(write(sys.argv[1], sys.argv[2])))
