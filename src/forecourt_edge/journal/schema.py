"""The journal's tables and how its connections are set."""

import sqlite3
from pathlib import Path
from zlib import crc32

SCHEMA_VERSION = 1
BUSY_TIMEOUT_MS = 10_000
IDENTITIES_MAX = 1_000_000
"""Names of `unique` that are kept: some years of sales of a large station, some 80 MB."""

SCHEMA = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    """CREATE TABLE record (
        mid INTEGER PRIMARY KEY AUTOINCREMENT,
        class INTEGER NOT NULL,
        channel INTEGER NOT NULL,
        format INTEGER NOT NULL,
        body BLOB NOT NULL,
        crc INTEGER NOT NULL
    )""",
    "CREATE INDEX record_class ON record (class, mid)",
    "CREATE TABLE identity (at INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE)",
    "CREATE TABLE note (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)


def connect(path: Path) -> sqlite3.Connection:
    """A connection that commits by hand, waits for a lock, and syncs at every commit."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def damage(connection: sqlite3.Connection) -> str | None:
    """What is wrong with the file, in words; None when it is sound and of this version."""
    try:
        verdict = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if verdict != "ok":
            return str(verdict)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, SCHEMA_VERSION):
            return f"schema version {version}"
        if version == 0:
            return None
        if connection.execute("SELECT count(*) FROM meta").fetchone()[0] == 0:
            return "no incarnation"
        for mid, class_, channel, format_, body, crc in connection.execute(
            "SELECT mid, class, channel, format, body, crc FROM record"
        ):
            if crc != checksum(class_, channel, format_, body):
                return f"record {mid} does not fit its checksum"
    except sqlite3.DatabaseError as why:
        return str(why)
    return None


def checksum(record_class: int, channel: int, format_: int, body: bytes) -> int:
    """Over everything but the mid, which SQLite gives. Tells a disk that lies about fsync."""
    return crc32(body, crc32(bytes((record_class, channel, format_))))
