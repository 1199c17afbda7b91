"""What `forecourt verify` asks of payments."""

from datetime import timedelta

from sqlalchemy import ColumnElement, case, func, select

from forecourt.core.db import ReadSession
from forecourt.core.verify import VIOLATIONS_MAX, Check, Violation
from forecourt.ledger import queries as ledger
from forecourt.ledger.types import Kind
from forecourt.payments.models import AllocationRow, AttemptRow, PaymentRow, RefundRow
from forecourt.payments.types import LIVE, PaymentPurpose, PaymentState, RefundState

SETTLED_WITHIN = timedelta(minutes=10)  # From the money to the sale: an event and its handler.


async def check_amounts(session: ReadSession) -> list[Violation]:
    """What a payment says it settled and gave back is what its allocations and refunds say."""
    settled = (
        select(AllocationRow.payment_id.label("payment_id"), func.sum(AllocationRow.amount_fen).label("fen"))
        .where(AllocationRow.settled == 1)
        .group_by(AllocationRow.payment_id)
        .subquery()
    )
    back = (
        select(
            RefundRow.payment_id.label("payment_id"),
            func.sum(RefundRow.amount_fen).label("fen"),
            func.sum(case((RefundRow.sale_id.is_not(None), RefundRow.amount_fen), else_=0)).label("of_sales"),
        )
        .group_by(RefundRow.payment_id)
        .subquery()
    )
    settled_fen = func.coalesce(settled.c.fen, 0) - func.coalesce(back.c.of_sales, 0)
    back_fen = func.coalesce(back.c.fen, 0)
    wanted = (
        select(PaymentRow.id, PaymentRow.allocated_fen, settled_fen, PaymentRow.refunded_fen, back_fen)
        .outerjoin(settled, settled.c.payment_id == PaymentRow.id)
        .outerjoin(back, back.c.payment_id == PaymentRow.id)
        .where(
            PaymentRow.purpose != PaymentPurpose.TOPUP,
            (PaymentRow.allocated_fen != settled_fen) | (PaymentRow.refunded_fen != back_fen),
        )
        .limit(VIOLATIONS_MAX)
    )
    return [
        Violation(
            check="payments.amounts_agree",
            subject=f"payment {row[0]}",
            detail=f"settled {row[1]} against {row[2]} fen, given back {row[3]} against {row[4]}",
        )
        for row in await session.all(wanted)
    ]


async def check_booked(session: ReadSession) -> list[Violation]:
    """Every payment that is paid was booked, once, with its amount, and nothing else was."""
    paid = {
        f"payment:{row[0]}": row[1]
        for row in await session.all(
            select(PaymentRow.id, PaymentRow.paid_fen).where(
                PaymentRow.state.in_([PaymentState.PAID, PaymentState.PAID_LATE])
            )
        )
    }
    booked = await ledger.booked_amounts_many(
        session, (Kind.WALLET_SPENT, Kind.CASH_TAKEN, Kind.CHANNEL_RECEIVED, Kind.TOPUP)
    )
    return [
        Violation(
            check="payments.paid_is_booked",
            subject=reference,
            detail=f"paid {paid.get(reference, 0)} fen, booked {booked.get(reference, 0)}",
        )
        for reference in sorted(paid.keys() | booked.keys())
        if paid.get(reference, 0) != booked.get(reference, 0)
    ][:VIOLATIONS_MAX]


async def check_free(session: ReadSession) -> list[Violation]:
    """Nothing was given out twice; money that came in for a sale has settled it, or is on its way back."""
    free_fen = PaymentRow.paid_fen - PaymentRow.allocated_fen - PaymentRow.refunded_fen
    waits: ColumnElement[bool] = (
        (PaymentRow.purpose == PaymentPurpose.SALE)
        & (free_fen > 0)
        & (PaymentRow.paid_at < session.now() - SETTLED_WITHIN)
    )
    wanted = select(PaymentRow.id, free_fen).where(
        PaymentRow.purpose != PaymentPurpose.TOPUP, (free_fen < 0) | waits
    )
    return [
        Violation(
            check="payments.received_is_settled", subject=f"payment {row[0]}", detail=f"{row[1]} fen are free"
        )
        for row in await session.all(wanted.limit(VIOLATIONS_MAX))
    ]


