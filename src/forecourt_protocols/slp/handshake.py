"""HELLO, RETRY and WELCOME as sealed frames; used by both ends, so that each is the other's check."""

from struct import Struct
from typing import Final

from forecourt_protocols.slp import crypto, framing, messages
from forecourt_protocols.slp.framing import FLAG_DOWN, HEADER_BYTES, TAG_BYTES, FrameType, Header
from forecourt_protocols.slp.messages import Hello, Welcome

_COOKIE_INFO: Final = Struct(">QQI")
_RANDOM_ECHO_BYTES: Final = 8


def seal_hello(psk: bytes, device_id: int, epoch: int, key_id: int, hello: Hello) -> bytes:
    body = hello.encode()
    header = framing.encode_header(Header(FrameType.HELLO, 0, device_id, epoch, 0, len(body), key_id))
    return header + body + crypto.tag128(psk, header, body)


def open_hello(psk: bytes, frame: bytes) -> Hello | None:
    """None when the tag is wrong. Raises Malformed when an authentic HELLO has a wrong form."""
    if not crypto.tags_equal(crypto.tag128(psk, frame[:-TAG_BYTES]), frame[-TAG_BYTES:]):
        return None
    return messages.decode_hello(frame[HEADER_BYTES:-TAG_BYTES])


def cookie_for(secret: bytes, slot: int, hello: Header, client_random: bytes, place: str) -> bytes:
    """Proves that who sends it can read what is sent to `place`; nothing is stored to know it again."""
    info = _COOKIE_INFO.pack(slot, hello.device_id, hello.epoch)
    return crypto.tag128(secret, info, client_random, place.encode())


def seal_retry(psk: bytes, hello: Header, client_random: bytes, cookie: bytes) -> bytes:
    body = messages.RETRY.pack(cookie, client_random[:_RANDOM_ECHO_BYTES])
    header = framing.encode_header(
        Header(FrameType.RETRY, FLAG_DOWN, hello.device_id, hello.epoch, 0, len(body), hello.key_id)
    )
    return header + body + crypto.tag128(psk, client_random, header, body)


def open_retry(psk: bytes, client_random: bytes, frame: bytes) -> bytes | None:
    """The cookie, when this RETRY answers the HELLO of that random."""
    tag = crypto.tag128(psk, client_random, frame[:-TAG_BYTES])
    body = frame[HEADER_BYTES:-TAG_BYTES]
    if not crypto.tags_equal(tag, frame[-TAG_BYTES:]) or len(body) != messages.RETRY.size:
        return None
    cookie: bytes = messages.RETRY.unpack(body)[0]
    return cookie


class SessionKeys:
    """What both ends make of the key and the two randoms."""

    __slots__ = ("device_id", "down_key", "epoch", "key_id", "up_key")

    def __init__(self, psk: bytes, randoms: bytes, device_id: int, epoch: int, key_id: int) -> None:
        self.device_id, self.epoch, self.key_id = device_id, epoch, key_id
        self.up_key, self.down_key = (
            crypto.traffic_key(psk, randoms, device_id, epoch, direction)
            for direction in (crypto.UP, crypto.DOWN)
        )

    def sealer(self, direction: int) -> crypto.Sealer:
        key = self.down_key if direction == crypto.DOWN else self.up_key
        return crypto.Sealer(key, self.device_id, self.epoch, self.key_id, direction)

    def opener(self, direction: int) -> crypto.Opener:
        key = self.down_key if direction == crypto.DOWN else self.up_key
        return crypto.Opener(key, self.epoch, direction)


def seal_welcome(sealer: crypto.Sealer, server_random: bytes, welcome: Welcome) -> bytes:
    clear = messages.WELCOME_CLEAR.pack(server_random, messages.SUITE_AES_128_GCM)
    return sealer.seal_welcome(clear, welcome.encode())


def open_welcome(
    psk: bytes, client_random: bytes, header: Header, frame: bytes
) -> tuple[Welcome, SessionKeys] | None:
    """None when it was not made for this HELLO. Raises Malformed."""
    if header.body_bytes < messages.WELCOME_CLEAR.size:
        return None
    server_random, suite = messages.WELCOME_CLEAR.unpack_from(frame, HEADER_BYTES)
    keys = SessionKeys(psk, client_random + server_random, header.device_id, header.epoch, header.key_id)
    body = keys.opener(crypto.DOWN).open_welcome(frame, messages.WELCOME_CLEAR.size)
    if body is None or suite != messages.SUITE_AES_128_GCM:
        return None
    return messages.decode_welcome(body), keys
