"""The simulator believes nobody: what the real channel refuses, it refuses."""

from dataclasses import replace
from typing import Any

import httpx
import pytest
from tests.simulators.channels.conftest import CODEPAY, NATIVE, ORDER, REFUNDS, MakeMerchant, Merchant

from forecourt_kit.clock import ManualClock
from forecourt_simulators.channels.wechat import SimulatorSettings
from forecourt_simulators.channels.wechat.keys import MadeKeys


def said(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json().get("code"))


class TestSignatures:
    async def test_a_right_signature_is_accepted(self, merchant: Merchant) -> None:
        assert (await merchant.ask("POST", NATIVE, merchant.native())).status_code == 200

    @pytest.mark.parametrize("age_s", [300, 301, 86_400, -300, -86_400])
    async def test_a_stale_one_is_refused(self, merchant: Merchant, age_s: int) -> None:
        answer = await merchant.ask("POST", NATIVE, merchant.native(), age_s=age_s)
        assert said(answer) == (401, "SIGN_ERROR")

    @pytest.mark.parametrize("age_s", [299, -299])
    async def test_a_fresh_one_is_accepted(self, merchant: Merchant, age_s: int) -> None:
        assert (await merchant.ask("POST", NATIVE, merchant.native(), age_s=age_s)).status_code == 200

    @pytest.mark.parametrize(
        "bent",
        [
            {"serial_no": "00"},
            {"mchid": "1999999999"},
            {"mchid": ""},
            {"signature": ""},
            {"signature": "AAAA"},
            {"signature": "%%"},
            {"timestamp": "now"},
            {"timestamp": ""},
            {"signed_body": "{}"},
            {"signed_target": NATIVE + "?"},
            {"extra": "part"},
            {"headers": {"Authorization": ""}},
            {"headers": {"Authorization": "Bearer x"}},
        ],
    )
    async def test_a_bent_one_is_refused(self, merchant: Merchant, bent: dict[str, Any]) -> None:
        answer = await merchant.ask("POST", NATIVE, merchant.native(), **bent)

        assert said(answer) == (401, "SIGN_ERROR")
        assert merchant.simulator.book.orders == {}

    async def test_another_merchants_key_is_refused(
        self, merchant: Merchant, simulated_keys: MadeKeys
    ) -> None:
        other = Merchant(merchant.simulator, simulated_keys.merchant_files[1], merchant.inbox)
        answer = await merchant.ask("POST", NATIVE, merchant.native(), key=other.key)
        await other.http.aclose()

        assert said(answer) == (401, "SIGN_ERROR")

    async def test_a_path_signed_unencoded_is_refused(self, merchant: Merchant) -> None:
        query = f"?mchid={merchant.file['mchid']}"
        sent, unencoded = f"{ORDER}a%7Cb%7Cc%2A{query}", f"{ORDER}a|b|c*{query}"

        assert said(await merchant.ask("GET", sent, signed_target=unencoded)) == (401, "SIGN_ERROR")
        assert said(await merchant.ask("GET", sent)) == (404, "ORDER_NOT_EXIST")

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"Accept": "text/html"}, 406),
            ({"User-Agent": ""}, 400),
            ({"Content-Type": "text/plain"}, 415),
            ({"Wechatpay-Serial": "PUB_KEY_ID_7"}, 400),
        ],
    )
    async def test_headers_that_the_rules_ask_for_are_needed(
        self, merchant: Merchant, headers: dict[str, str], status: int
    ) -> None:
        assert (await merchant.ask("POST", NATIVE, merchant.native(), headers=headers)).status_code == status

    async def test_a_refusal_is_signed_as_well(self, merchant: Merchant) -> None:
        answer = await merchant.ask("POST", NATIVE, merchant.native(), serial_no="00")
        assert answer.headers["Wechatpay-Signature"]


