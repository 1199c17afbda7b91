"""The receiving side of one direction: which packets came before, which messages, and what is committed."""

from forecourt_protocols.slp.errors import Malformed
from forecourt_protocols.slp.limits import MESSAGE_BYTES_MAX, REPLAY_WINDOW_PNS, WINDOW_MIDS
from forecourt_protocols.slp.messages import CLASS_SHIFT, LINK_CHANNEL, RFLAG_FRAGMENT, Record, RecordClass

_REPLAY_MASK = (1 << REPLAY_WINDOW_PNS) - 1
_NOTHING: tuple[Record, ...] = ()
ASSEMBLIES_MAX = 2  # A sender has one message in fragments on the way; a second may overlap its end.


class ReplayWindow:
    """The last 256 packet numbers. `fresh` is asked before decryption, `accept` told only after it."""

    __slots__ = ("_seen", "highest")

    def __init__(self) -> None:
        self.highest = 0
        self._seen = 1  # Bit i is packet highest - i; packet 0 is the handshake's.

    def fresh(self, packet_number: int) -> bool:
        behind = self.highest - packet_number
        return behind < 0 or (behind < REPLAY_WINDOW_PNS and not self._seen >> behind & 1)

    def accept(self, packet_number: int) -> bool:
        """Remember an authentic packet; True when it is the newest so far."""
        ahead = packet_number - self.highest
        if ahead > 0:
            self._seen = (self._seen << ahead | 1) & _REPLAY_MASK if ahead < REPLAY_WINDOW_PNS else 1
            self.highest = packet_number
            return True
        self._seen |= 1 << -ahead
        return False


class _Assembly:
    """A message whose fragments are coming in."""

    __slots__ = ("_bodies", "have", "parts")

    def __init__(self, parts: int) -> None:
        self.parts = parts
        self._bodies: list[bytes] = [b""] * parts
        self.have = 0  # Bit i: fragment i is here.

    def add(self, record: Record) -> bytes | None:
        """Keep one fragment; the whole body once the last has come."""
        if record.parts != self.parts:
            raise Malformed("fragments of one message differ in their number")
        self._bodies[record.part] = record.body
        self.have |= 1 << record.part
        if self.have != (1 << self.parts) - 1:
            return None
        body = b"".join(self._bodies)
        if len(body) > MESSAGE_BYTES_MAX:
            raise Malformed("a message is too long")
        return body


class Receiver:
    """Messages of classes 1 to 3 of one sender: each handed up once, class 2 in order.

    `base`: every id up to it came in. `com_base`: every id up to it is committed. It outlives sessions.
    """

    __slots__ = ("_assemblies", "_committed", "_held", "base", "bitmap", "com_base")

    def __init__(self, com_base: int) -> None:
        self.base = com_base
        self.bitmap = 0  # Bit i: id base + 1 + i came in. Bit 0 is never set.
        self.com_base = com_base
        self._committed = 0  # Bit i: id com_base + 1 + i is committed. Bit 0 is never set.
        self._held: dict[int, Record] = {}  # Class 2 ahead of a hole.
        self._assemblies: dict[int, _Assembly] = {}

    def take(self, record: Record) -> tuple[Record, ...] | None:
        """The messages that this record completes, in order; None when it is a duplicate or too far ahead."""
        if record[3] == self.base + 1 and not self.bitmap and record[1] != LINK_CHANNEL and not record[6]:
            self.base = record[3]  # The common case: the next message, whole, nothing waiting.
            return (record,)
        ahead = record.mid - self.base - 1
        if not 0 <= ahead < WINDOW_MIDS or self.bitmap >> ahead & 1:
            return None
        if record.parts:
            whole = self._assemble(record)
            if whole is None:
                return _NOTHING
            record = whole
        return self._enter(record, ahead)

    @property
    def uncommitted(self) -> int:
        """How many messages came in and are not committed."""
        return self.base - self.com_base + self.bitmap.bit_count() - self._committed.bit_count()

    def fragments_of(self, mid: int) -> int:
        """Which fragments of this message are here, one bit each; all of them once it is whole."""
        assembly = self._assemblies.get(mid)
        return assembly.have if assembly else 0

    def commit(self, mid: int) -> bool:
        """The application has made this message durable; True when `com_base` moved."""
        ahead = mid - self.com_base - 1
        if not ahead and not self._committed:
            self.com_base = mid  # The common case: the next one, nothing committed beyond it.
            return True
        if ahead < 0 or self._committed >> ahead & 1:
            return False
        return self._settle(ahead)

    def skip_to(self, mid: int) -> None:
        """The sender has nothing up to this id any more: go on behind it."""
        if mid > self.base:
            self.bitmap >>= mid - self.base
            self.base = mid
            self._close_up()
        if mid > self.com_base:
            self._committed >>= mid - self.com_base
            self.com_base = mid
            self._advance_committed()
        self._assemblies = {key: value for key, value in self._assemblies.items() if key > mid}

    def _enter(self, record: Record, ahead: int) -> tuple[Record, ...]:
        self.bitmap |= 1 << ahead
        self._close_up()
        if record.channel == LINK_CHANNEL:
            self._settle(record.mid - self.com_base - 1)
            return self._released() if self._held else _NOTHING
        if record.rflags >> CLASS_SHIFT == RecordClass.ORDERED:
            self._held[record.mid] = record
            return self._released()
        return (record, *self._released()) if self._held else (record,)

    def _close_up(self) -> None:
        """Move `base` over the ids that came in behind it."""
        run = (~self.bitmap & (self.bitmap + 1)).bit_length() - 1
        self.base += run
        self.bitmap >>= run

    def _released(self) -> tuple[Record, ...]:
        ready = sorted(mid for mid in self._held if mid <= self.base)
        return tuple(self._held.pop(mid) for mid in ready)

    def _settle(self, ahead: int) -> bool:
        self._committed |= 1 << ahead
        return self._advance_committed()

    def _advance_committed(self) -> bool:
        run = (~self._committed & (self._committed + 1)).bit_length() - 1
        self.com_base += run
        self._committed >>= run
        return run > 0

    def _assemble(self, record: Record) -> Record | None:
        assembly = self._assemblies.get(record.mid)
        if assembly is None:
            if len(self._assemblies) >= ASSEMBLIES_MAX:
                # The lowest message must always find room, or the window would never move again.
                last = max(self._assemblies)
                if last < record.mid:
                    return None
                del self._assemblies[last]
            assembly = self._assemblies[record.mid] = _Assembly(record.parts)
        body = assembly.add(record)
        if body is None:
            return None
        del self._assemblies[record.mid]
        return record._replace(body=body, rflags=record.rflags & ~RFLAG_FRAGMENT, part=0, parts=0)
