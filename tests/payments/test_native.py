"""A QR that the payer scans: told, asked, lost, repeated, forged, late, twice; on every engine."""

import asyncio

import pytest
from tests.shop import PUBLIC_URL, Shop
from tests.wire import Cut, Killed

from forecourt.payments import queries
from forecourt.payments.errors import PaymentEndedAlready
from forecourt.payments.types import PaymentState, RefundState
from forecourt.sales.types import SaleState

FORGERIES = (
    "wrong_key",
    "unknown_serial",
    "unsigned",
    "stale",
    "flipped_body",
    "wrong_key_of_content",
    "wrong_merchant",
)


class TestPaid:
    async def test_by_notification(self, shop: Shop) -> None:
        sale = await shop.world.fill("95", 10_0000)
        qr = await shop.show_qr(sale)
        assert (qr.state, (await shop.sale(sale)).state) == (PaymentState.PENDING, SaleState.PAYING)
        assert (qr.qr or "").startswith("weixin://")

        await shop.payer_pays(qr)
        assert await shop.notify(qr) == 200
        await shop.relay()

        paid = await shop.sale(sale)
        assert (paid.state, paid.paid_fen, paid.tenders) == (SaleState.PAID, 78_50, ("wechat",))
        assert shop.wire.asked == ["create"]

    async def test_by_asking_when_every_notification_is_lost(self, shop: Shop) -> None:
        sale = await shop.world.fill("95", 10_0000)
        qr = await shop.show_qr(sale)
        await shop.payer_pays(qr)
        await shop.wait(15)

        assert (await shop.sale(sale)).state is SaleState.PAID
        assert shop.wire.asked == ["create", "query"]

    async def test_notified_before_the_order_was_answered(self, shop: Shop) -> None:
        sale = await shop.world.fill("95", 10_0000)
        await shop.fault("paid_early")
        qr = await shop.show_qr(sale)

        assert qr.state is PaymentState.PAID
        await shop.relay()
        assert (await shop.sale(sale)).state is SaleState.PAID

    async def test_notified_and_the_orders_answer_is_lost(self, shop: Shop) -> None:
        sale = await shop.world.fill("95", 10_0000)
        await shop.fault("paid_early")
        shop.wire.cuts.append(("create", Cut.ANSWER_LOST))
        qr = await shop.show_qr(sale)

        assert qr.state is PaymentState.PAID, "success is never taken back"

    async def test_notified_eight_times_has_one_effect(self, shop: Shop) -> None:
        sale = await shop.world.fill("95", 10_0000)
        qr = await shop.show_qr(sale)
        await shop.payer_pays(qr)
        assert [await shop.notify(qr) for _ in range(8)] == [200] * 8
        await shop.hear_all_again()

        assert (await shop.sale(sale)).paid_fen == 78_50
        async with shop.database.read() as session:
            assert len(await queries.notices_of_many(session, [qr.payment_id])) == 1

    async def test_two_notifications_in_the_same_moment_have_one_effect(self, shop: Shop) -> None:
        sale = await shop.world.fill("95", 10_0000)
        qr = await shop.show_qr(sale)
        await shop.payer_pays(qr)
        assert await asyncio.gather(*(shop.notify(qr) for _ in range(4))) == [200] * 4
        await shop.relay()

        assert (await shop.sale(sale)).paid_fen == 78_50

    async def test_told_and_asked_in_the_same_moment_has_one_effect(self, shop: Shop) -> None:
        sale = await shop.world.fill("95", 10_0000)
        qr = await shop.show_qr(sale)
        await shop.payer_pays(qr)
        await asyncio.gather(shop.notify(qr), shop.step(10), shop.notify(qr))
        await shop.hear_all_again()

        assert (await shop.sale(sale)).paid_fen == 78_50