class TestOrders:
    @pytest.mark.parametrize(
        "changes",
        [
            {"amount": {"total": 200_01, "currency": "CNY"}},
            {"description": "95# 汽油"},
            {"notify_url": "https://elsewhere.test/"},
        ],
    )
    async def test_a_number_used_for_other_content_is_refused(
        self, merchant: Merchant, changes: dict[str, Any]
    ) -> None:
        await merchant.place()
        answer = await merchant.ask("POST", NATIVE, merchant.native(**changes))

        assert said(answer) == (403, "OUT_TRADE_NO_USED")

    async def test_a_number_used_by_one_product_is_refused_to_the_other(self, merchant: Merchant) -> None:
        await merchant.place("both-000001")
        answer = await merchant.ask("POST", CODEPAY, merchant.codepay("both-000001"))

        assert said(answer) == (403, "OUT_TRADE_NO_USED")

    async def test_two_merchants_may_use_one_number(
        self, merchant: Merchant, simulated_keys: MadeKeys
    ) -> None:
        other = Merchant(merchant.simulator, simulated_keys.merchant_files[1], merchant.inbox)
        await merchant.pay()
        await other.place()

        assert await merchant.state() == "SUCCESS"
        assert await other.state() == "NOTPAY"
        await other.http.aclose()

    @pytest.mark.parametrize(
        "changes",
        [
            {"out_trade_no": "short"},
            {"out_trade_no": "x" * 33},
            {"out_trade_no": "汽油-000001"},
            {"out_trade_no": None},
            {"description": ""},
            {"description": "x" * 128},
            {"notify_url": ""},
            {"time_expire": "tomorrow"},
            {"time_expire": "2026-11-22T10:00:00"},
            {"amount": {"total": 0}},
            {"amount": {"total": -1}},
            {"amount": {"total": 1.5}},
            {"amount": {"total": "1"}},
            {"amount": {"total": True}},
            {"amount": {"total": 10**11}},
            {"amount": {"total": 1, "currency": "USD"}},
            {"amount": None},
            {"mchid": "1999999999"},
        ],
    )
    async def test_an_order_of_another_form_is_refused(
        self, merchant: Merchant, changes: dict[str, Any]
    ) -> None:
        answer = await merchant.ask("POST", NATIVE, merchant.native(**changes))

        assert said(answer) == (400, "PARAM_ERROR")
        assert merchant.simulator.book.orders == {}

    async def test_another_app_is_refused(self, merchant: Merchant) -> None:
        answer = await merchant.ask("POST", NATIVE, merchant.native(appid="wx0"))
        assert said(answer) == (400, "APPID_MCHID_NOT_MATCH")

    async def test_a_payer_cannot_pay_what_is_over(self, merchant: Merchant, clock: ManualClock) -> None:
        await merchant.pay()
        assert (await merchant.do("pay", expect=409, out_trade_no="sale-000001"))["code"] == "ORDERPAID"
        await merchant.place("sale-000002")
        await merchant.end("close", "sale-000002")
        assert (await merchant.do("pay", expect=409, out_trade_no="sale-000002"))["code"] == "ORDER_CLOSED"
        soon = merchant.native("sale-000003", time_expire="2026-11-22T10:05:00+08:00")
        await merchant.ask("POST", NATIVE, soon)
        clock.advance(301)
        assert (await merchant.do("pay", expect=409, out_trade_no="sale-000003"))["code"] == "ORDER_EXPIRED"

    async def test_a_payers_code_is_good_once(self, merchant: Merchant) -> None:
        await merchant.ask("POST", CODEPAY, merchant.codepay("code-000001"))
        answer = await merchant.ask("POST", CODEPAY, merchant.codepay("code-000002"))

        assert said(answer) == (403, "AUTH_CODE_INVALID")

    @pytest.mark.parametrize(
        "code", ["", "1", "164567890123456789", "13456789012345678x", 134567890123456789]
    )
    async def test_a_code_of_another_form_is_refused(self, merchant: Merchant, code: Any) -> None:
        answer = await merchant.ask("POST", CODEPAY, merchant.codepay(code=code))
        assert said(answer) == (400, "PARAM_ERROR")

    async def test_only_a_code_payment_is_reversed(self, merchant: Merchant) -> None:
        await merchant.place()
        assert said(await merchant.end("reverse", "sale-000001")) == (400, "INVALID_REQUEST")

    async def test_a_reverse_before_15_seconds_is_refused_when_asked_for(
        self, make_merchant: MakeMerchant, clock: ManualClock
    ) -> None:
        merchant = make_merchant(SimulatorSettings(reverse_age_min_s=15))
        await merchant.ask("POST", CODEPAY, merchant.codepay())
        clock.advance(14.9)
        assert said(await merchant.end("reverse", "code-000001")) == (400, "INVALID_REQUEST")
        clock.advance(0.2)
        assert (await merchant.end("reverse", "code-000001")).status_code == 200

    async def test_a_reverse_after_a_week_is_refused(self, merchant: Merchant, clock: ManualClock) -> None:
        await merchant.ask("POST", CODEPAY, merchant.codepay())
        clock.advance(7 * 86_400 + 1)
        assert said(await merchant.end("reverse", "code-000001")) == (400, "REVERSE_EXPIRE")

    async def test_a_code_payment_that_waits_is_not_closed(self, merchant: Merchant) -> None:
        await merchant.do("faults", kind="userpaying")
        await merchant.ask("POST", CODEPAY, merchant.codepay())
        assert said(await merchant.end("close", "code-000001")) == (400, "USERPAYING")


