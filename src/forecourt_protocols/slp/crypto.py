"""Suite 1 of SLP/1: HKDF-SHA256 for keys, AES-128-GCM for frames, HMAC-SHA256-128 for the handshake.

AESGCM objects are made once per session and direction: making one costs twice a whole decryption.
"""

import hmac
from hashlib import sha256
from struct import Struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from forecourt_protocols.slp.framing import (
    FLAG_DOWN,
    FRAME_BYTES_MIN,
    HEADER,
    HEADER_BYTES,
    TAG_BYTES,
    VERSION,
    FrameType,
    Header,
    encode_header,
)

PSK_BYTES: Final = 32
RANDOM_BYTES: Final = 16
TRAFFIC_KEY_BYTES: Final = 16
UP: Final = 0
DOWN: Final = 1

_NONCE_PREFIX = Struct(">B3xI")
_KEY_INFO = Struct(">4sQIB")
_RESET_INFO = Struct(">10sQI")


def hkdf_sha256(secret: bytes, salt: bytes, info: bytes, size: int) -> bytes:
    """RFC 5869 with SHA-256, for at most one block of output."""
    assert 0 < size <= sha256().digest_size
    extracted = hmac.digest(salt, secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")[:size]


def traffic_key(psk: bytes, randoms: bytes, device_id: int, epoch: int, direction: int) -> bytes:
    """`randoms` is the client's 16 bytes followed by the server's."""
    info = _KEY_INFO.pack(b"slp1", device_id, epoch, direction)
    return hkdf_sha256(psk, randoms, info, TRAFFIC_KEY_BYTES)


def tag128(key: bytes, *parts: bytes) -> bytes:
    """HMAC-SHA256 cut to 128 bits."""
    return hmac.digest(key, b"".join(parts), "sha256")[:TAG_BYTES]


def tags_equal(one: bytes, other: bytes) -> bool:
    return hmac.compare_digest(one, other)


def reset_token(secret: bytes, device_id: int, epoch: int) -> bytes:
    """What a server that has lost its sessions can still compute, and nobody else can."""
    return tag128(secret, _RESET_INFO.pack(b"slp1 reset", device_id, epoch))


def seal_reset(token: bytes, provoked_by: Header) -> bytes:
    """A RESET frame; the token keys its tag, so that the token itself never travels in clear."""
    header = encode_header(provoked_by._replace(kind=FrameType.RESET, flags=FLAG_DOWN, body_bytes=0))
    return header + tag128(token, header)


class Sealer:
    """Seals one direction's frames of one session; the packet number is never used twice."""

    __slots__ = ("_aead", "_prefix", "device_id", "direction_flag", "epoch", "key_id", "packet_number")

    def __init__(self, key: bytes, device_id: int, epoch: int, key_id: int, direction: int) -> None:
        self._aead = AESGCM(key)
        self._prefix = _NONCE_PREFIX.pack(direction, epoch)
        self.device_id = device_id
        self.epoch = epoch
        self.key_id = key_id
        self.direction_flag = FLAG_DOWN if direction == DOWN else 0
        self.packet_number = 0  # The last one used; 0 belongs to HELLO and WELCOME.

    def seal(self, kind: int, flags: int, body: bytes) -> bytes:
        self.packet_number = packet_number = self.packet_number + 1
        header = HEADER.pack(
            VERSION,
            kind,
            flags | self.direction_flag,
            self.device_id,
            self.epoch,
            packet_number,
            len(body),
            self.key_id,
            0,
        )
        return header + self._aead.encrypt(self._prefix + header[16:20], body, header)

    def seal_welcome(self, clear: bytes, body: bytes) -> bytes:
        """WELCOME is packet 0 downwards: its first bytes, from which the key is made, stay in clear."""
        body_bytes = len(clear) + len(body)
        header = encode_header(
            Header(FrameType.WELCOME, FLAG_DOWN, self.device_id, self.epoch, 0, body_bytes, self.key_id)
        )
        opened = header + clear
        return opened + self._aead.encrypt(self._prefix + b"\0\0\0\0", body, opened)


class Opener:
    """Opens the other direction's frames."""

    __slots__ = ("_aead", "_prefix")

    def __init__(self, key: bytes, epoch: int, direction: int) -> None:
        self._aead = AESGCM(key)
        self._prefix = _NONCE_PREFIX.pack(direction, epoch)

    def open(self, frame: bytes) -> bytes | None:
        """The body, or None when any bit of the frame is not as its sender wrote it."""
        if len(frame) < FRAME_BYTES_MIN:
            return None
        try:
            return self._aead.decrypt(self._prefix + frame[16:20], frame[HEADER_BYTES:], frame[:HEADER_BYTES])
        except InvalidTag:
            return None

    def open_welcome(self, frame: bytes, clear_bytes: int) -> bytes | None:
        opened = HEADER_BYTES + clear_bytes
        if len(frame) < opened + TAG_BYTES:
            return None
        try:
            return self._aead.decrypt(self._prefix + frame[16:20], frame[opened:], frame[:opened])
        except InvalidTag:
            return None
