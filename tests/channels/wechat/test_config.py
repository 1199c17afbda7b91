"""Wrong configuration is told at once, all of it, without secrets; `check` tells what a right one lacks."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from tests.channels.wechat.conftest import WeChatRig, config_of

from forecourt.channels.wechat import InvalidWeChatConfig, WeChatChannel, WeChatConfig, read_merchant_json
from forecourt.channels.wechat.config import load_keys
from forecourt_kit.clock import ManualClock
from forecourt_kit.random import SeededRandom
from forecourt_kit.secret import Secret
from forecourt_simulators.channels.wechat import SignsWith
from forecourt_simulators.channels.wechat.keys import MadeKeys


@pytest.fixture
def config(made_keys: MadeKeys) -> WeChatConfig:
    return config_of(made_keys, SignsWith.PUBLIC_KEY)


class TestConfig:
    def test_a_right_one_loads(self, config: WeChatConfig) -> None:
        assert load_keys(config).merchant.key_size == 2048

    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"base_url": "http://api.mch.weixin.qq.com"}, "base_url"),
            ({"base_url": "ftp://x"}, "base_url"),
            ({"base_url": ""}, "base_url"),
            ({"backup_url": "http://10.0.0.1"}, "backup_url"),
            ({"mchid": ""}, "mchid"),
            ({"api_v3_key": Secret("short")}, "api_v3_key"),
            ({"merchant_private_key_pem": Secret("not a key")}, "merchant_private_key_pem"),
            ({"platform_public_key_pem": "not a key"}, "platform_public_key_pem"),
            ({"platform_public_key_pem": ""}, "platform_public_key_id"),
            ({"platform_certificates_pem": ("x",)}, "platform_certificates_pem"),
            ({"platform_public_key_pem": "", "platform_public_key_id": ""}, "fetch_certificates"),
        ],
    )
    def test_what_is_wrong_is_named(self, config: WeChatConfig, changes: dict[str, Any], named: str) -> None:
        with pytest.raises(InvalidWeChatConfig, match=named):
            load_keys(replace(config, **changes))

    def test_everything_wrong_is_told_at_once(self, config: WeChatConfig) -> None:
        with pytest.raises(InvalidWeChatConfig) as caught:
            load_keys(replace(config, mchid="", appid="", api_v3_key=Secret("x")))
        assert len(caught.value.wrong) == 3

    @pytest.mark.parametrize("url", ["http://127.0.0.1:7303", "http://[::1]:1", "http://localhost:1"])
    def test_plain_http_is_for_this_machine_only(self, config: WeChatConfig, url: str) -> None:
        assert load_keys(replace(config, base_url=url))

    def test_secrets_do_not_show(self, config: WeChatConfig) -> None:
        shown = f"{config!r} {config}"
        assert config.api_v3_key.reveal() not in shown
        assert "PRIVATE KEY" not in shown

    def test_an_unusable_key_is_not_quoted(self, config: WeChatConfig) -> None:
        spoilt = config.merchant_private_key_pem.reveal().replace("MII", "MIJ", 1)
        with pytest.raises(InvalidWeChatConfig) as caught:
            load_keys(replace(config, merchant_private_key_pem=Secret(spoilt)))
        assert spoilt.splitlines()[1] not in str(caught.value)


class TestMerchantFile:
    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"format": "other/1"}, "format"),
            ({"mchid": 1900000101}, "mchid"),
            ({"fetch_certificates": "yes"}, "fetch_certificates"),
            ({"answer_timeout_ms": True}, "answer_timeout_ms"),
            ({"colour": "blue"}, "colour"),
            ({"platform_certificates_pem": "x"}, "platform_certificates_pem"),
        ],
    )
    def test_a_wrong_field_is_named(self, made_keys: MadeKeys, changes: dict[str, Any], named: str) -> None:
        with pytest.raises(InvalidWeChatConfig, match=named):
            read_merchant_json(json.dumps(made_keys.merchant_files[0] | changes))

    def test_a_missing_field_is_named(self, made_keys: MadeKeys) -> None:
        content = {key: value for key, value in made_keys.merchant_files[0].items() if key != "api_v3_key"}
        with pytest.raises(InvalidWeChatConfig, match="api_v3_key: missing"):
            read_merchant_json(json.dumps(content))

    @pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 100_000])
    def test_what_is_no_file_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidWeChatConfig):
            read_merchant_json(text)


class TestCheck:
    @pytest.mark.parametrize("signs_with", SignsWith)
    async def test_right_credentials_are_told_so(
        self, make_rig: Callable[..., WeChatRig], signs_with: SignsWith
    ) -> None:
        result = await make_rig(signs_with).channel.check()

        assert (result.is_ok, result.code) == (True, "OK")

    @pytest.mark.parametrize(
        ("fault", "code", "advice"),
        [
            ({"kind": "error", "form": "html", "status": 404}, "NOT_JSON", "base_url"),
            ({"kind": "error", "status": 500}, "HTTP_500", "trouble"),
            ({"kind": "bad_answer", "how": "unsigned"}, "UNSIGNED", "base_url"),
            ({"kind": "bad_answer", "how": "wrong_key"}, "BAD_SIGNATURE", "platform_public_key_pem"),
            ({"kind": "bad_answer", "how": "unknown_serial"}, "UNKNOWN_SERIAL", "platform_public_key_id"),
            ({"kind": "decline", "status": 401, "code": "SIGN_ERROR"}, "SIGN_ERROR", "merchant_serial"),
            ({"kind": "decline", "status": 403, "code": "NO_AUTH"}, "NO_AUTH", "产品中心"),
            ({"kind": "decline", "status": 418, "code": "TEAPOT"}, "TEAPOT", "does not know"),
        ],
    )
    async def test_what_is_wrong_is_told_in_words(
        self, make_rig: Callable[..., WeChatRig], fault: dict[str, Any], code: str, advice: str
    ) -> None:
        rig = make_rig()
        await rig.do("faults", **fault)
        result = await rig.channel.check()

        assert (result.is_ok, result.code) == (False, code)
        assert advice in result.message

    async def test_silence_is_told(self, make_rig: Callable[..., WeChatRig]) -> None:
        rig = make_rig(answer_timeout_ms=50)
        await rig.do("faults", kind="hang")
        result = await rig.channel.check()

        assert (result.is_ok, result.code) == (False, "TIMEOUT")
        assert "firewall" in result.message

    async def test_a_wrong_merchant_key_is_told(
        self, make_rig: Callable[..., WeChatRig], made_keys: MadeKeys
    ) -> None:
        other = made_keys.merchant_files[1]["merchant_private_key_pem"]
        result = await make_rig(merchant_private_key_pem=other).channel.check()

        assert (result.is_ok, result.code) == (False, "SIGN_ERROR")

    async def test_a_wrong_api_v3_key_is_told_in_certificate_mode(
        self, make_rig: Callable[..., WeChatRig]
    ) -> None:
        result = await make_rig(SignsWith.CERTIFICATE, api_v3_key="0" * 32).channel.check()

        assert (result.is_ok, result.code) == (False, "API_V3_KEY")
        assert "api_v3_key" in result.message

    async def test_a_clock_that_is_off_is_told(
        self, made_keys: MadeKeys, make_rig: Callable[..., WeChatRig]
    ) -> None:
        rig = make_rig()
        off = ManualClock(rig.now())
        off.step(3_600)
        wire = httpx.ASGITransport(rig.simulator.app)
        channel = WeChatChannel(rig.config, off, SeededRandom(1), wire)
        result = await channel.check()
        await channel.close_connections()

        assert (result.is_ok, result.code) == (False, "STALE")
        assert "-3600 s" in result.message

    async def test_nobody_there_is_told(self, config: WeChatConfig, clock: ManualClock) -> None:
        def refuse(request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("Connection refused")

        channel = WeChatChannel(config, clock, SeededRandom(1), httpx.MockTransport(refuse))
        result = await channel.check()
        await channel.close_connections()

        assert (result.is_ok, result.code) == (False, "UNREACHABLE")
        assert "https://wechat.test" in result.message

    async def test_checking_leaves_no_order_behind(self, make_rig: Callable[..., WeChatRig]) -> None:
        rig = make_rig()
        await rig.channel.check()

        assert rig.simulator.book.orders == {}
