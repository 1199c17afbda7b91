"""What a job is to the one who asks for it, does it, or looks at it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from forecourt.core.db import Database
from forecourt.core.errors import NotFound


class JobState(StrEnum):
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"  # Gave up: a person decides.


class JobNotFound(NotFound):
    """There is no such failed job."""

    code = "core.job_not_found"


@dataclass(frozen=True, slots=True)
class Job:
    """`tries` counts the run under way too: 1 for the first."""

    id: int
    operator_id: int
    kind: str
    payload: Mapping[str, Any]
    state: JobState
    run_at: datetime
    tries: int
    last_error: str | None
    created_at: datetime


JobHandler = Callable[[Job], Awaitable[timedelta | None]]
"""Runs outside any transaction, and may run twice. Gives None when the job is done, or after how long it
wants to run again (a poll that found nothing yet). Raising counts as a failure; pauses between tries grow."""


@dataclass(frozen=True, slots=True)
class ClockJob:
    """Runs `every` so often, in one runner of all processes at a time."""

    name: str
    every: timedelta
    run: Callable[[Database], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class ClockJobStatus:
    name: str
    next_at: datetime
    last_at: datetime | None
    last_error: str | None
    failures: int
