"""`forecourt verify` names every kind of violation: one is planted, past every verb, and seen."""

import re
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, update
from tests import world
from tests.shop import CHECKS, Shop, open_shop
from tests.world import OPERATOR, World

from forecourt.core.db import Database, WriteSession
from forecourt.core.idempotency import Ask
from forecourt.core.verify import Check
from forecourt.deliveries.models import DeliveryRow
from forecourt.ledger import service as ledger
from forecourt.ledger.models import AccountRow, BalanceRow, HoldRow, LotRow, PostingRow, SealRow, TransferRow
from forecourt.ledger.types import HoldState, Kind
from forecourt.payments.models import AllocationRow, AttemptRow, PaymentRow, RefundRow
from forecourt.payments.types import PaymentPurpose, PaymentState, RefundState, Tender
from forecourt.sales import service
from forecourt.sales.models import SaleRow
from forecourt.sales.types import AuthorisationKind, Checkout, SaleState
from forecourt_kit.price import Preset, PresetKind

CASH = (PaymentRow.tender == Tender.CASH) & (PaymentRow.purpose == PaymentPurpose.SALE)


@pytest.fixture
async def here(sqlite_database: Database) -> World:
    """A station with a bit of everything: cash, wallet, a hold, a refund, a seal; and nothing wrong."""
    here = await world.build(sqlite_database)
    member = await here.member(500_00, 50_00)
    for tender in ("cash", "wallet"):
        sale = await here.fill("95", 10_0000)
        checkout = Checkout(
            operator_id=OPERATOR,
            sale_id=sale.id,
            tender=tender,
            member_id=member if tender == "wallet" else None,
            amount_fen=None,
            key=f"key-{tender}-1",
            input_hash="x",
            subject="staff:anna",
        )
        await sqlite_database.transact(service.pay_many, [checkout])
    await sqlite_database.transact(
        service.refund,
        here.actor,
        sale_id=sale.id,
        amount_fen=10_00,
        reason="x",
        ask=Ask(OPERATOR, "refund", "key-refund", "x"),
    )
    wish = service.Wish(
        nozzle_id=here.nozzles["95"].id,
        kind=AuthorisationKind.BOUND,
        preset=Preset(PresetKind.FULL),
        limit_fen=100_00,
    )
    await sqlite_database.transact(service.authorise_wallet, here.actor, wish, member)
    await sqlite_database.transact(ledger.seal)
    assert await named(here) == set()
    return here


async def named(here: World, checks: Sequence[Check] = CHECKS) -> set[str]:
    async with here.database.read() as session:
        return {found.check for check in checks for found in await check(session)}


async def plant(here: World, *statements: Any) -> None:
    async def verb(session: WriteSession) -> None:
        for statement in statements:
            await session.run(statement)

    await here.database.transact(verb)


class TestLedger:
    async def test_a_transfer_whose_legs_differ(self, here: World) -> None:
        first_leg = (PostingRow.leg == 0) & (PostingRow.amount_fen == 78_50)
        await plant(here, update(PostingRow).where(first_leg).values(amount_fen=78_51))
        assert "ledger.transfer_balances" in await named(here)

    async def test_legs_without_a_head(self, here: World) -> None:
        await plant(here, delete(TransferRow).where(TransferRow.kind == Kind.CASH_TAKEN))
        assert "ledger.posting_has_transfer" in await named(here)

    async def test_a_balance_that_is_not_the_sum_of_its_postings(self, here: World) -> None:
        await plant(here, update(BalanceRow).values(balance_fen=BalanceRow.balance_fen + 1))
        assert await named(here) == {"ledger.balance_is_sum"}

    async def test_a_lot_that_is_not_what_the_balance_says(self, here: World) -> None:
        await plant(here, update(LotRow).values(remaining_fen=LotRow.remaining_fen - 1))
        assert await named(here) == {"ledger.balance_is_sum"}

    async def test_money_held_by_no_hold(self, here: World) -> None:
        await plant(here, update(BalanceRow).where(BalanceRow.held_fen > 0).values(held_fen=1))
        assert await named(here) == {"ledger.hold_is_sum"}

    async def test_a_hold_that_holds_nothing(self, here: World) -> None:
        await plant(here, update(HoldRow).values(state=HoldState.VOIDED))
        assert "ledger.hold_is_sum" in await named(here)

    async def test_a_sealed_transfer_that_was_changed(self, here: World) -> None:
        wallet = TransferRow.kind == Kind.WALLET_SPENT
        await plant(
            here,
            update(TransferRow)
            .where(wallet)
            .values(effective_at=here.database.clock.now() + timedelta(hours=1)),
        )
        assert await named(here) == {"ledger.chain"}

    async def test_an_account_under_a_number_that_is_not_its_name_s(self, here: World) -> None:
        await plant(here, update(AccountRow).values(owner=AccountRow.owner + 1))
        assert "ledger.account_number" in await named(here)

    async def test_a_link_of_the_chain_that_is_gone(self, here: World) -> None:
        await here.fill("95", 1_0000)
        await here.database.transact(ledger.seal)
        await plant(here, update(SealRow).values(previous="0" * 64))
        assert "ledger.chain" in await named(here)


class TestDeliveries:
    async def test_a_quantity_that_is_not_what_the_totalizer_moved(self, here: World) -> None:
        await plant(
            here, update(DeliveryRow).values(totalizer_after_e4=DeliveryRow.totalizer_after_e4 + 5_0000)
        )
        assert await named(here) == {"deliveries.quantity_is_totalizer_delta"}


