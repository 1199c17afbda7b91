"""The journal on SQLite: write-ahead log, synchronous FULL, many appends a commit, one writer."""

import asyncio
import logging
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from forecourt_edge.crash import CrashPoints
from forecourt_edge.journal import schema
from forecourt_edge.journal.types import JournalFull, JournalRecord, Pressure, RecordClass
from forecourt_kit.clock import Clock
from forecourt_kit.disk import Disk
from forecourt_kit.random import Random

INCARNATION_BYTES = 4
ROW_OVERHEAD_BYTES = 64  # What a row costs beside its body, about.
BODY_BYTES_MAX = 65_536

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalLimits:
    """`bytes_max` bounds what can be dropped; money is kept beyond it, to the end of the disk."""

    bytes_max: int = 256 * 1024 * 1024
    alarm_percent: int = 80
    refuse_percent: int = 95  # From here no new authorisation: room is kept for fills in progress.
    gather_ms: int = 5  # How long a commit waits for company; the promise is at most 20.


@dataclass(slots=True)
class _Entry:
    """One append or note that waits for its commit."""

    done: asyncio.Future[int | None]
    row: tuple[int, int, int, bytes] | None
    unique: str | None
    notes: Mapping[str, bytes | None]
    discard_up_to: int = 0
    mid: int | None = None


