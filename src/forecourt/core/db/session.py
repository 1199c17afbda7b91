"""One connection inside one transaction, typed by what it may do."""

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from sqlalchemy import CursorResult, Executable, Row
from sqlalchemy.ext.asyncio import AsyncConnection

from forecourt.core.db.bulk import Dialect, insert_rows
from forecourt.core.db.model import Model
from forecourt_kit.clock import Clock
from forecourt_kit.ids import IdSource

AnyRow = Row[*tuple[Any, ...]]
Params = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None

INSERT_ROWS_MAX = 1_000  # Rows in one multi-row statement; more are sent in several.

open_transaction: ContextVar[str | None] = ContextVar("open_transaction", default=None)


def assert_no_transaction() -> None:
    """Called before every network step: what holds a transaction never waits for the network."""
    held = open_transaction.get()
    assert held is None, f"network step while a {held} transaction is open"


def dialect_of(name: str) -> Dialect:
    """SQLAlchemy calls one server both "mysql" and "mariadb"; the house knows one."""
    if name == "sqlite":
        return "sqlite"
    return "postgresql" if name == "postgresql" else "mysql"


class ReadSession:
    """Reads what is committed. Handed to queries; never committed itself."""

    __slots__ = ("_clock", "_connection", "_ids", "_in_place", "dialect")

    def __init__(self, connection: AsyncConnection, clock: Clock, ids: IdSource) -> None:
        self._connection = connection
        self._clock = clock
        self._ids = ids
        self.dialect: Dialect = dialect_of(connection.dialect.name)
        self._in_place = connection.sync_connection if self.dialect == "sqlite" else None

    async def execute(self, statement: Executable, params: Params = None) -> CursorResult[*tuple[Any, ...]]:
        if self._in_place is not None:  # SQLite answers in microseconds: no greenlet to switch to.
            return self._in_place.execute(statement, params)
        return await self._connection.execute(statement, params)

    async def driver(self, statement: str, params: Any = ()) -> CursorResult[*tuple[Any, ...]]:
        """A statement in the engine's own words, unchanged; a list of tuples runs it for each."""
        if self._in_place is not None:
            return self._in_place.exec_driver_sql(statement, params)
        return await self._connection.exec_driver_sql(statement, params)

    async def all(self, statement: Executable, params: Params = None) -> Sequence[AnyRow]:
        return (await self.execute(statement, params)).all()

    async def first(self, statement: Executable, params: Params = None) -> AnyRow | None:
        return (await self.execute(statement, params)).first()

    async def scalar(self, statement: Executable, params: Params = None) -> Any:
        return (await self.execute(statement, params)).scalar()

    def now(self) -> datetime:
        """The platform's clock, not the database's: one clock decides, and a simulation can move it."""
        return self._clock.now()

    @property
    def connection(self) -> AsyncConnection:
        """For hand-written set-based statements in `queries`, per dialect."""
        return self._connection


class WriteSession(ReadSession):
    """One unit of work. Only `Database.write` and `Database.transact` commit it."""

    __slots__ = ("_callbacks", "known", "wake_jobs", "wake_relay")

    def __init__(
        self,
        connection: AsyncConnection,
        clock: Clock,
        ids: IdSource,
        *,
        wake_relay: Callable[[], None],
        wake_jobs: Callable[[], None],
        known: set[int],
    ) -> None:
        super().__init__(connection, clock, ids)
        self.known = known  # Numbers of rows that are stored and never change: no need to ask again.
        self._callbacks: list[Callable[[], None]] = []
        self.wake_relay = wake_relay  # Run after a commit that left events in the outbox.
        self.wake_jobs = wake_jobs  # Run after a commit that left jobs to do.

    def new_id(self) -> int:
        return self._ids.new()

    async def run(self, statement: Executable, params: Params = None) -> int:
        """Execute a write; gives the number of rows it touched (guarded statements read it)."""
        return (await self.execute(statement, params)).rowcount

    async def insert_many(self, model: type[Model], rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows of one shape, in as few statements as the engine allows."""
        for start in range(0, len(rows), INSERT_ROWS_MAX):
            await insert_rows(self, model, rows[start : start + INSERT_ROWS_MAX])

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Run `callback` once this is durable, never when it rolls back. For wake-ups, not for facts."""
        self._callbacks.append(callback)

    def committed(self) -> None:
        for callback in self._callbacks:
            callback()
