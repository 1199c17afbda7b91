"""Every statement about jobs: those for anyone who enqueues or looks, and those for the runner."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, func, or_, select, update

from forecourt.core.db import ReadSession, WriteSession, insert_new, lease, upsert_many
from forecourt.core.jobs.models import ERROR_CHARS_MAX, ClockJobRow, JobRow
from forecourt.core.jobs.types import ClockJobStatus, Job, JobNotFound, JobState

LEASE = timedelta(seconds=60)
TRIES_MAX = 12  # With the pauses below: about an hour.
PAUSE_FIRST_S = 1
PAUSE_S_MAX = 3_600
DONE_KEPT_DAYS = 7
LIST_ROWS_MAX = 500


async def enqueue(
    session: WriteSession,
    kind: str,
    payload: Mapping[str, Any],
    *,
    operator_id: int,
    run_at: datetime | None = None,
    unique: str | None = None,
    tries_max: int = TRIES_MAX,
) -> bool:
    """Have `kind` run with `payload` at or after `run_at`, if the caller's transaction commits.

    With `unique`, nothing is added while a job of this kind and key has not ended. Gives whether it was.
    """
    now = session.now()
    row = {
        "id": session.new_id(),
        "operator_id": operator_id,
        "kind": kind,
        "unique_key": unique,
        "payload": dict(payload),
        "state": JobState.WAITING,
        "run_at": run_at or now,
        "tries": 0,
        "tries_max": tries_max,
        "last_error": None,
        "lease_owner": None,
        "lease_until": None,
        "created_at": now,
        "ended_at": None,
    }
    if unique is None:
        await session.insert_many(JobRow, [{**row, "claim": row["id"]}])
    elif not await insert_new(session, JobRow, [row], key=("kind", "unique_key")):
        return False
    session.after_commit(session.wake_jobs)
    return True


async def list_failed(
    session: ReadSession, *, operator_id: int | None = None, limit: int = LIST_ROWS_MAX
) -> list[Job]:
    """Jobs that gave up, newest first. `operator_id` None sees every tenant: for the platform only."""
    statement = select(JobRow.__table__).where(JobRow.state == JobState.FAILED).order_by(JobRow.id.desc())
    if operator_id is not None:
        statement = statement.where(JobRow.operator_id == operator_id)
    return [_job(row) for row in await session.all(statement.limit(min(limit, LIST_ROWS_MAX)))]


async def list_failing(
    session: ReadSession, *, operator_id: int | None = None, limit: int = LIST_ROWS_MAX
) -> list[Job]:
    """Jobs that failed at least once and will be tried again; scope as `list_failed`."""
    failing = (JobRow.state == JobState.WAITING, JobRow.last_error.is_not(None))
    statement = select(JobRow.__table__).where(*failing).order_by(JobRow.id.desc())
    if operator_id is not None:
        statement = statement.where(JobRow.operator_id == operator_id)
    return [_job(row) for row in await session.all(statement.limit(min(limit, LIST_ROWS_MAX)))]


async def list_clock_jobs(session: ReadSession) -> list[ClockJobStatus]:
    rows = await session.all(select(ClockJobRow.__table__).order_by(ClockJobRow.name))
    return [ClockJobStatus(row.name, row.next_at, row.last_at, row.last_error, row.failures) for row in rows]


async def count_waiting(session: ReadSession) -> int:
    """Jobs whose time has come and that nobody has done yet; for metrics and alarms."""
    due = (JobRow.state == JobState.WAITING, JobRow.run_at <= session.now())
    return int(await session.scalar(select(func.count()).select_from(JobRow).where(*due)) or 0)


async def try_again(session: WriteSession, job_id: int, *, operator_id: int | None = None) -> None:
    """Give a failed job all its tries back. Raises `JobNotFound`. The caller writes the audit record."""
    statement = update(JobRow).where(JobRow.id == job_id, JobRow.state == JobState.FAILED)
    if operator_id is not None:
        statement = statement.where(JobRow.operator_id == operator_id)
    values = {"state": JobState.WAITING, "tries": 0, "run_at": session.now(), "ended_at": None}
    if not await session.run(statement.values(values)):
        raise JobNotFound(job_id=job_id)
    session.after_commit(session.wake_jobs)


async def forget_done(session: WriteSession) -> int:
    """Delete jobs that were done a while ago; a clock job. Failed ones stay. Gives how many went."""
    limit = session.now() - timedelta(days=DONE_KEPT_DAYS)
    return await session.run(delete(JobRow).where(JobRow.state == JobState.DONE, JobRow.ended_at < limit))


def pause_after(tries: int) -> timedelta:
    """1 s, then twice as long each time, at most an hour."""
    return timedelta(seconds=min(PAUSE_FIRST_S * 2 ** (tries - 1), PAUSE_S_MAX))


async def any_due(session: ReadSession, kinds: Sequence[str]) -> bool:
    """A cheap look before `take` opens a unit of work."""
    free = or_(JobRow.lease_until.is_(None), JobRow.lease_until < session.now())
    statement = select(JobRow.id).where(_ready(session, kinds), free).limit(1)
    return await session.scalar(statement) is not None


async def take(session: WriteSession, kinds: Sequence[str], *, owner: str, limit: int) -> list[Job]:
    """Lease due jobs. A runner that dies with one has used up a try."""
    taken = await lease(
        session,
        JobRow,
        ready=_ready(session, kinds),
        order_by=JobRow.run_at.asc(),
        limit=limit,
        owner=owner,
        until=session.now() + LEASE,
    )
    if not taken:
        return []
    rows = await session.all(
        select(JobRow.__table__).where(JobRow.id.in_(taken)).order_by(JobRow.run_at, JobRow.id)
    )
    return [_job(row) for row in rows]


async def renew(session: WriteSession, owner: str, job: Job) -> None:
    await session.run(_held(owner, job).values(lease_until=session.now() + LEASE))


async def release(session: WriteSession, owner: str, job: Job) -> None:
    """The runner goes: another may start over at once, and this start does not count."""
    await session.run(_held(owner, job).values(lease_owner=None, lease_until=None, tries=job.tries - 1))


async def finish(session: WriteSession, owner: str, job: Job) -> None:
    await session.run(_held(owner, job).values(**_ended(session, JobState.DONE), last_error=None))


async def run_again(session: WriteSession, owner: str, job: Job, after: timedelta) -> None:
    """It asked for another run, which is no failure: its tries start over."""
    values = {"run_at": session.now() + after, "tries": 0, "lease_owner": None, "lease_until": None}
    await session.run(_held(owner, job).values(**values, last_error=None))


async def fail(session: WriteSession, owner: str, job: Job, reason: str) -> None:
    reason = reason[:ERROR_CHARS_MAX]
    tries_max = await session.scalar(select(JobRow.tries_max).where(JobRow.id == job.id))
    if job.tries >= tries_max:
        await session.run(_held(owner, job).values(**_ended(session, JobState.FAILED), last_error=reason))
        return
    values = {"run_at": session.now() + pause_after(job.tries), "lease_owner": None, "lease_until": None}
    await session.run(_held(owner, job).values(**values, last_error=reason))


async def add_clock_jobs(session: WriteSession, names: Sequence[str]) -> None:
    blank = {"lease_owner": None, "lease_until": None, "last_at": None, "last_error": None, "failures": 0}
    rows = [{"name": name, "next_at": session.now(), **blank} for name in names]
    await upsert_many(session, ClockJobRow, rows, key=("name",), update=("name",))


async def due_clock_jobs(session: ReadSession) -> set[str]:
    due = (ClockJobRow.next_at <= session.now(), _clock_job_free(session))
    return {row.name for row in await session.all(select(ClockJobRow.name).where(*due))}


async def take_clock_job(session: WriteSession, name: str, *, owner: str) -> bool:
    """Of all runners one is told True."""
    due = (ClockJobRow.next_at <= session.now(), _clock_job_free(session))
    taken = await session.run(
        update(ClockJobRow)
        .where(ClockJobRow.name == name, *due)
        .values(lease_owner=owner, lease_until=session.now() + LEASE)
    )
    return taken == 1


async def renew_clock_job(session: WriteSession, owner: str, name: str) -> None:
    await session.run(_held_clock_job(owner, name).values(lease_until=session.now() + LEASE))


async def end_clock_job(
    session: WriteSession, owner: str, name: str, every: timedelta, reason: str | None
) -> None:
    """Note how the run ended; `reason` None when it came through. A failed one runs again sooner."""
    now = session.now()
    before = await session.scalar(select(ClockJobRow.failures).where(ClockJobRow.name == name))
    failures = 0 if reason is None else int(before or 0) + 1
    await session.run(
        _held_clock_job(owner, name).values(
            next_at=now + (every if reason is None else min(every, pause_after(failures))),
            last_at=now,
            last_error=None if reason is None else reason[:ERROR_CHARS_MAX],
            failures=failures,
            lease_owner=None,
            lease_until=None,
        )
    )


async def release_clock_job(session: WriteSession, owner: str, name: str) -> None:
    """The runner goes: it is still due, for another."""
    await session.run(_held_clock_job(owner, name).values(lease_owner=None, lease_until=None))


def _ready(session: ReadSession, kinds: Sequence[str]) -> Any:
    return (JobRow.state == JobState.WAITING) & (JobRow.run_at <= session.now()) & JobRow.kind.in_(kinds)


def _held(owner: str, job: Job) -> Any:
    """The row while it is still ours: a runner that lost its lease changes nothing."""
    return update(JobRow).where(JobRow.id == job.id, JobRow.lease_owner == owner)


def _ended(session: WriteSession, state: JobState) -> dict[str, Any]:
    now = session.now()
    return {"state": state, "ended_at": now, "unique_key": None, "lease_owner": None, "lease_until": None}


def _held_clock_job(owner: str, name: str) -> Any:
    return update(ClockJobRow).where(ClockJobRow.name == name, ClockJobRow.lease_owner == owner)


def _clock_job_free(session: ReadSession) -> Any:
    return or_(ClockJobRow.lease_until.is_(None), ClockJobRow.lease_until < session.now())


def _job(row: Row[Any]) -> Job:
    return Job(
        id=row.id,
        operator_id=row.operator_id,
        kind=row.kind,
        payload=row.payload,
        state=row.state,
        run_at=row.run_at,
        tries=row.tries,
        last_error=row.last_error,
        created_at=row.created_at,
    )
