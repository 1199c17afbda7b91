"""Key material of the simulated platform and its merchants: made, written, read.

RSA keys come from OpenSSL's own randomness, so two runs of one seed differ in key bytes and in nothing else.
"""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from cryptography.x509.oid import NameOID

from forecourt_kit.disk import Disk
from forecourt_kit.random import Random

MERCHANT_FORMAT = "forecourt-wechat-merchant/1"
PLATFORM_FORMAT = "forecourt-sim-wechat-platform/1"
PLATFORM_FILE = "platform.json"
FIRST_MCHID = 1_900_000_101
SECRET_FILE_MODE = 0o600
SECRET_DIRECTORY_MODE = 0o700
CERTIFICATE_DAYS = 5 * 365


class SignsWith(StrEnum):
    """Which key signs what a merchant is sent."""

    PUBLIC_KEY = "public_key"  # 微信支付公钥
    CERTIFICATE = "certificate"  # 平台证书, fetched and rotated


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantKeys:
    """What the platform knows of one merchant."""

    mchid: str
    appid: str
    serial: str
    public_key: RSAPublicKey
    api_v3_key: str
    signs_with: SignsWith = SignsWith.PUBLIC_KEY
    code_notify_url: str = ""  # Where code payments are notified to; nowhere when empty, as at the real one.


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformCertificate:
    key: RSAPrivateKey
    certificate: x509.Certificate

    @property
    def serial(self) -> str:
        return f"{self.certificate.serial_number:X}"

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()


@dataclass(slots=True, kw_only=True)
class PlatformKeys:
    """The platform's own keys and its merchants. The last shown certificate signs."""

    public_key_id: str
    key: RSAPrivateKey
    certificates: list[PlatformCertificate]
    spare: PlatformCertificate
    merchants: dict[str, MerchantKeys] = field(default_factory=dict)

    def rotate(self, *, overlap: bool) -> PlatformCertificate:
        """Sign with the next certificate from now on; without overlap the old one is no longer shown.

        There are two certificates, taken in turn, so that a seeded run needs no new key.
        """
        retired = self.certificates[-1]
        self.certificates = [retired, self.spare] if overlap else [self.spare]
        self.spare = retired
        return self.certificates[-1]


@dataclass(frozen=True, slots=True)
class MadeKeys:
    """`merchant_files` are for the centre, one a merchant, with private keys; `platform` stays here."""

    platform: PlatformKeys
    merchant_files: list[dict[str, Any]]


def make_keys(
    random: Random,
    now: datetime,
    *,
    base_url: str,
    merchants: int = 1,
    signs_with: SignsWith = SignsWith.PUBLIC_KEY,
) -> MadeKeys:
    """Make a platform with its merchants, and what each merchant is given."""
    platform = PlatformKeys(
        public_key_id=f"PUB_KEY_ID_0{FIRST_MCHID}{random.below(10**18):018d}",
        key=_new_key(),
        certificates=[_new_certificate(random, now)],
        spare=_new_certificate(random, now),
    )
    files = []
    for number in range(merchants):
        private = _new_key()
        merchant = MerchantKeys(
            mchid=str(FIRST_MCHID + number),
            appid=f"wx{random.bytes(8).hex()}",
            serial=f"5{random.bytes(20).hex().upper()[1:]}",
            public_key=private.public_key(),
            api_v3_key=random.bytes(16).hex(),
            signs_with=signs_with,
        )
        platform.merchants[merchant.mchid] = merchant
        files.append(_merchant_file(platform, merchant, private, base_url))
    return MadeKeys(platform, files)


def write_keys(disk: Disk, directory: Path, made: MadeKeys) -> list[Path]:
    """Write platform.json, merchant.json, merchant-2.json …, readable by their owner alone; their paths."""
    disk.make_directory(directory, SECRET_DIRECTORY_MODE)
    contents = {PLATFORM_FILE: _platform_file(made.platform)}
    for number, content in enumerate(made.merchant_files, start=1):
        contents["merchant.json" if number == 1 else f"merchant-{number}.json"] = content
    for name, content in contents.items():
        data = json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n"
        disk.replace(directory / name, data, SECRET_FILE_MODE)
    return [directory / name for name in contents]


