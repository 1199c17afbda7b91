"""Seals small secrets for the database: AES-256-GCM under a master key that the database never sees.

A sealed value says which master key opens it and is bound to its place (`context`, such as `device:17:psk`),
so that it cannot be moved to another row. Layout: version 1 | key number 1 | nonce 12 | ciphertext and tag.
"""

import hmac
from collections.abc import Mapping
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from forecourt_kit.random import Random

VERSION = 1
KEY_BYTES = 32
NONCE_BYTES = 12
HEAD_BYTES = 2 + NONCE_BYTES
SEALED_OVERHEAD_BYTES = HEAD_BYTES + 16


class SealBroken(Exception):
    """A sealed value was altered, moved, or sealed under a master key that is not here."""


class Vault:
    """`masters` maps key numbers (0..255) to 32-byte master keys; `current` seals, all of them open."""

    def __init__(self, masters: Mapping[int, bytes], current: int, random: Random) -> None:
        assert current in masters
        assert all(len(key) == KEY_BYTES and 0 <= number <= 255 for number, key in masters.items())
        self._ciphers = {number: AESGCM(_derived(key, b"seal")) for number, key in masters.items()}
        # Blind indexes do not rotate with the current key, or nothing sealed before could be found again.
        self._index_key = _derived(masters[min(masters)], b"index")
        self._current = current
        self._random = random

    def seal(self, value: bytes, context: str) -> bytes:
        nonce = self._random.bytes(NONCE_BYTES)
        head = bytes((VERSION, self._current)) + nonce
        return head + self._ciphers[self._current].encrypt(nonce, value, context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        """Raises `SealBroken`."""
        cipher = self._ciphers.get(sealed[1]) if len(sealed) >= SEALED_OVERHEAD_BYTES else None
        if cipher is None or sealed[0] != VERSION:
            raise SealBroken(context)
        try:
            return cipher.decrypt(sealed[2:HEAD_BYTES], sealed[HEAD_BYTES:], context.encode())
        except InvalidTag:
            raise SealBroken(context) from None

    def blind_index(self, value: str, context: str) -> str:
        """A keyed hash (hexadecimal, 64 characters) to find a sealed value by, equal within one context."""
        return hmac.digest(self._index_key, f"{context}\0{value}".encode(), sha256).hex()


def _derived(master: bytes, purpose: bytes) -> bytes:
    return HKDFExpand(algorithm=SHA256(), length=KEY_BYTES, info=b"forecourt vault " + purpose).derive(master)
