"""What a charge point still has to say, in order. Only transaction messages outlive a broken link."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from forecourt_protocols.ocpp.v16.messages import Message
from forecourt_simulators.evse.connector import Session

OUTBOX_MAX = 10_000
TRIES_MAX = 3  # TransactionMessageAttempts: of messages that the platform answers with an error.


@dataclass(slots=True, eq=False)
class Outgoing:
    """One request. It is written when it is sent: only then is the transaction's id known, perhaps."""

    write: Callable[[], Message]
    session: Session | None = None  # Set for transaction messages: they are kept until answered.
    tries: int = 0
    boot: bool = False


@dataclass(slots=True)
class Outbox:
    _waiting: deque[Outgoing] = field(default_factory=deque)
    _out: Outgoing | None = None

    def __len__(self) -> int:
        return len(self._waiting) + (self._out is not None)

    @property
    def kept(self) -> int:
        """Transaction messages that are not answered yet."""
        waiting = [self._out, *self._waiting] if self._out else list(self._waiting)
        return sum(each.session is not None for each in waiting)

    def add(self, outgoing: Outgoing) -> None:
        if len(self._waiting) < OUTBOX_MAX:
            self._waiting.append(outgoing)

    def add_first(self, outgoing: Outgoing) -> None:
        self._waiting.appendleft(outgoing)

    def take(self, *, accepted: bool) -> Outgoing | None:
        """The next to send; one at a time, and nothing but the boot before that is accepted (section 4.2)."""
        if self._out is not None or not self._waiting or not (accepted or self._waiting[0].boot):
            return None
        self._out = self._waiting.popleft()
        return self._out

    def done(self) -> None:
        """The one that was sent is answered."""
        self._out = None

    def failed(self) -> None:
        """An error came, or nothing in time: a transaction message is tried again, a few times."""
        out, self._out = self._out, None
        if out is not None and out.session is not None and out.tries + 1 < TRIES_MAX:
            out.tries += 1
            self._waiting.appendleft(out)

    def link_lost(self) -> None:
        """Keep what belongs to a transaction, in its order; the rest is told anew after the next boot."""
        if self._out is not None:
            self._waiting.appendleft(self._out)
            self._out = None
        self._waiting = deque(each for each in self._waiting if each.session is not None)
