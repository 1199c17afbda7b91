"""The cache itself. Only for what can be read again and may be seconds old: never money, never replays.

The shared level away means memory alone and shorter times; nothing fails, a counter tells.
"""

import asyncio
import json
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from forecourt.core.cache.types import SharedLevel
from forecourt.core.db import assert_no_transaction
from forecourt.core.db.types import dump_json
from forecourt.core.errors import Unavailable
from forecourt_kit.clock import Clock

ENTRIES_MAX = 10_000
DEAF_TTL_S = 2.0  # In memory, while invalidations of other processes cannot be heard.
AWAY_PAUSE_S = 5.0  # The shared level is not asked again before this.

log = logging.getLogger(__name__)

Load = Callable[[], Awaitable[Any]]


@dataclass(slots=True)
class CacheCounters:
    """For metrics."""

    hits: int = 0
    shared_hits: int = 0
    loads: int = 0
    shared_failures: int = 0


class Cache:
    """Values are what JSON carries. A value may be as old as its `ttl_s`, whatever happens."""

    def __init__(
        self, clock: Clock, shared: SharedLevel | None = None, *, entries_max: int = ENTRIES_MAX
    ) -> None:
        self._clock = clock
        self._shared = shared
        self._entries_max = entries_max
        self._entries: OrderedDict[str, tuple[float, Any]] = OrderedDict()  # Key -> (until, value).
        self._loading: dict[str, asyncio.Task[Any]] = {}
        self._hears = shared is None
        self._shared_from_s = 0.0
        self.counters = CacheCounters()

    async def get(self, key: str, load: Load, *, ttl_s: float) -> Any:
        """The cached value, or what `load` answers. Of many who ask at once one loads. None is a value."""
        assert_no_transaction()
        entry = self._entries.get(key)
        if entry is not None and entry[0] > self._clock.monotonic_s():
            self.counters.hits += 1
            self._entries.move_to_end(key)
            return entry[1]
        task = self._loading.get(key)
        if task is None:
            task = asyncio.create_task(self._fill(key, load, ttl_s))
            self._loading[key] = task
            task.add_done_callback(lambda done: self._loaded(key, done))
        return await asyncio.shield(task)  # One caller's going does not take the answer from the others.

    async def invalidate(self, *keys: str) -> None:
        """Forget: after a commit that changed what was cached. Other processes hear within milliseconds."""
        assert_no_transaction()
        self._forget(keys)
        if self._shared is not None:
            try:
                await self._shared.invalidate(keys)
            except Unavailable as error:
                self._shared_failed(error)

    async def run(self) -> None:
        """Until cancelled: hear what other processes invalidate. Returns at once without a shared level."""
        while self._shared is not None:
            try:
                async for keys in self._shared.invalidated():
                    if not self._hears:
                        self._entries.clear()  # Something may have been missed meanwhile.
                        self._hears = True
                    self._forget(keys)
            except Unavailable as error:
                self._shared_failed(error)
            self._hears = False
            await asyncio.sleep(AWAY_PAUSE_S)

    async def close(self) -> None:
        for task in [*self._loading.values()]:
            task.cancel()
        if self._shared is not None:
            await self._shared.close()

    async def _fill(self, key: str, load: Load, ttl_s: float) -> Any:
        me = asyncio.current_task()
        stored = await self._get_shared(key)
        if stored is not None:
            self.counters.shared_hits += 1
            value = json.loads(stored)
        else:
            self.counters.loads += 1
            value = await load()
        if self._loading.get(key) is me:  # Else it was invalidated meanwhile: good for who asked, no more.
            if stored is None:
                await self._put_shared(key, value, ttl_s)
            self._remember(key, value, ttl_s)
        return value

    def _loaded(self, key: str, task: asyncio.Task[Any]) -> None:
        if self._loading.get(key) is task:
            del self._loading[key]
        if not task.cancelled():
            task.exception()  # Whoever asked has it; nobody may be left to.

    def _remember(self, key: str, value: Any, ttl_s: float) -> None:
        until = self._clock.monotonic_s() + (ttl_s if self._hears else min(ttl_s, DEAF_TTL_S))
        self._entries[key] = (until, value)
        self._entries.move_to_end(key)
        while len(self._entries) > self._entries_max:
            self._entries.popitem(last=False)

    def _forget(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._entries.pop(key, None)
            self._loading.pop(key, None)

    async def _get_shared(self, key: str) -> bytes | None:
        if self._shared is None or self._clock.monotonic_s() < self._shared_from_s:
            return None
        try:
            return await self._shared.get(key)
        except Unavailable as error:
            self._shared_failed(error)
            return None

    async def _put_shared(self, key: str, value: Any, ttl_s: float) -> None:
        if self._shared is None or self._clock.monotonic_s() < self._shared_from_s:
            return
        try:
            await self._shared.put(key, dump_json(value).encode(), ttl_s)
        except Unavailable as error:
            self._shared_failed(error)

    def _shared_failed(self, error: Unavailable) -> None:
        self.counters.shared_failures += 1
        self._shared_from_s = self._clock.monotonic_s() + AWAY_PAUSE_S
        log.warning("cache is memory alone", extra={"reason": error.detail})