async def check_orders(session: ReadSession) -> list[Violation]:
    """A payment stands where its order stands, and what has no end yet will be asked about."""
    forgotten = AttemptRow.state.in_(list(LIVE)) & AttemptRow.next_ask_at.is_(None)
    orders = (
        select(AttemptRow.id, AttemptRow.state, PaymentRow.state)
        .join(PaymentRow, PaymentRow.id == AttemptRow.payment_id)
        .where((AttemptRow.state != PaymentRow.state) | forgotten)
        .limit(VIOLATIONS_MAX)
    )
    refunds = select(RefundRow.id).where(RefundRow.state == RefundState.OPEN, RefundRow.next_ask_at.is_(None))
    found = [
        Violation(
            check="payments.order_agrees",
            subject=f"order {row[0]}",
            detail=f"stands as {row[1]}, its payment as {row[2]}, and will not be asked about",
        )
        for row in await session.all(orders)
    ]
    found += [
        Violation(
            check="payments.order_agrees",
            subject=f"refund {row[0]}",
            detail="is open and will not be asked about",
        )
        for row in await session.all(refunds.limit(VIOLATIONS_MAX))
    ]
    return found[:VIOLATIONS_MAX]


async def check_refunds(session: ReadSession) -> list[Violation]:
    """Every refund was set aside in the book with its amount, and confirmed there when the channel did."""
    opened = await ledger.booked_amounts_many(
        session, (Kind.REFUND_OPENED, Kind.CASH_REFUNDED, Kind.WALLET_REFUNDED)
    )
    confirmed = await ledger.booked_amounts_many(session, (Kind.REFUND_CONFIRMED,))
    told: dict[str, int] = {}
    given: dict[str, int] = {}
    wanted = select(RefundRow.id, RefundRow.amount_fen, RefundRow.state, RefundRow.attempt_id)
    for refund_id, amount_fen, state, attempt_id in await session.all(wanted):
        told[f"refund:{refund_id}"] = amount_fen
        if attempt_id is not None and state is RefundState.SUCCEEDED:
            given[f"refund:{refund_id}"] = amount_fen
    return _differences("payments.refund_is_booked", told, opened) + _differences(
        "payments.refund_is_booked", given, confirmed
    )


async def check_allocations(session: ReadSession) -> list[Violation]:
    """What a channel's money settled was moved to the station's account, sale by sale."""
    wanted = (
        select(AllocationRow.payment_id, AllocationRow.sale_id, AllocationRow.amount_fen)
        .join(PaymentRow, PaymentRow.id == AllocationRow.payment_id)
        .where(AllocationRow.settled == 1, PaymentRow.merchant.is_not(None))
    )
    told = {f"payment:{row[0]}:sale:{row[1]}": row[2] for row in await session.all(wanted)}
    booked = await ledger.booked_amounts_many(session, (Kind.RECEIPT_ALLOCATED,))
    return _differences("payments.allocation_is_booked", told, booked)


def _differences(check: str, told: dict[str, int], booked: dict[str, int]) -> list[Violation]:
    return [
        Violation(
            check=check,
            subject=reference,
            detail=f"{told.get(reference, 0)} fen here, {booked.get(reference, 0)} in the book",
        )
        for reference in sorted(told.keys() | booked.keys())
        if told.get(reference, 0) != booked.get(reference, 0)
    ][:VIOLATIONS_MAX]


CHECKS: tuple[Check, ...] = (
    check_amounts,
    check_booked,
    check_free,
    check_orders,
    check_refunds,
    check_allocations,
)
