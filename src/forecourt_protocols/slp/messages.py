"""The bodies of frames: bytes to values and back. Every decoder raises Malformed and nothing else."""

import struct
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple

from forecourt_protocols.slp.errors import Malformed, Misuse
from forecourt_protocols.slp.framing import FRAME_BYTES_MIN
from forecourt_protocols.slp.limits import FRAGMENTS_MAX, HELLO_BYTES, MESSAGE_BYTES_MAX

SUITE_AES_128_GCM: Final = 1
SUITE_BIT_AES_128_GCM: Final = 0x01  # Bits 0x02 (ChaCha20-Poly1305) and 0x04 (SM4-GCM) are assigned, unused.

HELLO: Final = Struct(">16s4sBHBQQQBB")
HELLO_BODY_BYTES: Final = HELLO_BYTES - FRAME_BYTES_MIN
COOKIE_BYTES: Final = 16
RETRY: Final = Struct(">16s8s")
WELCOME_CLEAR: Final = Struct(">16sBx")
WELCOME_SEALED: Final = Struct(">QQHHHHHIII16sB")
REDIRECT_BYTES_MAX: Final = 47  # Keeps WELCOME within the 160 bytes of HELLO.
RECORD: Final = Struct(">BBBxQH")
FRAGMENT: Final = Struct(">HH")
ACK_BLOCK: Final = Struct(">QQQHH")
PING: Final = Struct(">Q8s8x")
PONG: Final = Struct(">Q8sQQ")
CLOSE: Final = Struct(">HH")
COMMAND: Final = Struct(">QQ")
FRAGMENT_ACK: Final = Struct(">Q")

LINK_CHANNEL: Final = 255  # The protocol's own; applications have 0 to 254.
LINK_VOID: Final = 0  # Format on the link channel, class 1, no body: this message id carries nothing.
LINK_FRAGMENT_ACK: Final = 1  # Format on the link channel, class 0, MID of the message, u64 of its fragments.

RFLAG_FRAGMENT: Final = 0x20
RFLAG_REPLY: Final = 0x10
RFLAGS_RESERVED: Final = 0x0F
CLASS_SHIFT: Final = 6
RFLAGS_RELIABLE: Final = 1 << CLASS_SHIFT  # Record flags from here on have a message id.
_RFLAGS_RARE: Final = RFLAG_FRAGMENT | RFLAGS_RESERVED

assert RECORD.size == 14


class RecordClass(IntEnum):
    """The upper two bits of a record's flags."""

    LATEST = 0  # Live telemetry: sent once, never acknowledged, MID 0.
    RELIABLE = 1
    ORDERED = 2  # Money: handed up in the order of message ids.
    COMMAND = 3


class CloseReason(IntEnum):
    """The first two bytes of CLOSE."""

    SHUTDOWN = 0
    REPLACED = 1
    KEY_REVOKED = 2
    MOVED = 3
    RENEW = 4


class Record(NamedTuple):
    """One record of a DATA body. `parts` is 0 when the record is whole."""

    rflags: int
    channel: int
    content_format: int
    mid: int
    body: bytes
    part: int = 0
    parts: int = 0


class AckBlock(NamedTuple):
    """Bit i of `bitmap` (0 = least significant) stands for message id rcv_base + 1 + i."""

    rcv_base: int
    bitmap: int
    com_base: int
    delay_ms: int
    credit: int


@dataclass(frozen=True, slots=True)
class Hello:
    """What a device tells before it has a session. `incarnation` names the journal, 4 bytes."""

    client_random: bytes
    incarnation: bytes
    suites: int
    datagram_bytes_max: int
    window: int
    firmware_id: int
    oldest_mid: int
    next_mid: int
    boot_reason: int
    cookie: bytes = b""

    def encode(self) -> bytes:
        fixed = HELLO.pack(
            self.client_random,
            self.incarnation,
            self.suites,
            self.datagram_bytes_max,
            self.window,
            self.firmware_id,
            self.oldest_mid,
            self.next_mid,
            self.boot_reason,
            len(self.cookie),
        )
        return (fixed + self.cookie).ljust(HELLO_BODY_BYTES, b"\0")


def decode_hello(body: bytes) -> Hello:
    if len(body) < HELLO_BODY_BYTES:
        raise Malformed("HELLO is shorter than 160 bytes")
    fixed = HELLO.unpack_from(body)
    cookie_bytes = fixed[-1]
    if cookie_bytes not in (0, COOKIE_BYTES):
        raise Malformed("a cookie has 0 or 16 bytes")
    return Hello(*(*fixed[:-1], body[HELLO.size : HELLO.size + cookie_bytes]))