class SqliteJournal:
    """Implements journal.types.Journal. Made by `open_journal`."""

    def __init__(self, path: Path, limits: JournalLimits, crash: CrashPoints, *, commit_inline: bool) -> None:
        self._limits, self._crash, self._commit_inline = limits, crash, commit_inline
        self._writer = schema.connect(path)
        self._reader = schema.connect(path)
        self._reader.execute("PRAGMA wal_autocheckpoint = 0")  # Only the writer moves the log.
        self._reader.execute("PRAGMA query_only = ON")
        self._waiting: list[_Entry] = []
        self._held = False
        self._committed = asyncio.Event()
        self._flusher: asyncio.Task[None] | None = None
        self.incarnation = bytes(self._one("SELECT value FROM meta WHERE name = 'incarnation'"))
        used = self._reader.execute("SELECT count(*), coalesce(sum(length(body)), 0) FROM record").fetchone()
        self._used_bytes = used[0] * ROW_OVERHEAD_BYTES + used[1]
        self.dropped = 0
        self.quarantined: Path | None = None

    def next_epoch(self, at_least: int = 0) -> int:
        """Higher than ever before, on disk when this returns. Blocks for one fsync."""
        self._writer.execute("BEGIN IMMEDIATE")
        last = int(self._one("SELECT value FROM meta WHERE name = 'epoch'", self._writer))
        epoch = max(last + 1, at_least)
        self._writer.execute("UPDATE meta SET value = ? WHERE name = 'epoch'", (epoch,))
        self._writer.execute("COMMIT")
        return epoch

    async def append(
        self,
        record_class: int,
        channel: int,
        format: int,  # noqa: A002 - the field's name on the wire
        body: bytes,
        *,
        unique: str | None = None,
        notes: Mapping[str, bytes | None] | None = None,
    ) -> int | None:
        assert len(body) <= BODY_BYTES_MAX, "a record fits one message"
        return await self._commit(row=(record_class, channel, format, body), unique=unique, notes=notes or {})

    async def remember(self, notes: Mapping[str, bytes | None]) -> None:
        await self._commit(notes=notes)

    async def discard(self, up_to_mid: int) -> None:
        await self._commit(discard_up_to=up_to_mid)

    def recall(self, prefix: str) -> dict[str, bytes]:
        found = self._reader.execute(
            "SELECT name, value FROM note WHERE substr(name, 1, ?) = ?", (len(prefix), prefix)
        )
        return {name: bytes(value) for name, value in found}

    async def grown(self, after_mid: int) -> None:
        while self.next_mid() <= after_mid + 1:
            self._committed.clear()
            await self._committed.wait()

    def unsent(self, after_mid: int, limit: int) -> list[JournalRecord]:
        found = self._reader.execute(
            "SELECT mid, class, channel, format, body FROM record WHERE mid > ? ORDER BY mid LIMIT ?",
            (after_mid, limit),
        )
        return [
            JournalRecord(mid, class_, chan, form, bytes(body)) for mid, class_, chan, form, body in found
        ]

    def oldest_mid(self) -> int:
        found = self._reader.execute("SELECT min(mid) FROM record").fetchone()[0]
        return self.next_mid() if found is None else int(found)

    def next_mid(self) -> int:
        found = self._reader.execute("SELECT seq FROM sqlite_sequence WHERE name = 'record'").fetchone()
        return 1 if found is None else int(found[0]) + 1

    def known(self, unique: str) -> bool:
        found = self._reader.execute("SELECT 1 FROM identity WHERE name = ?", (unique,))
        return found.fetchone() is not None

    def hold(self) -> None:
        self._held = True

    @property
    def pressure(self) -> Pressure:
        """How full the journal is; HELD goes before all."""
        if self._held:
            return Pressure.HELD
        percent = self._used_bytes * 100 // self._limits.bytes_max
        if percent >= self._limits.refuse_percent:
            return Pressure.FULL
        return Pressure.HIGH if percent >= self._limits.alarm_percent else Pressure.LOW

    async def close(self) -> None:
        """Commit what waits, then let go of the file."""
        if self._flusher is not None:
            await self._flusher
        self._reader.close()  # First: the last connection to close moves the log into the file.
        self._writer.close()

    async def _commit(
        self,
        *,
        row: tuple[int, int, int, bytes] | None = None,
        unique: str | None = None,
        notes: Mapping[str, bytes | None] | None = None,
        discard_up_to: int = 0,
    ) -> int | None:
        entry = _Entry(asyncio.get_running_loop().create_future(), row, unique, notes or {}, discard_up_to)
        self._waiting.append(entry)
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush())
        return await entry.done

    async def _flush(self) -> None:
        """Commit in groups until nothing waits. What arrives during a commit goes into the next."""
        try:
            await asyncio.sleep(self._limits.gather_ms / 1000)
            while self._waiting:
                group, self._waiting = self._waiting, []
                await self._flush_group(group)
        finally:
            self._flusher = None

    async def _flush_group(self, group: list[_Entry]) -> None:
        used_before = self._used_bytes
        failed: dict[int, JournalFull] = {}
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            for at, entry in enumerate(group):
                try:
                    self._write(entry)
                except JournalFull as full:
                    failed[at] = full
            self._crash.passed("before_journal_commit")
            if self._commit_inline:
                self._writer.execute("COMMIT")
            else:
                await asyncio.to_thread(self._writer.execute, "COMMIT")
        except sqlite3.Error as why:
            self._used_bytes = used_before
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            self._fail(group, why)
            return
        self._crash.passed("after_journal_commit")
        self._committed.set()
        for at, entry in enumerate(group):
            if entry.done.done():  # Whoever waited was cancelled; the row is on disk all the same.
                continue
            if at in failed:
                entry.done.set_exception(failed[at])
            else:
                entry.done.set_result(entry.mid)

    def _fail(self, group: list[_Entry], why: sqlite3.Error) -> None:
        """Nothing of the group is on disk. A full disk is an answer; anything else is a broken disk."""
        full = "full" in str(why)
        logger.error("journal commit failed", extra={"why": str(why), "entries": len(group)})
        for entry in group:
            if not entry.done.done():
                entry.done.set_exception(JournalFull(str(why)) if full else why)

    def _write(self, entry: _Entry) -> None:
        if entry.discard_up_to:
            self._delete(0, entry.discard_up_to)
        if entry.row is not None and not self._taken(entry.unique):
            self._make_room(entry.row)
            if entry.unique is not None:
                self._writer.execute("INSERT INTO identity (name) VALUES (?)", (entry.unique,))
            cursor = self._writer.execute(
                "INSERT INTO record (class, channel, format, body, crc) VALUES (?, ?, ?, ?, ?)",
                (*entry.row, schema.checksum(*entry.row)),
            )
            entry.mid = cursor.lastrowid
            self._used_bytes += _size_bytes(entry.row)
        for name, value in entry.notes.items():
            if value is None:
                self._writer.execute("DELETE FROM note WHERE name = ?", (name,))
            else:
                self._writer.execute("INSERT OR REPLACE INTO note (name, value) VALUES (?, ?)", (name, value))

    def _taken(self, unique: str | None) -> bool:
        if unique is None:
            return False
        return self._writer.execute("SELECT 1 FROM identity WHERE name = ?", (unique,)).fetchone() is not None

    def _make_room(self, row: tuple[int, int, int, bytes]) -> None:
        """Drop the oldest telemetry, then the oldest reliable news; never money and never commands."""
        over = self._used_bytes + _size_bytes(row) - self._limits.bytes_max
        for droppable in (RecordClass.TELEMETRY, RecordClass.RELIABLE):
            while over > 0 and droppable <= row[0]:
                oldest = self._writer.execute(
                    "SELECT mid, length(body) FROM record WHERE class = ? ORDER BY mid LIMIT 1", (droppable,)
                ).fetchone()
                if oldest is None:
                    break
                self._delete(oldest[0], oldest[0])
                self.dropped += 1
                over -= oldest[1] + ROW_OVERHEAD_BYTES
        if over > 0 and row[0] < RecordClass.MONEY:
            raise JournalFull(f"{self._used_bytes} of {self._limits.bytes_max} bytes are used")

    def _delete(self, first_mid: int, last_mid: int) -> None:
        span = (first_mid, last_mid)
        found = self._writer.execute(
            "SELECT count(*), coalesce(sum(length(body)), 0) FROM record WHERE mid BETWEEN ? AND ?", span
        ).fetchone()
        self._used_bytes -= found[0] * ROW_OVERHEAD_BYTES + found[1]
        self._writer.execute("DELETE FROM record WHERE mid BETWEEN ? AND ?", span)

    def _one(self, statement: str, connection: sqlite3.Connection | None = None) -> bytes:
        value: bytes = (connection or self._reader).execute(statement).fetchone()[0]
        return value


