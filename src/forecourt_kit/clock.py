"""The clock port. Everything that asks the time is handed a Clock; only this file asks the machine."""

import time as machine
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Clock(Protocol):
    def now(self) -> datetime:
        """Wall time, timezone-aware, UTC."""
        ...

    def monotonic_s(self) -> float:
        """Seconds from an unknown start; never runs backwards. For time-outs, never for records."""
        ...


class SystemClock:
    __slots__ = ()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        return machine.monotonic()


class ManualClock:
    """A clock that stands still until told otherwise: tests and simulation."""

    __slots__ = ("_elapsed", "_now")

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = as_utc(start)
        self._elapsed = timedelta()

    def now(self) -> datetime:
        return self._now

    def monotonic_s(self) -> float:
        return self._elapsed.total_seconds()

    def advance(self, seconds: float) -> None:
        """Let time pass. Both faces of the clock move together."""
        if not seconds >= 0:
            raise ValueError(f"time does not run backwards: {seconds} s; see `step`")
        self._elapsed += timedelta(seconds=seconds)
        self._now += timedelta(seconds=seconds)

    def step(self, seconds: float) -> None:
        """Correct the wall time, as NTP or a person does; may be negative. Monotonic time does not move."""
        self._now += timedelta(seconds=seconds)


def as_utc(at: datetime) -> datetime:
    """The same instant in UTC.

    Raises:
        ValueError: it is naive, so nobody can tell which instant it means.
    """
    if at.tzinfo is None or at.utcoffset() is None:
        raise ValueError(f"a time needs its offset: {at.isoformat()}")
    return at.astimezone(UTC)


def to_us(at: datetime) -> int:
    """Microseconds since 1970-01-01 UTC, exactly: the stored form."""
    return (as_utc(at) - EPOCH) // MICROSECOND


def from_us(us: int) -> datetime:
    return EPOCH + us * MICROSECOND


def rfc3339(at: datetime) -> str:
    """`2026-11-22T10:20:30.000001Z`: the form on every API."""
    return as_utc(at).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_rfc3339(text: str) -> datetime:
    """Read an instant with its offset.

    Raises:
        ValueError: it is not a time, or it has no offset.
    """
    return as_utc(datetime.fromisoformat(text))


def business_date(at: datetime, zone: ZoneInfo, day_starts: time = time()) -> date:
    """The station's business day of an instant; `day_starts` is its cut in local time, such as 08:00."""
    local = as_utc(at).astimezone(zone)
    return local.date() if local.time() >= day_starts else local.date() - timedelta(days=1)
