"""Our signatures and encryption against implementations that are not ours: `wechatpayv3` and the openssl CLI.

Driver and simulator could share one mistake and agree; these cannot share it.
"""

import json
import re
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.channels.wechat.conftest import WeChatRig, config_of, platform_of
from wechatpayv3 import utils
from wechatpayv3.core import Core

from forecourt.channels.wechat import WeChatChannel
from forecourt.channels.wechat.config import load_keys
from forecourt.channels.wechat.signing import BadSignature, Merchant, PlatformKey, PlatformKeys, decrypt
from forecourt.payments.types import Order
from forecourt_kit.clock import ManualClock, SystemClock
from forecourt_kit.random import SeededRandom
from forecourt_simulators.channels.wechat import SignsWith
from forecourt_simulators.channels.wechat.keys import MadeKeys, private_pem, public_pem
from forecourt_simulators.channels.wechat.seal import Forgery, Seal

PARTS = re.compile(r'(\w+)="([^"]*)"')
TARGET = "/v3/pay/transactions/out-trade-no/a%7Cb%2Ac?mchid=1900000101"
BODY = '{"description":"92# 汽油"}'.encode()


def openssl(*args: str | Path, data: bytes) -> bytes:
    done = subprocess.run(["openssl", *map(str, args)], input=data, capture_output=True, check=False)
    return done.stdout


class Sdk(Core):  # type: ignore[misc]
    """The SDK with keys of the simulator; it is asked to verify and decrypt, never to connect."""

    def __init__(self, made: MadeKeys, merchant: int = 0) -> None:
        file = made.merchant_files[merchant]
        super().__init__(
            mchid=file["mchid"],
            cert_serial_no=file["merchant_serial"],
            private_key=file["merchant_private_key_pem"],
            apiv3_key=file["api_v3_key"],
            public_key=file["platform_public_key_pem"],
            public_key_id=file["platform_public_key_id"],
        )


class TestTheDriversSignature:
    def authorization(self, made: MadeKeys) -> tuple[dict[str, str], bytes]:
        config = config_of(made, SignsWith.PUBLIC_KEY)
        merchant = Merchant(mchid=config.mchid, serial=config.merchant_serial, key=load_keys(config).merchant)
        header = merchant.authorization("POST", TARGET, BODY, 1_700_000_000, "NONCE")
        scheme, _, parts = header.partition(" ")
        assert scheme == "WECHATPAY2-SHA256-RSA2048"
        signed = b"\n".join([b"POST", TARGET.encode(), b"1700000000", b"NONCE", BODY, b""])
        return dict(PARTS.findall(parts)), signed

    def test_openssl_verifies_it(self, made_keys: MadeKeys, tmp_path: Path) -> None:
        parts, signed = self.authorization(made_keys)
        mchid = parts["mchid"]
        (tmp_path / "key.pem").write_text(public_pem(made_keys.platform.merchants[mchid].public_key))
        (tmp_path / "signature").write_bytes(b64decode(parts["signature"]))

        said = openssl(
            "dgst",
            "-sha256",
            "-verify",
            tmp_path / "key.pem",
            "-signature",
            tmp_path / "signature",
            data=signed,
        )
        assert said.strip() == b"Verified OK"

    def test_the_sdk_signs_the_same_bytes_alike(self, made_keys: MadeKeys) -> None:
        parts, signed = self.authorization(made_keys)
        key = utils.load_private_key(made_keys.merchant_files[0]["merchant_private_key_pem"])

        assert utils.rsa_sign(private_key=key, sign_str=signed.decode()) == parts["signature"]

    async def test_the_sdk_signs_every_request_of_the_driver_alike(
        self, made_keys: MadeKeys, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
    ) -> None:
        sent: list[httpx.Request] = []

        def keep(request: httpx.Request) -> httpx.Response:
            sent.append(request)
            return httpx.Response(500)

        config = config_of(made_keys, SignsWith.PUBLIC_KEY)
        driver = WeChatChannel(config, clock, SeededRandom(1), httpx.MockTransport(keep))
        await driver.query("a-b_c0")
        await driver.close("a-b_c0")
        await driver.close_connections()
        monkeypatch.setattr(utils.time, "time", lambda: clock.now().timestamp())
        key = utils.load_private_key(config.merchant_private_key_pem.reveal())
        for request in sent:
            ours = request.headers["Authorization"]
            theirs = utils.build_authorization(
                request.url.raw_path.decode(),
                request.method,
                config.mchid,
                config.merchant_serial,
                key,
                data=request.content.decode(),
                nonce_str=dict(PARTS.findall(ours))["nonce_str"],
            )
            assert ours == theirs
        assert [request.method for request in sent] == ["GET", "POST"]


