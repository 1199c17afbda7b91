import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from forecourt.core import jobs
from forecourt.core.db import Database
from forecourt.core.errors import Unavailable
from forecourt.core.jobs import ClockJob, Job, JobHandler, JobNotFound, JobRunner
from forecourt_kit.clock import ManualClock

DAY = timedelta(days=1)


async def enqueue(
    database: Database, kind: str = "greet", unique: str | None = None, **payload: object
) -> bool:
    return await database.transact(jobs.enqueue, kind, payload, operator_id=1, unique=unique, tries_max=3)


def recorder(seen: list[Job], outcome: Callable[[Job], timedelta | None] = lambda _: None) -> JobHandler:
    async def handle(job: Job) -> timedelta | None:
        seen.append(job)
        return outcome(job)

    return handle


class TestEnqueue:
    async def test_runs_once_with_its_payload(self, database: Database) -> None:
        seen: list[Job] = []
        runner = JobRunner(database, {"greet": recorder(seen)})
        await enqueue(database, name="小王", count=3)
        assert await runner.step() == 1
        assert await runner.step() == 0
        assert [(job.kind, job.payload, job.operator_id, job.tries) for job in seen] == [
            ("greet", {"name": "小王", "count": 3}, 1, 1)
        ]

    async def test_of_equal_unique_keys_one_waits_at_a_time(self, database: Database) -> None:
        seen: list[Job] = []
        runner = JobRunner(database, {"greet": recorder(seen), "wave": recorder(seen)})
        assert await enqueue(database, unique="a")
        assert not await enqueue(database, unique="a")
        assert await enqueue(database, unique="A ")
        assert await enqueue(database, kind="wave", unique="a")
        await runner.step()
        assert len(seen) == 3
        assert await enqueue(database, unique="a")  # The first one has ended.

    async def test_not_before_its_time(self, database: Database, clock: ManualClock) -> None:
        seen: list[Job] = []
        runner = JobRunner(database, {"greet": recorder(seen)})
        later = clock.now() + timedelta(minutes=5)
        await database.transact(jobs.enqueue, "greet", {}, operator_id=1, run_at=later)
        assert await runner.step() == 0
        clock.advance(300)
        assert await runner.step() == 1

    async def test_a_rolled_back_job_never_was(self, database: Database) -> None:
        with pytest.raises(JobNotFound):
            async with database.write() as session:
                await jobs.enqueue(session, "greet", {}, operator_id=1)
                raise JobNotFound
        assert await JobRunner(database, {"greet": recorder([])}).step() == 0

    async def test_kinds_without_a_handler_here_are_left_for_others(self, database: Database) -> None:
        await enqueue(database, kind="elsewhere")
        assert await JobRunner(database, {"greet": recorder([])}).step() == 0
        async with database.read() as session:
            assert await jobs.count_waiting(session) == 1


class TestFailures:
    async def test_are_tried_again_with_growing_pauses_then_kept_for_a_person(
        self, database: Database, clock: ManualClock
    ) -> None:
        seen: list[Job] = []

        def refuse(job: Job) -> None:
            raise ValueError(f"no {job.tries}")

        runner = JobRunner(database, {"greet": recorder(seen, refuse)})
        await enqueue(database, unique="a")
        pauses_s = [1, 2]
        for pause_s in pauses_s:
            await runner.step()
            clock.advance(pause_s - 0.5)
            assert await runner.step() == 0
            clock.advance(0.5)
        async with database.read() as session:
            assert [job.last_error for job in await jobs.list_failing(session)] == ["ValueError: no 2"]
        await runner.step()
        clock.advance(3600)
        assert await runner.step() == 0
        assert [job.tries for job in seen] == [1, 2, 3]
        async with database.read() as session:
            (failed,) = await jobs.list_failed(session, operator_id=1)
            assert await jobs.list_failed(session, operator_id=2) == []  # A stranger sees nothing.
        assert (failed.last_error, failed.tries) == ("ValueError: no 3", 3)
        await database.transact(jobs.try_again, failed.id, operator_id=1)
        assert await runner.step() == 1
        with pytest.raises(JobNotFound):
            await database.transact(jobs.try_again, failed.id, operator_id=2)

    async def test_an_absent_neighbour_is_a_failure_like_any_other(self, database: Database) -> None:
        async def handle(_: Job) -> None:
            raise Unavailable("The channel does not answer.")

        await enqueue(database)
        await JobRunner(database, {"greet": handle}).step()
        async with database.read() as session:
            (failing,) = await jobs.list_failing(session)
        assert "The channel does not answer." in str(failing.last_error)

    async def test_asking_for_another_run_is_no_failure(self, database: Database, clock: ManualClock) -> None:
        seen: list[Job] = []

        def poll(job: Job) -> timedelta | None:
            return None if len(seen) > 5 else timedelta(seconds=3)

        runner = JobRunner(database, {"greet": recorder(seen, poll)})
        await enqueue(database)
        for _ in range(6):
            assert await runner.step() == 1
            assert await runner.step() == 0
            clock.advance(3)
        assert await runner.step() == 0
        assert [job.tries for job in seen] == [1] * 6


