"""Money on its way back through the channel: one number, whatever happens; never more than was paid."""

import asyncio

import pytest
from tests.shop import Shop
from tests.wire import Cut

from forecourt.core.errors import Refusal
from forecourt.ledger.types import Purpose
from forecourt.payments import service
from forecourt.payments.errors import RefundTooLarge
from forecourt.payments.types import Attempt, Refund, RefundState
from forecourt.sales.errors import AmountTooLarge, NothingPaid
from forecourt.sales.types import Sale, SaleState


async def paid_by_code(shop: Shop) -> tuple[Sale, Attempt]:
    sale = await shop.world.fill("95", 10_0000)
    attempt = await shop.scan_code(sale)
    await shop.relay()
    return await shop.sale(sale), attempt


class TestThroughTheChannel:
    async def test_pending_then_succeeded_by_notification(self, shop: Shop) -> None:
        sale, attempt = await paid_by_code(shop)
        (asked,) = await shop.refund(sale, 78_50)
        assert (asked.state, (await shop.sale(sale)).state) == (RefundState.OPEN, SaleState.REFUNDED)
        await shop.step()
        assert await shop.balance_fen(Purpose.REFUND_IN_TRANSIT) == 78_50
        await shop.notify_all()

        (done,) = await shop.refunds(attempt)
        assert (done.state, done.out_refund_no) == (RefundState.SUCCEEDED, asked.out_refund_no)
        assert await shop.balance_fen(Purpose.REFUND_IN_TRANSIT) == 0
        assert shop.wire.asked == ["code", "refund"]

    async def test_pending_then_succeeded_by_asking(self, shop: Shop) -> None:
        sale, attempt = await paid_by_code(shop)
        await shop.refund(sale, 20_00)
        await shop.wait(30)

        (done,) = await shop.refunds(attempt)
        assert done.state is RefundState.SUCCEEDED
        assert shop.wire.asked == ["code", "refund", "query_refund"]

    async def test_notified_before_the_answer_and_again_and_again(self, shop: Shop) -> None:
        sale, attempt = await paid_by_code(shop)
        await shop.refund(sale, 20_00)
        await shop.fault("notice_early", operation="refund")
        await shop.step()
        (done,) = await shop.refunds(attempt)
        assert done.state is RefundState.SUCCEEDED
        shop.clock.advance(60)
        for _ in range(3):
            assert await shop.notify(attempt) == 200
        await shop.hear_all_again()

        (again,) = await shop.refunds(attempt)
        assert (again.state, again.ended_at) == (RefundState.SUCCEEDED, done.ended_at)

    async def test_however_it_is_cut_off_the_number_stays(self, shop: Shop) -> None:
        sale, attempt = await paid_by_code(shop)
        for cut in (Cut.LOST, Cut.ANSWER_LOST, Cut.KILLED, Cut.KILLED_AFTER):
            (asked,) = await shop.refund(sale, 10_00)
            shop.wire.cuts += [("refund", cut), ("query_refund", Cut.LOST)]
            await shop.wait(240, every=40)

            done = (await shop.refunds(attempt))[-1]
            assert (done.state, done.out_refund_no) == (RefundState.SUCCEEDED, asked.out_refund_no), cut
        assert [each.refund_fen for each in shop.simulator.book.refunds.values()] == [10_00] * 4

    async def test_a_merchant_without_balance_is_asked_again_until_there_is_some(self, shop: Shop) -> None:
        sale, attempt = await paid_by_code(shop)
        await shop.refund(sale, 20_00)
        await shop.fault("decline", operation="refund", code="NOT_ENOUGH", times=2)
        await shop.wait(200, every=20)

        assert [each.state for each in await shop.refunds(attempt)] == [RefundState.SUCCEEDED]

    async def test_an_answer_about_another_amount_is_not_believed(self, shop: Shop) -> None:
        sale, attempt = await paid_by_code(shop)
        await shop.refund(sale, 20_00)
        await shop.step()
        (given,) = shop.simulator.book.refunds.values()
        given.refund_fen -= 1
        await shop.wait(60, every=20)

        (told,) = await shop.refunds(attempt)
        assert (told.state, told.last_code) == (RefundState.OPEN, "AMOUNT_DIFFERS")
        given.refund_fen += 1  # Settled up: the channel has corrected itself.
        await shop.give_notice_anew(given)


