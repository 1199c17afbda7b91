"""What every `payments.types.Channel` must do.

A channel's suite subclasses `ChannelConformance` and gives a fixture `rig`. The rig plays the other side:
the payer, the channel's moods, and the notifications it sends.
"""

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

import pytest

from forecourt.core.db.session import open_transaction
from forecourt.payments.types import Channel, ForgedNotice, Order, Outcome, RefundOrder, RefundOutcome

PAYER_CODE = "134567890123456789"


class Breakage(StrEnum):
    """Ways in which an answer can fail to be one."""

    SERVER_ERROR = "server_error"
    HTML = "html"
    SERVER_ERROR_AFTER_ACTING = "server_error_after_acting"
    TIMEOUT = "timeout"
    TIMEOUT_AFTER_ACTING = "timeout_after_acting"
    FORGED_ANSWER = "forged_answer"
    UNSIGNED_ANSWER = "unsigned_answer"
    STALE_ANSWER = "stale_answer"
    ALTERED_ANSWER = "altered_answer"


BEFORE_ACTING = (Breakage.SERVER_ERROR, Breakage.HTML, Breakage.TIMEOUT)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One notification as it arrived."""

    headers: dict[str, str]
    body: bytes


class Rig(Protocol):
    channel: Channel

    def now(self) -> datetime: ...

    async def payer_pays(self, out_trade_no: str) -> None: ...

    async def next_code_waits_for_the_payer(self) -> None: ...

    async def next_code_is_declined(self) -> None: ...

    async def payer_gives_up(self, out_trade_no: str) -> None: ...

    async def money_comes_after_the_next_close(self) -> None: ...

    async def next_answer_breaks(self, how: Breakage) -> None: ...

    async def given_back_fen(self, out_trade_no: str) -> int:
        """What the channel itself says went back to the payer."""
        ...

    async def deliveries(self, count: int) -> list[Delivery]:
        """Wait until the channel has sent this many notifications; all of them, oldest first."""
        ...

    async def forged(self, out_trade_no: str) -> list[Delivery]:
        """One success notification of each kind that must not be believed."""
        ...


class ChannelConformance:
    """Inherit it; define the fixture `rig`."""

    def order(self, rig: Rig, number: str = "sale-000001", amount_fen: int = 200_00) -> Order:
        return Order(
            out_trade_no=number,
            amount_fen=amount_fen,
            description="92# 汽油 25.48 L",
            expires_at=rig.now() + timedelta(minutes=5),
            notify_url="https://centre.test/notices",
            station_name="一号站",
        )

    def code_order(self, rig: Rig, number: str = "code-000001", amount_fen: int = 200_00) -> Order:
        return replace(self.order(rig, number, amount_fen), payer_code=PAYER_CODE)

    def refund_order(self, number: str = "refund-1", amount_fen: int = 50_00) -> RefundOrder:
        return RefundOrder(
            out_refund_no=number,
            out_trade_no="sale-000001",
            amount_fen=amount_fen,
            paid_fen=200_00,
            reason="预付余额退回",
            notify_url="https://centre.test/notices",
        )

    async def paid(self, rig: Rig) -> None:
        await rig.channel.create(self.order(rig))
        await rig.payer_pays("sale-000001")

    # Native orders.

    async def test_a_new_order_waits_with_something_to_scan(self, rig: Rig) -> None:
        answer = await rig.channel.create(self.order(rig))

        assert answer.outcome is Outcome.PENDING
        assert answer.qr
        assert (await rig.channel.query("sale-000001")).outcome is Outcome.PENDING

    async def test_the_same_order_again_is_the_same_qr(self, rig: Rig) -> None:
        first = await rig.channel.create(self.order(rig))
        again = await rig.channel.create(self.order(rig))

        assert again == first

    async def test_a_number_used_for_another_amount_is_never_a_new_order(self, rig: Rig) -> None:
        await rig.channel.create(self.order(rig))
        answer = await rig.channel.create(self.order(rig, amount_fen=1))

        assert answer.outcome is Outcome.PENDING  # How the first order stands,
        assert answer.qr is None  # and nothing that lets anyone pay the second.

    async def test_a_paid_order_tells_amount_number_time_and_payer(self, rig: Rig) -> None:
        await self.paid(rig)
        answer = await rig.channel.query("sale-000001")

        assert answer.outcome is Outcome.PAID
        assert answer.out_trade_no == "sale-000001"
        assert answer.amount_fen == 200_00
        assert answer.channel_no
        assert answer.payer
        assert answer.paid_at is not None
        assert abs(answer.paid_at - rig.now()) < timedelta(seconds=2)

    async def test_placing_a_paid_order_again_says_paid(self, rig: Rig) -> None:
        await self.paid(rig)
        answer = await rig.channel.create(self.order(rig))

        assert (answer.outcome, answer.amount_fen) == (Outcome.PAID, 200_00)

    async def test_an_order_that_never_arrived_is_not_found(self, rig: Rig) -> None:
        assert (await rig.channel.query("sale-999999")).outcome is Outcome.NOT_FOUND

    async def test_closing_ends_an_unpaid_order_for_good(self, rig: Rig) -> None:
        await rig.channel.create(self.order(rig))

        assert (await rig.channel.close("sale-000001")).outcome is Outcome.CLOSED
        assert (await rig.channel.close("sale-000001")).outcome is Outcome.CLOSED
        assert (await rig.channel.query("sale-000001")).outcome is Outcome.CLOSED
        assert (await rig.channel.create(self.order(rig))).outcome is Outcome.CLOSED

    async def test_closing_a_paid_order_says_paid(self, rig: Rig) -> None:
        await self.paid(rig)
        answer = await rig.channel.close("sale-000001")

        assert (answer.outcome, answer.amount_fen) == (Outcome.PAID, 200_00)

    async def test_what_never_arrived_can_be_ended(self, rig: Rig) -> None:
        assert (await rig.channel.close("sale-999999")).outcome is Outcome.CLOSED
        assert (await rig.channel.reverse("code-999999")).outcome is Outcome.CLOSED

    async def test_money_after_a_close_is_told_when_asked_and_by_notification(self, rig: Rig) -> None:
        await rig.channel.create(self.order(rig))
        await rig.money_comes_after_the_next_close()
        assert (await rig.channel.close("sale-000001")).outcome is Outcome.CLOSED
        [delivery] = await rig.deliveries(1)

        notice = rig.channel.read_notice(delivery.headers, delivery.body)
        assert notice.payment is not None
        assert notice.payment.outcome is Outcome.PAID
        assert (await rig.channel.query("sale-000001")).outcome is Outcome.PAID

    # Code payments.

    async def test_a_code_payment_is_paid_at_once(self, rig: Rig) -> None:
        answer = await rig.channel.charge_code(self.code_order(rig))

        assert (answer.outcome, answer.amount_fen) == (Outcome.PAID, 200_00)
        assert await rig.channel.query("code-000001") == answer

    async def test_a_code_payment_waits_for_the_pin(self, rig: Rig) -> None:
        await rig.next_code_waits_for_the_payer()

        assert (await rig.channel.charge_code(self.code_order(rig))).outcome is Outcome.PENDING
        assert (await rig.channel.query("code-000001")).outcome is Outcome.PENDING
        await rig.payer_pays("code-000001")
        assert (await rig.channel.query("code-000001")).outcome is Outcome.PAID

    async def test_a_declined_code_payment_is_a_final_no(self, rig: Rig) -> None:
        await rig.next_code_is_declined()
        answer = await rig.channel.charge_code(self.code_order(rig))

        assert answer.outcome is Outcome.FAILED
        assert answer.code
        assert (await rig.channel.query("code-000001")).outcome is Outcome.NOT_FOUND

    async def test_a_reverse_ends_a_code_payment_that_waits(self, rig: Rig) -> None:
        await rig.next_code_waits_for_the_payer()
        await rig.channel.charge_code(self.code_order(rig))

        assert (await rig.channel.reverse("code-000001")).outcome is Outcome.CLOSED
        assert (await rig.channel.query("code-000001")).outcome is Outcome.CLOSED

    async def test_a_payer_who_gives_up_is_not_final_before_the_reverse(self, rig: Rig) -> None:
        await rig.next_code_waits_for_the_payer()
        await rig.channel.charge_code(self.code_order(rig))
        await rig.payer_gives_up("code-000001")

        assert (await rig.channel.query("code-000001")).outcome is Outcome.PENDING
        assert (await rig.channel.reverse("code-000001")).outcome is Outcome.CLOSED

    async def test_a_reverse_gives_paid_money_back_once(self, rig: Rig) -> None:
        await rig.channel.charge_code(self.code_order(rig))

        assert (await rig.channel.reverse("code-000001")).outcome is Outcome.CLOSED
        assert (await rig.channel.reverse("code-000001")).outcome is Outcome.CLOSED
        assert await rig.given_back_fen("code-000001") == 200_00

    async def test_the_payers_code_is_never_shown(self, rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
        order = self.code_order(rig)
        with caplog.at_level(logging.DEBUG):
            await rig.next_answer_breaks(Breakage.SERVER_ERROR)
            await rig.channel.charge_code(order)
            await rig.channel.charge_code(order)

        shown = [repr(order), str(order)]
        shown += [f"{record.getMessage()} {vars(record)}" for record in caplog.records]
        assert not [text for text in shown if PAYER_CODE in text]

    # Refunds.

    async def test_a_refund_ends_succeeded(self, rig: Rig) -> None:
        await self.paid(rig)
        asked = await rig.channel.refund(self.refund_order())
        assert asked.outcome in (RefundOutcome.PENDING, RefundOutcome.SUCCEEDED)
        _, delivery = await rig.deliveries(2)

        answer = await rig.channel.query_refund("refund-1")
        assert (answer.outcome, answer.amount_fen) == (RefundOutcome.SUCCEEDED, 50_00)
        assert answer.channel_no == asked.channel_no
        notice = rig.channel.read_notice(delivery.headers, delivery.body)
        assert notice.payment is None
        assert notice.refund == answer
        assert (
            await rig.channel.query("sale-000001")
        ).outcome is Outcome.PAID  # It was, and in part still is.

    async def test_a_refund_asked_twice_is_given_once(self, rig: Rig) -> None:
        await self.paid(rig)
        first = await rig.channel.refund(self.refund_order())
        again = await rig.channel.refund(self.refund_order())

        assert again.channel_no == first.channel_no
        assert await rig.given_back_fen("sale-000001") == 50_00

    async def test_a_refund_number_used_for_another_amount_is_refused(self, rig: Rig) -> None:
        await self.paid(rig)
        await rig.channel.refund(self.refund_order())

        assert (await rig.channel.refund(self.refund_order(amount_fen=1))).outcome is RefundOutcome.REFUSED
        assert await rig.given_back_fen("sale-000001") == 50_00

    async def test_refunds_never_exceed_what_was_paid(self, rig: Rig) -> None:
        await self.paid(rig)
        await rig.channel.refund(self.refund_order("refund-1", 150_00))
        too_much = await rig.channel.refund(self.refund_order("refund-2", 50_01))
        the_rest = await rig.channel.refund(self.refund_order("refund-3", 50_00))

        assert too_much.outcome is RefundOutcome.REFUSED
        assert the_rest.outcome in (RefundOutcome.PENDING, RefundOutcome.SUCCEEDED)
        assert await rig.given_back_fen("sale-000001") == 200_00

    async def test_an_unpaid_order_has_nothing_to_refund(self, rig: Rig) -> None:
        await rig.channel.create(self.order(rig))

        assert (await rig.channel.refund(self.refund_order())).outcome is RefundOutcome.REFUSED

    async def test_a_refund_that_never_arrived_is_not_found(self, rig: Rig) -> None:
        assert (await rig.channel.query_refund("refund-9")).outcome is RefundOutcome.NOT_FOUND

    # Answers that are none.

    @pytest.mark.parametrize("how", Breakage)
    async def test_what_cannot_be_believed_is_unknown_and_the_truth_is_asked(
        self, rig: Rig, how: Breakage
    ) -> None:
        await rig.next_answer_breaks(how)
        answer = await rig.channel.create(self.order(rig))

        assert answer.outcome is Outcome.UNKNOWN
        assert answer.code
        assert answer.qr is None
        expected = Outcome.NOT_FOUND if how in BEFORE_ACTING else Outcome.PENDING
        assert (await rig.channel.query("sale-000001")).outcome is expected

    @pytest.mark.parametrize("how", Breakage)
    async def test_a_code_payment_whose_answer_is_lost_is_unknown(self, rig: Rig, how: Breakage) -> None:
        await rig.next_answer_breaks(how)
        answer = await rig.channel.charge_code(self.code_order(rig))

        assert answer.outcome is Outcome.UNKNOWN
        expected = Outcome.NOT_FOUND if how in BEFORE_ACTING else Outcome.PAID
        assert (await rig.channel.query("code-000001")).outcome is expected

    @pytest.mark.parametrize("how", Breakage)
    async def test_no_question_about_an_order_believes_a_broken_answer(self, rig: Rig, how: Breakage) -> None:
        await self.paid(rig)
        for ask in (rig.channel.query, rig.channel.close):
            await rig.next_answer_breaks(how)
            assert (await ask("sale-000001")).outcome is Outcome.UNKNOWN
            assert (await ask("sale-000001")).outcome is Outcome.PAID

    @pytest.mark.parametrize("how", Breakage)
    async def test_a_reverse_without_an_answer_is_called_again(self, rig: Rig, how: Breakage) -> None:
        await rig.channel.charge_code(self.code_order(rig))
        await rig.next_answer_breaks(how)

        assert (await rig.channel.reverse("code-000001")).outcome is Outcome.UNKNOWN
        assert (await rig.channel.reverse("code-000001")).outcome is Outcome.CLOSED
        assert await rig.given_back_fen("code-000001") == 200_00

    @pytest.mark.parametrize("how", Breakage)
    async def test_a_refund_without_an_answer_is_unknown_and_given_once(
        self, rig: Rig, how: Breakage
    ) -> None:
        await self.paid(rig)
        await rig.next_answer_breaks(how)

        assert (await rig.channel.refund(self.refund_order())).outcome is RefundOutcome.UNKNOWN
        again = await rig.channel.refund(self.refund_order())
        assert again.outcome in (RefundOutcome.PENDING, RefundOutcome.SUCCEEDED)
        assert await rig.given_back_fen("sale-000001") == 50_00
        await rig.next_answer_breaks(how)
        assert (await rig.channel.query_refund("refund-1")).outcome is RefundOutcome.UNKNOWN

    # Notifications.

    async def test_a_notification_says_what_a_query_says(self, rig: Rig) -> None:
        await self.paid(rig)
        [delivery] = await rig.deliveries(1)

        notice = rig.channel.read_notice(delivery.headers, delivery.body)
        assert notice.merchant == rig.channel.merchant
        assert notice.refund is None
        assert notice.payment == await rig.channel.query("sale-000001")

    async def test_the_same_notification_has_the_same_id_and_two_have_two(self, rig: Rig) -> None:
        await self.paid(rig)
        await rig.channel.create(self.order(rig, "sale-000002"))
        await rig.payer_pays("sale-000002")
        first, second = [
            rig.channel.read_notice(one.headers, one.body).notice_id for one in await rig.deliveries(2)
        ]
        [one, _] = await rig.deliveries(2)

        assert first != second
        assert rig.channel.read_notice(one.headers, one.body).notice_id == first

    async def test_forged_notifications_are_refused(self, rig: Rig) -> None:
        await rig.channel.create(self.order(rig))
        forged = await rig.forged("sale-000001")

        assert forged
        for one in forged:
            with pytest.raises(ForgedNotice):
                rig.channel.read_notice(one.headers, one.body)

    @pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 50_000, b"<xml/>"])
    async def test_junk_is_refused(self, rig: Rig, body: bytes) -> None:
        await self.paid(rig)
        [delivery] = await rig.deliveries(1)

        for headers in ({}, delivery.headers):
            with pytest.raises(ForgedNotice):
                rig.channel.read_notice(headers, body)

    async def test_a_refused_notification_will_be_sent_again(self, rig: Rig) -> None:
        assert rig.channel.accept_notice().status == 200
        refused = rig.channel.refuse_notice("another merchant's")
        assert 400 <= refused.status < 600

    # The house rule.

    async def test_the_network_is_never_asked_inside_a_transaction(self, rig: Rig) -> None:
        token = open_transaction.set("write")
        try:
            with pytest.raises(AssertionError, match="transaction is open"):
                await rig.channel.query("sale-000001")
        finally:
            open_transaction.reset(token)
