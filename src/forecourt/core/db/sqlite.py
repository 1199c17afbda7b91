"""SQLite inside the event loop: calls run in place (microseconds), only COMMIT may wait on a thread.

The standard driver is synchronous; a statement on the embedded database costs less than handing it to a
thread and back (docs/decisions/0002). A commit waits for the disk, so production moves that one call away
from the loop; a simulation commits in place and stays on one thread.
"""

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

from sqlalchemy import URL, AsyncAdaptedQueuePool, Pool
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.util import await_only
from sqlalchemy.util.concurrency import in_greenlet

BUSY_TIMEOUT_MS = 10  # In place, so it holds the loop up; waiting for another process is done below.
BEGIN_TRIES_MAX = 250
BEGIN_PAUSE_S = 0.02
STATEMENTS_CACHED = 512


class InLoopCursor(sqlite3.Cursor):
    async def _async_soft_close(self) -> None:
        """What SQLAlchemy asks of an asynchronous driver's cursor; there is nothing to wait for."""


class InLoopConnection(sqlite3.Connection):
    def cursor(self, factory: Any = InLoopCursor) -> Any:
        return super().cursor(factory)


class InLoopSQLite(SQLiteDialect_pysqlite):
    """`sqlite+inloop:///PATH?role=write|read&commit=thread|inline`."""

    driver = "inloop"
    is_async = True
    supports_statement_cache = True

    def __init__(self, **kw: Any) -> None:
        super().__init__(**kw)
        self._role = "write"
        self._committer: ThreadPoolExecutor | None = None

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        return sqlite3

    @classmethod
    def get_pool_class(cls, url: URL) -> type[Pool]:
        del url
        return AsyncAdaptedQueuePool

    def create_connect_args(self, url: URL) -> tuple[list[str], dict[str, Any]]:
        self._role = str(url.query.get("role", "write"))
        if url.query.get("commit", "thread") == "thread" and self._role == "write":
            self._committer = ThreadPoolExecutor(1, "sqlite-commit")
        assert url.database
        return [url.database], {"isolation_level": None, "check_same_thread": False}

    def connect(self, *cargs: Any, **cparams: Any) -> Any:
        connection = sqlite3.connect(
            *cargs, **cparams, cached_statements=STATEMENTS_CACHED, factory=InLoopConnection
        )
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            *(("query_only=ON", "wal_autocheckpoint=0") if self._role == "read" else ()),
        ):
            connection.execute(f"PRAGMA {pragma}").close()
        return connection

    def do_execute(self, cursor: Any, statement: Any, parameters: Any, context: Any = None) -> None:
        del context
        cursor.execute(statement, parameters)
        _seem_asynchronous()

    def do_executemany(self, cursor: Any, statement: Any, parameters: Any, context: Any = None) -> None:
        del context
        cursor.executemany(statement, parameters)
        _seem_asynchronous()

    def do_begin(self, dbapi_connection: Any) -> None:
        # A deferred transaction that reads, then writes after another's commit fails; IMMEDIATE waits.
        if self._role == "read":
            dbapi_connection.execute("BEGIN")
            return
        for left in reversed(range(BEGIN_TRIES_MAX)):
            try:
                dbapi_connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorname != "SQLITE_BUSY" or not left or not in_greenlet():
                    raise
                await_only(asyncio.sleep(BEGIN_PAUSE_S))  # Another process writes; this loop goes on.
            else:
                return

    def do_commit(self, dbapi_connection: Any) -> None:
        if self._committer is None or not dbapi_connection.in_transaction:
            dbapi_connection.commit()
        else:
            loop = asyncio.get_running_loop()
            await_only(_settled(loop.run_in_executor(self._committer, dbapi_connection.commit)))

    def stop_committer(self) -> None:
        """End the commit thread; when the engine is disposed."""
        if self._committer is not None:
            self._committer.shutdown()

    def get_driver_connection(self, connection: Any) -> Any:
        return connection


def _seem_asynchronous() -> None:
    # SQLAlchemy takes a driver that never awaits for one that blocks by mistake; ours is in place on purpose.
    if in_greenlet():
        await_only(_in_place())


async def _in_place() -> None:
    """Nothing to wait for."""


async def _settled(commit: asyncio.Future[None]) -> None:
    """Wait for the commit even when the caller is cancelled: its connection must not be reused mid-commit.

    A commit that came through is one, cancelled caller or not; the cancellation goes on after it.
    """
    try:
        await asyncio.shield(commit)
    except asyncio.CancelledError:
        await asyncio.wait([commit])
        raise


registry.register("sqlite.inloop", __name__, "InLoopSQLite")
