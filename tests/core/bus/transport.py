"""A bus with its relay, toy events, and a handler that remembers."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from forecourt.core import outbox
from forecourt.core.bus import Bus, Delivery, Handler, Subscription
from forecourt.core.bus.amqp import AmqpBus
from forecourt.core.db import Database
from forecourt.core.event import Event
from forecourt.core.relay import Relay


@dataclass(frozen=True, slots=True, kw_only=True)
class ToyHappened(Event):
    """An event whose topic is chosen per instance, as only tests may."""

    topic: ClassVar[str] = "toys.toy.happened"

    number: int
    thing: str = "a"
    colour: str = "red"

    @property
    def key(self) -> str:
        return self.thing

    @property
    def headers(self) -> dict[str, str]:
        return {"operator": str(self.operator_id), "colour": self.colour}


@dataclass(frozen=True, slots=True, kw_only=True)
class ToyBroke(ToyHappened):
    topic: ClassVar[str] = "toys.toy.broke"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopClosed(ToyHappened):
    topic: ClassVar[str] = "shops.shop.closed"


@dataclass
class Heard:
    """What a handler got, in order; waits for more."""

    deliveries: list[Delivery] = field(default_factory=list)

    async def __call__(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)

    @property
    def numbers(self) -> list[int]:
        return [each.message.body["number"] for each in self.deliveries]

    async def wait_for(self, count: int) -> list[int]:
        await until(lambda: len(self.deliveries) >= count)
        return self.numbers


async def until(true: Callable[[], bool], timeout_s: float = 20) -> None:
    async with asyncio.timeout(timeout_s):
        while not true():
            await asyncio.sleep(0.005)


@dataclass
class Transport:
    """A bus with its relay, and consumers that end with the test."""

    database: Database
    bus: Bus
    relay: Relay
    prefix: str
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    declared: list[Subscription] = field(default_factory=list)

    async def declare(self, *subscriptions: Subscription) -> None:
        self.declared += subscriptions
        await self.bus.declare(subscriptions)

    def consume(self, subscription: Subscription, handler: Handler) -> asyncio.Task[None]:
        task = asyncio.create_task(self.bus.consume(subscription, handler))
        self.tasks.append(task)
        return task

    async def publish(self, *events: Event) -> None:
        await self.database.transact(outbox.add, *events)
        while await self.relay.step():
            pass

    async def stop(self, *tasks: asyncio.Task[None]) -> None:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def close(self) -> None:
        await self.stop(*self.tasks)
        if isinstance(self.bus, AmqpBus):
            await self.bus.remove(self.declared)
            await remove_exchanges(self.bus)
        await self.bus.close()


async def remove_exchanges(bus: AmqpBus) -> None:
    channel = await bus._channel("declare")
    for name in ("events", "dead", "unheard"):
        await channel.exchange_delete(f"{bus._prefix}.{name}")
    for name in ("dead", "unheard"):
        await channel.queue_delete(f"{bus._prefix}.{name}")
    await channel.close()
