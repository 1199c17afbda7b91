"""Tables of jobs."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from forecourt.core.db import Big, Code, Json, Key, Model, Text, UtcTime
from forecourt.core.jobs.types import JobState

ERROR_CHARS_MAX = 500


class JobRow(Model):
    __tablename__ = "job"
    __table_args__ = (UniqueConstraint("kind", "unique_key"), Index("ix_job_ready", "state", "run_at"))

    id: Mapped[int] = mapped_column(Big(), primary_key=True, autoincrement=False)
    operator_id: Mapped[int] = mapped_column(Big())
    kind: Mapped[str] = mapped_column(Key(80))
    unique_key: Mapped[str | None] = mapped_column(Key(120))  # Empty once the job has ended.
    payload: Mapped[dict[str, Any]] = mapped_column(Json())
    state: Mapped[JobState] = mapped_column(Code(JobState))
    run_at: Mapped[datetime] = mapped_column(UtcTime())
    tries: Mapped[int] = mapped_column(Big())
    tries_max: Mapped[int] = mapped_column(Big())
    last_error: Mapped[str | None] = mapped_column(Text(ERROR_CHARS_MAX))
    lease_owner: Mapped[str | None] = mapped_column(Key(40))
    lease_until: Mapped[datetime | None] = mapped_column(UtcTime())
    created_at: Mapped[datetime] = mapped_column(UtcTime())
    ended_at: Mapped[datetime | None] = mapped_column(UtcTime())
    claim: Mapped[int] = mapped_column(Big(), index=True)


class ClockJobRow(Model):
    __tablename__ = "clock_job"

    name: Mapped[str] = mapped_column(Key(80), primary_key=True)
    next_at: Mapped[datetime] = mapped_column(UtcTime())
    lease_owner: Mapped[str | None] = mapped_column(Key(40))
    lease_until: Mapped[datetime | None] = mapped_column(UtcTime())
    last_at: Mapped[datetime | None] = mapped_column(UtcTime())
    last_error: Mapped[str | None] = mapped_column(Text(ERROR_CHARS_MAX))
    failures: Mapped[int] = mapped_column(Big())  # In a row, up to the last run.
