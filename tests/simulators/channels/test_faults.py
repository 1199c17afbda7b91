"""Everything that can go wrong goes wrong on request: how, for whom, how often."""

import asyncio
from typing import Any

import pytest
from tests.simulators.channels.conftest import CODEPAY, NATIVE, REFUNDS, MakeMerchant, Merchant

from forecourt_kit.random import SeededRandom
from forecourt_simulators.channels.wechat import SimulatorSettings
from forecourt_simulators.channels.wechat.faults import FaultKind, Faults, Operation
from forecourt_simulators.channels.wechat.notifier import RETRY_AFTER_S


class TestAnswers:
    @pytest.mark.parametrize(("form", "kind"), [("json", "application/json"), ("html", "text/html")])
    async def test_a_broken_machine_answers_unsigned_without_acting(
        self, merchant: Merchant, form: str, kind: str
    ) -> None:
        await merchant.do("faults", kind="error", status=502, form=form)
        answer = await merchant.ask("POST", NATIVE, merchant.native())

        assert answer.status_code == 502
        assert answer.headers["Content-Type"].startswith(kind)
        assert "Wechatpay-Signature" not in answer.headers
        assert merchant.simulator.book.orders == {}

    async def test_it_can_act_and_then_answer_500(self, merchant: Merchant) -> None:
        await merchant.do("faults", kind="error_after")
        assert (await merchant.ask("POST", NATIVE, merchant.native())).status_code == 500
        assert await merchant.state() == "NOTPAY"

    @pytest.mark.parametrize(("kind", "state"), [("hang", "ORDER_NOT_EXIST"), ("hang_after", "NOTPAY")])
    async def test_it_can_let_a_merchant_wait(self, merchant: Merchant, kind: str, state: str) -> None:
        await merchant.do("faults", kind=kind)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(merchant.ask("POST", NATIVE, merchant.native()), 0.05)

        assert await merchant.state() == state

    async def test_userpaying_lasts_as_many_queries_as_asked(self, merchant: Merchant) -> None:
        await merchant.do("faults", kind="userpaying", polls=3, then="SUCCESS")
        answer = await merchant.ask("POST", CODEPAY, merchant.codepay())

        assert answer.json() == {"trade_state": "USERPAYING"}
        states = [await merchant.state("code-000001") for _ in range(5)]
        assert states == ["USERPAYING"] * 3 + ["SUCCESS"] * 2

    @pytest.mark.parametrize("then", ["NOTPAY", "PAYERROR"])
    async def test_userpaying_can_end_badly(self, merchant: Merchant, then: str) -> None:
        await merchant.do("faults", kind="userpaying", polls=0, then=then)
        await merchant.ask("POST", CODEPAY, merchant.codepay())

        assert await merchant.state("code-000001") == then

    async def test_success_can_come_after_a_close(self, merchant: Merchant) -> None:
        await merchant.place()
        await merchant.do("faults", kind="late_success")
        assert (await merchant.end("close", "sale-000001")).status_code == 204
        await merchant.inbox.wait_for(1)

        assert await merchant.state() == "SUCCESS"


