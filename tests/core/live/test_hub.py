"""What screens see: on its own process, and across two that share RabbitMQ or Redis."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import ClassVar

import pytest
from tests import services

from forecourt.core import outbox
from forecourt.core.bus.embedded import EmbeddedBus
from forecourt.core.db import Database
from forecourt.core.event import Event
from forecourt.core.live import LiveHub, Lost, Update, open_transport
from forecourt.core.live import hub as hub_module
from forecourt.core.relay import Relay

LIVE = "deliveries.nozzle.live"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToyPaid(Event):
    topic: ClassVar[str] = "toys.toy.paid"

    number: int

    @property
    def key(self) -> str:
        return str(self.number)


@dataclass
class Process:
    """One hub with its relay, as a process has them."""

    database: Database
    hub: LiveHub
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.relay = Relay(self.database, EmbeddedBus(self.database), on_numbered=self.hub.offer)
        self.tasks.append(asyncio.create_task(self.hub.run()))

    async def pay(self, *numbers: int, operator_id: int = 1) -> None:
        events = [ToyPaid(operator_id=operator_id, number=number) for number in numbers]
        await self.database.transact(outbox.add, *events)
        while await self.relay.step():
            pass

    def watch(self, *topics: str, operator_id: int | None = 1, after: int | None = None) -> "Screen":
        screen = Screen()
        stream = self.hub.stream(topics, operator_id, after=after)
        self.tasks.append(asyncio.create_task(screen.read(stream)))
        return screen

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)


@dataclass
class Screen:
    seen: list[Update | Lost] = field(default_factory=list)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.go.set()

    async def read(self, stream: AsyncIterator[Update | Lost]) -> None:
        async with aclosing(stream):  # type: ignore[type-var]
            async for each in stream:
                self.seen.append(each)
                await self.go.wait()

    @property
    def numbers(self) -> list[int]:
        return [each.body["number"] for each in self.seen if isinstance(each, Update)]

    async def wait_for(self, count: int) -> list[int]:
        async with asyncio.timeout(10):
            while len(self.seen) < count:
                await asyncio.sleep(0.005)
        return self.numbers


@pytest.fixture
async def process(sqlite_database: Database) -> AsyncIterator[Process]:
    made = Process(sqlite_database, LiveHub(sqlite_database, poll_s=0.05))
    await asyncio.sleep(0.02)
    yield made
    await made.close()


async def settle(turns: int = 20) -> None:
    for _ in range(turns):
        await asyncio.sleep(0.001)


class TestLive:
    async def test_reaches_who_watches_the_topic_of_the_tenant(self, process: Process) -> None:
        mine, all_of_mine, strangers, platform = (
            process.watch("deliveries.nozzle.*"),
            process.watch("#"),
            process.watch("#", operator_id=2),
            process.watch("#", operator_id=None),
        )
        await settle()
        process.hub.publish_live(LIVE, 1, {"number": 1})
        process.hub.publish_live("other.thing", 1, {"number": 2})
        assert await all_of_mine.wait_for(2) == [1, 2]
        assert await platform.wait_for(2) == [1, 2]
        assert mine.numbers == [1]
        assert strangers.seen == []
        assert mine.seen == [Update(LIVE, 1, {"number": 1})]

    async def test_who_reads_slowly_loses_the_oldest_and_is_told(
        self, process: Process, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hub_module, "LIVE_UPDATES_MAX", 10)
        slow, quick = process.watch(LIVE), process.watch(LIVE)
        await settle()
        slow.go.clear()
        for number in range(100):
            process.hub.publish_live(LIVE, 1, {"number": number})
            await asyncio.sleep(0)
        await quick.wait_for(100)
        slow.go.set()
        await slow.wait_for(12)
        assert quick.numbers == list(range(100))
        assert slow.numbers == [0, *range(90, 100)]
        assert slow.seen[1] == Lost(89)

    async def test_nobody_watches(self, process: Process) -> None:
        process.hub.publish_live(LIVE, 1, {"number": 1})
        screen = process.watch(LIVE)
        await settle()
        assert screen.seen == []
        assert process.hub.subscribers == 1

    async def test_who_leaves_is_forgotten(self, process: Process) -> None:
        process.watch(LIVE)
        await settle()
        task = process.tasks[-1]
        task.cancel()
        await asyncio.wait([task])
        assert process.hub.subscribers == 0


class TestDurable:
    async def test_new_events_come_with_their_number(self, process: Process) -> None:
        await process.pay(1)
        screen = process.watch("toys.#")
        await settle()
        await process.pay(2, 3)
        assert await screen.wait_for(2) == [2, 3]
        assert [each.sequence for each in screen.seen if isinstance(each, Update)] == [2, 3]

    @pytest.mark.parametrize("after", [0, 3, 9, 10])
    async def test_resumes_where_it_was_without_a_gap_or_a_double(self, process: Process, after: int) -> None:
        await process.pay(*range(1, 11))
        screen = process.watch("toys.#", after=after)
        await process.pay(*range(11, 21))
        await screen.wait_for(20 - after)
        await settle()
        assert screen.numbers == list(range(after + 1, 21))

    async def test_a_stranger_sees_nothing_on_resuming(self, process: Process) -> None:
        await process.pay(1, 2, 3)
        stranger = process.watch("#", operator_id=2, after=0)
        await settle()
        await process.pay(4, operator_id=2)
        assert await stranger.wait_for(1) == [4]

    async def test_however_slowly_one_reads_none_is_lost(
        self, process: Process, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hub_module, "WINDOW_EVENTS_MAX", 5)
        monkeypatch.setattr(hub_module, "READ_ROWS_MAX", 3)
        screen = process.watch("toys.#")
        await settle()
        screen.go.clear()
        for number in range(0, 60, 4):
            await process.pay(*range(number, number + 4))
        screen.go.set()
        assert await screen.wait_for(60) == list(range(60))

    async def test_who_was_away_too_long_is_told_and_starts_anew(
        self, process: Process, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hub_module, "RESUME_EVENTS_MAX", 5)
        await process.pay(*range(10))
        screen = process.watch("toys.#", after=1)
        await screen.wait_for(1)
        await process.pay(99)
        assert await screen.wait_for(2) == [99]
        assert screen.seen[0] == Lost(9)

    async def test_a_place_in_the_future_is_not_believed(self, process: Process) -> None:
        await process.pay(1, 2)
        screen = process.watch("toys.#", after=1_000)
        await screen.wait_for(1)
        await process.pay(3)
        assert await screen.wait_for(2) == [3]
        assert screen.seen[0] == Lost(998)


class TestTwoProcesses:
    @pytest.fixture(
        params=[
            pytest.param("amqp", marks=pytest.mark.amqp),
            pytest.param("redis", marks=pytest.mark.redis),
        ]
    )
    async def two(
        self, request: pytest.FixtureRequest, sqlite_database: Database
    ) -> AsyncIterator[tuple[Process, Process]]:
        prefix = f"test-{os.getpid()}-{os.urandom(4).hex()}"
        if request.param == "amqp":
            await services.require_port("rabbitmq", services.AMQP_URL)
            urls = (services.AMQP_URL, "memory")
        else:
            await services.require_port("redis", services.REDIS_URL)
            urls = ("embedded", services.REDIS_URL)
        transports = [open_transport(*urls, prefix=prefix) for _ in range(2)]
        made = [Process(sqlite_database, LiveHub(sqlite_database, each, poll_s=30)) for each in transports]
        await asyncio.sleep(0.5)
        yield made[0], made[1]
        for each, transport in zip(made, transports, strict=True):
            await each.close()
            assert transport is not None
            await transport.close()

    async def test_live_values_reach_the_other_once(self, two: tuple[Process, Process]) -> None:
        here, there = two
        mine, theirs = here.watch(LIVE), there.watch(LIVE)
        await settle()
        for number in range(5):
            here.hub.publish_live(LIVE, 1, {"number": number})
        there.hub.publish_live(LIVE, 1, {"number": 9})
        assert sorted(await theirs.wait_for(6)) == [0, 1, 2, 3, 4, 9]
        assert sorted(await mine.wait_for(6)) == [0, 1, 2, 3, 4, 9]
        await settle()
        assert len(mine.seen) == len(theirs.seen) == 6

    async def test_durable_events_of_one_ring_at_the_other(self, two: tuple[Process, Process]) -> None:
        here, there = two
        theirs = there.watch("toys.#", after=0)
        await settle()
        await here.pay(1, 2)
        assert await theirs.wait_for(2) == [1, 2]
