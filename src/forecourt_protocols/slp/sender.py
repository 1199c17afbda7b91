"""The sending side of one direction: what is on its way, what is lost, and how much may follow.

Losses show in two ways: three later messages are acknowledged (fast retransmit), or a probe time-out
passes without news. A retransmission is new in its packet number, never in its message id. Nothing of
class 1 to 3 is ever given up; only the application's journal forgets, when `com_base` says so.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from forecourt_protocols.slp.errors import Misuse
from forecourt_protocols.slp.limits import (
    ACK_DELAY_S,
    BURST_FACTOR,
    CREDIT_MAX,
    FAST_RETRANSMIT_MIDS,
    FAST_RETRANSMIT_RTTS,
    MAILBOX_PROBES,
    PTO_S_MAX,
    PTO_S_MIN,
    WINDOW_AFTER_PTO_FRAMES,
    WINDOW_FRAMES_MIN,
    WINDOW_MIDS,
    WINDOW_SHRINK,
    WINDOW_START_FRAMES,
)
from forecourt_protocols.slp.messages import AckBlock, Record, cut_message, encode_record
from forecourt_protocols.slp.timing import RoundTrip, TokenBucket, backed_off_s

_WAITING: Final = 0  # Never sent.
_SENT: Final = 1
_LOST: Final = 2


class _Piece:
    """One record, whole or a fragment, until it is acknowledged."""

    __slots__ = ("data", "flight", "index", "mid", "overtaken", "sends", "sent_at_s", "state", "whole")

    def __init__(self, mid: int, index: int, data: bytes, *, whole: bool) -> None:
        self.mid = mid
        self.index = index
        self.data = data
        self.whole = whole
        self.state = _WAITING
        self.sends = 0
        self.sent_at_s = 0.0
        self.flight = 0  # The sending that carries it now.
        self.overtaken = False  # Three later ones are acknowledged.


class Sender:
    """Messages on their way to one receiver, in the order of their ids, without holes.

    Args:
        base_mid: the receiver has everything up to this id; the next `push` is base_mid + 1.
        record_bytes_max: a datagram's room for records.
        chance: uniform in [0, 1), for jitter.
        pto_s_min: larger on TCP, which repeats by itself.
    """

    __slots__ = (
        "_chance",
        "_flights",
        "_jitter",
        "_next_flight",
        "_pacer",
        "_pieces",
        "_probed_at_s",
        "_pto_s_max",
        "_pto_s_min",
        "_pto_tries",
        "_record_bytes_max",
        "_shrunk_at_s",
        "_window",
        "acked_base",
        "credit",
        "highest_mid",
        "round_trip",
    )

    def __init__(
        self,
        base_mid: int,
        record_bytes_max: int,
        chance: Callable[[], float],
        *,
        frames_per_s: float,
        credit: int = CREDIT_MAX,
        pto_s_min: float = PTO_S_MIN,
        pto_s_max: float = PTO_S_MAX,
    ) -> None:
        self.acked_base = base_mid
        self.highest_mid = base_mid
        self.credit = credit
        self.round_trip = RoundTrip()
        self._chance = chance
        self._jitter = chance()
        self._probed_at_s = float("-inf")
        self._pto_s_min = pto_s_min
        self._pto_s_max = pto_s_max
        self._record_bytes_max = record_bytes_max
        self._pacer = TokenBucket(frames_per_s, frames_per_s * BURST_FACTOR)
        self._pieces: deque[_Piece] = deque()
        self._flights: dict[int, int] = {}  # Sending -> its pieces that are neither acknowledged nor lost.
        self._next_flight = 0
        self._window = WINDOW_START_FRAMES
        self._pto_tries = 0
        self._shrunk_at_s = float("-inf")

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing is on its way."""
        return not self._pieces

    @property
    def all_sent(self) -> bool:
        """Nothing waits for window, credit or pace."""
        return next(self._ready(), None) is None

    @property
    def asleep(self) -> bool:
        """So many probes went unanswered that the peer is taken to sleep until it speaks."""
        return self._pto_tries > MAILBOX_PROBES

    @property
    def starved(self) -> bool:
        """There is something to send and the receiver has said stop."""
        return self.credit == 0 and bool(self._pieces)

    def room(self) -> int:
        """How many messages `push` will take now."""
        return WINDOW_MIDS - (self.highest_mid - self.acked_base)

    def push(self, message: Record) -> None:
        """Send this message as soon as window, credit and pace allow.

        Raises:
            Misuse: the id does not follow the last one, there is no room, or the body is too long.
        """
        if message.mid != self.highest_mid + 1:
            raise Misuse(f"message {message.mid} pushed after {self.highest_mid}")
        if self.room() <= 0:
            raise Misuse("the window is full")
        records = cut_message(message, self._record_bytes_max)
        self.highest_mid = message.mid
        for record in records:
            self._pieces.append(
                _Piece(message.mid, record.part, encode_record(record), whole=len(records) == 1)
            )

    def receive_ack(self, ack: AckBlock, now_s: float) -> bool:
        """Take the peer's word for what came in; True when something new was acknowledged."""
        if ack.rcv_base > self.highest_mid:
            return False  # It acknowledges what was never sent: nothing in it can be trusted.
        self.credit = min(ack.credit, CREDIT_MAX)
        bitmap = ack.bitmap
        newest: _Piece | None = None
        kept: deque[_Piece] = deque()
        for piece in self._pieces:
            ahead = piece.mid - ack.rcv_base - 1
            if ahead < 0 or (bitmap >> ahead & 1 and ahead < WINDOW_MIDS):
                self._land(piece)
                if piece.sends == 1 and (newest is None or piece.sent_at_s >= newest.sent_at_s):
                    newest = piece
                continue
            if piece.whole and (bitmap >> ahead).bit_count() >= FAST_RETRANSMIT_MIDS:
                piece.overtaken = True
            kept.append(piece)
        acked = len(self._pieces) - len(kept)
        self._pieces = kept
        self.acked_base = max(self.acked_base, ack.rcv_base)
        if newest is not None:
            self.round_trip.sample(now_s - newest.sent_at_s - ack.delay_ms / 1000)
        self._grow(acked)
        return acked > 0

    def receive_fragment_ack(self, mid: int, have: int, now_s: float) -> bool:
        """These fragments (bit = index) of one message came in."""
        kept: deque[_Piece] = deque()
        newest_s = 0.0
        for piece in self._pieces:
            if piece.mid == mid and not piece.whole:
                if have >> piece.index & 1:
                    self._land(piece)
                    newest_s = max(newest_s, piece.sent_at_s if piece.sends == 1 else 0.0)
                    continue
                piece.overtaken |= (have >> piece.index).bit_count() >= FAST_RETRANSMIT_MIDS
            kept.append(piece)
        acked = len(self._pieces) - len(kept)
        self._pieces = kept
        if newest_s:
            self.round_trip.sample(now_s - newest_s)
        self._grow(acked)
        return acked > 0

    def take(self, now_s: float, body_bytes: int) -> bytes | None:
        """The records of the next DATA frame, lost ones first; None when nothing may go now."""
        self._find_losses(now_s)
        if len(self._flights) >= self._limit() or not self._pacer_allows(now_s):
            return None
        chosen: list[bytes] = []
        for piece in self._ready():
            if len(piece.data) > body_bytes:
                break
            body_bytes -= len(piece.data)
            chosen.append(piece.data)
            piece.state = _SENT
            piece.sends += 1
            piece.sent_at_s = now_s
            piece.overtaken = False
            piece.flight = self._next_flight
        if not chosen:
            return None
        self._flights[self._next_flight] = len(chosen)
        self._next_flight += 1
        self._pacer.take(now_s)
        return b"".join(chosen)

    def resume(self) -> None:
        """The peer is alive again: send at once instead of at the next slow retry."""
        if self.asleep:
            self._pto_tries = 0
            for piece in self._pieces:
                self._lose(piece)

    def next_timeout_s(self, now_s: float) -> float | None:
        """When `take` may have something that it has not now."""
        if not self._pieces or self.credit == 0:
            return None
        due = [self._overdue_at_s(piece) for piece in self._pieces if piece.state == _SENT]
        if len(self._flights) < self._limit() and next(self._ready(), None) is not None:
            due.append(self._pacer.ready_at_s(now_s))
        return min(due, default=None)

    def _limit(self) -> int:
        return min(int(self._window), self.credit, CREDIT_MAX)

    def _pacer_allows(self, now_s: float) -> bool:
        return self._pacer.ready_at_s(now_s) <= now_s

    def _ready(self) -> Iterator[_Piece]:
        for piece in self._pieces:
            if piece.state == _LOST:
                yield piece
        fragmented = next((p.mid for p in self._pieces if p.sends and not p.whole), 0)
        for piece in self._pieces:
            if piece.state == _WAITING:
                if not piece.whole:
                    if fragmented not in (0, piece.mid):
                        return  # The receiver keeps room for one message in fragments.
                    fragmented = piece.mid
                yield piece

    def _overdue_at_s(self, piece: _Piece) -> float:
        if piece.overtaken:
            return piece.sent_at_s + FAST_RETRANSMIT_RTTS * self.round_trip.smoothed_s
        return piece.sent_at_s + backed_off_s(
            self._timeout_s(), self._pto_tries, self._jitter, self._pto_s_max
        )

    def _timeout_s(self) -> float:
        timeout_s = self.round_trip.probe_timeout_s(ACK_DELAY_S, self._pto_s_max)
        return max(timeout_s, self._pto_s_min)

    def _find_losses(self, now_s: float) -> None:
        overtaken = silent = False
        if self.credit == 0:
            return
        for piece in self._pieces:
            if piece.state == _SENT and self._overdue_at_s(piece) <= now_s:
                overtaken |= piece.overtaken
                silent |= not piece.overtaken
                self._lose(piece)
        if silent and now_s - self._probed_at_s >= self._timeout_s():
            # What was sent together is lost together: one try, however many frames it was.
            self._probed_at_s = now_s
            self._jitter = self._chance()
            self._pto_tries += 1
            if self._pto_tries > 1:
                self._window = WINDOW_AFTER_PTO_FRAMES
        elif overtaken and now_s - self._shrunk_at_s > self.round_trip.smoothed_s:
            # Once a round trip: the other losses of one burst tell nothing new.
            self._shrunk_at_s = now_s
            self._window = max(self._window * WINDOW_SHRINK, WINDOW_FRAMES_MIN)

    def _grow(self, acked: int) -> None:
        if acked:
            self._pto_tries = 0
            self._window = min(self._window + acked / self._window, float(CREDIT_MAX))

    def _lose(self, piece: _Piece) -> None:
        if piece.state == _SENT:
            self._leave_flight(piece)
            piece.state = _LOST

    def _land(self, piece: _Piece) -> None:
        if piece.state == _SENT:
            self._leave_flight(piece)

    def _leave_flight(self, piece: _Piece) -> None:
        left = self._flights[piece.flight] - 1
        if left:
            self._flights[piece.flight] = left
        else:
            del self._flights[piece.flight]