class TestNotifications:
    async def test_a_payment_is_notified(self, merchant: Merchant) -> None:
        await merchant.pay()
        [request] = await merchant.inbox.wait_for(1)

        assert str(request.url) == "https://centre.test/notices"
        assert request.headers["Wechatpay-Serial"] == merchant.file["platform_public_key_id"]

    @pytest.mark.parametrize("refusal", [500, 401, 302, 0])
    async def test_it_is_sent_again_until_it_is_acknowledged(self, merchant: Merchant, refusal: int) -> None:
        merchant.inbox.statuses = [refusal] * 3
        await merchant.pay()
        await merchant.inbox.wait_for(4)

        [notice] = (await merchant.see("notices"))["notices"]
        assert [one["status"] for one in notice["attempts"]] == [refusal] * 3 + [200]
        assert notice["is_over"]

    async def test_after_fifteen_retries_it_is_given_up(self, merchant: Merchant) -> None:
        merchant.inbox.statuses = [500] * 20
        await merchant.pay()
        await merchant.inbox.wait_for(16)
        while not (await merchant.see("notices"))["notices"][0]["is_over"]:
            await asyncio.sleep(0)

        assert len(merchant.inbox.received) == 16

    def test_the_schedule_is_the_published_one(self) -> None:
        assert len(RETRY_AFTER_S) == 15
        assert sum(RETRY_AFTER_S) == 24 * 3600 + 4 * 60

    async def test_204_acknowledges(self, merchant: Merchant) -> None:
        merchant.inbox.statuses = [204]
        await merchant.pay()
        await merchant.inbox.wait_for(1)
        assert (await merchant.see("notices", out_trade_no="sale-000001"))["notices"][0]["is_over"]

    async def test_deliveries_can_be_lost(self, merchant: Merchant) -> None:
        await merchant.do("faults", kind="notice_lose", times=2)
        await merchant.pay()
        await merchant.inbox.wait_for(1)

        [notice] = (await merchant.see("notices"))["notices"]
        assert [one["status"] for one in notice["attempts"]] == [-1, -1, 200]

    async def test_deliveries_can_be_repeated(self, merchant: Merchant) -> None:
        await merchant.do("faults", kind="notice_repeat", copies=3)
        await merchant.pay()

        assert len({request.content for request in await merchant.inbox.wait_for(4)}) == 4  # Encrypted anew.

    async def test_they_can_be_held_and_sent_in_another_order(self, merchant: Merchant) -> None:
        await merchant.do("faults", kind="notice_hold", times=None)
        await merchant.pay("sale-000001")
        await merchant.pay("sale-000002")
        assert merchant.inbox.received == []
        for number in ("sale-000002", "sale-000001"):
            assert (await merchant.do("notices/send", out_trade_no=number))["status"] == 200

        assert [one["number"] for one in (await merchant.see("notices"))["notices"]] == [
            "sale-000001",
            "sale-000002",
        ]
        assert len(merchant.inbox.received) == 2

    async def test_one_can_arrive_before_the_answer(self, merchant: Merchant) -> None:
        await merchant.do("faults", kind="paid_early")
        await merchant.place()

        assert len(merchant.inbox.received) == 1
        assert await merchant.state() == "SUCCESS"

    async def test_a_refunds_can_arrive_before_the_answer(self, merchant: Merchant) -> None:
        await merchant.pay()
        await merchant.inbox.wait_for(1)
        await merchant.do("faults", kind="notice_early", operation="refund")
        await merchant.ask("POST", REFUNDS, merchant.refund())

        assert len(merchant.inbox.received) == 2

    async def test_a_delivery_can_be_forged_and_the_next_be_genuine(self, merchant: Merchant) -> None:
        await merchant.do("faults", kind="notice_forge", how="unsigned")
        merchant.inbox.statuses = [401]
        await merchant.pay()
        first, second = await merchant.inbox.wait_for(2)

        assert "Wechatpay-Signature" not in first.headers
        assert "Wechatpay-Signature" in second.headers

    async def test_forging_changes_no_order(self, merchant: Merchant) -> None:
        await merchant.place()
        merchant.inbox.statuses = [401]

        assert await merchant.do("forge", out_trade_no="sale-000001", how="wrong_amount") == {"status": 401}
        assert await merchant.state() == "NOTPAY"

    async def test_the_pauses_can_be_shortened(self, make_merchant: MakeMerchant) -> None:
        merchant = make_merchant(SimulatorSettings(notify_delay_scale=0.001))
        merchant.inbox.statuses = [500]
        await merchant.pay()

        assert len(await merchant.inbox.wait_for(2)) == 2


