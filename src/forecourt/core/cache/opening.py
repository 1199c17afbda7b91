"""Which cache a URL names."""

from forecourt.core.cache.cache import Cache
from forecourt_kit.clock import Clock


def open_cache(url: str | None, clock: Clock, *, prefix: str = "forecourt") -> Cache:
    """`redis://…` or `rediss://…` for two levels, None for memory alone; connects at first use."""
    if url is None:
        return Cache(clock)
    if not url.startswith(("redis://", "rediss://")):
        raise ValueError("CACHE_URL must be redis://… or rediss://…, or empty for memory alone")
    from forecourt.core.cache.redis import RedisLevel  # noqa: PLC0415  (An extra: only who uses it needs it.)

    return Cache(clock, RedisLevel(url, prefix=prefix))
