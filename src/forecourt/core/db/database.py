"""Opens the engines and runs units of work. Nothing else in the house commits."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from sqlalchemy import URL, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from forecourt.core.db.bulk import Dialect
from forecourt.core.db.faults import ConnectionFault, is_repeatable, translated
from forecourt.core.db.session import ReadSession, WriteSession, dialect_of, open_transaction
from forecourt.core.db.sqlite import InLoopSQLite
from forecourt.core.errors import Unavailable
from forecourt_kit.clock import Clock
from forecourt_kit.ids import IdSource
from forecourt_kit.random import Random

P = ParamSpec("P")
R = TypeVar("R")

TRIES_MAX = 5
BACKOFF_MS_MAX = 40  # Of the first retry; doubles each time.
POOL_CONNECTIONS = 10
POOL_TIMEOUT_S = 10
STATEMENT_TIMEOUT_S = 30
NETWORK_TIMEOUT_S = STATEMENT_TIMEOUT_S + 5  # The server gives up first, unless it is not there any more.
UNIT_TIMEOUT_S = NETWORK_TIMEOUT_S + POOL_TIMEOUT_S  # Of one unit of work, waiting for a connection included.
READERS_MAX = 4  # SQLite connections that only read.

_SNAPSHOT: dict[Dialect, tuple[str, ...]] = {
    "sqlite": (),  # A reader in WAL mode stands on the moment of its first statement.
    "mysql": (
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    ),
    "postgresql": ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",),
}


class Database:
    """The store of one process: where units of work begin and end.

    `write()` and `transact()` open the only transactions that may change anything; a unit of work inside
    another is a bug (on SQLite it would wait for itself) and raises AssertionError.
    """

    def __init__(
        self, writer: AsyncEngine, reader: AsyncEngine, clock: Clock, ids: IdSource, random: Random
    ) -> None:
        self._writer = writer
        self._reader = reader
        self.clock = clock
        self.ids = ids
        self.random = random
        self._known: set[int] = set()
        # A read of the moment needs no BEGIN and no ROLLBACK. Other drivers would ask the server for that.
        free = dialect_of(writer.dialect.name) == "postgresql"
        self._at_once = reader.execution_options(isolation_level="AUTOCOMMIT") if free else reader
        self.outbox_grew = asyncio.Event()  # The relay of this process waits on it instead of polling.
        self.jobs_grew = asyncio.Event()  # And its job runner on this.

    @classmethod
    def open(
        cls, url: str, clock: Clock, ids: IdSource, random: Random, *, commit_inline: bool = False
    ) -> Self:
        """Open `sqlite:///PATH`, `mysql://…` or `postgresql://…`; connects at first use."""
        parsed = make_url(url)
        family = parsed.get_backend_name()
        if family == "sqlite":
            writer, reader = _sqlite_engines(parsed, commit_inline=commit_inline)
        elif family in {"mysql", "mariadb", "postgresql"}:
            writer = reader = _server_engine(parsed, family)
        else:
            raise ValueError(f"DATABASE_URL names {family!r}; use sqlite, mysql or postgresql")
        return cls(writer, reader, clock, ids, random)

    @property
    def dialect(self) -> Dialect:
        return dialect_of(self._writer.dialect.name)

    @property
    def engine(self) -> AsyncEngine:
        """For migrations only."""
        return self._writer

    async def close(self) -> None:
        # The reader first: on SQLite the last connection to close checkpoints, and only the writer may.
        if self._reader is not self._writer:
            await self._reader.dispose()
        await self._writer.dispose()
        if isinstance(self._writer.dialect, InLoopSQLite):
            self._writer.dialect.stop_committer()

    async def ping(self) -> None:
        """Raises `Unavailable` when the database does not answer."""
        async with self.read() as session:
            await session.scalar(text("SELECT 1"))

    @asynccontextmanager
    async def read(self, *, snapshot: bool = False) -> AsyncIterator[ReadSession]:
        """Each statement sees what is committed; with `snapshot` all see one moment (verify, reports)."""
        assert open_transaction.get() is None, "a read inside a unit of work: use the session you hold"
        token = open_transaction.set("read")
        try:
            limit_s = None if snapshot else UNIT_TIMEOUT_S
            engine = self._reader if snapshot else self._at_once
            async with asyncio.timeout(limit_s), engine.connect() as connection:
                session = ReadSession(connection, self.clock, self.ids)
                if snapshot:
                    for statement in _SNAPSHOT[session.dialect]:
                        await connection.execute(text(statement))
                yield session
        except ConnectionFault as error:
            if (said := translated(error)) is error:
                raise
            raise said from error
        finally:
            open_transaction.reset(token)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[WriteSession]:
        """One unit of work: commits at the end, rolls back on any exception."""
        assert open_transaction.get() is None, "a unit of work inside another"
        token = open_transaction.set("write")
        try:
            async with asyncio.timeout(UNIT_TIMEOUT_S), self._writer.begin() as connection:
                session = WriteSession(
                    connection,
                    self.clock,
                    self.ids,
                    wake_relay=self.outbox_grew.set,
                    wake_jobs=self.jobs_grew.set,
                    known=self._known,
                )
                yield session
        except ConnectionFault as error:
            if (said := translated(error)) is error:
                raise
            raise said from error
        finally:
            open_transaction.reset(token)
        session.committed()

    async def transact(
        self,
        verb: Callable[Concatenate[WriteSession, P], Awaitable[R]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Run one verb as one transaction; deadlocks and serialization failures repeat it whole, 5 times."""
        for attempt in range(1, TRIES_MAX + 1):
            try:
                async with self.write() as session:
                    return await verb(session, *args, **kwargs)
            except DBAPIError as error:
                if not is_repeatable(error):
                    raise
                if attempt == TRIES_MAX:
                    raise Unavailable("The database is busy; nothing was done.") from error
            pause_ms = self.random.below(BACKOFF_MS_MAX * 2 ** (attempt - 1)) + 1
            await asyncio.sleep(pause_ms / 1000)
        raise AssertionError("unreachable")


