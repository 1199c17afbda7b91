"""A notification is believed when every byte of it is WeChat Pay's, fresh, and meant for us."""

from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.channels.conformance import Delivery
from tests.channels.wechat.conftest import WeChatRig, config_of, platform_of

from forecourt.channels.wechat import WeChatChannel
from forecourt.payments.types import ForgedNotice, Order
from forecourt_kit.clock import ManualClock
from forecourt_kit.random import SeededRandom
from forecourt_simulators.channels.wechat import SignsWith
from forecourt_simulators.channels.wechat.keys import MadeKeys
from forecourt_simulators.channels.wechat.seal import Seal, to_json

SIGNED_HEADERS = (
    "wechatpay-timestamp",
    "wechatpay-nonce",
    "wechatpay-serial",
    "wechatpay-signature",
    "wechatpay-signature-type",
)
CLOCK_SKEW_S = 300
FOR_MANY = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Post:
    """Makes genuine notifications, and reads them as the driver does."""

    def __init__(self, made: MadeKeys, clock: ManualClock, chance: SeededRandom) -> None:
        self.made = made
        self.clock = clock
        self.seal = Seal(platform_of(made, SignsWith.PUBLIC_KEY), clock, chance)
        config = config_of(made, SignsWith.PUBLIC_KEY)
        self.mchid, self.appid, self.api_v3_key = config.mchid, config.appid, config.api_v3_key.reveal()
        self.channel = WeChatChannel(config, clock, chance)

    def transaction(self, **changes: object) -> dict[str, object]:
        return {
            "mchid": self.mchid,
            "appid": self.appid,
            "out_trade_no": "sale-000001",
            "transaction_id": "42000000000000000001",
            "trade_state": "SUCCESS",
            "success_time": "2026-11-22T10:00:00+08:00",
            "payer": {"openid": "oPayer"},
            "amount": {"total": 200_00, "currency": "CNY"},
        } | changes

    def deliver(self, told: dict[str, object], key: str | None = None, **changes: object) -> Delivery:
        envelope = {
            "id": "notice-1",
            "resource_type": "encrypt-resource",
            "event_type": "TRANSACTION.SUCCESS",
            "resource": self.seal.encrypt(key or self.api_v3_key, to_json(told), "transaction"),
        } | changes
        return self.signed(to_json(envelope))

    def signed(self, body: bytes) -> Delivery:
        sealed = self.seal.sign(body, SignsWith.PUBLIC_KEY)
        return Delivery({name.lower(): value for name, value in sealed.headers.items()}, sealed.body)

    def is_believed(self, delivery: Delivery) -> bool:
        try:
            self.channel.read_notice(delivery.headers, delivery.body)
        except ForgedNotice:
            return False
        return True


@pytest.fixture
def post(made_keys: MadeKeys, clock: ManualClock, chance: SeededRandom) -> Post:
    return Post(made_keys, clock, chance)