class TestNotBelieved:
    """Whatever is wrong with it: the channel's own failure answer, and nothing is changed."""

    async def test_a_forged_notification_is_refused(self, shop: Shop) -> None:
        sale = await shop.world.fill("95", 10_0000)
        qr = await shop.show_qr(sale)
        for how in FORGERIES:
            answer = await shop.do("forge", out_trade_no=qr.out_trade_no, how=how)
            assert 400 <= answer["status"] < 600, how

        assert await shop.attempt(qr) == qr
        async with shop.database.read() as session:
            assert await queries.notices_of_many(session, [qr.payment_id]) == []
        await shop.relay()
        assert (await shop.sale(sale)).state is SaleState.PAYING

    async def test_a_merchant_that_nobody_here_is_is_not_found(self, shop: Shop) -> None:
        sale = await shop.world.fill("95", 10_0000)
        qr = await shop.show_qr(sale)
        url = f"{PUBLIC_URL}/api/v1/notify/wechat/1999999999"
        answer = await shop.do("forge", out_trade_no=qr.out_trade_no, how="wrong_key", url=url)

        assert answer["status"] == 404
        assert await shop.attempt(qr) == qr

    async def test_a_notified_amount_that_differs_is_asked_about(self, shop: Shop) -> None:
        sale = await shop.world.fill("95", 10_0000)
        qr = await shop.show_qr(sale)
        await shop.do("forge", out_trade_no=qr.out_trade_no, how="wrong_amount")

        told = await shop.attempt(qr)
        assert (told.state, told.last_code) == (PaymentState.UNKNOWN, "AMOUNT_DIFFERS")
        assert (await shop.sale(sale)).paid_fen == 0
        await shop.wait(30)
        assert (await shop.attempt(qr)).state is PaymentState.PENDING, "the channel's answer counts"

    async def test_an_answered_amount_that_differs_stays_unknown(self, shop: Shop) -> None:
        sale = await shop.world.fill("95", 10_0000)
        qr = await shop.show_qr(sale)
        order = shop.simulator.book.orders[qr.merchant, qr.out_trade_no]
        order.total_fen -= 1
        await shop.payer_pays(qr)
        await shop.wait(400, every=50)

        stuck = await shop.attempt(qr)
        assert (stuck.state, stuck.last_code) == (PaymentState.UNKNOWN, "AMOUNT_DIFFERS")
        assert (await shop.sale(sale)).paid_fen == 0
        order.total_fen += 1  # Settled up: the channel has corrected itself.


class TestSilence:
    async def test_a_timeout_is_unknown_and_asked_again_under_the_same_number(self, shop: Shop) -> None:
        for cut in (Cut.LOST, Cut.ANSWER_LOST):
            sale = await shop.world.fill("95", 10_0000)
            shop.wire.cuts += [("create", cut)] * 3
            qr = await shop.show_qr(sale)
            assert (qr.state, qr.qr) == (PaymentState.UNKNOWN, None)

            await shop.wait(120)
            shown = await shop.attempt(qr)
            assert (shown.state, shown.out_trade_no) == (PaymentState.PENDING, qr.out_trade_no)
            assert shown.qr is not None
            await shop.payer_pays(shown)
        assert len(shop.simulator.book.orders) == 2

    async def test_a_broken_answer_is_unknown(self, shop: Shop) -> None:
        for kind in ("error", "error_after"):
            for form in ("json", "html"):
                sale = await shop.world.fill("95", 10_0000)
                await shop.fault(kind, form=form, status=502, operation="create")
                qr = await shop.show_qr(sale)
                assert qr.state is PaymentState.UNKNOWN

                await shop.wait(15)
                assert (await shop.attempt(qr)).state is PaymentState.PENDING
        assert len(shop.simulator.book.orders) == 4

    async def test_unknown_is_asked_until_the_channel_answers_however_long_it_takes(self, shop: Shop) -> None:
        sale = await shop.world.fill("95", 10_0000)
        qr = await shop.show_qr(sale)
        await shop.payer_pays(qr)
        await shop.fault("error", operation="*", times=None)
        await shop.wait(3_600, every=120)
        assert (await shop.attempt(qr)).state is PaymentState.UNKNOWN
        assert (await shop.sale(sale)).state is SaleState.PAYING

        shop.simulator.faults.clear()
        await shop.wait(90, every=45)
        assert (await shop.sale(sale)).state is SaleState.PAID


