"""What an engine's error means: do it all again, the engine is away, or a bug."""

import sqlite3
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from forecourt.core.errors import Unavailable

# Deadlock, lock wait timeout, record changed since the snapshot (MariaDB).
_REPEATED_MYSQL = frozenset({1213, 1205, 1020})
_REPEATED_POSTGRESQL = frozenset({"40001", "40P01"})  # Serialization failure, deadlock.
_REPEATED_SQLITE = frozenset({"SQLITE_BUSY", "SQLITE_BUSY_SNAPSHOT", "SQLITE_LOCKED"})

# Disk full, table full, too many connections, shutting down, statement time exceeded, killed.
_AWAY_MYSQL = frozenset({1021, 1114, 1040, 1053, 1317, 1927, 1969})
_AWAY_MYSQL_CLIENT = range(2000, 2056)  # Cannot connect, lost connection, time-out.
_AWAY_POSTGRESQL = frozenset({"08", "53", "57"})  # Connection, resources, operator: the SQLSTATE classes.
_AWAY_SQLITE = frozenset({"SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN"})

ConnectionFault = (DBAPIError, OSError, PoolTimeout)


def is_repeatable(error: BaseException) -> bool:
    """Whether the engine asks for the whole transaction again (it was rolled back, nothing was done)."""
    if not isinstance(error, DBAPIError):
        return False
    code = _code(error)
    return code in _REPEATED_MYSQL or code in _REPEATED_POSTGRESQL or code in _REPEATED_SQLITE


def translated(error: Exception) -> Exception:
    """`Unavailable` for an engine that is away, full or out of connections; all else stays what it is."""
    if isinstance(error, DBAPIError) and not (error.connection_invalidated or _is_away(error)):
        return error
    return Unavailable("The database does not answer; try again.")


def _is_away(error: DBAPIError) -> bool:
    code = _code(error)
    if isinstance(code, int):
        return code in _AWAY_MYSQL or code in _AWAY_MYSQL_CLIENT
    return code in _AWAY_SQLITE or code[:2] in _AWAY_POSTGRESQL


def _code(error: DBAPIError) -> int | str:
    """MariaDB's number, PostgreSQL's SQLSTATE, SQLite's name; empty when the driver itself complains."""
    origin: Any = error.orig
    if isinstance(origin, sqlite3.Error):
        return getattr(origin, "sqlite_errorname", "")
    arguments = getattr(origin, "args", ())
    if arguments and isinstance(arguments[0], int):
        return arguments[0]
    return str(getattr(origin, "sqlstate", None) or "")
