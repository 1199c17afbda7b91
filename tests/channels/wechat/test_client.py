"""Hosts, keys and limits of the WeChat Pay client."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from tests.channels.wechat.conftest import WeChatRig, config_of

from forecourt.channels.wechat.client import Reply, Silence, WeChatClient
from forecourt.payments.types import ForgedNotice, Order, Outcome
from forecourt_kit.clock import ManualClock
from forecourt_kit.random import SeededRandom
from forecourt_simulators.channels.wechat import SignsWith
from forecourt_simulators.channels.wechat.keys import MadeKeys

Answer = httpx.Response | Exception


class Wire(httpx.AsyncBaseTransport):
    """Answers by host, and keeps what it was asked."""

    def __init__(self, **by_host: Answer) -> None:
        self.by_host = by_host
        self.asked: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.by_host[request.url.host.partition(".")[0]]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def client_on(made_keys: MadeKeys, clock: ManualClock) -> Callable[..., WeChatClient]:
    def make(wire: httpx.AsyncBaseTransport, **changes: Any) -> WeChatClient:
        config = config_of(made_keys, SignsWith.PUBLIC_KEY, **changes)
        return WeChatClient(config, clock, SeededRandom(1), wire)

    return make


def order(rig: WeChatRig, number: str = "sale-000001") -> Order:
    return Order(
        out_trade_no=number,
        amount_fen=1_00,
        description="充电",
        expires_at=rig.now() + timedelta(minutes=5),
        notify_url="https://centre.test/notices",
    )


class TestHosts:
    @pytest.mark.parametrize("why", [httpx.ConnectError("refused"), httpx.ConnectTimeout("slow")])
    async def test_the_backup_is_asked_when_the_first_cannot_be_reached(
        self, client_on: Callable[..., WeChatClient], why: Exception
    ) -> None:
        wire = Wire(wechat=why, backup=httpx.Response(500))
        async with client_on(wire, backup_url="https://backup.test") as client:
            silence = await client.ask("GET", "/v3/x")

        assert [one.url.host for one in wire.asked] == ["wechat.test", "backup.test"]
        assert isinstance(silence, Silence)
        assert silence.code == "HTTP_500"

    @pytest.mark.parametrize(
        ("why", "code"),
        [
            (httpx.ReadTimeout("slow"), "TIMEOUT"),
            (httpx.ReadError("reset"), "CONNECTION_LOST"),
            (httpx.RemoteProtocolError("cut"), "CONNECTION_LOST"),
            (httpx.WriteError("broken pipe"), "CONNECTION_LOST"),
        ],
    )
    async def test_what_may_have_arrived_is_not_sent_twice(
        self, client_on: Callable[..., WeChatClient], why: Exception, code: str
    ) -> None:
        wire = Wire(wechat=why, backup=httpx.Response(200))
        async with client_on(wire, backup_url="https://backup.test") as client:
            silence = await client.ask("POST", "/v3/x", {"a": 1})

        assert len(wire.asked) == 1
        assert isinstance(silence, Silence)
        assert silence.code == code

    async def test_an_answer_above_the_limit_is_not_read_on(
        self, client_on: Callable[..., WeChatClient]
    ) -> None:
        wire = Wire(wechat=httpx.Response(200, content=b"x" * 2_000))
        async with client_on(wire, answer_bytes_max=1_000) as client:
            silence = await client.ask("GET", "/v3/x")

        assert isinstance(silence, Silence)
        assert silence.code == "TOO_LARGE"

    async def test_a_redirect_is_not_followed(self, client_on: Callable[..., WeChatClient]) -> None:
        wire = Wire(wechat=httpx.Response(302, headers={"Location": "https://elsewhere.test/"}))
        async with client_on(wire) as client:
            assert isinstance(await client.ask("GET", "/v3/x"), Silence)

        assert len(wire.asked) == 1

    async def test_the_path_is_signed_as_it_is_sent(self, client_on: Callable[..., WeChatClient]) -> None:
        wire = Wire(wechat=httpx.Response(500))
        async with client_on(wire) as client:
            await client.ask("GET", "/v3/x/a%7Cb?plate=%E4%BA%ACA")

        assert wire.asked[0].url.raw_path == b"/v3/x/a%7Cb?plate=%E4%BA%ACA"


class TestPlatformKeys:
    async def test_certificates_are_fetched_before_the_first_request(
        self, make_rig: Callable[..., WeChatRig]
    ) -> None:
        rig = make_rig(SignsWith.CERTIFICATE)

        assert (await rig.channel.create(order(rig))).outcome is Outcome.PENDING

    @pytest.mark.parametrize("overlap", [True, False])
    async def test_a_rotation_in_the_middle_of_the_day_is_followed(
        self, make_rig: Callable[..., WeChatRig], overlap: bool
    ) -> None:
        rig = make_rig(SignsWith.CERTIFICATE)
        await rig.channel.create(order(rig))
        rig.clock.advance(10)
        await rig.do("certificates/rotate", overlap=overlap)

        assert (await rig.channel.query("sale-000001")).outcome is Outcome.PENDING

    async def test_in_the_overlap_both_certificates_are_believed(
        self, make_rig: Callable[..., WeChatRig]
    ) -> None:
        rig = make_rig(SignsWith.CERTIFICATE)
        await rig.channel.create(order(rig))
        await rig.payer_pays("sale-000001")
        [old] = await rig.deliveries(1)
        rig.clock.advance(10)
        await rig.do("certificates/rotate", overlap=True)
        assert await rig.channel.refresh_keys()
        await rig.do("notices/send", out_trade_no="sale-000001")
        _, new = await rig.deliveries(2)

        assert old.headers["wechatpay-serial"] != new.headers["wechatpay-serial"]
        first = rig.channel.read_notice(old.headers, old.body)
        assert first == rig.channel.read_notice(new.headers, new.body)

    async def test_a_retired_certificate_is_believed_no_more(
        self, make_rig: Callable[..., WeChatRig]
    ) -> None:
        rig = make_rig(SignsWith.CERTIFICATE)
        await rig.channel.create(order(rig))
        await rig.payer_pays("sale-000001")
        [old] = await rig.deliveries(1)
        rig.clock.advance(10)
        await rig.do("certificates/rotate", overlap=False)
        assert await rig.channel.refresh_keys()

        with pytest.raises(ForgedNotice, match="UNKNOWN_SERIAL"):
            rig.channel.read_notice(old.headers, old.body)

    async def test_a_notification_with_a_new_serial_makes_the_next_request_fetch(
        self, make_rig: Callable[..., WeChatRig]
    ) -> None:
        rig = make_rig(SignsWith.CERTIFICATE)
        await rig.channel.create(order(rig))
        rig.clock.advance(10)
        await rig.do("certificates/rotate")
        await rig.payer_pays("sale-000001")
        [delivery] = await rig.deliveries(1)
        with pytest.raises(ForgedNotice, match="UNKNOWN_SERIAL"):
            rig.channel.read_notice(delivery.headers, delivery.body)
        await rig.channel.query("sale-000001")

        assert rig.channel.read_notice(delivery.headers, delivery.body).payment is not None

    async def test_invented_serials_do_not_make_us_fetch_again_and_again(
        self, make_rig: Callable[..., WeChatRig]
    ) -> None:
        rig = make_rig(SignsWith.CERTIFICATE)
        await rig.channel.create(order(rig))
        rig.clock.advance(10)
        await rig.channel.refresh_keys()
        await rig.do("faults", kind="error", operation="certificates")
        for _ in range(5):
            await rig.do("forge", out_trade_no="sale-000001", how="unknown_serial")
            forged = rig.received[-1]
            with pytest.raises(ForgedNotice):
                rig.channel.read_notice(forged.headers, forged.body)
            await rig.channel.query("sale-000001")

        faults = (await rig.control.get("/_control/faults")).json()["faults"]
        assert len(faults) == 1  # Nobody asked for certificates.

    async def test_an_expired_certificate_is_not_believed(self, make_rig: Callable[..., WeChatRig]) -> None:
        rig = make_rig(SignsWith.CERTIFICATE)
        await rig.channel.create(order(rig))
        rig.clock.advance(6 * 365 * 86_400)

        answer = await rig.channel.query("sale-000001")
        assert (answer.outcome, answer.code) == (Outcome.UNKNOWN, "KEY_EXPIRED")

    async def test_while_certificates_cannot_be_fetched_known_ones_are_used(
        self, make_rig: Callable[..., WeChatRig]
    ) -> None:
        rig = make_rig(SignsWith.CERTIFICATE)
        await rig.channel.create(order(rig))
        rig.clock.advance(7_200)
        await rig.do("faults", kind="error", operation="certificates", times=None)

        assert (await rig.channel.query("sale-000001")).outcome is Outcome.PENDING

    async def test_without_any_certificate_nothing_is_asked(self, make_rig: Callable[..., WeChatRig]) -> None:
        rig = make_rig(SignsWith.CERTIFICATE)
        await rig.do("faults", kind="error", operation="certificates")

        answer = await rig.channel.create(order(rig))
        assert (answer.outcome, answer.code) == (Outcome.UNKNOWN, "SYSTEM_ERROR")
        assert rig.simulator.book.orders == {}
        rig.clock.advance(5)
        assert (await rig.channel.create(order(rig))).outcome is Outcome.PENDING

    async def test_many_at_once_fetch_once(self, make_rig: Callable[..., WeChatRig]) -> None:
        rig = make_rig(SignsWith.CERTIFICATE)
        answers = await asyncio.gather(*(rig.channel.create(order(rig, f"sale-00000{n}")) for n in range(8)))

        assert {one.outcome for one in answers} == {Outcome.PENDING}

    async def test_a_merchant_that_changes_modes_believes_both(
        self, make_rig: Callable[..., WeChatRig]
    ) -> None:
        rig = make_rig(SignsWith.PUBLIC_KEY, fetch_certificates=True)
        await rig.channel.create(order(rig))
        merchants = rig.simulator.seal.keys.merchants
        await rig.payer_pays("sale-000001")
        [by_key] = await rig.deliveries(1)
        object.__setattr__(merchants[rig.config.mchid], "signs_with", SignsWith.CERTIFICATE)
        await rig.do("notices/send", out_trade_no="sale-000001")
        _, by_certificate = await rig.deliveries(2)

        assert by_key.headers["wechatpay-serial"] != by_certificate.headers["wechatpay-serial"]
        first = rig.channel.read_notice(by_key.headers, by_key.body)
        assert first == rig.channel.read_notice(by_certificate.headers, by_certificate.body)


def test_a_reply_without_code_or_message_has_none() -> None:
    assert (Reply(404, {"code": 7}).code, Reply(404, {"message": None}).message) == ("", "")