class TestRefunds:
    async def test_above_the_balance_is_refused(self, merchant: Merchant) -> None:
        await merchant.pay()
        await merchant.ask("POST", REFUNDS, merchant.refund("refund-1", 150_00))
        answer = await merchant.ask("POST", REFUNDS, merchant.refund("refund-2", 50_01))

        assert said(answer) == (400, "INVALID_REQUEST")

    async def test_what_a_reverse_gave_back_is_not_given_twice(self, merchant: Merchant) -> None:
        await merchant.ask("POST", CODEPAY, merchant.codepay())
        await merchant.end("reverse", "code-000001")
        answer = await merchant.ask("POST", REFUNDS, merchant.refund(out_trade_no="code-000001"))

        assert said(answer) == (404, "RESOURCE_NOT_EXISTS")

    @pytest.mark.parametrize(
        "changes",
        [
            {"amount": {"refund": 0, "total": 200_00}},
            {"amount": {"refund": -1, "total": 200_00}},
            {"amount": {"refund": 1, "total": 199_99}},
            {"amount": {"refund": 1.0, "total": 200_00}},
            {"out_refund_no": ""},
            {"out_refund_no": "x" * 65},
        ],
    )
    async def test_a_refund_of_another_form_is_refused(
        self, merchant: Merchant, changes: dict[str, Any]
    ) -> None:
        await merchant.pay()
        answer = await merchant.ask("POST", REFUNDS, merchant.refund(**changes))

        assert said(answer) == (400, "PARAM_ERROR")

    async def test_a_year_later_is_too_late(self, merchant: Merchant, clock: ManualClock) -> None:
        await merchant.pay()
        clock.advance(365 * 86_400 + 1)
        answer = await merchant.ask("POST", REFUNDS, merchant.refund())

        assert said(answer) == (400, "INVALID_REQUEST")

    async def test_a_number_used_for_other_content_is_refused(self, merchant: Merchant) -> None:
        await merchant.pay()
        await merchant.ask("POST", REFUNDS, merchant.refund())
        answer = await merchant.ask("POST", REFUNDS, merchant.refund(reason="错"))

        assert said(answer) == (400, "INVALID_REQUEST")

    async def test_a_failed_refund_gives_its_amount_free(self, merchant: Merchant) -> None:
        await merchant.pay()
        await merchant.do("faults", kind="refund", polls=0, then="CLOSED")
        await merchant.ask("POST", REFUNDS, merchant.refund("refund-1", 200_00))
        await merchant.ask("GET", f"{REFUNDS}/refund-1")
        answer = await merchant.ask("POST", REFUNDS, merchant.refund("refund-2", 200_00))

        assert answer.status_code == 200


class TestBodies:
    @pytest.mark.parametrize("junk", ["[]", "null", "7", '"x"', "{", "[" * 10_000])
    async def test_junk_is_refused(self, merchant: Merchant, junk: str) -> None:
        answer = await merchant.ask("POST", NATIVE, raw=junk)
        assert said(answer) == (400, "PARAM_ERROR")

    async def test_a_large_body_is_refused(self, merchant: Merchant) -> None:
        answer = await merchant.ask("POST", NATIVE, merchant.native(attach="x" * 70_000))
        assert answer.status_code == 413


async def test_code_payments_are_notified_only_where_the_merchant_says(
    make_merchant: MakeMerchant,
) -> None:
    merchant = make_merchant()
    await merchant.ask("POST", CODEPAY, merchant.codepay("code-000001"))
    assert (await merchant.see("notices"))["notices"] == []
    merchants = merchant.simulator.seal.keys.merchants
    told = replace(merchants[merchant.file["mchid"]], code_notify_url="https://centre.test/notices")
    merchant.simulator.seal.keys.merchants = merchants | {told.mchid: told}
    body = merchant.codepay("code-000002", code="100000000000000000")
    await merchant.ask("POST", CODEPAY, body)

    assert len(await merchant.inbox.wait_for(1)) == 1
