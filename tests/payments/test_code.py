"""A payer's code that we scan (付款码): paid at once, waiting for a PIN, reversed when nobody knows."""

import pytest
from tests.shop import Shop
from tests.wire import Cut, Killed

from forecourt.payments.types import Answer, Attempt, Outcome, PaymentState
from forecourt.sales.types import Sale, SaleState


def age_s(shop: Shop, attempt: Attempt) -> float:
    return (shop.clock.now() - attempt.created_at).total_seconds()


async def until_reversed(shop: Shop, attempt: Attempt) -> float:
    """Let time pass until the channel is asked to reverse; the order's age then, in seconds."""
    while "reverse" not in shop.wire.asked:
        assert age_s(shop, attempt) < 120
        await shop.step(3)
    return age_s(shop, attempt)


async def a_fill(shop: Shop) -> Sale:
    return await shop.world.fill("95", 10_0000)


class TestPaid:
    async def test_at_once(self, shop: Shop) -> None:
        sale = await a_fill(shop)
        charged = await shop.scan_code(sale)
        await shop.relay()

        assert charged.state is PaymentState.PAID
        assert (await shop.sale(sale)).tenders == ("wechat",)
        assert shop.wire.asked == ["code"]

    async def test_after_the_payer_typed_a_pin(self, shop: Shop) -> None:
        sale = await a_fill(shop)
        await shop.fault("userpaying", polls=3, then="SUCCESS")
        charged = await shop.scan_code(sale)
        assert charged.state is PaymentState.PENDING
        await shop.wait(30, every=5)

        assert (await shop.attempt(charged)).state is PaymentState.PAID
        assert (await shop.sale(sale)).state is SaleState.PAID
        assert shop.wire.asked == ["code", "query", "query", "query", "query"]

    @pytest.mark.parametrize("cut", [Cut.ANSWER_LOST, Cut.KILLED_AFTER])
    async def test_and_nobody_heard_it(self, shop: Shop, cut: Cut) -> None:
        sale = await a_fill(shop)
        shop.wire.cuts.append(("code", cut))
        charged = await shop.intend_code(sale)
        await shop.wait(30)

        assert (await shop.attempt(charged)).state is PaymentState.PAID
        assert (await shop.sale(sale)).state is SaleState.PAID


class TestNotPaid:
    async def test_a_code_that_is_declined_fails_and_the_sale_is_open_again(self, shop: Shop) -> None:
        sale = await a_fill(shop)
        await shop.fault("decline", operation="code", code="NOTENOUGH")
        charged = await shop.scan_code(sale)
        await shop.relay()

        assert (charged.state, charged.last_code) == (PaymentState.FAILED, "NOTENOUGH")
        assert (await shop.sale(sale)).state is SaleState.OPEN

    async def test_a_code_is_good_for_one_order(self, shop: Shop) -> None:
        first, second = await a_fill(shop), await a_fill(shop)
        await shop.scan_code(first)
        assert (await shop.scan_code(second)).state is PaymentState.FAILED
        await shop.relay()

        assert (await shop.sale(second)).state is SaleState.OPEN

    @pytest.mark.parametrize("cut", [Cut.LOST, Cut.KILLED])
    async def test_an_order_that_never_arrived_is_ended(self, shop: Shop, cut: Cut) -> None:
        sale = await a_fill(shop)
        shop.wire.cuts.append(("code", cut))
        charged = await shop.intend_code(sale)

        assert await until_reversed(shop, charged) == 45
        assert (await shop.attempt(charged)).state is PaymentState.CLOSED
        assert (await shop.sale(sale)).state is SaleState.OPEN
        assert shop.simulator.book.orders == {}