class TestControl:
    async def test_a_qr_can_be_paid_by_what_it_holds(self, merchant: Merchant) -> None:
        code_url = await merchant.place()
        paid = await merchant.do("pay", code_url=code_url, payer="oMember")

        assert (paid["trade_state"], paid["payer"]) == ("SUCCESS", {"openid": "oMember"})

    async def test_closing_the_app_fails_a_code_payment_only(self, merchant: Merchant) -> None:
        await merchant.place()
        await merchant.do("faults", kind="userpaying")
        await merchant.ask("POST", CODEPAY, merchant.codepay())

        assert (await merchant.do("close-app", out_trade_no="sale-000001"))["trade_state"] == "NOTPAY"
        assert (await merchant.do("close-app", out_trade_no="code-000001"))["trade_state"] == "PAYERROR"

    async def test_totals_are_what_a_bill_would_say(self, merchant: Merchant) -> None:
        await merchant.pay()
        await merchant.ask("POST", CODEPAY, merchant.codepay())
        await merchant.end("reverse", "code-000001")
        await merchant.ask("POST", REFUNDS, merchant.refund())
        await merchant.inbox.wait_for(2)

        assert (await merchant.see("totals"))["merchants"][merchant.file["mchid"]] == {
            "paid_fen": 400_00,
            "paid_orders": 2,
            "refunded_fen": 50_00,
            "reversed_fen": 200_00,
        }
        [sale] = (await merchant.see("orders", out_trade_no="sale-000001"))["orders"]
        assert (sale["trade_state"], sale["refunded_fen"]) == ("REFUND", 50_00)
        [refund] = (await merchant.see("refunds", out_trade_no="sale-000001"))["refunds"]
        assert refund["status"] == "SUCCESS"
        assert (await merchant.see("orders", state="REVOKED"))["orders"][0]["out_trade_no"] == "code-000001"

    @pytest.mark.parametrize(
        ("path", "content", "status"),
        [
            ("pay", {"out_trade_no": "nobody"}, 404),
            ("pay", {}, 404),
            ("close-app", {}, 404),
            ("notices/send", {}, 404),
            ("notices/send", {"id": "nobody"}, 404),
            ("faults", {}, 400),
            ("faults", {"kind": "earthquake"}, 400),
            ("faults", {"kind": "hang", "ms": -1}, 400),
            ("faults", {"kind": "hang", "ms": 1.5}, 400),
            ("faults", {"kind": "hang", "ms": None}, 400),
            ("faults", {"kind": "hang", "seconds": 1}, 400),
            ("faults", {"kind": "hang", "times": 0}, 400),
            ("faults", {"kind": "hang", "percent": 101}, 400),
            ("faults", {"kind": "hang", "operation": "everything"}, 400),
            ("faults", {"kind": "hang", "out_trade_no": 7}, 400),
            ("faults", {"kind": "error", "form": "xml"}, 400),
            ("faults", {"kind": ["hang"]}, 400),
        ],
    )
    async def test_a_wrong_request_says_what_is_wrong(
        self, merchant: Merchant, path: str, content: dict[str, Any], status: int
    ) -> None:
        answer = await merchant.do(path, expect=status, **content)
        assert answer["message"]

    @pytest.mark.parametrize("body", [b"[]", b"{", b"x" * 20_000, b"[" * 10_000])
    async def test_junk_is_refused(self, merchant: Merchant, body: bytes) -> None:
        answer = await merchant.http.post("/_control/faults", content=body)
        assert answer.status_code == 400

    async def test_faults_are_listed_and_taken_away(self, merchant: Merchant) -> None:
        await merchant.do("faults", kind="hang", out_trade_no="sale-000001")
        await merchant.do("faults", kind="error", out_trade_no="sale-000002")
        left = await merchant.http.delete("/_control/faults", params={"out_trade_no": "sale-000001"})
        assert [one["kind"] for one in left.json()["faults"]] == ["error"]
        assert (await merchant.http.delete("/_control/faults")).json() == {"faults": []}


class TestPlanning:
    def plan(self, **content: Any) -> Faults:
        faults = Faults(SeededRandom("faults"))
        faults.plan({"kind": "error", **content})
        return faults

    def strikes(self, faults: Faults, number: str = "a", operation: Operation = Operation.QUERY) -> bool:
        return faults.take(FaultKind.ERROR, operation, number) is not None

    def test_a_fault_strikes_once_unless_told_otherwise(self) -> None:
        faults = self.plan()
        assert [self.strikes(faults) for _ in range(2)] == [True, False]

    def test_a_fault_strikes_as_often_as_told(self) -> None:
        faults = self.plan(times=2)
        assert [self.strikes(faults) for _ in range(3)] == [True, True, False]

    def test_a_fault_without_end_strikes_always(self) -> None:
        faults = self.plan(times=None)
        assert all(self.strikes(faults) for _ in range(100))

    def test_a_fault_strikes_its_order_and_operation_only(self) -> None:
        faults = self.plan(out_trade_no="a", operation="close")
        assert not self.strikes(faults, "b", Operation.CLOSE)
        assert not self.strikes(faults, "a", Operation.QUERY)
        assert self.strikes(faults, "a", Operation.CLOSE)

    def test_chance_strikes_about_as_often_and_alike_for_one_seed(self) -> None:
        runs = []
        for _ in range(2):
            faults = self.plan(percent=20, times=None)
            runs.append([self.strikes(faults) for _ in range(1_000)])
        assert runs[0] == runs[1]
        assert 150 < sum(runs[0]) < 250

    def test_there_is_a_limit(self) -> None:
        faults = self.plan()
        for _ in range(999):
            faults.plan({"kind": "error"})
        with pytest.raises(ValueError, match="more than"):
            faults.plan({"kind": "error"})