class TestLeases:
    async def test_two_runners_share_and_double_nothing(self, database: Database) -> None:
        seen: list[Job] = []
        for _ in range(30):
            await enqueue(database)
        runners = [JobRunner(database, {"greet": recorder(seen)}, parallel_max=4) for _ in range(3)]
        while sum(await asyncio.gather(*(runner.step() for runner in runners))):
            pass
        assert len({job.id for job in seen}) == len(seen) == 30

    async def test_a_dead_runners_job_is_taken_over_when_its_lease_ends(
        self, database: Database, clock: ManualClock
    ) -> None:
        await enqueue(database)
        await database.transact(jobs.queries.take, ["greet"], owner="dead", limit=1)
        seen: list[Job] = []
        runner = JobRunner(database, {"greet": recorder(seen)})
        assert await runner.step() == 0
        clock.advance(61)
        assert await runner.step() == 1
        assert [job.tries for job in seen] == [2]

    async def test_who_lost_the_lease_changes_nothing(self, database: Database, clock: ManualClock) -> None:
        await enqueue(database)
        (job,) = await database.transact(jobs.queries.take, ["greet"], owner="slow", limit=1)
        clock.advance(61)
        (taken,) = await database.transact(jobs.queries.take, ["greet"], owner="quick", limit=1)
        await database.transact(jobs.queries.fail, "slow", job, "too late")
        await database.transact(jobs.queries.finish, "quick", taken)
        async with database.read() as session:
            assert await jobs.count_waiting(session) == 0

    async def test_a_runner_that_stops_frees_what_it_had_in_hand(self, database: Database) -> None:
        started = asyncio.Event()

        async def endless(_: Job) -> None:
            started.set()
            await asyncio.Event().wait()

        await enqueue(database)
        task = asyncio.create_task(JobRunner(database, {"greet": endless}, poll_s=0.01).run())
        await started.wait()
        task.cancel()
        await asyncio.wait([task])
        seen: list[Job] = []
        assert await JobRunner(database, {"greet": recorder(seen)}).step() == 1
        assert seen[0].tries == 1

    async def test_a_running_runner_hears_of_new_jobs_without_polling(self, database: Database) -> None:
        seen: list[Job] = []
        task = asyncio.create_task(JobRunner(database, {"greet": recorder(seen)}, poll_s=60).run())
        await asyncio.sleep(0.05)
        for _ in range(20):
            await enqueue(database)
        async with asyncio.timeout(10):
            while len(seen) < 20:
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])


class TestClockJobs:
    async def test_runs_every_so_often_in_one_runner(self, database: Database, clock: ManualClock) -> None:
        runs: list[int] = []

        async def tick(_: Database) -> None:
            runs.append(1)
            await asyncio.sleep(0)

        job = ClockJob("tick", timedelta(seconds=10), tick)
        runners = [JobRunner(database, {}, [job]) for _ in range(3)]
        for turn in range(1, 4):
            await asyncio.gather(*(runner.step() for runner in runners))
            assert len(runs) == turn
            clock.advance(9.5)
            await asyncio.gather(*(runner.step() for runner in runners))
            assert len(runs) == turn
            clock.advance(0.5)

    async def test_a_failure_is_told_and_does_not_wait_a_day(
        self, database: Database, clock: ManualClock
    ) -> None:
        broken = True

        async def close_day(_: Database) -> None:
            if broken:
                raise ValueError("a break in the books")

        runner = JobRunner(database, {}, [ClockJob("close day", DAY, close_day)])
        await runner.step()
        async with database.read() as session:
            (status,) = await jobs.list_clock_jobs(session)
        assert (status.last_error, status.failures) == ("ValueError: a break in the books", 1)
        broken = False
        clock.advance(2)
        await runner.step()
        async with database.read() as session:
            (status,) = await jobs.list_clock_jobs(session)
        assert (status.last_error, status.failures) == (None, 0)
        assert status.next_at == clock.now() + DAY

    async def test_one_that_was_cut_off_is_due_for_the_next_runner(self, database: Database) -> None:
        started = asyncio.Event()

        async def endless(_: Database) -> None:
            started.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(JobRunner(database, {}, [ClockJob("close day", DAY, endless)]).run())
        await started.wait()
        task.cancel()
        await asyncio.wait([task])
        runs: list[int] = []

        async def tick(_: Database) -> None:
            runs.append(1)

        await JobRunner(database, {}, [ClockJob("close day", DAY, tick)]).step()
        assert runs == [1]


class TestForgetDone:
    async def test_what_is_done_goes_what_failed_stays(self, database: Database, clock: ManualClock) -> None:
        async def fail_two(job: Job) -> None:
            if job.payload["number"] == 2:
                raise ValueError

        for number in (1, 2):
            await database.transact(jobs.enqueue, "greet", {"number": number}, operator_id=1, tries_max=1)
        await JobRunner(database, {"greet": fail_two}).step()
        clock.advance(8 * 86_400)
        assert await database.transact(jobs.forget_done) == 1
        async with database.read() as session:
            assert len(await jobs.list_failed(session)) == 1
