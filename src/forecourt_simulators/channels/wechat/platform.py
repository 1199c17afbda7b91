"""The parts of the simulated channel together: keys, records, faults, notifications, under one clock."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx

from forecourt_kit.clock import Clock
from forecourt_kit.disk import Disk
from forecourt_kit.random import Random
from forecourt_simulators.channels.wechat.book import Book, Refund
from forecourt_simulators.channels.wechat.desk import Desk
from forecourt_simulators.channels.wechat.faults import Faults
from forecourt_simulators.channels.wechat.keys import PlatformKeys
from forecourt_simulators.channels.wechat.notifier import Notifier
from forecourt_simulators.channels.wechat.seal import Seal


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorSettings:
    notify_delay_scale: float = 1.0  # 1.0 is WeChat Pay's own schedule; 0.01 makes 15 s into 150 ms.
    refund_delay_ms: int = 0  # From accepting a refund to giving the money back.
    reverse_age_min_s: int = 0  # 15 refuses what the documentation only advises against.


DEFAULTS = SimulatorSettings()


class Platform:
    """Notifications leave through `transport`; None opens sockets. `close` ends what still runs."""

    def __init__(
        self,
        keys: PlatformKeys,
        clock: Clock,
        random: Random,
        settings: SimulatorSettings = DEFAULTS,
        *,
        disk: Disk | None = None,
        journal: Path | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.clock = clock
        self.settings = settings
        self.book = Book(disk, journal)
        self.faults = Faults(random)
        self.seal = Seal(keys, clock, random)
        self.desk = Desk(self.book, self.faults, clock, random, settings.reverse_age_min_s)
        self.notifier = Notifier(
            self.book,
            self.seal,
            self.faults,
            clock,
            delay_scale=settings.notify_delay_scale,
            transport=transport,
        )
        self._later: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self.notifier.resume()
        for refund in list(self.book.refunds.values()):
            if refund.polls_left is None:
                self.settle_refund(refund)
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.close()

    async def close(self) -> None:
        for task in self._later:
            task.cancel()
        await asyncio.gather(*self._later, return_exceptions=True)
        await self.notifier.close()
        self.book.close()

    def later(self, delay_ms: int, act: Callable[[], None]) -> None:
        """Do something after the answer has left."""

        async def wait() -> None:
            await asyncio.sleep(delay_ms / 1000)
            act()

        task = asyncio.create_task(wait())
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    def settle_refund(self, refund: Refund) -> None:
        self.notifier.send(self.desk.settle_refund(refund))
