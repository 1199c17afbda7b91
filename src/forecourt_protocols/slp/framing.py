"""The 24-byte header, frame sizes, and the reader that cuts frames out of a TCP stream.

Frame: header 24 B in clear | LEN bytes of body | tag 16 B. All numbers are big-endian.
"""

from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple

from forecourt_protocols.slp.limits import DATAGRAM_BYTES_MAX

VERSION: Final = 0xB1  # Nibble B, version 1. CoAP starts 0x40-0x7F, DTLS 0x14-0x3F, YKC on TCP 0x68.
HEADER: Final = Struct(">BBHQIIHBB")
HEADER_BYTES: Final = HEADER.size
TAG_BYTES: Final = 16
FRAME_BYTES_MIN: Final = HEADER_BYTES + TAG_BYTES
EPOCH_MAX: Final = 0xFFFF_FFFF


class FrameType(IntEnum):
    """The TYPE byte. REKEY is reserved: fresh keys come by a new handshake."""

    HELLO = 1
    RETRY = 2
    WELCOME = 3
    DATA = 4
    ACK = 5
    PING = 6
    PONG = 7
    REKEY = 8
    CLOSE = 9
    RESET = 10


FLAG_ACK: Final = 0x0001  # The body begins with an ack block.
FLAG_ELICIT: Final = 0x0002  # The receiver owes an ack block.
FLAG_KEY_PHASE: Final = 0x0004  # Reserved.
FLAG_PENDING: Final = 0x0008  # The server has pushes waiting for this device.
FLAG_LAST: Final = 0x0010  # Nothing more to send now: a radio may sleep.
FLAG_DEFLATE: Final = 0x0020  # Reserved.
FLAG_DOWN: Final = 0x0040  # Set by the server, clear from the device.
FLAGS_KNOWN: Final = FLAG_ACK | FLAG_ELICIT | FLAG_PENDING | FLAG_LAST | FLAG_DOWN
FLAGS_RESERVED: Final = 0xFFFF & ~FLAGS_KNOWN


class Header(NamedTuple):
    """A decoded header whose form is right; nothing is proven about who wrote it."""

    kind: int
    flags: int
    device_id: int
    epoch: int
    packet_number: int
    body_bytes: int
    key_id: int


def encode_header(header: Header) -> bytes:
    kind, flags, device_id, epoch, packet_number, body_bytes, key_id = header
    return HEADER.pack(VERSION, kind, flags, device_id, epoch, packet_number, body_bytes, key_id, 0)


def decode_header(frame: bytes) -> Header | None:
    """None when this is not exactly one frame of SLP/1, or uses a bit or type this version reserves."""
    if len(frame) < FRAME_BYTES_MIN:
        return None
    version, kind, flags, device_id, epoch, pn, body_bytes, key_id, zero = HEADER.unpack_from(frame)
    if version != VERSION or zero or flags & FLAGS_RESERVED or not 1 <= kind <= FrameType.RESET:
        return None
    if body_bytes != len(frame) - FRAME_BYTES_MIN:
        return None
    return Header(kind, flags, device_id, epoch, pn, body_bytes, key_id)


class StreamReader:
    """Cuts a TCP stream into frames. A stream that stops holding frames is `broken` for good.

    TCP repairs what the line spoils, so bytes that are no frame mean a wrong or hostile peer: there is
    nothing to search for behind them, and the adapter closes the connection.
    """

    __slots__ = ("_frame_bytes_max", "_waiting", "broken")

    def __init__(self, frame_bytes_max: int = DATAGRAM_BYTES_MAX) -> None:
        self._waiting = bytearray()
        self._frame_bytes_max = frame_bytes_max
        self.broken = False

    def receive(self, data: bytes) -> list[bytes]:
        """Give back, in order, every frame that these bytes complete."""
        if self.broken:
            return []
        waiting = self._waiting
        waiting += data
        frames: list[bytes] = []
        start = 0
        while (size := self._frame_bytes(start)) and len(waiting) - start >= size:
            frames.append(bytes(waiting[start : start + size]))
            start += size
        del waiting[:start]
        return frames

    def _frame_bytes(self, start: int) -> int:
        """Size of the frame that begins here; 0 while its header is incomplete or cannot be one."""
        waiting = self._waiting
        have = len(waiting) - start
        if have and waiting[start] != VERSION:
            self.broken = True
        if have < HEADER_BYTES or self.broken:
            return 0
        _, kind, flags, _, _, _, body_bytes, _, zero = HEADER.unpack_from(waiting, start)
        size = int(body_bytes) + FRAME_BYTES_MIN
        if zero or flags & FLAGS_RESERVED or not 1 <= kind <= FrameType.RESET or size > self._frame_bytes_max:
            self.broken = True
            return 0
        return size
