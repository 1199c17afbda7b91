"""Opens the engines and runs units of work. Nothing else in the house commits."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from sqlalchemy import URL, make_url, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from forecourt.core.db import sqlite
from forecourt.core.db.session import ReadSession, WriteSession, open_transaction
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
READERS_MAX = 4  # SQLite connections that only read.

# Deadlock, lock wait timeout, record changed since the snapshot (MariaDB).
_RETRIED_MYSQL = frozenset({1213, 1205, 1020})
_RETRIED_POSTGRESQL = frozenset({"40001", "40P01"})  # Serialization failure, deadlock.


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
        self.outbox_grew = asyncio.Event()  # The relay of this process waits on it instead of polling.

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
    def dialect(self) -> str:
        name = self._writer.dialect.name
        return "mysql" if name == "mariadb" else name

    @property
    def engine(self) -> AsyncEngine:
        """For migrations only."""
        return self._writer

    async def close(self) -> None:
        await self._writer.dispose()
        if self._reader is not self._writer:
            await self._reader.dispose()

    async def ping(self) -> None:
        """Raises `Unavailable` when the database does not answer."""
        async with self.read() as session:
            await session.scalar(text("SELECT 1"))

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ReadSession]:
        assert open_transaction.get() is None, "a read inside a unit of work: use the session you hold"
        token = open_transaction.set("read")
        try:
            async with self._reader.connect() as connection:
                yield ReadSession(connection, self.clock, self.ids)
        except (OperationalError, InterfaceError, DBAPIError, OSError, PoolTimeout) as error:
            raise _translated(error) from error
        finally:
            open_transaction.reset(token)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[WriteSession]:
        """One unit of work: commits at the end, rolls back on any exception."""
        assert open_transaction.get() is None, "a unit of work inside another"
        token = open_transaction.set("write")
        try:
            async with self._writer.begin() as connection:
                session = WriteSession(
                    connection, self.clock, self.ids, self.outbox_grew.set, self._known
                )
                yield session
        except (OperationalError, InterfaceError, DBAPIError, OSError, PoolTimeout) as error:
            raise _translated(error) from error
        finally:
            open_transaction.reset(token)
        session.committed()

    async def transact(
        self,
        verb: Callable[Concatenate[WriteSession, P], Awaitable[R]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Run one verb as one transaction; a deadlock or serialization failure repeats it whole, five times."""
        for attempt in range(1, TRIES_MAX + 1):
            try:
                async with self.write() as session:
                    return await verb(session, *args, **kwargs)
            except DBAPIError as error:
                if attempt == TRIES_MAX or not is_retryable(error):
                    if is_retryable(error):
                        raise Unavailable("The database is busy; nothing was done.") from error
                    raise
            pause_ms = self.random.below(BACKOFF_MS_MAX * 2 ** (attempt - 1)) + 1
            await asyncio.sleep(pause_ms / 1000)
        raise AssertionError("unreachable")


def is_retryable(error: DBAPIError) -> bool:
    """Whether the engine asks for the whole transaction again (it was rolled back, nothing was done)."""
    origin: Any = error.orig
    if getattr(origin, "sqlstate", None) in _RETRIED_POSTGRESQL:
        return True
    if getattr(origin, "sqlite_errorname", "") in {"SQLITE_BUSY", "SQLITE_BUSY_SNAPSHOT", "SQLITE_LOCKED"}:
        return True
    return bool(origin is not None and origin.args and origin.args[0] in _RETRIED_MYSQL)


def _translated(error: Exception) -> Exception:
    """A lost or refused connection is an expected fault with its own answer; all else stays what it is."""
    if isinstance(error, DBAPIError):
        lost = error.connection_invalidated or isinstance(error, InterfaceError)
        refused = isinstance(error, OperationalError) and not is_retryable(error) and _refused(error)
        return Unavailable("The database does not answer; try again.") if lost or refused else error
    return Unavailable("The database does not answer; try again.")


def _refused(error: OperationalError) -> bool:
    origin: Any = error.orig
    code = origin.args[0] if origin is not None and origin.args else None
    # 2002..2013: MariaDB client cannot connect or lost the server; 1040, 1053: too many, shutting down.
    if isinstance(code, int):
        return 2000 <= code <= 2055 or code in {1040, 1053, 1927}
    return str(getattr(origin, "sqlstate", "") or "")[:2] in {"08", "57"}


def _sqlite_engines(url: URL, *, commit_inline: bool) -> tuple[AsyncEngine, AsyncEngine]:
    if not url.database or url.database == ":memory:":
        raise ValueError("SQLite needs a file: DATABASE_URL=sqlite:////path/to/forecourt.db")
    assert sqlite.InLoopSQLite  # The dialect registers itself when its module is imported.
    base = url.set(drivername="sqlite+inloop")
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
