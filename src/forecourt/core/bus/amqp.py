"""RabbitMQ as the bus.

    forecourt.events (topic) ──binding per pattern and bucket──► [<queue>.match (headers)] ──► <queue>
        └─ alternate ─► forecourt.unheard: events that nobody subscribed to; bounded, for looking only
    <queue> ── delivery limit ─► forecourt.dead ─► parked in the database by a consumer

The routing key is the topic and the key's bucket, so a subscription of several partitions is several queues,
each with one active consumer: order per key holds without a plugin. Queues are durable quorum queues made by
`declare` at deploy; publishing is persistent, mandatory and confirmed.
"""

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractIncomingMessage
from aio_pika.abc import AbstractConnection as Connection
from aio_pika.exceptions import AMQPError

from forecourt.core import outbox
from forecourt.core.bus import parking
from forecourt.core.bus.consuming import AWAY_PAUSE_S, RETRY_POLL_S, Retrier, hand
from forecourt.core.bus.matching import BUCKETS, bucket_of, wants
from forecourt.core.bus.types import Delivery, Handler, Message, Subscription
from forecourt.core.db import Database, assert_no_transaction
from forecourt.core.db.types import dump_json
from forecourt.core.errors import Unavailable

CONNECT_TIMEOUT_S = 5
CONFIRM_TIMEOUT_S = 10
HEARTBEAT_S = 15
PREFETCH_MESSAGES = 16
BROKER_DELIVERIES_MAX = 5  # A consumer that dies with a message, so often; then it is parked with its reason.
UNHEARD_MESSAGES_MAX = 10_000

# The library tells a closed connection or channel by RuntimeError.
AWAY = (AMQPError, OSError, RuntimeError, TimeoutError)

log = logging.getLogger(__name__)