def _sqlite_engines(url: URL, *, commit_inline: bool) -> tuple[AsyncEngine, AsyncEngine]:
    if not url.database or url.database == ":memory:":
        raise ValueError("SQLite needs a file: DATABASE_URL=sqlite:////path/to/forecourt.db")
    base = url.set(drivername=f"sqlite+{InLoopSQLite.driver}")
    mode = "inline" if commit_inline else "thread"
    writer = create_async_engine(
        base.update_query_dict({"role": "write", "commit": mode}),
        pool_size=1,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_S,
    )
    reader = create_async_engine(
        base.update_query_dict({"role": "read"}),
        pool_size=READERS_MAX,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_S,
    )
    return writer, reader


def _server_engine(url: URL, family: str) -> AsyncEngine:
    connect_args: dict[str, Any]
    if family == "postgresql":
        url = url.set(drivername="postgresql+asyncpg")
        connect_args = {
            "timeout": POOL_TIMEOUT_S,
            "command_timeout": NETWORK_TIMEOUT_S,
            "server_settings": {"statement_timeout": f"{STATEMENT_TIMEOUT_S}s", "jit": "off"},
        }
    else:
        url = url.set(drivername="mysql+asyncmy").update_query_dict({"charset": "utf8mb4"})
        connect_args = {
            "connect_timeout": POOL_TIMEOUT_S,
            "init_command": f"SET SESSION max_statement_time={STATEMENT_TIMEOUT_S}, "
            "innodb_lock_wait_timeout=10, sql_mode='STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
        }
    return create_async_engine(
        url,
        isolation_level="READ COMMITTED",
        pool_size=POOL_CONNECTIONS,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_S,
        pool_recycle=1_800,
        connect_args=connect_args,
    )
