"""Work that must happen later: rows with a lease, tried with back-off, their failures there to be seen."""

from forecourt.core.jobs.queries import (
    count_waiting,
    enqueue,
    forget_done,
    list_clock_jobs,
    list_failed,
    list_failing,
    try_again,
)
from forecourt.core.jobs.runner import JobRunner
from forecourt.core.jobs.types import ClockJob, ClockJobStatus, Job, JobHandler, JobNotFound, JobState

__all__ = [
    "ClockJob",
    "ClockJobStatus",
    "Job",
    "JobHandler",
    "JobNotFound",
    "JobRunner",
    "JobState",
    "count_waiting",
    "enqueue",
    "forget_done",
    "list_clock_jobs",
    "list_failed",
    "list_failing",
    "try_again",
]
