"""A terminal sees and ends the payments of its own station, and no others."""

import pytest
from tests.shop import Shop

from forecourt.core.actor import Actor, Device, OperatorId
from forecourt.payments import queries, service
from forecourt.payments.errors import PaymentNotFound
from forecourt.payments.types import PAYMENTS_AT_DEVICE, PaymentId, PaymentState


def terminal(shop: Shop, operator_id: int, station_id: int) -> Actor:
    return Actor(
        scope=Device(OperatorId(operator_id), 7, station_id),
        subject="device:pillar",
        permissions=frozenset({PAYMENTS_AT_DEVICE}),
    )


async def test_a_terminal_sees_what_its_station_is_paid(shop: Shop) -> None:
    sale = await shop.world.fill("95", 10_0000)
    qr = await shop.show_qr(sale)
    ours = await shop.sale(sale)
    here = terminal(shop, ours.operator_id, ours.station_id)
    async with shop.database.read() as session:
        view = await queries.payment_view(session, here.scope, qr.payment_id)
    assert (view.state, view.sale_ids) == (PaymentState.PENDING, (ours.id,))


@pytest.mark.parametrize("stranger", ["station", "operator"])
async def test_a_stranger_neither_sees_nor_ends_it(shop: Shop, stranger: str) -> None:
    sale = await shop.world.fill("95", 10_0000)
    qr = await shop.show_qr(sale)
    ours = await shop.sale(sale)
    elsewhere = terminal(
        shop,
        ours.operator_id + (stranger == "operator"),
        ours.station_id + (stranger == "station"),
    )
    async with shop.database.read() as session:
        with pytest.raises(PaymentNotFound):
            await queries.payment_view(session, elsewhere.scope, qr.payment_id)
    with pytest.raises(PaymentNotFound):
        await shop.database.transact(service.end_asked, elsewhere, PaymentId(qr.payment_id))