class TestEnd:
    async def test_an_expired_qr_is_closed_at_the_channel_first(self, shop: Shop) -> None:
        sale = await shop.world.fill("95", 10_0000)
        qr = await shop.show_qr(sale)
        await shop.wait(300, every=60)

        assert shop.wire.asked[-1] == "close"
        assert (await shop.attempt(qr)).state is PaymentState.CLOSED
        assert (await shop.sale(sale)).state is SaleState.OPEN

    async def test_while_the_close_is_not_answered_it_is_not_closed(self, shop: Shop) -> None:
        sale = await shop.world.fill("95", 10_0000)
        qr = await shop.show_qr(sale)
        shop.wire.cuts.append(("close", Cut.LOST))
        assert (await shop.end(qr)).state is PaymentState.UNKNOWN
        assert (await shop.sale(sale)).state is SaleState.PAYING

        await shop.wait(60)
        assert (await shop.attempt(qr)).state is PaymentState.CLOSED

    async def test_a_payer_who_was_faster_than_the_close_has_paid(self, shop: Shop) -> None:
        sale = await shop.world.fill("95", 10_0000)
        qr = await shop.show_qr(sale)
        await shop.payer_pays(qr)

        assert (await shop.end(qr)).state is PaymentState.PAID
        await shop.relay()
        assert (await shop.sale(sale)).state is SaleState.PAID
        with pytest.raises(PaymentEndedAlready):
            await shop.end(qr)

    async def test_money_after_the_close_goes_back_by_itself_exactly_once(self, shop: Shop) -> None:
        sale = await shop.world.fill("95", 10_0000)
        qr = await shop.show_qr(sale)
        await shop.fault("late_success")
        assert (await shop.end(qr)).state is PaymentState.CLOSED
        await shop.channel_settles()
        for _ in range(3):
            assert await shop.notify(qr) == 200
        await shop.step()
        await shop.hear_all_again()

        late = await shop.payment(qr)
        assert (late.state, late.refunded_fen, late.free_fen) == (PaymentState.PAID_LATE, 78_50, 0)
        assert (await shop.sale(sale)).state is SaleState.OPEN
        await shop.quiet()
        (refund,) = await shop.refunds(qr)
        assert (refund.state, refund.amount_fen) == (RefundState.SUCCEEDED, 78_50)
        assert len(shop.simulator.book.refunds) == 1

    async def test_a_sale_may_be_paid_again_after_a_close(self, shop: Shop) -> None:
        sale = await shop.world.fill("95", 10_0000)
        await shop.end(await shop.show_qr(sale))
        await shop.relay()
        again = await shop.show_qr(await shop.sale(sale))
        await shop.payer_pays(again)
        await shop.notify(again)
        await shop.relay()

        assert (await shop.sale(sale)).state is SaleState.PAID


class TestTwoPayers:
    async def test_the_first_settles_and_the_second_gets_his_money_back(self, shop: Shop) -> None:
        sale = await shop.world.fill("95", 10_0000)
        first, second = await shop.show_qr(sale), await shop.show_qr(sale)
        await shop.payer_pays(second)
        await shop.payer_pays(first)
        await shop.notify(second)
        await shop.notify(first)
        await shop.quiet()

        assert (await shop.payment(second)).allocated_fen == 78_50
        back = await shop.payment(first)
        assert (back.allocated_fen, back.refunded_fen, back.state) == (0, 78_50, PaymentState.PAID)
        (refund,) = await shop.refunds(first)
        assert (refund.state, refund.reason) == (RefundState.SUCCEEDED, "paid twice")
        assert (await shop.sale(sale)).paid_fen == 78_50

    async def test_settled_in_the_same_moment_one_wins(self, shop: Shop) -> None:
        sale = await shop.world.fill("95", 10_0000)
        qrs = [await shop.show_qr(sale) for _ in range(3)]
        for qr in qrs:
            await shop.payer_pays(qr)
        await asyncio.gather(*(shop.notify(qr) for qr in qrs))
        paid = await shop.unheard_messages()
        await asyncio.gather(*(shop.hear(each) for each in paid))
        await shop.quiet()

        settled = [(await shop.payment(qr)).allocated_fen for qr in qrs]
        assert sorted(settled) == [0, 0, 78_50]
        assert (await shop.sale(sale)).paid_fen == 78_50

    async def test_once_it_is_paid_the_other_qr_is_closed(self, shop: Shop) -> None:
        sale = await shop.world.fill("95", 10_0000)
        first, second = await shop.show_qr(sale), await shop.show_qr(sale)
        await shop.payer_pays(first)
        await shop.notify(first)
        await shop.relay()
        await shop.step()

        assert (await shop.attempt(second)).state is PaymentState.CLOSED
        assert (await shop.sale(sale)).state is SaleState.PAID

    async def test_cash_is_taken_while_a_qr_is_open_and_then_the_qr_is_paid(self, shop: Shop) -> None:
        sale = await shop.world.fill("95", 10_0000)
        qr = await shop.show_qr(sale)
        await shop.pay_cash(sale)
        await shop.payer_pays(qr)
        await shop.notify(qr)
        await shop.quiet()

        assert (await shop.sale(sale)).tenders == ("cash",)
        (refund,) = await shop.refunds(qr)
        assert (refund.state, refund.amount_fen) == (RefundState.SUCCEEDED, 78_50)

    async def test_what_is_over_of_a_payment_goes_back(self, shop: Shop) -> None:
        sale = await shop.world.fill("95", 10_0000)
        qr = await shop.show_qr(sale)
        await shop.pay_cash(sale, 50_00)
        await shop.payer_pays(qr)
        await shop.notify(qr)
        await shop.quiet()

        paid = await shop.sale(sale)
        assert (paid.state, paid.tenders) == (SaleState.PAID, ("cash", "wechat"))
        assert (await shop.payment(qr)).allocated_fen == 28_50
        (refund,) = await shop.refunds(qr)
        assert refund.amount_fen == 50_00

    async def test_two_parts_of_a_sale_add_up(self, shop: Shop) -> None:
        sale = await shop.world.fill("95", 10_0000)
        part = await shop.show_qr(sale, 30_00)
        await shop.payer_pays(part)
        await shop.notify(part)
        await shop.relay()
        half = await shop.sale(sale)
        assert (half.state, half.owed_fen) == (SaleState.OPEN, 48_50)
        rest = await shop.show_qr(half)
        await shop.payer_pays(rest)
        await shop.notify(rest)
        await shop.relay()

        assert (await shop.sale(sale)).state is SaleState.PAID