class TestPayments:
    async def test_an_allocation_that_the_payment_does_not_know(self, here: World) -> None:
        await plant(here, update(PaymentRow).where(CASH).values(allocated_fen=78_49))
        assert await named(here) == {"payments.amounts_agree"}

    async def test_a_refund_that_the_payment_does_not_know(self, here: World) -> None:
        await plant(here, update(PaymentRow).where(PaymentRow.refunded_fen > 0).values(refunded_fen=9_99))
        assert "payments.amounts_agree" in await named(here)

    async def test_a_payment_that_was_never_booked(self, here: World) -> None:
        booked = TransferRow.kind == Kind.CASH_TAKEN
        await plant(here, update(TransferRow).where(booked).values(reference="payment:1"))
        assert "payments.paid_is_booked" in await named(here)

    async def test_a_payment_booked_with_another_amount(self, here: World) -> None:
        await plant(here, update(PaymentRow).where(CASH).values(paid_fen=78_51))
        assert "payments.paid_is_booked" in await named(here)


class TestSales:
    async def test_an_amount_that_does_not_recompute(self, here: World) -> None:
        more = {"gross_fen": 78_51, "due_fen": 78_51}
        await plant(here, update(SaleRow).where(SaleRow.refunded_fen == 0).values(**more))
        assert "sales.amount_recomputes" in await named(here)

    async def test_a_delivery_that_is_gone(self, here: World) -> None:
        await plant(here, delete(DeliveryRow))
        assert "sales.amount_recomputes" in await named(here)

    async def test_a_sale_paid_by_nothing(self, here: World) -> None:
        await plant(here, update(AllocationRow).values(settled=0))
        assert {"sales.paid_is_settled", "payments.amounts_agree"} <= await named(here)

    async def test_a_refund_that_its_sale_does_not_know(self, here: World) -> None:
        await plant(here, update(SaleRow).where(SaleRow.refunded_fen > 0).values(refunded_fen=9_99))
        assert await named(here) == {"sales.paid_is_settled"}

    async def test_a_state_that_is_not_what_the_amounts_say(self, here: World) -> None:
        await plant(here, update(SaleRow).where(SaleRow.refunded_fen == 0).values(state=SaleState.OPEN))
        assert await named(here) == {"sales.state_agrees"}


class TestAsked:
    """What a channel was asked; the shop settles up before the plant."""

    @pytest.fixture
    async def shop(self, sqlite_database: Database) -> AsyncIterator[Shop]:
        async with open_shop(sqlite_database) as shop:
            sale = await shop.world.fill("95", 10_0000)
            await shop.scan_code(sale)
            await shop.relay()
            await shop.refund(await shop.sale(sale), 10_00)
            await shop.settle_up()
            yield shop

    async def test_money_that_was_given_out_twice(self, shop: Shop) -> None:
        await plant(shop.world, update(PaymentRow).values(refunded_fen=70_00))
        assert "payments.received_is_settled" in await named(shop.world)

    async def test_money_that_came_in_and_settles_nothing(self, shop: Shop) -> None:
        await plant(shop.world, update(PaymentRow).values(allocated_fen=0))
        shop.clock.advance(601)
        assert "payments.received_is_settled" in await named(shop.world)

    async def test_an_order_that_stands_elsewhere_than_its_payment(self, shop: Shop) -> None:
        await plant(shop.world, update(AttemptRow).values(state=PaymentState.CLOSED))
        assert await named(shop.world) == {"payments.order_agrees"}

    async def test_an_order_that_nobody_will_ask_about(self, shop: Shop) -> None:
        qr = await shop.show_qr(await shop.world.fill("95", 1_0000))
        await plant(shop.world, update(AttemptRow).where(AttemptRow.id == qr.id).values(next_ask_at=None))
        assert await named(shop.world) == {"payments.order_agrees"}

    async def test_a_refund_that_nobody_will_ask_about(self, shop: Shop) -> None:
        await plant(shop.world, update(RefundRow).values(state=RefundState.OPEN))
        assert "payments.order_agrees" in await named(shop.world)

    async def test_a_refund_that_was_never_booked(self, shop: Shop) -> None:
        opened = TransferRow.kind == Kind.REFUND_OPENED
        await plant(shop.world, update(TransferRow).where(opened).values(reference="refund:1"))
        assert await named(shop.world) == {"payments.refund_is_booked"}

    async def test_a_refund_confirmed_that_is_not(self, shop: Shop) -> None:
        await plant(shop.world, update(RefundRow).values(state=RefundState.ABNORMAL))
        assert await named(shop.world) == {"payments.refund_is_booked"}

    async def test_an_allocation_that_was_never_booked(self, shop: Shop) -> None:
        moved = TransferRow.kind == Kind.RECEIPT_ALLOCATED
        await plant(shop.world, update(TransferRow).where(moved).values(reference="payment:1:sale:1"))
        assert await named(shop.world) == {"payments.allocation_is_booked"}


def test_every_check_has_its_plant_here() -> None:
    """A new check fails this test until somebody has planted its violation."""
    here = Path(__file__).read_text()
    sources = "".join(Path(each.__code__.co_filename).read_text() for each in CHECKS)
    names = set(re.findall(r'check="([a-z_.]+)"', sources))
    assert len(names) >= 9
    assert [name for name in sorted(names) if f'"{name}"' not in here] == []
