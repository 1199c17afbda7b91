"""Leases jobs, runs their handlers outside any transaction, and notes how they ended."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from forecourt.core.db import Database
from forecourt.core.errors import Unavailable
from forecourt.core.jobs import queries
from forecourt.core.jobs.types import ClockJob, Job, JobHandler

RENEW_S = 20.0  # A handler that runs longer keeps its lease.
POLL_S = 1.0
PARALLEL_MAX = 8  # Jobs of one runner at once; clock jobs come on top.

log = logging.getLogger(__name__)

Task = asyncio.Task[None]


class JobRunner:
    """Runs the jobs whose kind has a handler here, and the clock jobs. Any number of runners share the rows.

    A runner that dies lets its leases run out, so a handler may run twice and is idempotent.
    """

    def __init__(
        self,
        database: Database,
        handlers: Mapping[str, JobHandler],
        clock_jobs: Sequence[ClockJob] = (),
        *,
        parallel_max: int = PARALLEL_MAX,
        poll_s: float = POLL_S,
    ) -> None:
        self._database = database
        self._handlers = dict(handlers)
        self._clock_jobs = {each.name: each for each in clock_jobs}
        self._parallel_max = parallel_max
        self._poll_s = poll_s
        self._name = f"runner-{database.ids.new():x}"
        self._jobs: set[Task] = set()
        self._clock_tasks: dict[str, Task] = {}
        self._clock_jobs_known = False

    async def run(self) -> None:
        """Until cancelled; what runs then is cancelled too, and free for another runner at once."""
        try:
            while True:
                started: list[Task] = []
                try:
                    started = await self._start()
                except Unavailable as error:
                    log.warning("jobs wait", extra={"reason": error.detail})
                if not started or len(self._jobs) >= self._parallel_max:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._poll_s):
                            await self._database.jobs_grew.wait()
        finally:
            await self._stop()

    async def step(self) -> int:
        """Run what is due now to its end; gives how many that were. For tests and simulation."""
        started = await self._start()
        if started:
            await asyncio.wait(started)
        return len(started)

    async def _start(self) -> list[Task]:
        self._database.jobs_grew.clear()
        started = await self._start_clock_jobs()
        free = self._parallel_max - len(self._jobs)
        for job in await self._take(free) if free and self._handlers else []:
            task = asyncio.create_task(self._run(job))
            self._jobs.add(task)
            task.add_done_callback(self._job_ended)
            started.append(task)
        return started

    def _job_ended(self, task: Task) -> None:
        self._jobs.discard(task)
        self._database.jobs_grew.set()  # There is room for another.

    async def _take(self, limit: int) -> list[Job]:
        kinds = list(self._handlers)
        async with self._database.read() as session:
            if not await queries.any_due(session, kinds):
                return []
        return await self._database.transact(queries.take, kinds, owner=self._name, limit=limit)

    async def _run(self, job: Job) -> None:
        renewing = asyncio.create_task(self._renew(queries.renew, job))
        try:
            again = await self._handlers[job.kind](job)
        except asyncio.CancelledError:
            await self._note(queries.release, job)
            raise
        except Exception as error:  # A process loop: the failure is kept where people look, others go on.
            log.warning("job failed", extra={"kind": job.kind, "job_id": job.id}, exc_info=error)
            await self._note(queries.fail, job, f"{type(error).__name__}: {error}")
        else:
            if again is None:
                await self._note(queries.finish, job)
            else:
                await self._note(queries.run_again, job, again)
        finally:
            renewing.cancel()

    async def _start_clock_jobs(self) -> list[Task]:
        if not self._clock_jobs:
            return []
        if not self._clock_jobs_known:
            await self._database.transact(queries.add_clock_jobs, list(self._clock_jobs))
            self._clock_jobs_known = True
        async with self._database.read() as session:
            due = await queries.due_clock_jobs(session)
        started = []
        for name, job in self._clock_jobs.items():
            if name in due and name not in self._clock_tasks:
                task = asyncio.create_task(self._run_clock_job(job))
                self._clock_tasks[name] = task
                started.append(task)
        return started

    async def _run_clock_job(self, job: ClockJob) -> None:
        try:
            if await self._database.transact(queries.take_clock_job, job.name, owner=self._name):
                await self._run_taken_clock_job(job)
        except Unavailable as error:
            log.warning("clock job waits", extra={"clock_job": job.name, "reason": error.detail})
        finally:
            del self._clock_tasks[job.name]

    async def _run_taken_clock_job(self, job: ClockJob) -> None:
        renewing = asyncio.create_task(self._renew(queries.renew_clock_job, job.name))
        reason = None
        try:
            await job.run(self._database)
        except asyncio.CancelledError:
            await self._note(queries.release_clock_job, job.name)
            raise
        except Exception as error:  # As above.
            log.warning("clock job failed", extra={"clock_job": job.name}, exc_info=error)
            reason = f"{type(error).__name__}: {error}"
        finally:
            renewing.cancel()
        await self._note(queries.end_clock_job, job.name, job.every, reason)

    async def _renew(self, verb: Callable[..., Awaitable[None]], what: Job | str) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            await self._note(verb, what)

    async def _note(self, verb: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Write it down; when the database is away the lease runs out, and the job runs again."""
        try:
            await self._database.transact(verb, self._name, *args)
        except Unavailable as error:
            log.warning("not noted", extra={"reason": error.detail})

    async def _stop(self) -> None:
        tasks = [*self._jobs, *self._clock_tasks.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
