"""Passwords as argon2id hashes, worked out beside the loop by a few hands and no more.

One verification costs about 50 ms of a core and 46 MiB on purpose; a flood of log-ins must queue here, and
be turned away when the queue is full, rather than take the machine. Only this file owns those threads.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from forecourt.core.db import assert_no_transaction
from forecourt.core.errors import TooManyRequests
from forecourt_kit.random import Random

T = TypeVar("T")

SALT_BYTES = 16
WORKERS = 2
WAITING_MAX = 32  # At 50 ms each, the last one waits about a second.


@dataclass(frozen=True, slots=True)
class Cost:
    """OWASP ASVS 5.0 appendix C: t=1, m ≥ 46 MiB, p=1."""

    time: int = 1
    memory_kib: int = 47_104
    parallelism: int = 1


class Passwords:
    """Hashes and verifies. `inline` works in place, for a simulation that stays on one thread."""

    def __init__(self, random: Random, *, cost: Cost | None = None, inline: bool = False) -> None:
        cost = cost or Cost()
        self._hasher = PasswordHasher(
            time_cost=cost.time,
            memory_cost=cost.memory_kib,
            parallelism=cost.parallelism,
            salt_len=SALT_BYTES,
            type=Type.ID,
        )
        self._random = random
        self._pool = None if inline else ThreadPoolExecutor(WORKERS, "argon2")
        self._waiting = 0
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        salt = self._random.bytes(SALT_BYTES)
        return await self._work(lambda: self._hasher.hash(password, salt=salt))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password fits. None (nobody has that name) costs the same time and is never right."""
        if password_hash is None:
            if self._nobody is None:
                self._nobody = await self.hash(self._random.token())
            await self._work(lambda: self._fits(str(self._nobody), password))
            return False
        return await self._work(lambda: self._fits(password_hash, password))

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _fits(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _work(self, work: Callable[[], T]) -> T:
        assert_no_transaction()
        if self._pool is None:
            return work()
        if self._waiting >= WAITING_MAX:
            raise TooManyRequests("Too many log-ins at once; try again in a moment.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1
