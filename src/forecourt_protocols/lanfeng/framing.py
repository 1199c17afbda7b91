"""Bytes in, frames out. Frame: gun | Data1 = 00 | command | Data2 … Data9 | checksum; twelve bytes, no mark.

The line has no start mark, so a frame is known by what it must hold: a gun number, the zero of Data1, a
command of the protocol and a checksum that fits. A window that fails is moved by one byte. The checksum
covers Data1, command and data but NOT the gun number (the published table prints one checksum for every
gun), so a flipped gun byte is caught by the session alone, which takes answers only from the gun it asked.
"""

from dataclasses import dataclass, field

from forecourt_protocols.lanfeng.commands import COMMAND_CODES

FRAME_SIZE_BYTES = 12
DATA_SIZE_BYTES = 8
GUN_MIN, GUN_MAX = 1, 99  # Assumed: the published table does not limit the gun number.


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame that passed its checksum. `data` holds Data2 … Data9."""

    gun: int
    command: int
    data: bytes


@dataclass(frozen=True, slots=True)
class BadFrame:
    """Bytes that belonged to no frame and were dropped."""

    reason: str
    dropped_bytes: int


@dataclass(slots=True)
class FrameReader:
    """Cuts a byte stream into frames; never holds more than eleven bytes between calls."""

    _line: bytearray = field(default_factory=bytearray)

    def receive(self, data: bytes) -> list[Frame | BadFrame]:
        """Give back, in order, every frame that these bytes complete, and what was dropped between them."""
        self._line += data
        heard: list[Frame | BadFrame] = []
        start = dropped_from = 0
        while len(self._line) - start >= FRAME_SIZE_BYTES:
            window = bytes(self._line[start : start + FRAME_SIZE_BYTES])
            if not _is_frame(window):
                start += 1
                continue
            if start > dropped_from:
                heard.append(BadFrame("noise", start - dropped_from))
            heard.append(Frame(gun=window[0], command=window[2], data=window[3:11]))
            start += FRAME_SIZE_BYTES
            dropped_from = start
        if start > dropped_from:
            heard.append(BadFrame("noise", start - dropped_from))
        del self._line[:start]
        return heard

    def silence(self) -> BadFrame | None:
        """The line fell silent: what waits is no frame, because a frame is sent without a gap."""
        if not self._line:
            return None
        dropped = BadFrame("cut short", len(self._line))
        self._line.clear()
        return dropped


def frame(gun: int, command: int, data: bytes = bytes(DATA_SIZE_BYTES)) -> bytes:
    """The twelve bytes of one frame."""
    assert GUN_MIN <= gun <= GUN_MAX, f"no gun {gun}"
    assert command in COMMAND_CODES, f"no command {command:#04x}"
    assert len(data) == DATA_SIZE_BYTES, "a frame carries eight bytes of data"
    summed = bytes((0, command)) + data
    return bytes((gun,)) + summed + bytes((checksum(summed),))


def checksum(summed: bytes) -> int:
    """NOT(Data1 + command + Data2 … Data9) + 1, carries dropped (source: the published protocol, page 1)."""
    return -sum(summed) & 0xFF


def _is_frame(window: bytes) -> bool:
    return (
        window[1] == 0
        and window[2] in COMMAND_CODES
        and GUN_MIN <= window[0] <= GUN_MAX
        and checksum(window[1:11]) == window[11]
    )
