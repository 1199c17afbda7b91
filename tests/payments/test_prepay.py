"""Paid before flow through the channel: granted when the money is in, the rest back when the fill ends."""

import asyncio

import pytest
from tests.shop import Shop

from forecourt.devices import service as devices
from forecourt.devices.types import CommandKind
from forecourt.ledger.types import Wallet
from forecourt.payments.types import PaymentState, RefundState
from forecourt.sales import service
from forecourt.sales.errors import NozzleBusy
from forecourt.sales.types import Authorisation, AuthorisationKind, AuthorisationState, SaleState
from forecourt_kit.price import Preset, PresetKind

FOR_200 = Preset(PresetKind.AMOUNT, 200_00)


async def granted(shop: Shop) -> Authorisation:
    awaiting, qr = await shop.prepay(FOR_200)
    await shop.payer_pays(qr)
    await shop.notify(qr)
    await shop.relay()
    found = await shop.authorisation(awaiting)
    assert found.state is AuthorisationState.GRANTED
    return found


async def given_back_fen(shop: Shop, authorisation: Authorisation) -> list[int]:
    await shop.quiet()
    refunds = await shop.refunds(authorisation)
    assert all(each.state is RefundState.SUCCEEDED for each in refunds)
    return [each.amount_fen for each in refunds]


class TestFill:
    async def test_nothing_may_flow_before_the_money_is_in(self, shop: Shop) -> None:
        awaiting, _ = await shop.prepay(FOR_200)

        assert awaiting.state is AuthorisationState.AWAITING
        with pytest.raises(NozzleBusy):
            await shop.prepay(FOR_200)

    async def test_the_rest_goes_back_when_the_fill_ends(self, shop: Shop) -> None:
        authorisation = await granted(shop)
        sale = await shop.world.fill("95", 10_0000, authorisation_id=authorisation.id)

        assert (sale.state, sale.paid_fen, sale.tenders) == (SaleState.PAID, 78_50, ("wechat",))
        assert await given_back_fen(shop, authorisation) == [121_50]

    async def test_a_preset_that_the_meter_rounds_uses_all_of_it(self, shop: Shop) -> None:
        authorisation = await granted(shop)
        sale = await shop.world.fill(
            "95", 25_4800, device_amount_fen=200_00, preset=FOR_200, authorisation_id=authorisation.id
        )

        assert (sale.state, sale.paid_fen) == (SaleState.PAID, 200_00)
        assert await given_back_fen(shop, authorisation) == []

    async def test_nothing_drawn_gives_all_of_it_back(self, shop: Shop) -> None:
        authorisation = await granted(shop)
        report = shop.world.report("95", 0, authorisation_id=authorisation.id)

        assert await shop.world.deliver(report) == []
        assert await shop.world.deliver(report) == []
        assert await given_back_fen(shop, authorisation) == [200_00]
        assert (await shop.authorisation(authorisation)).state is AuthorisationState.CONSUMED

    async def test_what_flowed_beyond_it_stays_to_pay(self, shop: Shop) -> None:
        authorisation = await granted(shop)
        sale = await shop.world.fill("95", 30_0000, authorisation_id=authorisation.id)

        assert (sale.state, sale.owed_fen) == (SaleState.OPEN, 35_50)
        assert await given_back_fen(shop, authorisation) == []

    async def test_part_of_it_refunded_later_comes_under_a_number_of_its_own(self, shop: Shop) -> None:
        authorisation = await granted(shop)
        sale = await shop.world.fill("95", 10_0000, authorisation_id=authorisation.id)
        await shop.quiet()
        await shop.refund(sale, 8_50)

        assert await given_back_fen(shop, authorisation) == [121_50, 8_50]


