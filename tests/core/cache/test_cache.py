import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from tests.private_servers import PrivateRedis

from forecourt.core.cache import Cache, open_cache
from forecourt.core.cache import cache as cache_module
from forecourt.core.db import Database
from forecourt_kit.clock import ManualClock


class Source:
    """What is cached: counts how often it was read."""

    def __init__(self, value: Any = 1) -> None:
        self.value = value
        self.reads = 0

    async def __call__(self) -> Any:
        self.reads += 1
        await asyncio.sleep(0.01)
        return self.value


@pytest.fixture
def cache(clock: ManualClock) -> Cache:
    return open_cache("memory", clock)


class TestMemory:
    async def test_loads_once_until_its_time_is_over(self, cache: Cache, clock: ManualClock) -> None:
        source = Source()
        assert [await cache.get("k", source, ttl_s=10) for _ in range(3)] == [1, 1, 1]
        assert source.reads == 1
        source.value = 2
        clock.advance(10)
        assert await cache.get("k", source, ttl_s=10) == 2

    async def test_of_many_who_ask_at_once_one_loads(self, cache: Cache) -> None:
        source = Source()
        answers = await asyncio.gather(*(cache.get("k", source, ttl_s=10) for _ in range(50)))
        assert (set(answers), source.reads) == ({1}, 1)

    async def test_one_who_gives_up_does_not_take_it_from_the_others(self, cache: Cache) -> None:
        source = Source()
        first, second = (asyncio.create_task(cache.get("k", source, ttl_s=10)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == 1
        assert source.reads == 1

    async def test_a_failed_load_is_told_and_not_kept(self, cache: Cache) -> None:
        async def broken() -> Any:
            raise LookupError

        with pytest.raises(LookupError):
            await cache.get("k", broken, ttl_s=10)
        assert await cache.get("k", Source(), ttl_s=10) == 1

    async def test_nothing_is_a_value_too(self, cache: Cache) -> None:
        source = Source(None)
        assert [await cache.get("k", source, ttl_s=10) for _ in range(2)] == [None, None]
        assert source.reads == 1

    async def test_invalidated_is_read_again(self, cache: Cache) -> None:
        source = Source()
        await cache.get("k", source, ttl_s=10)
        source.value = 2
        await cache.invalidate("k", "never seen")
        assert await cache.get("k", source, ttl_s=10) == 2

    async def test_what_was_read_before_an_invalidation_is_not_kept(self, cache: Cache) -> None:
        source = Source()
        reading = asyncio.create_task(cache.get("k", source, ttl_s=10))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await cache.invalidate("k")
        await reading
        source.value = 2
        assert await cache.get("k", source, ttl_s=10) == 2

    async def test_the_least_recently_used_goes_first(self, clock: ManualClock) -> None:
        cache = Cache(clock, entries_max=2)
        sources = {key: Source() for key in "abc"}
        for key in "abac":
            await cache.get(key, sources[key], ttl_s=10)
        for key in "abc":
            await cache.get(key, sources[key], ttl_s=10)
        assert {key: source.reads for key, source in sources.items()} == {"a": 1, "b": 2, "c": 2}

    async def test_is_not_asked_inside_a_transaction(self, cache: Cache, sqlite_database: Database) -> None:
        async with sqlite_database.write():
            with pytest.raises(AssertionError, match="network step"):
                await cache.get("k", Source(), ttl_s=10)

    async def test_another_store_is_refused(self, clock: ManualClock) -> None:
        with pytest.raises(ValueError, match="CACHE_URL"):
            open_cache("memcached://x", clock)


Open = Callable[[], Awaitable[Cache]]


@pytest.mark.redis
class TestShared:
    @pytest.fixture
    async def server(self) -> AsyncIterator[PrivateRedis]:
        server = PrivateRedis()
        await server.start()
        yield server
        await server.stop()

    @pytest.fixture
    async def open_one(
        self, server: PrivateRedis, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> AsyncIterator[Open]:
        """Opens caches as several processes would."""
        monkeypatch.setattr(cache_module, "AWAY_PAUSE_S", 0.05)
        prefix = f"test-{os.getpid()}"
        opened: list[tuple[Cache, asyncio.Task[None]]] = []

        async def open_one() -> Cache:
            cache = open_cache(server.url, clock, prefix=prefix)
            opened.append((cache, asyncio.create_task(cache.run())))
            await hears(cache)
            return cache

        yield open_one
        for cache, task in opened:
            task.cancel()
            await asyncio.wait([task])
            await cache.close()

    async def test_the_second_process_need_not_load(self, open_one: Open) -> None:
        source = Source({"名": [1, 2]})
        one, two = await open_one(), await open_one()
        assert await one.get("k", source, ttl_s=10) == await two.get("k", source, ttl_s=10) == {"名": [1, 2]}
        assert (source.reads, two.counters.shared_hits) == (1, 1)

    async def test_an_invalidation_is_heard_everywhere(self, open_one: Open) -> None:
        source = Source()
        one, two = await open_one(), await open_one()
        await one.get("k", source, ttl_s=1_000)
        await two.get("k", source, ttl_s=1_000)
        source.value = 2
        await one.invalidate("k")
        async with asyncio.timeout(5):
            while await two.get("k", source, ttl_s=1_000) != 2:
                await asyncio.sleep(0.01)
        assert await one.get("k", source, ttl_s=1_000) == 2

    async def test_without_redis_it_is_memory_alone_for_a_short_time(
        self, open_one: Open, server: PrivateRedis, clock: ManualClock
    ) -> None:
        cache = await open_one()
        source = Source()
        await server.kill()
        async with asyncio.timeout(5):
            while cache._hears:
                await asyncio.sleep(0.01)
        assert [await cache.get("k", source, ttl_s=1_000) for _ in range(2)] == [1, 1]
        assert source.reads == 1
        assert cache.counters.shared_failures >= 1
        source.value = 2
        await cache.invalidate("other")  # Fails quietly.
        clock.advance(3)  # Other processes' invalidations cannot be heard, so it trusts itself only so long.
        assert await cache.get("k", source, ttl_s=1_000) == 2

    async def test_when_redis_comes_back_it_is_used_again_and_nothing_missed_is_trusted(
        self, open_one: Open, server: PrivateRedis, clock: ManualClock
    ) -> None:
        one, two = await open_one(), await open_one()
        source = Source()
        await one.get("k", source, ttl_s=1_000)
        await server.kill()
        async with asyncio.timeout(5):
            while one._hears or two._hears:
                await asyncio.sleep(0.01)
        source.value = 2
        await two.invalidate("k")  # One cannot hear it.
        await server.start()  # As Redis is shipped here, it comes back empty.
        await hears(one)
        await hears(two)
        clock.advance(1)
        assert await one.get("k", source, ttl_s=1_000) == 2
        assert await two.get("k", source, ttl_s=1_000) == 2
        assert two.counters.shared_hits == 1


async def hears(cache: Cache) -> None:
    async with asyncio.timeout(10):
        while not cache._hears:
            await asyncio.sleep(0.01)
