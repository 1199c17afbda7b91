"""Two-level cache: memory in front of Redis, with invalidation across processes; memory alone by default."""

from forecourt.core.cache.cache import Cache
from forecourt.core.cache.opening import open_cache

__all__ = ["Cache", "open_cache"]
