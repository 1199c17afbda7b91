"""Messages and subscriptions: what the embedded bus and RabbitMQ both mean by them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One event on its way. `id` is the outbox row's: consumers are idempotent by it."""

    id: int
    sequence: int
    topic: str
    operator_id: int
    key: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A durable queue: who hears what, how often it is tried, when it goes stale.

    `topics` use `*` for one word and `#` for any number; `headers` must all match when given (content-based
    routing); `partitions` > 1 spreads messages by hash of their key, in order within a partition. A message
    that fails `deliveries_max` times goes to the dead letters with its reason; one older than `expires_after`
    goes nowhere.
    """

    name: str
    topics: tuple[str, ...]
    headers: Mapping[str, str] = field(default_factory=dict)
    headers_match: Literal["all", "any"] = "all"
    partitions: int = 1
    deliveries_max: int = 8
    expires_after: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    message: Message
    count: int  # 1 for the first time.


Handler = Callable[[Delivery], Awaitable[None]]  # Returning acknowledges; raising asks for another time.


class Bus(Protocol):
    reads_outbox: bool  # The bus delivers from the outbox table itself: numbered means published.

    async def declare(self, subscriptions: Sequence[Subscription]) -> None:
        """Make the durable queues; at deploy and at start, never on the fly."""
        ...

    async def publish_many(self, messages: Sequence[Message]) -> None:
        """Send, and return once all are stored by the bus (publisher confirms). Only the relay calls it."""
        ...

    async def consume(self, subscription: Subscription, handler: Handler) -> None:
        """Deliver until cancelled. Competing consumers of one name share its messages."""
        ...

    async def forget_old(self) -> int:
        """Delete events past their time that no subscription needs any more; a clock job. Gives how many."""
        ...

    async def ping(self) -> None:
        """Raises `Unavailable` when the bus does not answer."""
        ...

    async def close(self) -> None: ...