class TestCrash:
    """Wherever it dies, asking again cures it: the same number, one order, one effect."""

    async def test_before_the_channel_was_asked(self, shop: Shop) -> None:
        sale = await shop.world.fill("95", 10_0000)
        intent = await shop.intend(sale)
        assert intent.state is PaymentState.CREATED
        await shop.wait(10)

        shown = await shop.attempt(intent)
        assert (shown.state, shown.out_trade_no) == (PaymentState.PENDING, intent.out_trade_no)
        await shop.payer_pays(shown)

    async def test_while_the_channel_was_asked(self, shop: Shop) -> None:
        for cut in (Cut.KILLED, Cut.KILLED_AFTER):
            sale = await shop.world.fill("95", 10_0000)
            shop.wire.cuts.append(("create", cut))
            with pytest.raises(Killed):
                await shop.show_qr(sale)
            await shop.wait(15)

            order = list(shop.simulator.book.orders.values())[-1]
            await shop.do("pay", out_trade_no=order.out_trade_no)
            await shop.wait(15)
            assert (await shop.sale(sale)).state is SaleState.PAID
        assert len(shop.simulator.book.orders) == 2

    async def test_in_the_worker(self, shop: Shop) -> None:
        sale = await shop.world.fill("95", 10_0000)
        for step in ("query", "close"):
            for cut in (Cut.KILLED, Cut.KILLED_AFTER):
                shop.wire.cuts.append((step, cut))
        qr = await shop.show_qr(sale)
        await shop.wait(780, every=30)

        assert shop.wire.cuts == []
        assert (await shop.attempt(qr)).state is PaymentState.CLOSED
        assert (await shop.sale(sale)).state is SaleState.OPEN

    async def test_between_the_money_and_the_sale(self, shop: Shop) -> None:
        sale = await shop.world.fill("95", 10_0000)
        qr = await shop.show_qr(sale)
        await shop.payer_pays(qr)
        await shop.notify(qr)
        assert (await shop.sale(sale)).state is SaleState.PAYING, "its event waits in the outbox"
        await shop.hear_all_again()

        assert (await shop.sale(sale)).state is SaleState.PAID

    async def test_the_same_checkout_again_is_the_same_order(self, shop: Shop) -> None:
        sale = await shop.world.fill("95", 10_0000)
        first = await shop.intend(sale, key="one-double-click")
        again = await shop.intend(sale, key="one-double-click")

        assert again == first