class TestAnyAlteration:
    @FOR_MANY
    @given(data=st.data())
    def test_any_flipped_bit_of_the_body_is_refused(self, post: Post, data: st.DataObject) -> None:
        good = post.deliver(post.transaction())
        at = data.draw(st.integers(0, len(good.body) - 1))
        bit = data.draw(st.integers(0, 7))
        body = bytearray(good.body)
        body[at] ^= 1 << bit

        assert post.is_believed(good)
        assert not post.is_believed(Delivery(good.headers, bytes(body)))

    @FOR_MANY
    @given(name=st.sampled_from(SIGNED_HEADERS), data=st.data())
    def test_any_flipped_bit_of_a_signed_header_is_refused(
        self, post: Post, name: str, data: st.DataObject
    ) -> None:
        good = post.deliver(post.transaction())
        value = bytearray(good.headers[name].encode("latin-1"))
        value[data.draw(st.integers(0, len(value) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        flipped = good.headers | {name: value.decode("latin-1")}

        assert not post.is_believed(Delivery(flipped, good.body))

    @FOR_MANY
    @given(cut=st.integers(0, 400), more=st.binary(max_size=4))
    def test_a_cut_or_lengthened_body_is_refused(self, post: Post, cut: int, more: bytes) -> None:
        good = post.deliver(post.transaction())
        body = good.body[: len(good.body) - cut] + more
        if body != good.body:
            assert not post.is_believed(Delivery(good.headers, body))

    @pytest.mark.parametrize("name", SIGNED_HEADERS[:4])
    def test_a_missing_header_is_refused(self, post: Post, name: str) -> None:
        good = post.deliver(post.transaction())
        without = {one: value for one, value in good.headers.items() if one != name}

        assert not post.is_believed(Delivery(without, good.body))

    def test_another_spelling_of_the_same_signature_is_refused(self, post: Post) -> None:
        good = post.deliver(post.transaction())
        spelled = good.headers["wechatpay-signature"]
        other = spelled[:-3] + chr(ord(spelled[-3]) + 1) + "=="
        assert b64decode(other) == b64decode(spelled)  # Base64's unused bits.

        assert not post.is_believed(Delivery(good.headers | {"wechatpay-signature": other}, good.body))

    def test_header_names_in_any_case_are_read(self, post: Post) -> None:
        good = post.deliver(post.transaction())
        assert post.is_believed(
            Delivery({name.title(): value for name, value in good.headers.items()}, good.body)
        )


class TestAge:
    @pytest.mark.parametrize("skew_s", [CLOCK_SKEW_S, CLOCK_SKEW_S + 1, 86_400, 10**9])
    @pytest.mark.parametrize("sign", [1, -1])
    def test_five_minutes_either_way_are_too_far(self, post: Post, skew_s: int, sign: int) -> None:
        good = post.deliver(post.transaction())
        post.clock.step(sign * skew_s)

        assert not post.is_believed(good)

    @pytest.mark.parametrize("sign", [1, -1])
    def test_less_than_five_minutes_either_way_are_near_enough(self, post: Post, sign: int) -> None:
        good = post.deliver(post.transaction())
        post.clock.step(sign * (CLOCK_SKEW_S - 1))

        assert post.is_believed(good)

    @pytest.mark.parametrize("stamp", ["", "now", "-1", "1e9", " 1", "１", "9" * 40])
    def test_a_timestamp_that_is_none_is_refused(self, post: Post, stamp: str) -> None:
        good = post.deliver(post.transaction())

        assert not post.is_believed(Delivery(good.headers | {"wechatpay-timestamp": stamp}, good.body))


class TestContent:
    def test_another_merchants_payment_is_refused_though_rightly_signed(self, post: Post) -> None:
        other = post.made.merchant_files[1]
        told = post.transaction(mchid=other["mchid"], appid=other["appid"])

        assert not post.is_believed(post.deliver(told))
        assert not post.is_believed(post.deliver(told, key=other["api_v3_key"]))

    @pytest.mark.parametrize(
        "changes",
        [
            {"mchid": None},
            {"appid": "wx0000000000000000"},
            {"out_trade_no": None},
            {"out_trade_no": 7},
            {"transaction_id": ""},
            {"trade_state": "PAID"},
            {"trade_state": None},
            {"success_time": "2026-11-22T10:00:00"},
            {"success_time": "yesterday"},
            {"amount": {"total": 0}},
            {"amount": {"total": -1}},
            {"amount": {"total": 1.0}},
            {"amount": {"total": True}},
            {"amount": {"total": "20000"}},
            {"amount": {"total": 10**23}},
            {"amount": {"total": 20000, "currency": "USD"}},
            {"amount": None},
        ],
    )
    def test_content_that_is_not_a_payment_is_refused(self, post: Post, changes: dict[str, object]) -> None:
        assert not post.is_believed(post.deliver(post.transaction(**changes)))

    @pytest.mark.parametrize(
        "changes",
        [
            {"id": None},
            {"id": ""},
            {"id": "n" * 65},
            {"resource_type": "plain"},
            {"resource": None},
            {"resource": {}},
            {"event_type": None},
            {"event_type": "PAYSCORE.USER_PAID"},
            {"event_type": "REFUND.SUCCESS"},
        ],
    )
    def test_an_envelope_of_another_form_is_refused(self, post: Post, changes: dict[str, Any]) -> None:
        assert not post.is_believed(post.deliver(post.transaction(), **changes))

    @pytest.mark.parametrize(
        "spoilt",
        [
            {"algorithm": "AEAD_SM4_GCM"},
            {"nonce": ""},
            {"nonce": "short"},
            {"nonce": "n" * 13},
            {"nonce": None},
            {"ciphertext": ""},
            {"ciphertext": "%%%"},
            {"ciphertext": b64encode(b"x" * 16).decode()},
            {"associated_data": "refund"},
            {"associated_data": 3},
        ],
    )
    def test_a_resource_that_does_not_open_is_refused(self, post: Post, spoilt: dict[str, object]) -> None:
        resource = post.seal.encrypt(post.api_v3_key, to_json(post.transaction()), "transaction") | spoilt

        assert not post.is_believed(post.deliver({}, resource=resource))

    def test_without_associated_data_it_opens(self, post: Post) -> None:
        resource = post.seal.encrypt(post.api_v3_key, to_json(post.transaction()), "")
        del resource["associated_data"]

        assert post.is_believed(post.deliver({}, resource=resource))

    def test_the_refusal_tells_no_secret(self, post: Post) -> None:
        forged = post.deliver(post.transaction(), key="0" * 32)
        with pytest.raises(ForgedNotice) as caught:
            post.channel.read_notice(forged.headers, forged.body)

        reply = post.channel.refuse_notice(caught.value.reason)
        assert reply.status == 401
        assert b'"FAIL"' in reply.body
        assert post.api_v3_key.encode() not in reply.body


class TestRepeats:
    async def test_every_delivery_of_one_notification_has_its_id_and_fresh_signature(
        self, make_rig: Callable[..., WeChatRig]
    ) -> None:
        rig = make_rig()
        await rig.channel.create(
            Order(
                out_trade_no="sale-000001",
                amount_fen=1,
                description="充电",
                expires_at=rig.now() + timedelta(minutes=5),
                notify_url="https://centre.test/notices",
            )
        )
        await rig.do("faults", kind="notice_repeat", copies=7)
        await rig.payer_pays("sale-000001")
        arrived = await rig.deliveries(8)

        notices = [rig.channel.read_notice(one.headers, one.body) for one in arrived]
        assert len({one.notice_id for one in notices}) == 1
        assert all(one == notices[0] for one in notices)
        assert len({one.headers["wechatpay-nonce"] for one in arrived}) == 8
