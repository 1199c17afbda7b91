"""Live values over Redis: publish and subscribe on one channel."""

from collections.abc import AsyncIterator

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from forecourt.core.db import assert_no_transaction
from forecourt.core.errors import Unavailable

TIMEOUT_S = 2.0
POLL_S = 30.0

AWAY = (RedisError, OSError, TimeoutError)


class RedisTransport:
    def __init__(self, url: str, *, prefix: str = "forecourt") -> None:
        self._redis = Redis.from_url(
            url,
            socket_connect_timeout=TIMEOUT_S,
            socket_timeout=POLL_S + TIMEOUT_S,
            retry=Retry(NoBackoff(), 1),  # A pooled connection may be dead since a restart of the server.
        )
        self._channel = f"{prefix}.live"

    async def send(self, data: bytes) -> None:
        assert_no_transaction()
        try:
            await self._redis.publish(self._channel, data)
        except AWAY as error:
            raise Unavailable(f"Redis does not answer ({type(error).__name__}).") from error

    async def receive(self) -> AsyncIterator[bytes]:
        try:
            async with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:
                await pubsub.subscribe(self._channel)
                while True:
                    message = await pubsub.get_message(timeout=POLL_S)
                    if message is not None:
                        yield message["data"]
        except AWAY as error:
            raise Unavailable(f"Redis does not answer ({type(error).__name__}).") from error

    async def close(self) -> None:
        await self._redis.aclose()