class TestReverse:
    async def test_a_payer_who_never_types_is_reversed_after_the_wait(self, shop: Shop) -> None:
        sale = await a_fill(shop)
        await shop.fault("userpaying")
        charged = await shop.scan_code(sale)

        assert await until_reversed(shop, charged) == 45
        await shop.relay()
        assert (await shop.attempt(charged)).state is PaymentState.CLOSED
        assert (await shop.sale(sale)).state is SaleState.OPEN
        (order,) = shop.simulator.book.orders.values()
        assert order.state == "REVOKED"

    async def test_given_up_by_the_attendant_it_is_not_reversed_sooner_than_15_s(self, shop: Shop) -> None:
        sale = await a_fill(shop)
        await shop.fault("userpaying")
        charged = await shop.scan_code(sale)
        await shop.step(3)

        assert (await shop.end(charged)).state is PaymentState.PENDING
        assert await until_reversed(shop, charged) == 15
        assert (await shop.attempt(charged)).state is PaymentState.CLOSED

    async def test_given_up_and_yet_paid_before_the_reverse_is_paid(self, shop: Shop) -> None:
        sale = await a_fill(shop)
        await shop.fault("userpaying")
        charged = await shop.scan_code(sale)
        await shop.step(3)
        await shop.end(charged)
        await shop.payer_pays(charged)
        await shop.wait(20)

        assert (await shop.attempt(charged)).state is PaymentState.PAID
        assert "reverse" not in shop.wire.asked
        assert (await shop.sale(sale)).state is SaleState.PAID

    async def test_paid_and_nobody_asked_for_an_hour_is_paid(self, shop: Shop) -> None:
        sale = await a_fill(shop)
        shop.wire.cuts.append(("code", Cut.KILLED_AFTER))
        charged = await shop.intend_code(sale)
        await shop.step(3_600)

        assert (await shop.attempt(charged)).state is PaymentState.PAID
        assert (await shop.sale(sale)).state is SaleState.PAID
        assert shop.wire.asked == ["code", "query"]

    async def test_paid_while_the_reverse_is_on_its_way_the_money_goes_back(self, shop: Shop) -> None:
        sale = await a_fill(shop)
        await shop.fault("userpaying")
        charged = await shop.scan_code(sale)
        shop.wire.meanwhile["query"] = lambda: shop.payer_pays(charged)
        await shop.step(45)

        (order,) = shop.simulator.book.orders.values()
        assert (order.state, order.reversed_fen) == ("REVOKED", 78_50)
        assert (await shop.attempt(charged)).state is PaymentState.CLOSED
        assert (await shop.sale(sale)).state is SaleState.OPEN

    async def test_a_success_told_during_or_after_the_reverse_is_not_booked(self, shop: Shop) -> None:
        """Somebody asked while it stood paid, and tells it while the money is on its way back."""
        sale = await a_fill(shop)
        await shop.fault("userpaying")
        charged = await shop.scan_code(sale)
        stale: list[Answer] = []

        async def pays_and_is_seen() -> None:
            await shop.payer_pays(charged)
            stale.append(await shop.desk.channel(7, charged.provider).query(charged.out_trade_no))

        shop.wire.meanwhile["query"] = pays_and_is_seen
        shop.wire.meanwhile["reverse"] = lambda: shop.apply(charged, stale[0])
        shop.clock.advance(30)
        await shop.end(charged)
        assert stale[0].outcome is Outcome.PAID
        await shop.quiet()
        assert (await shop.attempt(charged)).state is PaymentState.CLOSED

        await shop.apply(charged, stale[0])
        await shop.quiet()
        assert (await shop.attempt(charged)).state is PaymentState.CLOSED
        assert (await shop.sale(sale)).paid_fen == 0

    async def test_a_reverse_without_an_answer_is_asked_again(self, shop: Shop) -> None:
        sale = await a_fill(shop)
        await shop.fault("userpaying")
        charged = await shop.scan_code(sale)
        shop.wire.cuts += [("reverse", Cut.LOST), ("reverse", Cut.ANSWER_LOST), ("reverse", Cut.KILLED_AFTER)]
        await until_reversed(shop, charged)
        assert (await shop.attempt(charged)).state is PaymentState.UNKNOWN
        assert (await shop.sale(sale)).state is SaleState.PAYING
        await shop.wait(240, every=15)

        assert (await shop.attempt(charged)).state is PaymentState.CLOSED

    async def test_a_reverse_that_is_refused_while_he_types_pauses_and_is_asked_again(
        self, shop: Shop
    ) -> None:
        sale = await a_fill(shop)
        await shop.fault("userpaying")
        charged = await shop.scan_code(sale)
        await shop.fault("decline", operation="reverse", code="USERPAYING", status=400, times=2)
        await until_reversed(shop, charged)
        await shop.step(1)
        assert shop.wire.asked.count("reverse") == 1, "asked again after a pause, not at every look"
        await shop.wait(20)

        assert shop.wire.asked.count("reverse") == 3
        assert (await shop.attempt(charged)).state is PaymentState.CLOSED

    async def test_a_failed_pin_still_wants_a_reverse(self, shop: Shop) -> None:
        sale = await a_fill(shop)
        await shop.fault("userpaying", polls=1, then="PAYERROR")
        charged = await shop.scan_code(sale)
        await until_reversed(shop, charged)

        assert (await shop.attempt(charged)).state is PaymentState.CLOSED


async def test_dying_while_the_payer_types_is_cured_by_asking(shop: Shop) -> None:
    sale = await a_fill(shop)
    await shop.fault("userpaying", polls=2, then="SUCCESS")
    shop.wire.cuts.append(("code", Cut.KILLED_AFTER))
    with pytest.raises(Killed):
        await shop.scan_code(sale)
    await shop.wait(40)

    assert (await shop.sale(sale)).state is SaleState.PAID