class TestTheDriversVerifier:
    def test_what_openssl_signs_is_believed_and_what_it_did_not_is_not(
        self, made_keys: MadeKeys, tmp_path: Path, clock: ManualClock
    ) -> None:
        (tmp_path / "key.pem").write_text(private_pem(made_keys.platform.key))
        stamp = str(int(clock.now().timestamp()))
        signature = openssl(
            "dgst", "-sha256", "-sign", tmp_path / "key.pem", data=f"{stamp}\nnonce\n".encode() + BODY + b"\n"
        )
        headers = {
            "wechatpay-serial": "PUB_KEY_ID_1",
            "wechatpay-timestamp": stamp,
            "wechatpay-nonce": "nonce",
            "wechatpay-signature": b64encode(signature).decode(),
        }
        keys = PlatformKeys([PlatformKey(serial="PUB_KEY_ID_1", key=made_keys.platform.key.public_key())])

        keys.verify(headers, BODY, clock.now())
        with pytest.raises(BadSignature):
            keys.verify(headers, BODY + b" ", clock.now())

    def test_the_documented_form_of_an_encrypted_resource_opens(self) -> None:
        # AES-256-GCM test case 13 of McGrew and Viega with a nonce of zeros, which the wire carries as text.
        resource = {
            "algorithm": "AEAD_AES_256_GCM",
            "nonce": "\0" * 12,
            "associated_data": "",
            "ciphertext": b64encode(
                bytes.fromhex("cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919")
            ).decode(),
        }
        assert decrypt(bytes(32), resource) == bytes(16)


class TestTheSimulator:
    @pytest.fixture
    def seal(self, made_keys: MadeKeys) -> Seal:
        return Seal(platform_of(made_keys, SignsWith.PUBLIC_KEY), SystemClock(), SeededRandom(1))

    @pytest.mark.parametrize("signs_with", SignsWith)
    def test_openssl_verifies_what_it_signs(self, seal: Seal, signs_with: SignsWith, tmp_path: Path) -> None:
        sealed = seal.sign(BODY, signs_with)
        key = seal.keys.key if signs_with is SignsWith.PUBLIC_KEY else seal.keys.certificates[-1].key
        (tmp_path / "key.pem").write_text(public_pem(key.public_key()))
        (tmp_path / "signature").write_bytes(b64decode(sealed.headers["Wechatpay-Signature"]))
        stamp, nonce = sealed.headers["Wechatpay-Timestamp"], sealed.headers["Wechatpay-Nonce"]

        said = openssl(
            "dgst",
            "-sha256",
            "-verify",
            tmp_path / "key.pem",
            "-signature",
            tmp_path / "signature",
            data=f"{stamp}\n{nonce}\n".encode() + BODY + b"\n",
        )
        assert said.strip() == b"Verified OK"

    @pytest.mark.parametrize("forgery", [None, Forgery.WRONG_KEY, Forgery.FLIPPED_BODY])
    def test_the_sdk_tells_its_signatures_from_its_forgeries(
        self, seal: Seal, made_keys: MadeKeys, forgery: Forgery | None
    ) -> None:
        sealed = seal.sign(b'{"a":1}', SignsWith.PUBLIC_KEY, forgery)

        is_believed = Sdk(made_keys)._verify_signature(sealed.headers, sealed.body.decode())
        assert is_believed is (forgery is None)

    async def test_the_sdk_reads_its_notifications_as_the_driver_does(
        self, made_keys: MadeKeys, make_rig: Callable[..., WeChatRig]
    ) -> None:
        rig = make_rig()
        order = Order(
            out_trade_no="sale-000001",
            amount_fen=255_13,
            description="LNG 32.50 kg",
            expires_at=rig.now() + timedelta(minutes=5),
            notify_url="https://centre.test/notices",
        )
        await rig.channel.create(order)
        await rig.payer_pays("sale-000001")
        [delivery] = await rig.deliveries(1)

        theirs: dict[str, Any] = Sdk(made_keys).callback(delivery.headers, delivery.body)
        ours = rig.channel.read_notice(delivery.headers, delivery.body)
        assert ours.payment is not None
        assert theirs["id"] == ours.notice_id
        assert theirs["resource"]["amount"]["total"] == ours.payment.amount_fen == 255_13
        assert theirs["resource"]["transaction_id"] == ours.payment.channel_no
        assert Sdk(made_keys, merchant=1).callback(delivery.headers, delivery.body) is None

    def test_openssl_reads_its_certificates(self, seal: Seal, made_keys: MadeKeys) -> None:
        file = made_keys.merchant_files[0]
        shown = seal.certificates(file["api_v3_key"])["data"][0]
        sealed = shown["encrypt_certificate"]
        pem = utils.aes_decrypt(
            sealed["nonce"], sealed["ciphertext"], sealed["associated_data"], file["api_v3_key"]
        )

        told = openssl("x509", "-noout", "-serial", data=pem.encode()).decode()
        assert told.strip() == f"serial={shown['serial_no']}"


def test_the_merchant_file_holds_what_the_sdk_needs(made_keys: MadeKeys) -> None:
    again = json.loads(json.dumps(made_keys.merchant_files[0]))
    assert utils.load_private_key(again["merchant_private_key_pem"])
    assert utils.load_public_key(again["platform_public_key_pem"])