@dataclass(frozen=True, slots=True)
class Welcome:
    """The server's answer: a session, or a place or an epoch to come back with."""

    server_time_ms: int
    com_base: int
    keepalive_s: int
    pto_max_ms: int
    rate_frames_s: int
    datagram_bytes_max: int
    credit: int
    config_version: int
    script_version: int
    epoch_jump: int
    reset_token: bytes
    redirect: str = ""

    def encode(self) -> bytes:
        place = self.redirect.encode("ascii")
        if len(place) > REDIRECT_BYTES_MAX:
            raise Misuse(f"a redirect has at most {REDIRECT_BYTES_MAX} bytes")
        return (
            WELCOME_SEALED.pack(
                self.server_time_ms,
                self.com_base,
                self.keepalive_s,
                self.pto_max_ms,
                self.rate_frames_s,
                self.datagram_bytes_max,
                self.credit,
                self.config_version,
                self.script_version,
                self.epoch_jump,
                self.reset_token,
                len(place),
            )
            + place
        )


def decode_welcome(body: bytes) -> Welcome:
    try:
        fixed = WELCOME_SEALED.unpack_from(body)
        redirect_bytes = fixed[-1]
        place = body[WELCOME_SEALED.size :]
        if redirect_bytes != len(place) or redirect_bytes > REDIRECT_BYTES_MAX:
            raise Malformed("a redirect's length is wrong")
        return Welcome(*(*fixed[:-1], place.decode("ascii")))
    except (struct.error, UnicodeDecodeError) as fault:
        raise Malformed("not a WELCOME") from fault


def split_redirect(redirect: str) -> tuple[str, int] | None:
    """`host:port`; None when it is not one."""
    host, colon, port = redirect.rpartition(":")
    if not (colon and host and port.isdecimal() and 0 < int(port) <= 0xFFFF):
        return None
    return host.strip("[]"), int(port)


def encode_record(record: Record) -> bytes:
    head = RECORD.pack(record.rflags, record.channel, record.content_format, record.mid, len(record.body))
    if record.parts:
        head += FRAGMENT.pack(record.part, record.parts)
    return head + record.body


def decode_records(body: bytes, start: int) -> list[Record]:
    """All the records from `start` to the end of the body; one malformed record refuses them all."""
    records: list[Record] = []
    end = len(body)
    unpack_from, new, append = RECORD.unpack_from, tuple.__new__, records.append
    while start < end:
        if start + 14 > end:
            raise Malformed("a record is cut short")
        rflags, channel, content_format, mid, size = unpack_from(body, start)
        start += 14
        part = parts = 0
        if rflags & _RFLAGS_RARE:
            part, parts = _decode_fragment(body, start, rflags)
            start += FRAGMENT.size
        after = start + size
        misplaced = not mid if rflags >= RFLAGS_RELIABLE else mid and channel != LINK_CHANNEL
        if misplaced or after > end:
            raise Malformed("a record's length or message id is wrong")
        # Half the cost of Record(...), and this runs for every message of every station.
        append(new(Record, (rflags, channel, content_format, mid, body[start:after], part, parts)))
        start = after
    return records


def _decode_fragment(body: bytes, start: int, rflags: int) -> tuple[int, int]:
    if rflags & RFLAGS_RESERVED or start + FRAGMENT.size > len(body):
        raise Malformed("a record uses a reserved bit or is cut short")
    part, parts = FRAGMENT.unpack_from(body, start)
    if not (part < parts and 1 < parts <= FRAGMENTS_MAX and rflags >> CLASS_SHIFT):
        raise Malformed("a fragment's place is wrong")
    return part, parts


def void_record(mid: int) -> Record:
    """Stands for a message that its sender's journal had to drop, so that ids have no holes."""
    return Record(RecordClass.RELIABLE << CLASS_SHIFT, LINK_CHANNEL, LINK_VOID, mid, b"")


def cut_message(message: Record, record_bytes_max: int) -> list[Record]:
    """The message as one record, or as numbered fragments when it does not fit one."""
    size = len(message.body)
    if size + RECORD.size <= record_bytes_max:
        return [message]
    part_bytes = record_bytes_max - RECORD.size - FRAGMENT.size
    parts = -(-size // part_bytes)
    if size > MESSAGE_BYTES_MAX or parts > FRAGMENTS_MAX:
        raise Misuse("a message this long must travel as a file")
    return [
        message._replace(
            rflags=message.rflags | RFLAG_FRAGMENT,
            body=message.body[part * part_bytes : (part + 1) * part_bytes],
            part=part,
            parts=parts,
        )
        for part in range(parts)
    ]


def decode_ack(body: bytes) -> AckBlock:
    try:
        return AckBlock(*ACK_BLOCK.unpack_from(body))
    except struct.error as fault:
        raise Malformed("an ack block is cut short") from fault


def decode_fixed(form: Struct, body: bytes, start: int) -> tuple[int | bytes, ...]:
    """A PING, PONG, CLOSE or fragment acknowledgement, which ends where the body ends."""
    if len(body) - start != form.size:
        raise Malformed("the body's length is wrong")
    return form.unpack_from(body, start)