def _size_bytes(row: tuple[int, int, int, bytes]) -> int:
    return len(row[3]) + ROW_OVERHEAD_BYTES


def open_journal(
    path: Path,
    *,
    random: Random,
    clock: Clock,
    disk: Disk,
    crash: CrashPoints | None = None,
    limits: JournalLimits | None = None,
    commit_inline: bool = False,
) -> SqliteJournal:
    """Open or make the journal. A damaged file is renamed, never deleted, and a new one begun.

    A new file has a new incarnation, so nothing it numbers can be taken for a record of the old one.
    """
    disk.make_directory(path.parent)
    quarantined = _quarantine_if_damaged(path, clock, disk)
    writer = schema.connect(path)
    if writer.execute("PRAGMA user_version").fetchone()[0] == 0:
        _lay_out(writer, random.bytes(INCARNATION_BYTES))
    writer.execute(
        "DELETE FROM identity WHERE at <= (SELECT max(at) FROM identity) - ?", (schema.IDENTITIES_MAX,)
    )
    writer.close()
    journal = SqliteJournal(
        path, limits or JournalLimits(), crash or CrashPoints(), commit_inline=commit_inline
    )
    journal.quarantined = quarantined
    return journal


def _lay_out(writer: sqlite3.Connection, incarnation: bytes) -> None:
    """All in one transaction: a cut leaves no file without its incarnation."""
    writer.execute("BEGIN IMMEDIATE")
    for statement in schema.SCHEMA:
        writer.execute(statement)
    writer.execute("INSERT INTO meta (name, value) VALUES ('incarnation', ?), ('epoch', 0)", (incarnation,))
    writer.execute("COMMIT")


def _quarantine_if_damaged(path: Path, clock: Clock, disk: Disk) -> Path | None:
    if not disk.exists(path):
        return None
    connection = None
    try:
        connection = schema.connect(path)
        why = schema.damage(connection)
    except sqlite3.DatabaseError as bad:
        why = str(bad)
    finally:
        if connection is not None:
            connection.close()
    if why is None:
        return None
    kept = path.with_name(f"{path.name}.damaged-{clock.now():%Y%m%dT%H%M%S}")
    logger.error("journal damaged; kept aside, a new one begun", extra={"why": why, "kept": str(kept)})
    for suffix in ("", "-wal", "-shm"):
        beside = path.with_name(path.name + suffix)
        if disk.exists(beside):
            disk.rename(beside, kept.with_name(kept.name + suffix))
    return kept
