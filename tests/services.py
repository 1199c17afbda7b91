"""The real servers that tests stand on, and one database per test on each engine.

A database is made once per test process and engine; its rows are cleared before each test that uses it, so a
test starts on an empty schema within milliseconds. A server that does not answer skips its tests loudly, or
fails them when FORECOURT_REQUIRE_SERVICES=1.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest
from sqlalchemy import URL, Connection, Table, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from forecourt.core.db import Database, Model

Engine = Literal["sqlite", "mariadb", "postgresql"]

ENGINES: tuple[Engine, ...] = ("sqlite", "mariadb", "postgresql")
MYSQL_URL = os.environ.get("FORECOURT_TEST_MYSQL_URL", "mysql://root@127.0.0.1:3306")
POSTGRESQL_URL = os.environ.get("FORECOURT_TEST_POSTGRESQL_URL", "postgresql://root@127.0.0.1:5432/test")
AMQP_URL = os.environ.get("FORECOURT_TEST_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/")
REDIS_URL = os.environ.get("FORECOURT_TEST_REDIS_URL", "redis://127.0.0.1:6379/0")
CONNECT_TIMEOUT_S = 5

_missing: dict[str, str] = {}  # Service -> why; told again at the end of the run.
_answering: set[str] = set()
_made: dict[Engine, str] = {}  # Engine -> URL of this process's database.
_tables: dict[str, set[str]] = {}  # URL -> tables that it has.
_folder: list[Path] = []


def missing_services() -> dict[str, str]:
    return _missing


def unavailable(service: str, why: str) -> None:
    """Skip the running test, or fail it where services are required."""
    _missing[service] = why
    message = f"{service} does not answer: {why}"
    if os.environ.get("FORECOURT_REQUIRE_SERVICES") == "1":
        pytest.fail(message)
    pytest.skip(message)


async def require_port(service: str, url: str) -> None:
    """Skip or fail unless something listens at `url`."""
    if service in _answering:
        return
    if service in _missing:
        unavailable(service, _missing[service])
    parsed = make_url(url)
    try:
        _, writer = await asyncio.wait_for(
            asyncio.open_connection(parsed.host, parsed.port), CONNECT_TIMEOUT_S
        )
    except OSError as error:
        unavailable(service, f"{parsed.host}:{parsed.port}: {error}")
    else:
        writer.close()
        await writer.wait_closed()
        _answering.add(service)


def folder() -> Path:
    """Where this process keeps its SQLite files: in memory where the machine has such a place."""
    if not _folder:
        parent = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())
        for old in parent.glob("forecourt-test-*-*"):
            if not Path(f"/proc/{old.name.split('-')[2]}").exists():
                shutil.rmtree(old, ignore_errors=True)  # Of a run that was killed.
        _folder.append(Path(tempfile.mkdtemp(prefix=f"forecourt-test-{os.getpid()}-", dir=parent)))
    return _folder[0]


def _server_url(engine: Engine) -> URL:
    if engine == "postgresql":
        return make_url(POSTGRESQL_URL).set(drivername="postgresql+asyncpg")
    return make_url(MYSQL_URL).set(drivername="mysql+asyncmy")


@asynccontextmanager
async def _server(engine: Engine) -> AsyncIterator[AsyncEngine]:
    """The server itself, outside any test's database: to make and drop databases."""
    opened = create_async_engine(_server_url(engine), isolation_level="AUTOCOMMIT")
    try:
        yield opened
    finally:
        await opened.dispose()


