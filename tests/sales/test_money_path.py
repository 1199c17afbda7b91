"""From a delivery to settled money: prices, checkouts, authorisations, refunds; on every engine."""

import asyncio
from dataclasses import replace

import pytest
from tests import world
from tests.world import OPERATOR, PRICES, STRANGER, World, staff

from forecourt.core.actor import Operator
from forecourt.core.batch import Batcher
from forecourt.core.db import Database
from forecourt.core.errors import IdempotencyKeyReused, Refusal
from forecourt.core.idempotency import Ask
from forecourt.deliveries import queries as delivery_queries
from forecourt.deliveries import service as deliveries
from forecourt.deliveries.types import DeliveryState, Mark, Purpose
from forecourt.ledger import queries as ledger
from forecourt.ledger.errors import InsufficientFunds
from forecourt.ledger.types import Wallet
from forecourt.payments import queries as payment_queries
from forecourt.pricing import service as pricing
from forecourt.sales import queries, service
from forecourt.sales.errors import (
    AmountTooLarge,
    NozzleBusy,
    SaleNotFound,
    SaleNotPayable,
    SaleNotVoidable,
)
from forecourt.sales.types import AuthorisationKind, Checkout, Receipt, SaleFilter, SaleState
from forecourt_kit.price import AmountSource, Preset, PresetKind


@pytest.fixture
async def here(database: Database) -> World:
    return await world.build(database)


def checkout(sale_id: int, key: str, tender: str = "cash", **more: object) -> Checkout:
    return Checkout(
        operator_id=OPERATOR,
        sale_id=sale_id,
        tender=tender,
        member_id=more.get("member_id"),  # type: ignore[arg-type]
        amount_fen=more.get("amount_fen"),  # type: ignore[arg-type]
        key=key,
        input_hash=str(more.get("input_hash", f"{sale_id}{tender}")),
        subject="staff:anna",
    )


async def pay(here: World, *checkouts: Checkout) -> list[Receipt | Refusal]:
    return await here.database.transact(service.pay_many, checkouts)


async def wallet(here: World, member_id: int) -> Wallet:
    async with here.database.read() as session:
        return await ledger.wallet(session, here.actor.scope, OPERATOR, member_id)


async def verify(here: World) -> None:
    checks = (*ledger.CHECKS, *delivery_queries.CHECKS, *payment_queries.CHECKS, *queries.CHECKS)
    async with here.database.read() as session:
        found = [violation for check in checks for violation in await check(session)]
    assert found == []


class TestPrice:
    async def test_a_fill_becomes_a_sale_at_the_books_price(self, here: World) -> None:
        sale = await here.fill("LNG", 32_5000)

        assert (sale.due_fen, sale.unit_price_e4, sale.state) == (169_00, 52000, SaleState.OPEN)
        assert (sale.marks, sale.amount_source) == ((), AmountSource.DEVICE)
        assert sale.business_date.isoformat() == "2026-11-22"

    async def test_a_preset_of_200_yuan_that_the_meter_rounds_costs_200_yuan(self, here: World) -> None:
        sale = await here.fill(
            "95", 25_4800, device_amount_fen=200_00, preset=Preset(PresetKind.AMOUNT, 200_00)
        )

        assert (sale.due_fen, sale.marks) == (200_00, ())

    async def test_an_amount_outside_the_rule_is_ours_and_marked(self, here: World) -> None:
        sale = await here.fill("95", 10_0000, device_amount_fen=90_00)

        assert sale.due_fen == 78_50
        assert "amount_mismatch" in sale.marks

    async def test_the_customer_never_pays_more_than_the_display_showed(self, here: World) -> None:
        sale = await here.fill("95", 10_0000, device_price_e4=70000)

        assert (sale.due_fen, sale.amount_source) == (70_00, AmountSource.SEEN)
        assert "price_mismatch" in sale.marks

    async def test_the_same_delivery_told_twice_is_one_sale(self, here: World) -> None:
        report = here.report("95", 10_0000)
        await here.deliver(report)
        await here.deliver(report)

        assert len(await here.sales()) == 1

    @pytest.mark.parametrize("purpose", [Purpose.OWN_USE, Purpose.TEST_RETURN, Purpose.TRANSFER])
    async def test_what_is_not_sold_has_no_sale(self, here: World, purpose: Purpose) -> None:
        assert await here.deliver(here.report("95", 10_0000, purpose=purpose)) == []


