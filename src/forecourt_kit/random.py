"""The random port. Everything that needs chance is handed a Random; only this file asks the machine."""

import builtins
import random
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from typing import Protocol, TypeVar

from forecourt_kit.limits import RANDOM_BYTES_MAX, whole

Item = TypeVar("Item")


class Random(Protocol):
    def bytes(self, n: int) -> builtins.bytes: ...

    def below(self, n: int) -> int:
        """An int in 0..n-1, each as likely."""
        ...

    def uniform(self) -> float:
        """A float in [0, 1). For jitter; never for money."""
        ...

    def token(self, nbytes: int = 16) -> str:
        """URL-safe text of nbytes of chance."""
        ...


class SystemRandom:
    """The operating system's: fit for keys, tokens and nonces."""

    __slots__ = ("_source",)

    def __init__(self) -> None:
        self._source = secrets.SystemRandom()

    def bytes(self, n: int) -> builtins.bytes:
        return secrets.token_bytes(whole("n", n, 0, RANDOM_BYTES_MAX))

    def below(self, n: int) -> int:
        return secrets.randbelow(n)

    def uniform(self) -> float:
        return self._source.random()

    def token(self, nbytes: int = 16) -> str:
        return token_text(self.bytes(nbytes))


class SeededRandom:
    """The same seed gives the same chance: tests and simulation, never keys."""

    __slots__ = ("_seed", "_source")

    def __init__(self, seed: int | str) -> None:
        self._seed = seed
        self._source = random.Random(seed)  # noqa: S311  (Repeatable on purpose.)

    def bytes(self, n: int) -> builtins.bytes:
        return self._source.randbytes(whole("n", n, 0, RANDOM_BYTES_MAX))

    def below(self, n: int) -> int:
        return self._source.randrange(n)

    def uniform(self) -> float:
        return self._source.random()

    def token(self, nbytes: int = 16) -> str:
        return token_text(self.bytes(nbytes))

    def branch(self, label: str) -> "SeededRandom":
        """An own stream for one actor, so that what it draws does not move what others draw."""
        return SeededRandom(f"{self._seed}/{label}")


def token_text(chance: bytes) -> str:
    return urlsafe_b64encode(chance).rstrip(b"=").decode("ascii")


def pick(chance: Random, items: Sequence[Item]) -> Item:
    """One of the items, each as likely."""
    return items[chance.below(len(items))]


def shuffled(chance: Random, items: Sequence[Item]) -> list[Item]:
    """The items in an order in which every order is as likely (Fisher-Yates)."""
    mixed = list(items)
    for last in range(len(mixed) - 1, 0, -1):
        other = chance.below(last + 1)
        mixed[last], mixed[other] = mixed[other], mixed[last]
    return mixed
