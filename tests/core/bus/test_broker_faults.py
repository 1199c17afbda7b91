"""RabbitMQ is killed, wiped, or left with a message by a dying consumer: nothing is lost."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta

import aio_pika
import pytest
from tests import services
from tests.core.bus.transport import Heard, ToyHappened, Transport, remove_exchanges, until
from tests.private_servers import PrivateRabbitMQ

from forecourt.core import outbox
from forecourt.core.bus import Subscription
from forecourt.core.bus.amqp import BROKER_DELIVERIES_MAX, AmqpBus
from forecourt.core.db import Database
from forecourt.core.errors import Unavailable
from forecourt.core.relay import Relay

pytestmark = [pytest.mark.amqp, pytest.mark.timeout(180)]

TOYS = Subscription(name="s", topics=("toys.#",))
SETTLE_S = 6  # A quorum queue that was declared a moment before kill -9 may stay dead (RabbitMQ 3.10).


def transport_to(url: str, database: Database) -> Transport:
    prefix = f"test-{os.getpid()}-{os.urandom(4).hex()}"
    bus = AmqpBus(url, database, prefix=prefix, retry_poll_s=0.05)
    return Transport(database, bus, Relay(database, bus), prefix)


@pytest.fixture
async def transport(sqlite_database: Database) -> AsyncIterator[Transport]:
    await services.require_port("rabbitmq", services.AMQP_URL)
    made = transport_to(services.AMQP_URL, sqlite_database)
    yield made
    await made.close()


async def queue_of(transport: Transport) -> str:
    return f"{transport.prefix}.{TOYS.name}"


class TestKilled:
    async def test_every_event_arrives_through_two_kills_of_the_broker(
        self, sqlite_database: Database
    ) -> None:
        server = PrivateRabbitMQ()
        transport = transport_to(server.url, sqlite_database)
        got = Heard()
        added = 0

        async def sell() -> None:
            nonlocal added
            while True:  # Sales go on, whatever the broker does.
                await sqlite_database.transact(outbox.add, ToyHappened(operator_id=1, number=added))
                added += 1
                await asyncio.sleep(0.01)

        try:
            await server.start()
            await transport.bus.declare([TOYS])
            transport.consume(TOYS, got)
            transport.tasks.append(asyncio.create_task(transport.relay.run()))
            await asyncio.sleep(SETTLE_S)
            selling = asyncio.create_task(sell())
            for _ in range(2):
                await asyncio.sleep(1)
                await server.kill()
                await asyncio.sleep(0.5)
                with pytest.raises(Unavailable):
                    await transport.bus.ping()
                await server.start()
                heard = len(got.deliveries)
                await until(lambda heard=heard: len(got.deliveries) > heard, 40)  # type: ignore[misc]
            selling.cancel()
            await until(lambda: set(got.numbers) >= set(range(added)), 40)
        finally:
            await transport.stop(*transport.tasks)
            await transport.bus.close()
            await server.stop()
        first = list(dict.fromkeys(got.numbers))
        assert first == sorted(first)  # Some came twice; first times are in order.


class TestWiped:
    async def test_lost_queues_are_rebuilt_from_the_database(self, transport: Transport) -> None:
        await transport.declare(TOYS)
        await transport.publish(*(ToyHappened(operator_id=1, number=number) for number in range(10)))
        assert isinstance(transport.bus, AmqpBus)
        await transport.bus.remove([TOYS])
        await remove_exchanges(transport.bus)
        await transport.database.transact(outbox.add, ToyHappened(operator_id=1, number=10))
        with pytest.raises(Unavailable):
            await transport.relay.step()  # Refused, not swallowed: the event stays in the outbox.
        await transport.declare(TOYS)
        since = transport.database.clock.now() - timedelta(days=1)
        await transport.database.transact(outbox.send_again_since, since)
        while await transport.relay.step():
            pass
        got = Heard()
        transport.consume(TOYS, got)
        assert await got.wait_for(11) == list(range(11))


class TestDyingConsumers:
    async def test_a_message_that_kills_its_consumers_is_parked_with_its_reason(
        self, transport: Transport
    ) -> None:
        await transport.declare(TOYS)
        await transport.publish(ToyHappened(operator_id=1, number=13))
        for _ in range(BROKER_DELIVERIES_MAX + 1):
            connection = await aio_pika.connect(services.AMQP_URL)
            channel = await connection.channel()
            queue = await channel.get_queue(await queue_of(transport), ensure=False)
            async with asyncio.timeout(10):
                while await queue.get(fail=False) is None:
                    await asyncio.sleep(0.01)
            await connection.close()  # Gone, without an acknowledgement.
        got = Heard()
        transport.consume(TOYS, got)
        await asyncio.sleep(0.2)
        transport.database.clock.advance(1)  # type: ignore[attr-defined]
        assert await got.wait_for(1) == [13]
        assert got.deliveries[0].count == 2


class TestPing:
    async def test_a_broker_that_is_not_there(self, sqlite_database: Database) -> None:
        bus = AmqpBus("amqp://guest:guest@127.0.0.1:1/", sqlite_database)
        with pytest.raises(Unavailable):
            await bus.ping()
        with pytest.raises(Unavailable):
            await bus.publish_many([])