class TestHeld:
    async def held(self, here: World, mark: Mark, **more: object) -> None:
        report = here.report("95", 10_0000)
        assert await here.deliver(replace(report, **more)) == []  # type: ignore[arg-type]
        async with here.database.read() as session:
            (held,) = await delivery_queries.list_held(session, here.actor.scope, 10)
        assert (held.state, mark in held.marks) == (DeliveryState.HELD, True)

    async def test_a_totalizer_that_runs_backwards_waits_for_a_person(self, here: World) -> None:
        await self.held(here, Mark.TOTALIZER_BACKWARDS, totalizer_after_e4=9_000_000)

    async def test_a_quantity_that_is_not_the_totalizers_waits(self, here: World) -> None:
        await self.held(here, Mark.TOTALIZER_MISMATCH, totalizer_after_e4=10_200_000)

    async def test_an_unknown_nozzle_waits(self, here: World) -> None:
        await self.held(here, Mark.UNKNOWN_NOZZLE, nozzle_number=99)

    async def test_a_totalizer_that_rolls_over_is_an_ordinary_fill(self, here: World) -> None:
        here.totalizers[here.nozzles["95"].id] = here.nozzles["95"].totalizer_modulus_e4 - 5_0000
        report = here.report("95", 10_0000)
        (sale,) = await here.deliver(replace(report, totalizer_after_e4=5_0000))
        assert sale.marks == ()

    async def test_a_released_delivery_is_priced_like_any_other(self, here: World) -> None:
        await self.held(here, Mark.TOTALIZER_MISMATCH, totalizer_after_e4=10_200_000)
        async with here.database.read() as session:
            (held,) = await delivery_queries.list_held(session, here.actor.scope, 10)
        await here.database.transact(deliveries.release, here.actor, held.id, "meter seen")
        opened = await here.database.transact(service.open_many, here.actor, [held.id])

        assert (await here.sale(opened[0])).due_fen == 78_50


class TestCheckout:
    async def test_cash_settles_a_sale(self, here: World) -> None:
        sale = await here.fill("95", 10_0000)
        (receipt,) = await pay(here, checkout(sale.id, "key-0001"))

        assert isinstance(receipt, Receipt)
        paid = await here.sale(sale.id)
        assert (paid.state, paid.paid_fen, paid.tenders) == (SaleState.PAID, 78_50, ("cash",))
        await verify(here)

    async def test_a_wallet_pays_from_bonus_and_principal(self, here: World) -> None:
        member = await here.member(100_00, 10_00)
        sale = await here.fill("95", 10_0000)
        await pay(here, checkout(sale.id, "key-0001", "wallet", member_id=member))

        assert await wallet(here, member) == Wallet(31_50, 0, 0)
        await verify(here)

    async def test_a_wallet_that_is_short_pays_nothing_and_its_key_may_try_again(self, here: World) -> None:
        member = await here.member(10_00)
        sale = await here.fill("95", 10_0000)
        (refused,) = await pay(here, checkout(sale.id, "key-0001", "wallet", member_id=member))
        assert isinstance(refused, InsufficientFunds)

        (paid,) = await pay(here, checkout(sale.id, "key-0002", "cash"))
        assert isinstance(paid, Receipt)
        await verify(here)

    async def test_one_key_has_one_effect(self, here: World) -> None:
        sale = await here.fill("95", 10_0000)
        (first,) = await pay(here, checkout(sale.id, "key-0001"))
        (again,) = await pay(here, checkout(sale.id, "key-0001"))
        (other,) = await pay(here, checkout(sale.id, "key-0001", input_hash="another"))

        assert again == first
        assert isinstance(other, IdempotencyKeyReused)

    async def test_a_split_tender_adds_up(self, here: World) -> None:
        sale = await here.fill("95", 10_0000)
        await pay(here, checkout(sale.id, "key-0001", amount_fen=28_50))
        assert (await here.sale(sale.id)).state is SaleState.OPEN
        (too_much,) = await pay(here, checkout(sale.id, "key-0002", amount_fen=50_01))
        await pay(here, checkout(sale.id, "key-0003"))

        assert isinstance(too_much, AmountTooLarge)
        assert (await here.sale(sale.id)).state is SaleState.PAID
        await verify(here)

    async def test_one_bad_row_does_not_fail_the_others(self, here: World) -> None:
        poor, rich = await here.member(1), await here.member(500_00)
        sales = [await here.fill("95", 10_0000) for _ in range(3)]
        outcomes = await pay(
            here,
            checkout(sales[0].id, "key-0001", "wallet", member_id=poor),
            checkout(sales[1].id, "key-0002", "wallet", member_id=rich),
            checkout(sales[1].id, "key-0003"),
            checkout(12345, "key-0004"),
        )

        kinds = [type(each) for each in outcomes]
        assert kinds == [InsufficientFunds, Receipt, SaleNotPayable, SaleNotFound]
        await verify(here)

    async def test_two_at_once_one_pays(self, here: World) -> None:
        sale = await here.fill("95", 10_0000)
        till: Batcher[Checkout, Receipt] = Batcher(here.database, service.pay_many, commands_max=1)
        outcomes = await asyncio.gather(
            *(till.submit(checkout(sale.id, f"key-000{at}")) for at in range(6)), return_exceptions=True
        )

        assert sum(isinstance(each, Receipt) for each in outcomes) == 1
        assert sum(isinstance(each, SaleNotPayable) for each in outcomes) == 5
        await verify(here)

    async def test_a_stranger_sees_and_pays_nothing(self, here: World) -> None:
        sale = await here.fill("95", 10_0000)
        stranger = staff(STRANGER)
        async with here.database.read() as session:
            with pytest.raises(SaleNotFound):
                await queries.get_sale(session, stranger.scope, sale.id)
        (refused,) = await pay(here, replace(checkout(sale.id, "key-0001"), operator_id=STRANGER))
        assert isinstance(refused, SaleNotFound)
        async with here.database.read() as session:
            assert await queries.list_sales(session, Operator(STRANGER), SaleFilter()) == []


