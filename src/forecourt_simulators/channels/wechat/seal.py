"""Checking what merchants signed; signing and encrypting what they are sent."""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256

from forecourt_kit.clock import Clock
from forecourt_kit.random import Random
from forecourt_simulators.channels.wechat.answers import Declined
from forecourt_simulators.channels.wechat.keys import MerchantKeys, PlatformKeys, SignsWith

SCHEME = "WECHATPAY2-SHA256-RSA2048"
AGE_MAX_S = 300
STALE_S = 3_600
PARTS = re.compile(r'(\w+)="([^"]*)"')
PART_NAMES = {"mchid", "serial_no", "nonce_str", "timestamp", "signature"}


class Forgery(StrEnum):
    """Ways in which something signed can be wrong."""

    WRONG_KEY = "wrong_key"  # The right serial, another key.
    UNKNOWN_SERIAL = "unknown_serial"
    UNSIGNED = "unsigned"
    STALE = "stale"  # Rightly signed an hour ago.
    FLIPPED_BODY = "flipped_body"  # One bit of the body differs from what was signed.


@dataclass(frozen=True, slots=True)
class Sealed:
    headers: dict[str, str]
    body: bytes


class Seal:
    """Signs with the platform's keys under the simulator's clock and chance."""

    def __init__(self, keys: PlatformKeys, clock: Clock, random: Random) -> None:
        self.keys = keys
        self._clock = clock
        self._random = random
        self._impostor: RSAPrivateKey | None = None

    def merchant_of(
        self, headers: Mapping[str, str], method: str, target: bytes, body: bytes
    ) -> MerchantKeys:
        """Whose request this is; `target` is path and query as received, still percent-encoded.

        Raises:
            Declined: 401 SIGN_ERROR, with the reason in its message.
        """
        scheme, _, rest = headers.get("authorization", "").partition(" ")
        parts = dict(PARTS.findall(rest))
        if scheme != SCHEME or parts.keys() != PART_NAMES:
            raise Declined(401, "SIGN_ERROR", "Authorization 不合法: 缺少签名信息")
        merchant = self.keys.merchants.get(parts["mchid"])
        if merchant is None or merchant.serial != parts["serial_no"]:
            raise Declined(401, "SIGN_ERROR", "商户证书序列号有误: 找不到证书序列号对应的证书")
        if not (parts["timestamp"].isascii() and parts["timestamp"].isdigit()):
            raise Declined(401, "SIGN_ERROR", "签名时间戳不合法")
        if abs(int(parts["timestamp"][:12]) - self._clock.now().timestamp()) >= AGE_MAX_S:
            raise Declined(401, "SIGN_ERROR", "请求时间戳已过期")
        message = b"\n".join(
            [method.encode(), target, parts["timestamp"].encode(), parts["nonce_str"].encode(), body, b""]
        )
        try:
            merchant.public_key.verify(b64decode(parts["signature"]), message, PKCS1v15(), SHA256())
        except (InvalidSignature, ValueError):
            raise Declined(401, "SIGN_ERROR", "签名错误, 请检查后再试") from None
        return merchant

    def sign(self, body: bytes, signs_with: SignsWith, forgery: Forgery | None = None) -> Sealed:
        """The headers that make `body` ours; a forgery makes it something that must not be believed."""
        if forgery is Forgery.UNSIGNED:
            return Sealed({}, body)
        if signs_with is SignsWith.PUBLIC_KEY:
            serial, key = self.keys.public_key_id, self.keys.key
        else:
            serial, key = self.keys.certificates[-1].serial, self.keys.certificates[-1].key
        if forgery is Forgery.UNKNOWN_SERIAL:
            serial = "PUB_KEY_ID_0000000000" if signs_with is SignsWith.PUBLIC_KEY else "5F" + "0" * 36
        if forgery is Forgery.WRONG_KEY:
            key = self._impostors_key()
        stamp = int(self._clock.now().timestamp()) - (STALE_S if forgery is Forgery.STALE else 0)
        nonce = self._random.bytes(16).hex()
        message = f"{stamp}\n{nonce}\n".encode() + body + b"\n"
        if forgery is Forgery.FLIPPED_BODY and body:
            body = body[:-1] + bytes([body[-1] ^ 1])
        return Sealed(
            {
                "Wechatpay-Timestamp": str(stamp),
                "Wechatpay-Nonce": nonce,
                "Wechatpay-Serial": serial,
                "Wechatpay-Signature": b64encode(key.sign(message, PKCS1v15(), SHA256())).decode(),
                "Wechatpay-Signature-Type": SCHEME,
            },
            body,
        )

    def encrypt(self, api_v3_key: str, plain: bytes, associated_data: str) -> dict[str, Any]:
        """The `resource` form of an encrypted object."""
        nonce = self._random.bytes(6).hex()
        sealed = AESGCM(api_v3_key.encode()).encrypt(nonce.encode(), plain, associated_data.encode())
        return {
            "algorithm": "AEAD_AES_256_GCM",
            "ciphertext": b64encode(sealed).decode(),
            "nonce": nonce,
            "associated_data": associated_data,
        }

    def certificates(self, api_v3_key: str) -> dict[str, Any]:
        """The answer of GET /v3/certificates: all that are shown, each encrypted for the merchant."""
        return {
            "data": [
                {
                    "serial_no": one.serial,
                    "effective_time": one.certificate.not_valid_before_utc.isoformat(),
                    "expire_time": one.certificate.not_valid_after_utc.isoformat(),
                    "encrypt_certificate": self.encrypt(api_v3_key, one.pem.encode(), "certificate"),
                }
                for one in self.keys.certificates
            ]
        }

    def _impostors_key(self) -> RSAPrivateKey:
        if self._impostor is None:
            self._impostor = generate_private_key(public_exponent=65537, key_size=2048)
        return self._impostor


def to_json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
