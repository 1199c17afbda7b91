"""Group commit: while one set of messages is being stored the next gathers; nothing is dropped on the way."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice

from forecourt.core.errors import Unavailable
from forecourt.devices.types import InboxMessage
from forecourt.gateway.limits import GatewayLimits

Store = Callable[[list[InboxMessage]], Awaitable[None]]
"""Makes all of them durable, each once, or raises. A message stored before is no error."""

DOUBTFUL_TRIES = 3  # So often a set fails for no known reason before one bad message is suspected in it.

logger = logging.getLogger(__name__)


class CommitQueue:
    """One for the process. A message that alone cannot be stored holds up its own device and nobody else.

    Args:
        store: see `Store`.
        stored: told of every set that is durable, in the order it was put.
    """

    def __init__(
        self, store: Store, stored: Callable[[list[InboxMessage]], None], limits: GatewayLimits
    ) -> None:
        self._store = store
        self._stored = stored
        self._limits = limits
        self._queue: deque[InboxMessage] = deque()
        self._parked: dict[int, deque[InboxMessage]] = {}
        self._filled = asyncio.Event()
        self._rows = limits.set_messages_max
        self._failures = 0
        self._unpark_at: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def parked(self) -> dict[int, int]:
        """Device -> how many of its messages wait behind one that could not be stored."""
        return {device_id: len(waiting) for device_id, waiting in self._parked.items()}

    def put(self, messages: Iterable[InboxMessage]) -> None:
        if self._parked:
            for message in messages:
                self._parked.get(message.device_id, self._queue).append(message)
        else:
            self._queue.extend(messages)
        if self._queue:
            self._filled.set()

    async def run(self) -> None:
        """Store set after set, for ever. Cancelling loses nothing: what is not stored is not acknowledged."""
        while True:
            await self._filled.wait()
            batch = list(islice(self._queue, self._rows))
            if await self._try(batch):
                for _ in batch:
                    self._queue.popleft()
                if not self._queue:
                    self._filled.clear()
                self._stored(batch)

    async def _try(self, batch: list[InboxMessage]) -> bool:
        try:
            await self._store(batch)
        except (Unavailable, OSError) as away:
            await self._wait(batch, str(away))
            return False
        except Exception as fault:
            logger.exception("a set could not be stored", extra={"messages": len(batch)})
            await self._wait(batch, repr(fault))
            if self._failures >= DOUBTFUL_TRIES:
                self._suspect(batch)
            return False
        self._failures = 0
        self._rows = min(self._rows * 2, self._limits.set_messages_max)
        return True

    async def _wait(self, batch: list[InboxMessage], why: str) -> None:
        self._failures += 1
        pause_s = min(0.05 * 2 ** min(self._failures, 10), self._limits.store_retry_s_max)
        logger.warning("store failed", extra={"messages": len(batch), "pause_s": pause_s, "why": why})
        await asyncio.sleep(pause_s)

    def _suspect(self, batch: list[InboxMessage]) -> None:
        """Try smaller sets; a single message that fails goes aside with all that follows it."""
        self._failures = 0
        if len(batch) > 1:
            self._rows = len(batch) // 2
            return
        self._park(batch[0].device_id)

    def _park(self, device_id: int) -> None:
        waiting = [message for message in self._queue if message.device_id == device_id]
        self._queue = deque(message for message in self._queue if message.device_id != device_id)
        self._parked[device_id] = deque(waiting)
        if not self._queue:
            self._filled.clear()
        logger.error("a device's messages are held", extra={"device_id": device_id, "waiting": len(waiting)})
        if self._unpark_at is None:
            loop = asyncio.get_running_loop()
            self._unpark_at = loop.call_later(self._limits.parked_retry_s, self._unpark)

    def _unpark(self) -> None:
        self._unpark_at = None
        parked, self._parked = self._parked, {}
        for waiting in parked.values():
            self._queue.extend(waiting)
        if self._queue:
            self._filled.set()