def read_platform(disk: Disk, directory: Path) -> PlatformKeys:
    """Read what `write_keys` wrote. Raises FileNotFoundError, ValueError."""
    content = json.loads(disk.read(directory / PLATFORM_FILE))
    if content.get("format") != PLATFORM_FORMAT:
        raise ValueError(f"{PLATFORM_FILE} is not of format {PLATFORM_FORMAT}")
    certificates = [_read_certificate(one) for one in content["certificates"]]
    merchants = [
        MerchantKeys(
            mchid=one["mchid"],
            appid=one["appid"],
            serial=one["serial"],
            public_key=_read_public_key(one["public_key_pem"]),
            api_v3_key=one["api_v3_key"],
            signs_with=SignsWith(one["signs_with"]),
            code_notify_url=one["code_notify_url"],
        )
        for one in content["merchants"]
    ]
    return PlatformKeys(
        public_key_id=content["public_key_id"],
        key=_read_private_key(content["private_key_pem"]),
        certificates=certificates,
        spare=_read_certificate(content["spare"]),
        merchants={one.mchid: one for one in merchants},
    )


def private_pem(key: RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(key: RSAPublicKey) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _merchant_file(
    platform: PlatformKeys, merchant: MerchantKeys, private: RSAPrivateKey, base_url: str
) -> dict[str, Any]:
    by_public_key = merchant.signs_with is SignsWith.PUBLIC_KEY
    return {
        "format": MERCHANT_FORMAT,
        "base_url": base_url,
        "mchid": merchant.mchid,
        "appid": merchant.appid,
        "merchant_serial": merchant.serial,
        "merchant_private_key_pem": private_pem(private),
        "api_v3_key": merchant.api_v3_key,
        "platform_public_key_id": platform.public_key_id if by_public_key else "",
        "platform_public_key_pem": public_pem(platform.key.public_key()) if by_public_key else "",
        "fetch_certificates": not by_public_key,
    }


def _platform_file(platform: PlatformKeys) -> dict[str, Any]:
    return {
        "format": PLATFORM_FORMAT,
        "public_key_id": platform.public_key_id,
        "private_key_pem": private_pem(platform.key),
        "certificates": [_certificate_file(one) for one in platform.certificates],
        "spare": _certificate_file(platform.spare),
        "merchants": [
            {
                "mchid": one.mchid,
                "appid": one.appid,
                "serial": one.serial,
                "public_key_pem": public_pem(one.public_key),
                "api_v3_key": one.api_v3_key,
                "signs_with": one.signs_with.value,
                "code_notify_url": one.code_notify_url,
            }
            for one in platform.merchants.values()
        ],
    }


def _certificate_file(one: PlatformCertificate) -> dict[str, str]:
    return {"certificate_pem": one.pem, "private_key_pem": private_pem(one.key)}


def _read_certificate(content: dict[str, str]) -> PlatformCertificate:
    return PlatformCertificate(
        key=_read_private_key(content["private_key_pem"]),
        certificate=x509.load_pem_x509_certificate(content["certificate_pem"].encode()),
    )


def _read_private_key(pem: str) -> RSAPrivateKey:
    key = load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, RSAPrivateKey):
        raise TypeError("an RSA key was expected")
    return key


def _read_public_key(pem: str) -> RSAPublicKey:
    key = load_pem_public_key(pem.encode())
    if not isinstance(key, RSAPublicKey):
        raise TypeError("an RSA key was expected")
    return key


def _new_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


def _new_certificate(random: Random, now: datetime) -> PlatformCertificate:
    key = _new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Simulated Tenpay.com Root CA")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(int.from_bytes(b"\x5f" + random.bytes(18)))
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=CERTIFICATE_DAYS))
        .sign(key, SHA256())
    )
    return PlatformCertificate(key=key, certificate=certificate)
