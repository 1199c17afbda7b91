"""Redis as the level that processes share: values with a time to live, invalidations by pub/sub."""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from forecourt.core.errors import Unavailable

TIMEOUT_S = 1.0
POLL_S = 30.0

AWAY = (RedisError, OSError, TimeoutError)


class RedisLevel:
    def __init__(self, url: str, *, prefix: str = "forecourt") -> None:
        self._redis = Redis.from_url(
            url,
            socket_connect_timeout=TIMEOUT_S,
            socket_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 1),  # A pooled connection may be dead since a restart of the server.
        )
        self._listening = Redis.from_url(
            url, socket_connect_timeout=TIMEOUT_S, socket_timeout=POLL_S + TIMEOUT_S
        )
        self._prefix = f"{prefix}.cache:"
        self._channel = f"{prefix}.invalidated"

    async def get(self, key: str) -> bytes | None:
        try:
            value: Any = await self._redis.get(self._prefix + key)
        except AWAY as error:
            raise _away(error) from error
        return value if value is None else bytes(value)

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        try:
            await self._redis.set(self._prefix + key, value, px=max(1, int(ttl_s * 1000)))
        except AWAY as error:
            raise _away(error) from error

    async def invalidate(self, keys: Sequence[str]) -> None:
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.delete(*(self._prefix + key for key in keys))
                pipeline.publish(self._channel, json.dumps(keys))
                await pipeline.execute()
        except AWAY as error:
            raise _away(error) from error

    async def invalidated(self) -> AsyncIterator[Sequence[str]]:
        try:
            async with self._listening.pubsub(ignore_subscribe_messages=False) as pubsub:
                await pubsub.subscribe(self._channel)
                while True:
                    message = await pubsub.get_message(timeout=POLL_S)
                    if message is not None and message["type"] == "subscribe":
                        yield ()
                    elif message is not None and message["type"] == "message":
                        yield json.loads(message["data"])
        except AWAY as error:
            raise _away(error) from error

    async def ping(self) -> None:
        """Raises `Unavailable` when Redis does not answer."""
        try:
            await self._redis.ping()
        except AWAY as error:
            raise _away(error) from error

    async def close(self) -> None:
        await self._redis.aclose()
        await self._listening.aclose()


def _away(error: BaseException) -> Unavailable:
    return Unavailable(f"Redis does not answer ({type(error).__name__}).")
