"""Many requests, one transaction. A batch waits only while a commit is in flight: a lone one pays nothing."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from forecourt.core.db import Database, WriteSession, assert_no_transaction
from forecourt.core.errors import Refusal, TooManyRequests, Unavailable

C = TypeVar("C")
O = TypeVar("O")  # noqa: E741 - outcome

QUEUE_MAX = 10_000  # Commands waiting; more are refused with 429 rather than kept in memory.
FLIGHTS_MAX = 2  # Batches in flight: one's commit overlaps the next one's statements; more make them small.


class Batcher(Generic[C, O]):
    """Gathers commands and hands them as a list to a set-based verb, in one transaction per list.

    `verb(session, commands)` answers one outcome a command, in order: a value, or a `Refusal` for a command
    that is declined; it raises only when the whole list cannot go on. Then each command is tried alone, so
    that one bad command does not fail the others.
    """

    def __init__(
        self,
        database: Database,
        verb: Callable[[WriteSession, Sequence[C]], Awaitable[Sequence[O | Refusal]]],
        *,
        commands_max: int = 128,
        flights_max: int = FLIGHTS_MAX,
    ) -> None:
        self._database = database
        self._verb = verb
        self._commands_max = commands_max
        self._flights_max = 1 if database.dialect == "sqlite" else flights_max
        self._waiting: deque[tuple[C, asyncio.Future[O]]] = deque()
        self._flights: set[asyncio.Task[None]] = set()
        self._flying = 0  # Of these, how many still look for waiting commands.

    async def submit(self, command: C) -> O:
        """Run `command` with others of its moment. Raises its own refusal; returns once it is durable."""
        assert_no_transaction()
        if len(self._waiting) >= QUEUE_MAX:
            raise TooManyRequests(waiting=len(self._waiting))
        future: asyncio.Future[O] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, future))
        if self._flying < self._flights_max:
            self._take_off()
        return await future

    async def drain(self) -> None:
        """Wait until everything submitted has its answer; at shut-down."""
        while self._flights:
            await asyncio.wait(self._flights)

    def _take_off(self) -> None:
        self._flying += 1
        task = asyncio.get_running_loop().create_task(self._fly())
        self._flights.add(task)
        task.add_done_callback(self._flights.discard)

    async def _fly(self) -> None:
        try:
            await asyncio.sleep(0)  # Requests that arrived in the same turn of the loop share this batch.
            while self._waiting:
                size = min(len(self._waiting), self._commands_max)
                flight = [self._waiting.popleft() for _ in range(size)]
                await self._run(flight)
        finally:
            # Not when the task is seen to be done: whoever was answered last may submit before that.
            self._flying -= 1

    async def _run(self, flight: list[tuple[C, asyncio.Future[O]]]) -> None:
        try:
            outcomes = await self._database.transact(self._verb, [command for command, _ in flight])
            assert len(outcomes) == len(flight)
        except Unavailable as refusal:
            _answer(flight, [refusal] * len(flight))
        except Exception as error:  # noqa: BLE001  (It goes to the caller of the one command that has it.)
            if len(flight) == 1:
                _answer(flight, [error])
                return
            for each in flight:
                await self._run([each])
        else:
            _answer(flight, outcomes)


def _answer(flight: list[tuple[C, asyncio.Future[O]]], outcomes: Sequence[O | Exception]) -> None:
    for (_, future), outcome in zip(flight, outcomes, strict=True):
        if future.done():
            continue  # The caller has gone; what was done stays done, and its key replays the answer.
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
