"""Updates on their way to screens."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Update:
    """One thing that a subscriber sees. `sequence` is the place to resume from; None for a live value."""

    topic: str
    operator_id: int
    body: Mapping[str, Any]
    sequence: int | None = None
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """So many updates are gone: it read too slowly, or was away too long. It asks for the state anew."""

    count: int


Wanted = Callable[[Update], bool]
"""A subscriber's own filter beside topic and tenant: one station, one nozzle."""


class Transport(Protocol):
    """Carries live values between the processes of one deployment. May lose; never stores."""

    async def send(self, data: bytes) -> None:
        """Raises `Unavailable`."""
        ...

    def receive(self) -> AsyncIterator[bytes]:
        """What all processes sent from now on, this one's own too. Ends or raises `Unavailable` when lost."""
        ...

    async def close(self) -> None: ...
