"""The schema, moved forward by Alembic on whichever engine the settings name. Safe to run again."""

from pathlib import Path
from typing import Any, Literal

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.types import TypeDecorator

from forecourt.cli.registry import metadata
from forecourt.core.db import Database

HERE = Path(__file__).parent / "migrations"


async def migrate(database: Database) -> None:
    """Bring the schema to the newest revision. Other processes may wait, none may run meanwhile."""
    async with database.engine.begin() as connection:
        await connection.run_sync(_upgrade)


async def differences(database: Database) -> list[Any]:
    """What the database's schema lacks of the declared tables, or has beyond them; for a test."""
    async with database.engine.begin() as connection:
        return await connection.run_sync(_differences)


def configure(context: Any, connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata(),
        render_item=render_item,
        compare_type=False,  # Our types mean one thing on three engines, and read back as three.
        transaction_per_migration=False,
    )


def render_item(kind: str, item: Any, context: Any) -> str | Literal[False]:
    """Our column types by name and length, so that a revision reads like a declaration."""
    del context
    if kind != "type" or not isinstance(item, TypeDecorator):
        return False
    name = type(item).__name__
    length = getattr(item.impl, "length", None)
    if name == "Code":
        return f"types.Key({length})"
    return f"types.{name}({length})" if length else f"types.{name}()"


def config_for(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(HERE))
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection) -> None:
    command.upgrade(config_for(connection), "head")


def _differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(connection, opts={"compare_type": False})
    return list(compare_metadata(context, metadata()))
