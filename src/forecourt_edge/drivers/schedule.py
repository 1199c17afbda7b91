"""When each nozzle of a line is asked: active ones often, idle ones seldom, silent ones rarely."""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from forecourt_edge.drivers.types import ACTIVE, NozzleState
from forecourt_kit.clock import Clock

MS_PER_S = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PollPace:
    """Time from one visit of a nozzle to the next, by its state."""

    active_ms: int = 100
    idle_ms: int = 500
    offline_ms: int = 5_000

    def of(self, state: NozzleState) -> int:
        if state is NozzleState.OFFLINE:
            return self.offline_ms
        return self.active_ms if state in ACTIVE else self.idle_ms


class Visited(Protocol):
    """A nozzle that can be looked after."""

    async def visit(self) -> NozzleState:
        """Ask the gun, do what is due, and tell what state it is in."""
        ...


async def poll_line(nozzles: list[Visited], pace: PollPace, clock: Clock) -> None:
    """Visit the nozzles of one line for ever, the most overdue first: a busy line slows all alike."""
    due_s = [clock.monotonic_s()] * len(nozzles)
    while True:
        at = min(range(len(nozzles)), key=due_s.__getitem__)
        wait_s = due_s[at] - clock.monotonic_s()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        state = await nozzles[at].visit()
        due_s[at] = clock.monotonic_s() + pace.of(state) / MS_PER_S