class TestGivenUp:
    async def test_before_it_was_paid_its_qr_is_closed(self, shop: Shop) -> None:
        awaiting, qr = await shop.prepay(FOR_200)
        await shop.database.transact(service.release, shop.world.actor, awaiting.id)
        await shop.step()

        assert (await shop.attempt(qr)).state is PaymentState.CLOSED
        assert await given_back_fen(shop, awaiting) == []

    async def test_and_then_paid_all_of_it_goes_back(self, shop: Shop) -> None:
        awaiting, qr = await shop.prepay(FOR_200)
        await shop.database.transact(service.release, shop.world.actor, awaiting.id)
        await shop.payer_pays(qr)
        await shop.notify(qr)
        await shop.relay()

        assert await given_back_fen(shop, awaiting) == [200_00]
        assert (await shop.authorisation(awaiting)).state is AuthorisationState.RELEASED

    async def test_in_the_moment_it_is_paid_nothing_is_lost(self, shop: Shop) -> None:
        awaiting, qr = await shop.prepay(FOR_200)
        await shop.payer_pays(qr)
        await shop.notify(qr)
        await asyncio.gather(
            shop.relay(),
            shop.database.transact(service.release, shop.world.actor, awaiting.id),
            return_exceptions=True,
        )
        if (await shop.authorisation(awaiting)).state is AuthorisationState.GRANTED:
            await shop.database.transact(service.release, shop.world.actor, awaiting.id)

        assert await given_back_fen(shop, awaiting) == [200_00]

    async def test_a_qr_that_nobody_pays_frees_the_nozzle(self, shop: Shop) -> None:
        awaiting, _ = await shop.prepay(FOR_200)
        await shop.wait(330, every=110)

        assert (await shop.authorisation(awaiting)).state is AuthorisationState.RELEASED
        await shop.prepay(FOR_200)

    async def test_granted_and_never_used_all_of_it_goes_back(self, shop: Shop) -> None:
        authorisation = await granted(shop)
        await shop.wait(16 * 60, every=480)

        assert (await shop.authorisation(authorisation)).state is AuthorisationState.EXPIRED
        assert await given_back_fen(shop, authorisation) == [200_00]


class TestCommandFailed:
    """The station would not, or did not in time, let the nozzle run."""

    async def test_refused_by_the_station_the_money_goes_back_and_no_nozzle_is_stopped(
        self, shop: Shop
    ) -> None:
        agent = await shop.agent()
        authorisation = await granted(shop)
        await shop.answer_command(agent, CommandKind.AUTHORISE, done=False)
        await shop.relay()
        await shop.hear_all_again()

        assert (await shop.authorisation(authorisation)).state is AuthorisationState.RELEASED
        assert await shop.commands_due(agent) == []
        assert await given_back_fen(shop, authorisation) == [200_00]

    async def test_never_answered_the_money_goes_back(self, shop: Shop) -> None:
        agent = await shop.agent()
        authorisation = await granted(shop)
        shop.clock.advance(15 * 60 + 1)
        assert await shop.database.transact(devices.expire_commands) == 1
        await shop.relay()

        assert (await shop.authorisation(authorisation)).state is AuthorisationState.RELEASED
        assert [each.kind for each in await shop.commands_due(agent)] == [CommandKind.STOP]
        assert await given_back_fen(shop, authorisation) == [200_00]

    async def test_one_that_was_obeyed_changes_nothing(self, shop: Shop) -> None:
        agent = await shop.agent()
        authorisation = await granted(shop)
        await shop.answer_command(agent, CommandKind.AUTHORISE, done=True)
        await shop.relay()
        assert (await shop.authorisation(authorisation)).state is AuthorisationState.GRANTED

        await shop.world.fill("95", 10_0000, authorisation_id=authorisation.id)
        assert await given_back_fen(shop, authorisation) == [121_50]

    async def test_while_something_flows_silence_is_not_a_no(self, shop: Shop) -> None:
        await shop.agent()
        authorisation = await granted(shop)
        await shop.nozzle_flows("95")
        shop.clock.advance(15 * 60 + 1)
        await shop.database.transact(devices.expire_commands)
        await shop.relay()
        assert (await shop.authorisation(authorisation)).state is AuthorisationState.GRANTED

        sale = await shop.world.fill("95", 10_0000, authorisation_id=authorisation.id)
        assert sale.paid_fen == 78_50
        assert await given_back_fen(shop, authorisation) == [121_50]

    async def test_a_wallets_hold_is_freed(self, shop: Shop) -> None:
        agent = await shop.agent()
        member = await shop.world.member(500_00)
        wish = service.Wish(
            nozzle_id=shop.world.nozzles["95"].id,
            kind=AuthorisationKind.BOUND,
            preset=Preset(PresetKind.FULL),
            limit_fen=300_00,
        )
        await shop.database.transact(service.authorise_wallet, shop.world.actor, wish, member)
        await shop.answer_command(agent, CommandKind.AUTHORISE, done=False)
        await shop.relay()

        assert await shop.wallet(member) == Wallet(500_00, 0, 0)
