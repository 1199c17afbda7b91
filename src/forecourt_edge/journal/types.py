"""What the journal keeps and what it promises, for those who write to it and for the uplink."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Protocol


class RecordClass(IntEnum):
    """The record classes of SLP/1; a full disk drops telemetry first, reliable news next, money never."""

    TELEMETRY = 0
    RELIABLE = 1
    MONEY = 2
    COMMAND = 3


class Pressure(StrEnum):
    """How full the journal is: alarm at HIGH, no new fill from FULL on. HELD: it may be an old copy."""

    LOW = "low"
    HIGH = "high"
    FULL = "full"
    HELD = "held"


CLOSED = frozenset({Pressure.FULL, Pressure.HELD})
"""No new fill is begun; those in progress are kept."""


FORMAT_RAW, FORMAT_CBOR, FORMAT_JSON, FORMAT_FIELD_TABLE = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """One record as it lies in the journal; `mid` counts up for ever, over restarts too."""

    mid: int
    record_class: int
    channel: int
    format: int
    body: bytes


class JournalFull(RuntimeError):
    """No room: nothing of a lower class is left to drop. Money is refused last, at the end of the reserve."""


class Journal(Protocol):
    """The station's one store of facts. A returned `append` survives a power cut."""

    @property
    def incarnation(self) -> bytes:
        """Four random bytes, made when the file was made: tells a journal from its successor."""

    def next_epoch(self, at_least: int = 0) -> int:
        """Higher than ever before, on disk before it is returned: call it before the first frame."""

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
        """The record's mid once it is on disk; None when `unique` was journalled before (even if discarded).

        `notes` are set (or, by None, removed) in the same transaction, also when the record was not new.
        Raises JournalFull.
        """

    async def remember(self, notes: Mapping[str, bytes | None]) -> None:
        """Set or remove (None) small facts that must outlive the process; returns once on disk."""

    def recall(self, prefix: str) -> dict[str, bytes]:
        """The remembered facts whose name begins so."""

    def unsent(self, after_mid: int, limit: int) -> list[JournalRecord]:
        """The next records on disk above this mid, oldest first."""

    async def grown(self, after_mid: int) -> None:
        """Returns once there is a record above this mid."""

    async def discard(self, up_to_mid: int) -> None:
        """These records are committed elsewhere; their `unique` names are kept."""

    def oldest_mid(self) -> int:
        """The lowest mid still held; `next_mid()` when none is."""

    def next_mid(self) -> int:
        """The mid that the next record will have."""

    def known(self, unique: str) -> bool:
        """Whether a record of this name was ever journalled here."""

    def hold(self) -> None:
        """This file is an old copy of what the centre knows: begin no fill until a person has decided."""

    @property
    def pressure(self) -> Pressure: ...
