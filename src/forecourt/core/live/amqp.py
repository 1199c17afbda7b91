"""Live values over RabbitMQ: a fan-out exchange and one exclusive, short-lived queue per process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange
from aio_pika.exceptions import AMQPError

from forecourt.core.db import assert_no_transaction
from forecourt.core.errors import Unavailable

CONNECT_TIMEOUT_S = 5
SEND_TIMEOUT_S = 2
HEARTBEAT_S = 15
QUEUE_MESSAGES_MAX = 10_000  # Of a process that hangs; the oldest go.

# The library tells a closed connection or channel by RuntimeError.
AWAY = (AMQPError, OSError, RuntimeError, TimeoutError)


class AmqpTransport:
    def __init__(self, url: str, *, prefix: str = "forecourt") -> None:
        self._url = url
        self._exchange_name = f"{prefix}.live"
        self._connection: AbstractConnection | None = None
        self._exchange: AbstractExchange | None = None

    async def send(self, data: bytes) -> None:
        assert_no_transaction()
        try:
            if self._exchange is None:
                self._exchange = await self._declare(await self._channel())
            await self._exchange.publish(
                aio_pika.Message(data, delivery_mode=aio_pika.DeliveryMode.NOT_PERSISTENT),
                routing_key="",
                mandatory=False,  # Nobody may be watching.
                timeout=SEND_TIMEOUT_S,
            )
        except AWAY as error:
            self._exchange = None
            raise Unavailable(f"The message broker does not answer ({type(error).__name__}).") from error

    async def receive(self) -> AsyncIterator[bytes]:
        try:
            channel = await self._channel()
            queue = await channel.declare_queue(
                exclusive=True,
                auto_delete=True,
                arguments={"x-max-length": QUEUE_MESSAGES_MAX, "x-overflow": "drop-head"},
            )
            await queue.bind(await self._declare(channel))
            async with queue.iterator(no_ack=True) as incoming:
                async for each in incoming:
                    yield each.body
        except AWAY as error:
            raise Unavailable(f"The message broker does not answer ({type(error).__name__}).") from error

    async def close(self) -> None:
        if self._connection is not None:
            with suppress(*AWAY):
                await self._connection.close()

    async def _declare(self, channel: AbstractChannel) -> AbstractExchange:
        return await channel.declare_exchange(self._exchange_name, "fanout", durable=False)

    async def _channel(self) -> AbstractChannel:
        if self._connection is None or self._connection.is_closed:
            self._connection = await aio_pika.connect(
                self._url, timeout=CONNECT_TIMEOUT_S, heartbeat=HEARTBEAT_S
            )
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                return await self._connection.channel(publisher_confirms=False)
        except AWAY:
            self._connection = None  # It may not know yet that it is closed.
            raise
