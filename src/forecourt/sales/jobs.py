"""What sales hears from the bus, and what the clock asks of it. Every handler may hear the same twice."""

from forecourt.core.actor import system
from forecourt.core.bus import Delivery, Subscription
from forecourt.core.db import Database
from forecourt.payments.types import PaymentPurpose
from forecourt.sales import service

ON_DELIVERY_ENDED = Subscription(name="sales.delivery_ended", topics=("deliveries.delivery.ended",))
ON_PAYMENT = Subscription(name="sales.payment", topics=("payments.payment.*",))


async def on_delivery_ended(database: Database, told: Delivery) -> None:
    await database.transact(service.open_many, system("sales.open"), [told.message.body["delivery_id"]])


async def on_payment(database: Database, told: Delivery) -> None:
    """Money came in, or will not."""
    actor = system("sales.settle")
    payment_id, operator_id = told.message.body["payment_id"], told.message.operator_id
    if told.message.topic == "payments.payment.ended":
        await database.transact(service.unpaid, actor, payment_id)
        await database.transact(service.refuse_unpaid, actor, payment_id, operator_id)
    elif told.message.body["purpose"] == PaymentPurpose.SALE:
        await database.transact(service.settle_received, actor, payment_id)
    elif told.message.body["purpose"] == PaymentPurpose.PREPAY:
        await database.transact(service.grant_paid, actor, payment_id, operator_id)


async def expire_authorisations(database: Database) -> None:
    await database.transact(service.expire_authorisations, system("sales.expire"))