class AmqpBus:
    """`prefix` names the exchanges and queues, so that deployments can share a virtual host."""

    reads_outbox = False

    def __init__(
        self, url: str, database: Database, *, prefix: str = "forecourt", retry_poll_s: float = RETRY_POLL_S
    ) -> None:
        self._url = url
        self._database = database
        self._prefix = prefix
        self._retrier = Retrier(database, poll_s=retry_poll_s)
        self._connections: dict[str, Connection] = {}
        self._connecting = asyncio.Lock()
        self._publisher: AbstractChannel | None = None
        self._exchange: AbstractExchange | None = None
        self._subscriptions: dict[str, Subscription] = {}

    async def declare(self, subscriptions: Sequence[Subscription]) -> None:
        self._subscriptions |= {each.name: each for each in subscriptions}
        try:
            channel = await self._channel("declare")
            try:
                await self._declare(channel, subscriptions)
            finally:
                await channel.close()
        except AWAY as error:
            raise _away(error) from error

    async def publish_many(self, messages: Sequence[Message]) -> None:
        assert_no_transaction()
        try:
            exchange = await self._publishing()
            await asyncio.gather(
                *(
                    exchange.publish(
                        _envelope(message),
                        routing_key=f"{message.topic}.{bucket_of(message.key)}",
                        mandatory=True,
                        timeout=CONFIRM_TIMEOUT_S,
                    )
                    for message in messages
                )
            )
        except AWAY as error:
            self._exchange = None
            raise _away(error) from error

    async def consume(self, subscription: Subscription, handler: Handler) -> None:
        self._subscriptions[subscription.name] = subscription
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._retrier.run(subscription, handler))
            tasks.create_task(self._follow(self._dead, self._rescue))
            for queue in self._queues(subscription):

                async def handle(incoming: AbstractIncomingMessage) -> None:
                    await self._handle(subscription, incoming, handler)

                tasks.create_task(self._follow(queue, handle))

    async def forget_old(self) -> int:
        return await self._database.transact(outbox.forget_old)

    async def ping(self) -> None:
        try:
            channel = await self._channel("ping")
            await channel.close()
        except AWAY as error:
            raise _away(error) from error

    async def close(self) -> None:
        for connection in self._connections.values():
            await connection.close()
        self._connections.clear()
        self._exchange = None

    async def remove(self, subscriptions: Sequence[Subscription]) -> None:
        """Delete queues that no deployment uses any more, with what is in them."""
        channel = await self._channel("declare")
        for each in subscriptions:
            for queue in self._queues(each):
                await channel.queue_delete(queue)
                await channel.exchange_delete(f"{queue}.match")
        await channel.close()

    @property
    def _dead(self) -> str:
        return f"{self._prefix}.dead"

    def _queues(self, subscription: Subscription) -> list[str]:
        name = f"{self._prefix}.{subscription.name}"
        parts = subscription.partitions
        return [name] if parts == 1 else [f"{name}.{part}of{parts}" for part in range(parts)]

    async def _declare(self, channel: AbstractChannel, subscriptions: Sequence[Subscription]) -> None:
        dead = await channel.declare_exchange(self._dead, "fanout", durable=True)
        await (await channel.declare_queue(self._dead, durable=True)).bind(dead)
        name = f"{self._prefix}.unheard"
        unheard = await channel.declare_exchange(name, "fanout", durable=True)
        bounded: dict[str, Any] = {"x-max-length": UNHEARD_MESSAGES_MAX, "x-overflow": "drop-head"}
        await (await channel.declare_queue(name, durable=True, arguments=bounded)).bind(unheard)
        events = await channel.declare_exchange(
            f"{self._prefix}.events", "topic", durable=True, arguments={"alternate-exchange": name}
        )
        for subscription in subscriptions:
            for part, queue in enumerate(self._queues(subscription)):
                await self._declare_queue(channel, events, subscription, part, queue)

    async def _declare_queue(
        self,
        channel: AbstractChannel,
        events: AbstractExchange,
        subscription: Subscription,
        part: int,
        name: str,
    ) -> None:
        arguments: dict[str, Any] = {
            "x-queue-type": "quorum",
            "x-delivery-limit": BROKER_DELIVERIES_MAX,
            "x-dead-letter-exchange": self._dead,
        }
        if subscription.partitions > 1:
            arguments["x-single-active-consumer"] = True
        queue = await channel.declare_queue(name, durable=True, arguments=arguments)
        target: Any = queue
        if subscription.headers:
            target = await channel.declare_exchange(
                f"{name}.match",
                "headers",
                durable=True,
                arguments={"alternate-exchange": f"{self._prefix}.unheard"},
            )
            match: dict[str, Any] = {"x-match": subscription.headers_match, **subscription.headers}
            await queue.bind(target, arguments=match)
        for pattern in subscription.topics:
            for bucket in _buckets(subscription, part):
                await target.bind(events, f"{pattern}.{bucket}")

    async def _follow(self, queue: str, handle: Any) -> None:
        """Consume one queue, one message at a time, through every loss of the connection."""
        while True:
            try:
                channel = await self._channel("consume")
                try:
                    await channel.set_qos(prefetch_count=PREFETCH_MESSAGES)
                    source = await channel.get_queue(queue, ensure=False)
                    async with source.iterator() as incoming:
                        async for each in incoming:
                            await handle(each)
                            await each.ack()
                finally:
                    await channel.close()
            except AWAY as error:
                log.warning("bus does not answer", extra={"queue": queue, "reason": repr(error)})
            await asyncio.sleep(AWAY_PAUSE_S)

    async def _handle(
        self, subscription: Subscription, incoming: AbstractIncomingMessage, handler: Handler
    ) -> None:
        message = parking.load(json.loads(incoming.body))
        if wants(subscription, message):  # A binding of an earlier deployment may still bring others.
            await hand(self._database, subscription, Delivery(message=message, count=1), handler)

    async def _rescue(self, incoming: AbstractIncomingMessage) -> None:
        """The broker gave up: consumers died with it. It goes on in the database, counted and visible."""
        deaths: Any = incoming.headers.get("x-death") or [{}]
        death: Any = deaths[0]
        queue = str(death.get("queue", ""))
        reason = f"the broker gave up ({death.get('reason', 'unknown')}) in {queue}"
        for subscription in self._subscriptions.values():
            if queue in self._queues(subscription):
                break
        else:
            subscription = Subscription(name=queue or "unknown", topics=(), deliveries_max=1)
        message = parking.load(json.loads(incoming.body))
        delivery = Delivery(message=message, count=1)
        await self._database.transact(parking.park, subscription, delivery, reason)

    async def _publishing(self) -> AbstractExchange:
        exchange = self._exchange
        if exchange is None or self._publisher is None or self._publisher.is_closed:
            self._publisher = await self._channel("publish")
            exchange = await self._publisher.get_exchange(f"{self._prefix}.events", ensure=True)
            self._exchange = exchange
        return exchange

    async def _channel(self, purpose: str) -> AbstractChannel:
        """A new channel. Publishing has a connection of its own: back-pressure on it spares the consumers."""
        role = "publish" if purpose == "publish" else "consume"
        async with self._connecting:
            connection = self._connections.get(role)
            if connection is None or connection.is_closed:
                connection = await aio_pika.connect(
                    self._url,
                    timeout=CONNECT_TIMEOUT_S,
                    heartbeat=HEARTBEAT_S,
                    client_properties={"connection_name": f"{self._prefix} {role}"},
                )
                self._connections[role] = connection
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                return await connection.channel(publisher_confirms=True, on_return_raises=True)
        except AWAY:
            if self._connections.get(role) is connection:
                del self._connections[role]  # It may not know yet that it is closed.
            raise


def _buckets(subscription: Subscription, part: int) -> Sequence[int | str]:
    """The buckets of one partition; all of them in one binding when there is one partition."""
    if subscription.partitions == 1:
        return ["*"]
    return [bucket for bucket in range(BUCKETS) if bucket % subscription.partitions == part]


def _envelope(message: Message) -> aio_pika.Message:
    return aio_pika.Message(
        dump_json(parking.dump(message)).encode(),
        message_id=str(message.id),
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        headers=dict(message.headers),
        type=message.topic,
    )


def _away(error: BaseException) -> Unavailable:
    return Unavailable(f"The message broker does not answer ({type(error).__name__}).")
