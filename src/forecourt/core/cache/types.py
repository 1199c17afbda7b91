"""What the cache asks of the level that processes share."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol


class SharedLevel(Protocol):
    """Each call raises `Unavailable` when the other side is away."""

    async def get(self, key: str) -> bytes | None: ...

    async def put(self, key: str, value: bytes, ttl_s: float) -> None: ...

    async def invalidate(self, keys: Sequence[str]) -> None:
        """Forget the keys here, and tell every process."""
        ...

    def invalidated(self) -> AsyncIterator[Sequence[str]]:
        """Keys that some process invalidated. The first item is empty: from now on nothing is missed."""
        ...

    async def close(self) -> None: ...
