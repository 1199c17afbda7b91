"""What sales hears from the bus, and what the clock asks of it. Every handler may hear the same twice."""

from collections.abc import Awaitable, Callable

from forecourt.core.actor import system
from forecourt.core.bus import Delivery, Subscription
from forecourt.core.db import Database
from forecourt.devices.types import CommandKind, CommandState
from forecourt.payments.types import PaymentPurpose, RefundState
from forecourt.sales import service
from forecourt_kit.ids import from_public

ON_DELIVERY_ENDED = Subscription(name="sales.delivery_ended", topics=("deliveries.delivery.ended",))
ON_PAYMENT = Subscription(name="sales.payment", topics=("payments.payment.*",))
ON_REFUND = Subscription(name="sales.refund", topics=("payments.refund.settled",))
ON_SALE_PAID = Subscription(name="sales.sale_paid", topics=("sales.sale.paid",))
ON_COMMAND_ENDED = Subscription(name="sales.command_ended", topics=("devices.command.ended",))

STARTS = frozenset({CommandKind.AUTHORISE.value, CommandKind.REMOTE_START.value})


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


async def on_refund(database: Database, told: Delivery) -> None:
    """A channel gave money back, or says that it cannot."""
    body = told.message.body
    if body["state"] == RefundState.ABNORMAL:
        await database.transact(service.mark_refund_abnormal, body["payment_id"], told.message.operator_id)


async def on_sale_paid(database: Database, told: Delivery) -> None:
    """Nobody should pay it again: a QR that is still shown somewhere is closed."""
    await database.transact(service.end_others, system("sales.end_others"), told.message.body["sale_id"])


async def on_command_ended(database: Database, told: Delivery) -> None:
    """A nozzle or a charger was told to run, and did not: what was authorised for it goes back."""
    body = told.message.body
    authorisation = body["body"].get("authorisation_id")
    if body["kind"] not in STARTS or authorisation is None:
        return
    if body["state"] not in {CommandState.FAILED, CommandState.EXPIRED}:
        return
    await database.transact(
        service.command_failed,
        system("sales.command_failed"),
        from_public(authorisation),
        told.message.operator_id,
        refused=body["state"] == CommandState.FAILED,
    )


SUBSCRIPTIONS: tuple[tuple[Subscription, Callable[[Database, Delivery], Awaitable[None]]], ...] = (
    (ON_DELIVERY_ENDED, on_delivery_ended),
    (ON_PAYMENT, on_payment),
    (ON_REFUND, on_refund),
    (ON_SALE_PAID, on_sale_paid),
    (ON_COMMAND_ENDED, on_command_ended),
)


async def expire_authorisations(database: Database) -> None:
    await database.transact(service.expire_authorisations, system("sales.expire"))