class TestAuthorisation:
    def wish(self, here: World, kind: AuthorisationKind, preset: Preset, limit_fen: int = 0) -> service.Wish:
        return service.Wish(
            nozzle_id=here.nozzles["95"].id, kind=kind, preset=preset, limit_fen=limit_fen or 300_00
        )

    async def test_a_bound_payer_is_charged_at_hang_up(self, here: World) -> None:
        member = await here.member(500_00)
        wish = self.wish(here, AuthorisationKind.BOUND, Preset(PresetKind.FULL))
        granted = await here.database.transact(service.authorise_wallet, here.actor, wish, member)
        assert (await wallet(here, member)).held_fen == 300_00

        sale = await here.fill("95", 10_0000, authorisation_id=granted.id)

        assert (sale.state, sale.tenders) == (SaleState.PAID, ("wallet",))
        assert await wallet(here, member) == Wallet(421_50, 0, 0)
        await verify(here)

    async def test_a_short_limit_is_refused_before_anything_flows(self, here: World) -> None:
        member = await here.member(100_00)
        wish = self.wish(here, AuthorisationKind.BOUND, Preset(PresetKind.FULL))
        with pytest.raises(InsufficientFunds):
            await here.database.transact(service.authorise_wallet, here.actor, wish, member)
        assert await wallet(here, member) == Wallet(100_00, 0, 0)

    async def test_a_nozzle_has_one_authorisation_at_a_time(self, here: World) -> None:
        member = await here.member(900_00)
        wish = self.wish(here, AuthorisationKind.BOUND, Preset(PresetKind.FULL))
        await here.database.transact(service.authorise_wallet, here.actor, wish, member)
        with pytest.raises(NozzleBusy):
            await here.database.transact(service.authorise_wallet, here.actor, wish, member)

    async def test_a_prepaid_fill_that_drew_nothing_costs_nothing(self, here: World) -> None:
        member = await here.member(500_00)
        wish = self.wish(here, AuthorisationKind.PREPAID, Preset(PresetKind.AMOUNT, 200_00))
        granted = await here.database.transact(service.authorise_wallet, here.actor, wish, member)
        assert (await wallet(here, member)).held_fen == 200_00

        assert await here.deliver(here.report("95", 0, authorisation_id=granted.id)) == []
        assert await wallet(here, member) == Wallet(500_00, 0, 0)
        await verify(here)

    async def test_an_unused_authorisation_expires_and_frees_the_money(self, here: World) -> None:
        member = await here.member(500_00)
        wish = self.wish(here, AuthorisationKind.BOUND, Preset(PresetKind.FULL))
        await here.database.transact(service.authorise_wallet, here.actor, wish, member)
        here.database.clock.advance(16 * 60)  # type: ignore[attr-defined]

        assert await here.database.transact(service.expire_authorisations, here.actor) == 1
        assert (await wallet(here, member)).available_fen == 500_00

    async def test_what_flowed_beyond_the_limit_stays_to_pay(self, here: World) -> None:
        member = await here.member(500_00)
        wish = self.wish(here, AuthorisationKind.PREPAID, Preset(PresetKind.AMOUNT, 50_00))
        granted = await here.database.transact(service.authorise_wallet, here.actor, wish, member)
        sale = await here.fill("95", 10_0000, authorisation_id=granted.id)

        assert (sale.state, sale.paid_fen, sale.owed_fen) == (SaleState.OPEN, 50_00, 28_50)
        assert "over_limit" in sale.marks
        await verify(here)

    async def test_the_price_is_the_one_at_the_authorisation(self, here: World) -> None:
        member = await here.member(500_00)
        wish = self.wish(here, AuthorisationKind.BOUND, Preset(PresetKind.FULL))
        granted = await here.database.transact(service.authorise_wallet, here.actor, wish, member)
        here.database.clock.advance(60)  # type: ignore[attr-defined]
        await here.database.transact(
            pricing.set_price,
            here.actor,
            station_id=here.station.id,
            product_id=here.products["95"].id,
            unit_price_e4=PRICES["95"] + 1000,
            valid_from=None,
        )
        here.database.clock.advance(60)  # type: ignore[attr-defined]
        started = here.database.clock.now()
        sale = await here.fill("95", 10_0000, authorisation_id=granted.id, started_at=started)

        assert sale.unit_price_e4 == PRICES["95"]


