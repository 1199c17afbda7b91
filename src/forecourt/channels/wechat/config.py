"""Where the channel is and whose keys are used: all that differs between the simulator and the real one."""

import json
from dataclasses import MISSING, dataclass, fields
from ipaddress import ip_address
from typing import Any, get_type_hints
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from cryptography.x509 import Certificate, load_pem_x509_certificate

from forecourt_kit.secret import Secret

API_V3_KEY_BYTES = 32  # AES-256.
RSA_BITS_MIN = 2048
MERCHANT_FILE_FORMAT = "forecourt-wechat-merchant/1"


class InvalidWeChatConfig(ValueError):
    """Every part of the configuration that is wrong, at once; never with a secret in it."""

    def __init__(self, wrong: list[str]) -> None:
        lines = "\n".join(f"  - {one}" for one in wrong)
        super().__init__(f"the WeChat Pay configuration is wrong:\n{lines}")
        self.wrong = wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class WeChatConfig:
    """One merchant at WeChat Pay.

    `platform_public_key_*` is the public-key mode (微信支付公钥), which new merchants are given;
    `fetch_certificates` is the older mode, in which the platform's certificates are fetched and rotate.
    A merchant that changes from one to the other has both for a while, so both may be set; one must be.
    """

    base_url: str  # https://api.mch.weixin.qq.com, or the simulator's.
    backup_url: str = ""  # Asked only when base_url cannot be connected to.
    mchid: str
    appid: str
    merchant_serial: str  # Serial of the merchant's API certificate, upper-case hex.
    merchant_private_key_pem: Secret
    api_v3_key: Secret  # 32 characters: decrypts notifications and certificates.
    platform_public_key_id: str = ""  # PUB_KEY_ID_…
    platform_public_key_pem: str = ""
    platform_certificates_pem: tuple[str, ...] = ()  # Known beforehand; fetched ones replace them.
    fetch_certificates: bool = False
    connect_timeout_ms: int = 3_000
    answer_timeout_ms: int = 10_000  # From the first byte sent to the last byte read.
    answer_bytes_max: int = 1 << 20
    connections_max: int = 20

    @property
    def base_urls(self) -> tuple[str, ...]:
        return (self.base_url, self.backup_url) if self.backup_url else (self.base_url,)


@dataclass(frozen=True, slots=True)
class LoadedKeys:
    """The configuration's keys, parsed."""

    merchant: RSAPrivateKey
    api_v3: bytes
    platform: RSAPublicKey | None
    certificates: tuple[Certificate, ...]


def load_keys(config: WeChatConfig) -> LoadedKeys:
    """Parse and check the whole configuration.

    Raises:
        InvalidWeChatConfig: names everything that is wrong.
    """
    wrong = _wrong_texts(config)
    merchant = _load(
        load_merchant_key, config.merchant_private_key_pem.reveal(), "merchant_private_key_pem", wrong
    )
    platform = None
    if config.platform_public_key_pem:
        platform = _load(load_public_key, config.platform_public_key_pem, "platform_public_key_pem", wrong)
    certificates = [
        _load(load_certificate, pem, "platform_certificates_pem", wrong)
        for pem in config.platform_certificates_pem
    ]
    api_v3 = config.api_v3_key.reveal().encode()
    if len(api_v3) != API_V3_KEY_BYTES:
        wrong.append(f"api_v3_key: {API_V3_KEY_BYTES} characters were expected, got {len(api_v3)}")
    if wrong or merchant is None:
        raise InvalidWeChatConfig(wrong)
    return LoadedKeys(merchant, api_v3, platform, tuple(one for one in certificates if one is not None))


def load_merchant_key(pem: str) -> RSAPrivateKey:
    key = load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, RSAPrivateKey) or key.key_size < RSA_BITS_MIN:
        raise ValueError(f"an RSA key of {RSA_BITS_MIN} bits or more was expected")
    return key


def load_public_key(pem: str) -> RSAPublicKey:
    key = load_pem_public_key(pem.encode())
    if not isinstance(key, RSAPublicKey) or key.key_size < RSA_BITS_MIN:
        raise ValueError(f"an RSA key of {RSA_BITS_MIN} bits or more was expected")
    return key


def load_certificate(pem: str) -> Certificate:
    certificate = load_pem_x509_certificate(pem.encode())
    if not isinstance(certificate.public_key(), RSAPublicKey):
        raise TypeError("a certificate of an RSA key was expected")
    return certificate


def read_merchant_json(text: str) -> WeChatConfig:
    """Read a merchant file, as `forecourt-sim channels --write-keys` writes it: the fields above by name.

    Raises:
        InvalidWeChatConfig: it is not such a file.
    """
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidWeChatConfig(["the merchant file is not JSON"]) from None
    if not isinstance(given, dict) or given.pop("format", None) != MERCHANT_FILE_FORMAT:
        raise InvalidWeChatConfig([f'the merchant file has no "format": "{MERCHANT_FILE_FORMAT}"'])
    hints = get_type_hints(WeChatConfig)
    wrong = [f"{name}: no such field" for name in sorted(given.keys() - hints.keys())]
    required = {one.name for one in fields(WeChatConfig) if one.default is MISSING}
    wrong += [f"{name}: missing" for name in sorted(required - given.keys())]
    values = {name: _typed(name, hints[name], given[name], wrong) for name in given.keys() & hints.keys()}
    if wrong:
        raise InvalidWeChatConfig(wrong)
    return WeChatConfig(**values)


def _typed(name: str, hint: Any, value: Any, wrong: list[str]) -> Any:
    if hint is Secret and isinstance(value, str):
        return Secret(value)
    if hint == tuple[str, ...] and isinstance(value, list) and all(isinstance(one, str) for one in value):
        return tuple(value)
    if type(value) is hint:
        return value
    wrong.append(f"{name}: wrong type")
    return None


def _wrong_texts(config: WeChatConfig) -> list[str]:
    wrong = [
        f"{name}: must be set"
        for name in ("base_url", "mchid", "appid", "merchant_serial")
        if not getattr(config, name)
    ]
    wrong += [
        f"{name}: https:// was expected (http:// only to this machine)"
        for name in ("base_url", "backup_url")
        if getattr(config, name) and not _is_safe(getattr(config, name))
    ]
    if bool(config.platform_public_key_id) != bool(config.platform_public_key_pem):
        wrong.append("platform_public_key_id and platform_public_key_pem: set both or neither")
    if not (config.platform_public_key_pem or config.fetch_certificates or config.platform_certificates_pem):
        wrong.append("platform_public_key_pem or fetch_certificates: one is needed to verify the channel")
    return wrong


def _is_safe(url: str) -> bool:
    """Payers' codes and names travel in requests, and only answers are signed: plain HTTP stays at home."""
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return True
    if parts.scheme != "http" or not parts.hostname:
        return False
    try:
        return ip_address(parts.hostname).is_loopback
    except ValueError:
        return parts.hostname == "localhost"


def _load(loader: Any, pem: str, name: str, wrong: list[str]) -> Any:
    try:
        return loader(pem)
    except (ValueError, TypeError) as why:
        # cryptography's message never holds the key; ours says which field to look at.
        wrong.append(f"{name}: not usable as PEM ({str(why).splitlines()[0][:120]})")
        return None
