"""Which cache a URL names."""

from forecourt.core.cache.cache import Cache
from forecourt_kit.clock import Clock

MEMORY = "memory"


def open_cache(url: str, clock: Clock, *, prefix: str = "forecourt") -> Cache:
    """`redis://…` or `rediss://…` for two levels, `memory` for one; connects at first use."""
    if url == MEMORY:
        return Cache(clock)
    if not url.startswith(("redis://", "rediss://")):
        raise ValueError("CACHE_URL must be `memory`, redis://… or rediss://…")
    from forecourt.core.cache.redis import RedisLevel  # noqa: PLC0415  (An extra: only who uses it needs it.)

    return Cache(clock, RedisLevel(url, prefix=prefix))
