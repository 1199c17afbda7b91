"""One CALL at a time: what waits to be asked, what waits for its answer, and when that wait ends.

OCPP-J 1.6, section 4.1.1: neither side sends a CALL before the one before it was answered or timed out.
No I/O and no clock: the owner says what time it is, in seconds of its monotonic clock.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from forecourt_protocols.ocpp.framing import Call, CallError, CallResult

CALLS_WAITING_MAX = 32
CALL_TIMEOUT_S = 30.0

Ticket = TypeVar("Ticket")


class TooManyCalls(RuntimeError):
    """The peer answers slower than it is asked; nothing was queued."""


@dataclass(slots=True)
class Calls(Generic[Ticket]):
    """The CALLs of one side of one connection. A ticket is what the owner knows a CALL by."""

    waiting_max: int = CALLS_WAITING_MAX
    timeout_s: float = CALL_TIMEOUT_S
    _waiting: deque[tuple[Call, Ticket]] = field(default_factory=deque)
    _asked: tuple[Call, Ticket] | None = None
    _until_s: float = 0.0

    @property
    def pending(self) -> Call | None:
        """The CALL that waits for its answer."""
        return self._asked[0] if self._asked else None

    def ask(self, call: Call, ticket: Ticket) -> None:
        """Queue a CALL. Raises `TooManyCalls`."""
        if len(self._waiting) >= self.waiting_max:
            raise TooManyCalls(f"{self.waiting_max} calls wait")
        self._waiting.append((call, ticket))

    def next(self, now_s: float) -> Call | None:
        """The CALL to send now, if one waits and none is out."""
        if self._asked is not None or not self._waiting:
            return None
        self._asked = self._waiting.popleft()
        self._until_s = now_s + self.timeout_s
        return self._asked[0]

    def answered(self, frame: CallResult | CallError) -> tuple[Call, Ticket] | None:
        """Whose answer this is; None for one that nobody waits for (late, doubled, invented)."""
        if self._asked is None or self._asked[0].unique_id != frame.unique_id:
            return None
        asked, self._asked = self._asked, None
        return asked

    def expired(self, now_s: float) -> tuple[Call, Ticket] | None:
        """The CALL that is given up now; its late answer will be nobody's."""
        if self._asked is None or now_s < self._until_s:
            return None
        asked, self._asked = self._asked, None
        return asked

    def due_s(self) -> float | None:
        """When `expired` will have something to say."""
        return self._until_s if self._asked else None

    def forget(self) -> list[Ticket]:
        """The connection is gone: every ticket that will get no answer."""
        gone = [self._asked, *self._waiting] if self._asked else list(self._waiting)
        self._asked = None
        self._waiting.clear()
        return [ticket for _, ticket in gone]