async def create_database(engine: Engine, name: str) -> str:
    """Make an empty database; gives its URL as `DATABASE_URL` wants it."""
    if engine == "sqlite":
        return f"sqlite:///{folder() / name}.db"
    await require_port(engine, MYSQL_URL if engine == "mariadb" else POSTGRESQL_URL)
    async with _server(engine) as server, server.connect() as connection:
        if engine == "postgresql":
            await connection.execute(text(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0"))
        else:
            await connection.execute(text(f"CREATE DATABASE {name} CHARACTER SET utf8mb4"))
    backend = "postgresql" if engine == "postgresql" else "mysql"
    url = _server_url(engine).set(drivername=backend, database=name)
    return url.render_as_string(hide_password=False)


async def drop_database(engine: Engine, url: str) -> None:
    _tables.pop(url, None)
    name = make_url(url).database
    assert name
    if engine == "sqlite":
        for path in Path(name).parent.glob(Path(name).name + "*"):
            path.unlink()
        return
    async with _server(engine) as server, server.connect() as connection:
        force = " WITH (FORCE)" if engine == "postgresql" else ""
        await connection.execute(text(f"DROP DATABASE IF EXISTS {name}{force}"))


async def process_database(engine: Engine) -> str:
    """The URL of this process's database on a server; made at first use, dropped by `drop_all`."""
    if engine not in _made:
        name = f"forecourt_test_{os.getpid()}_{os.urandom(3).hex()}"
        _made[engine] = await create_database(engine, name)
    return _made[engine]


async def create_schema(database: Database, models: Iterable[type[Model]] | None = None) -> None:
    """Make the tables of `models`, or of every module that was imported; those that exist are left alone."""
    if models is None:
        tables = list(Model.metadata.sorted_tables)
    else:
        tables = [model.__table__ for model in models if isinstance(model.__table__, Table)]
    if not tables:
        return
    have = _tables.setdefault(_key(database), set())
    lacking = [table for table in tables if table.name not in have]
    if not lacking:
        return
    metadata = lacking[0].metadata

    def create(connection: Connection) -> None:
        metadata.create_all(connection, tables=lacking)

    async with database.engine.begin() as connection:
        await connection.run_sync(create)
    have.update(table.name for table in lacking)


def _key(database: Database) -> str:
    url = database.engine.url
    return f"{url.get_backend_name()}:{url.host}:{url.port}:{url.database}"


async def clear(database: Database) -> None:
    """Delete every row that an earlier test left; looks first, because most tables are empty."""
    names = sorted(_tables.get(_key(database), ()))
    if not names:
        return
    quote = database.engine.dialect.identifier_preparer.quote
    async with database.engine.begin() as connection:
        look = " UNION ALL ".join(
            f"SELECT {index} FROM (SELECT 1 AS one FROM {quote(name)} LIMIT 1) AS t{index}"
            for index, name in enumerate(names)
        )
        used = [names[row[0]] for row in await connection.execute(text(look))]
        if not used:
            return
        on_server = database.dialect == "mysql"
        off, on = (
            ("SET FOREIGN_KEY_CHECKS=0", "SET FOREIGN_KEY_CHECKS=1")
            if on_server
            else ("SET LOCAL session_replication_role=replica", "")
        )
        await connection.execute(text(off))
        for name in used:
            await connection.execute(text(f"DELETE FROM {quote(name)}"))
        if on:
            await connection.execute(text(on))


def sqlite_copy(template: Path, path: Path) -> None:
    """Start a test on a copy of the schema: quicker than making the tables again."""
    shutil.copyfile(template, path)


async def drop_all() -> None:
    """Leave nothing behind on the servers, nor what an interrupted run of this machine left."""
    for engine, url in _made.items():
        await drop_database(engine, url)
    for engine in ENGINES:
        if engine in _answering:
            await _drop_orphans(engine)
    for path in _folder:
        shutil.rmtree(path, ignore_errors=True)


async def _drop_orphans(engine: Engine) -> None:
    """Databases of test processes that are gone. Only local ones can be told dead by their process id."""
    if _server_url(engine).host not in {"127.0.0.1", "localhost", "::1"}:
        return
    listing = "SELECT datname FROM pg_database" if engine == "postgresql" else "SHOW DATABASES"
    async with _server(engine) as server:
        async with server.connect() as connection:
            names = [row[0] for row in await connection.execute(text(listing))]
        for name in names:
            parts = name.split("_")
            if parts[:2] != ["forecourt", "test"] or len(parts) < 4 or not parts[2].isdigit():
                continue
            if not Path(f"/proc/{parts[2]}").exists():
                url = _server_url(engine).set(database=name).render_as_string(hide_password=False)
                try:
                    await drop_database(engine, url)
                except DBAPIError:
                    continue  # Another process drops the same one.
