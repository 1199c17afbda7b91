"""Ids: 63 bits, ordered by time, unique without asking anyone.

From the top: 41 bits of milliseconds since 2025 (69 years), 16 bits of node, 6 bits of sequence.
The node is drawn when the process starts, unless it is assigned; two processes that drew the same one
would meet in a primary key, so a deployment of many processes assigns them.
A burst of more than 64 ids a millisecond, or a clock stepped back, borrows from the milliseconds to come:
ids stay unique and ordered within the process, and the clock catches up.
"""

from datetime import UTC, datetime, timedelta
from typing import Protocol

from forecourt_kit.clock import Clock
from forecourt_kit.limits import ID_MAX, whole
from forecourt_kit.random import Random

START = datetime(2025, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
NODE_BITS = 16
SEQUENCE_BITS = 6
NODE_MAX = (1 << NODE_BITS) - 1
MILLISECOND_SHIFT = NODE_BITS + SEQUENCE_BITS

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u.
PUBLIC_CHARS = 13
VALUES = {letter: value for value, letter in enumerate(ALPHABET)}


class IdSource(Protocol):
    def new(self) -> int:
        """A new id, 1..2**63-1, above every id this source gave before."""
        ...


class TimeOrderedIds:
    __slots__ = ("_clock", "_ms", "_node", "_sequence")

    def __init__(self, clock: Clock, random: Random, node: int | None = None) -> None:
        drawn = random.below(NODE_MAX + 1) if node is None else node
        self._node = whole("node", drawn, 0, NODE_MAX) << SEQUENCE_BITS
        self._clock = clock
        self._ms = 0
        self._sequence = 0

    def new(self) -> int:
        now_ms = (self._clock.now() - START) // MILLISECOND
        if now_ms > self._ms:
            self._ms, self._sequence = now_ms, 0
        elif self._sequence < (1 << SEQUENCE_BITS) - 1:
            self._sequence += 1
        else:
            self._ms, self._sequence = self._ms + 1, 0
        made = self._ms << MILLISECOND_SHIFT | self._node | self._sequence
        if not 1 <= made <= ID_MAX:  # Checked in place: every row of every table passes here.
            raise ValueError(f"the clock is outside the years that ids cover: {self._clock.now()}")
        return made


def to_public(id_: int) -> str:
    """The form the outside sees: 13 letters of Crockford's base 32, lower case; sorts as the id does."""
    left = whole("id", id_, 0, ID_MAX)
    letters = []
    for _ in range(PUBLIC_CHARS):
        left, value = divmod(left, 32)
        letters.append(ALPHABET[value])
    return "".join(reversed(letters))


def from_public(text: str) -> int:
    """Read what `to_public` wrote; one id has exactly one text, so no two texts can stand for one row.

    Raises:
        ValueError: it is not such a text.
    """
    if type(text) is not str or len(text) != PUBLIC_CHARS or not all(letter in VALUES for letter in text):
        raise ValueError("not an id: 13 characters of 0-9 a-z without i, l, o, u were expected")
    value = 0
    for letter in text:
        value = value << 5 | VALUES[letter]
    return whole("id", value, 0, ID_MAX)