class TestBack:
    def ask(self, key: str) -> Ask:
        return Ask(OPERATOR, "refund", key, key)

    async def test_a_wallet_refund_goes_back_to_its_lots(self, here: World) -> None:
        member = await here.member(100_00, 10_00)
        sale = await here.fill("95", 10_0000)
        await pay(here, checkout(sale.id, "key-0001", "wallet", member_id=member))
        await here.database.transact(
            service.refund, here.actor, sale_id=sale.id, amount_fen=78_50, reason="bad", ask=self.ask("k1")
        )

        assert await wallet(here, member) == Wallet(100_00, 10_00, 0)
        assert (await here.sale(sale.id)).state is SaleState.REFUNDED
        await verify(here)

    async def test_partial_refunds_never_exceed_what_was_paid(self, here: World) -> None:
        sale = await here.fill("95", 10_0000)
        await pay(here, checkout(sale.id, "key-0001"))
        for key in ("k1", "k1", "k2"):
            await here.database.transact(
                service.refund, here.actor, sale_id=sale.id, amount_fen=30_00, reason="x", ask=self.ask(key)
            )
        with pytest.raises(AmountTooLarge):
            await here.database.transact(
                service.refund, here.actor, sale_id=sale.id, amount_fen=18_51, reason="x", ask=self.ask("k3")
            )
        assert (await here.sale(sale.id)).refunded_fen == 60_00
        await verify(here)

    async def test_an_open_sale_is_voided_and_a_paid_one_is_not(self, here: World) -> None:
        first, second = await here.fill("95", 10_0000), await here.fill("95", 10_0000)
        voided = await here.database.transact(service.void, here.actor, first.id, "walked off")
        assert voided.state is SaleState.VOIDED
        await pay(here, checkout(second.id, "key-0001"))
        with pytest.raises(SaleNotVoidable):
            await here.database.transact(service.void, here.actor, second.id, "x")
        (refused,) = await pay(here, checkout(first.id, "key-0002"))
        assert isinstance(refused, SaleNotPayable)