class TestAbnormal:
    async def test_a_refund_that_cannot_be_given_waits_for_a_person(self, shop: Shop) -> None:
        sale, attempt = await paid_by_code(shop)
        await shop.refund(sale, 20_00)
        await shop.fault("refund", polls=0, then="ABNORMAL")
        await shop.wait(40, every=20)

        (stuck,) = await shop.refunds(attempt)
        assert stuck.state is RefundState.ABNORMAL
        assert (await shop.sale(sale)).marks == ("refund_abnormal",)
        assert await shop.balance_fen(Purpose.REFUND_IN_TRANSIT) == 20_00
        await shop.hear_all_again()
        assert (await shop.sale(sale)).marks == ("refund_abnormal",)

    async def test_the_person_repairs_it_and_the_channel_tells(self, shop: Shop) -> None:
        sale, attempt = await paid_by_code(shop)
        await shop.refund(sale, 20_00)
        await shop.fault("refund", polls=0, then="ABNORMAL")
        await shop.wait(40, every=20)
        (given,) = shop.simulator.book.refunds.values()
        await shop.give_notice_anew(given)
        await shop.quiet()

        (done,) = await shop.refunds(attempt)
        assert done.state is RefundState.SUCCEEDED
        assert await shop.balance_fen(Purpose.REFUND_IN_TRANSIT) == 0

    async def test_a_refund_that_the_channel_refuses_waits_for_a_person(self, shop: Shop) -> None:
        sale, attempt = await paid_by_code(shop)
        await shop.refund(sale, 20_00)
        await shop.fault("decline", operation="refund", code="INVALID_REQUEST", status=400)
        await shop.step()

        (refused,) = await shop.refunds(attempt)
        assert (refused.state, refused.last_code) == (RefundState.ABNORMAL, "INVALID_REQUEST")


class TestNeverTooMuch:
    async def test_many_at_once_give_back_what_was_paid_and_no_more(self, shop: Shop) -> None:
        sale, attempt = await paid_by_code(shop)
        outcomes = await asyncio.gather(*(shop.refund(sale, 30_00) for _ in range(5)), return_exceptions=True)

        assert sum(isinstance(each, list) for each in outcomes) == 2
        assert sum(isinstance(each, AmountTooLarge) for each in outcomes) == 3
        assert (await shop.payment(attempt)).refunded_fen == 60_00

    async def test_the_same_key_at_once_is_one_refund(self, shop: Shop) -> None:
        sale, attempt = await paid_by_code(shop)
        outcomes = await asyncio.gather(
            *(shop.refund(sale, 30_00, key="one-refund") for _ in range(3)), return_exceptions=True
        )

        given: list[list[Refund]] = [each for each in outcomes if isinstance(each, list)]
        assert len(given) + sum(isinstance(each, Refusal) for each in outcomes) == 3
        assert len({each[0].id for each in given}) == 1
        assert (await shop.payment(attempt)).refunded_fen == 30_00

    async def test_the_rest_after_parts_is_the_last(self, shop: Shop) -> None:
        sale, _ = await paid_by_code(shop)
        for part_fen in (30_00, 48_00, 50):
            await shop.refund(sale, part_fen)
        with pytest.raises(NothingPaid):
            await shop.refund(sale, 1)
        assert (await shop.sale(sale)).state is SaleState.REFUNDED

    async def test_a_payment_gives_back_what_it_settled_of_a_sale_and_no_more(self, shop: Shop) -> None:
        sale, attempt = await paid_by_code(shop)
        with pytest.raises(RefundTooLarge):
            await shop.database.transact(
                service.refund_sale, shop.world.actor, attempt.payment_id, sale.id, 78_51, "x", "1"
            )

    async def test_a_split_tender_goes_back_newest_first(self, shop: Shop) -> None:
        sale = await shop.world.fill("95", 10_0000)
        await shop.pay_cash(sale, 50_00)
        attempt = await shop.scan_code(await shop.sale(sale))
        await shop.relay()
        by_channel, by_cash = await shop.refund(await shop.sale(sale), 30_00)

        assert (by_channel.amount_fen, by_channel.state) == (28_50, RefundState.OPEN)
        assert (by_cash.amount_fen, by_cash.state) == (1_50, RefundState.SUCCEEDED)
        assert (await shop.payment(attempt)).refunded_fen == 28_50
