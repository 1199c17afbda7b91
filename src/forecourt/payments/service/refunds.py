"""Money on its way back: set aside first, sent under one fixed number, confirmed by the channel's word."""

from datetime import timedelta

from forecourt.core import outbox
from forecourt.core.actor import Actor
from forecourt.core.db import WriteSession
from forecourt.ledger import service as ledger
from forecourt.ledger.types import Account, GiveBack, Kind, Movement
from forecourt.payments import queries, rules
from forecourt.payments.errors import RefundTooLarge
from forecourt.payments.types import (
    PAID_STATES,
    Attempt,
    Payment,
    Refund,
    RefundAnswer,
    RefundId,
    RefundOutcome,
    RefundSettled,
    RefundState,
    Tender,
    Waits,
)
from forecourt_kit.ids import to_public


async def suspend_and_refund(
    session: WriteSession, actor: Actor, payment_id: int, reason: str
) -> Refund | None:
    """Money nobody owed us: put what is free of it aside and send it back. None when nothing is free."""
    payment = await queries.lock_payment(session, actor.scope, payment_id)
    if payment.free_fen == 0:
        return None
    assert payment.merchant is not None
    accounts = rules.Accounts(payment.operator_id, payment.station_id, payment.tender, payment.merchant)
    reference = f"payment:{payment.id}"
    amount_fen = payment.free_fen
    suspended = rules.move(
        Kind.RECEIPT_SUSPENDED, reference, accounts.unallocated, accounts.suspense, amount_fen, reason=reason
    )
    await ledger.post(session, suspended)
    return await _open_refund(session, actor, payment, "S", amount_fen, reason, source=accounts.suspense)


async def refund_rest(session: WriteSession, actor: Actor, payment_id: int, reason: str) -> Refund | None:
    """Send back what a pre-payment has left, under its one fixed number. None when nothing is left."""
    payment = await queries.lock_payment(session, actor.scope, payment_id)
    if payment.free_fen == 0:
        return None
    assert payment.merchant is not None
    accounts = rules.Accounts(payment.operator_id, payment.station_id, payment.tender, payment.merchant)
    return await _open_refund(
        session, actor, payment, "R", payment.free_fen, reason, source=accounts.unallocated
    )


async def refund_sale(
    session: WriteSession,
    actor: Actor,
    payment_id: int,
    sale_id: int,
    amount_fen: int,
    reason: str,
    number: str,
) -> Refund:
    """Give back part of what settled a sale. `number` is the caller's own, unique for the sale.

    Raises:
        PaymentNotFound, RefundTooLarge.
    """
    payment = await queries.lock_payment(session, actor.scope, payment_id)
    links = await queries.sales_of_payment(session, payment.id, payment.operator_id)
    settled_fen = sum(fen for sale, fen, settled in links if sale == sale_id and settled)
    given = [
        refund.amount_fen
        for refund in (await queries.refunds_of_many(session, [payment.id])).get(payment.id, [])
        if refund.sale_id == sale_id
    ]
    left_fen = settled_fen - sum(given)
    if amount_fen > left_fen:
        raise RefundTooLarge(asked_fen=amount_fen, left_fen=left_fen)
    accounts = rules.Accounts(payment.operator_id, payment.station_id, payment.tender, payment.merchant or "")
    return await _open_refund(
        session, actor, payment, f"N{number}", amount_fen, reason, source=accounts.payable, sale_id=sale_id
    )


async def _open_refund(
    session: WriteSession,
    actor: Actor,
    payment: Payment,
    suffix: str,
    amount_fen: int,
    reason: str,
    *,
    source: Account,
    sale_id: int | None = None,
) -> Refund:
    """Set the money aside; a booked tender gives it back at once, a channel is asked by `flows`."""
    out_refund_no = f"R{to_public(payment.id)}{suffix}"
    if (earlier := await queries.find_refund(session, payment.operator_id, out_refund_no)) is not None:
        return earlier
    attempts = (await queries.attempts_of_many(session, [payment.id])).get(payment.id, [])
    asked = next((each for each in attempts if each.state in PAID_STATES), None)
    now = session.now()
    refund_id = RefundId(session.new_id())
    row = {
        "id": refund_id,
        "operator_id": payment.operator_id,
        "station_id": payment.station_id,
        "payment_id": payment.id,
        "sale_id": sale_id,
        "attempt_id": asked.id if asked else None,
        "out_refund_no": out_refund_no,
        "amount_fen": amount_fen,
        "reason": reason[:200],
        "state": RefundState.OPEN if asked else RefundState.SUCCEEDED,
        "channel_no": None,
        "last_code": "",
        "last_message": "",
        "created_by": actor.subject,
        "created_at": now,
        "ended_at": None if asked else now,
        "asked": 0,
        "next_ask_at": now if asked else None,
        "lease_owner": None,
        "lease_until": None,
        "tries": 0,
    }
    await queries.insert_refund(session, row, payment.operator_id)
    # What settled a sale stays allocated: a refund of it is `refunded`, not `free` again.
    if sale_id is not None:
        await queries.set_payment(
            session, actor.scope, payment.id, allocated_fen=payment.allocated_fen - amount_fen
        )
    await queries.set_payment(
        session, actor.scope, payment.id, refunded_fen=payment.refunded_fen + amount_fen
    )
    await ledger.post(session, _refund_movement(payment, refund_id, amount_fen, source, asked))
    refund = await queries.get_refund(session, actor.scope, refund_id)
    if asked is None:
        await _tell_refund(session, refund)
    return refund


def _refund_movement(
    payment: Payment, refund_id: RefundId, amount_fen: int, source: Account, asked: Attempt | None
) -> Movement:
    reference = f"refund:{refund_id}"
    accounts = rules.Accounts(payment.operator_id, payment.station_id, payment.tender, payment.merchant or "")
    if asked is not None:
        return rules.move(Kind.REFUND_OPENED, reference, source, accounts.in_transit, amount_fen)
    if payment.tender is Tender.CASH:
        return rules.move(Kind.CASH_REFUNDED, reference, source, accounts.cash, amount_fen)
    assert payment.member_id is not None
    return GiveBack(
        operator_id=payment.operator_id,
        reference=reference,
        spent_reference=f"payment:{payment.id}",
        member_id=payment.member_id,
        amount_fen=amount_fen,
        debit=source,
    )


async def apply_refund_answer(
    session: WriteSession, actor: Actor, refund_id: RefundId, answer: RefundAnswer, waits: Waits
) -> Refund:
    """Take a channel's word about a refund, in any order and any number of times.

    A success about another amount is not believed; the refund is asked about until a person has seen to it.
    """
    refund = await queries.get_refund(session, actor.scope, refund_id)
    payment = await queries.lock_payment(session, actor.scope, refund.payment_id)
    refund = await queries.get_refund(session, actor.scope, refund_id)
    outcome, code, message = answer.outcome, answer.code, answer.message
    if outcome is RefundOutcome.SUCCEEDED and answer.amount_fen != refund.amount_fen:
        outcome, code = RefundOutcome.UNKNOWN, "AMOUNT_DIFFERS"
        message = f"the channel says {answer.amount_fen} fen, the refund says {refund.amount_fen}"
    after = rules.REFUND_TRANSITIONS.get((refund.state, outcome), refund.state)
    now = session.now()
    is_open = after is RefundState.OPEN
    pause = min(waits.refund_ask_every_s * 2 ** min(refund.asked, 6), 600)
    await queries.set_refund(
        session,
        refund.id,
        refund.operator_id,
        state=after,
        last_code=code[:80],
        last_message=message[:300],
        asked=refund.asked + 1,
        ended_at=None if is_open else refund.ended_at or now,
        next_ask_at=now + timedelta(seconds=pause) if is_open else None,
        **({"channel_no": answer.channel_no} if answer.channel_no else {}),
    )
    if after is refund.state:
        return refund
    if after is RefundState.SUCCEEDED:
        assert payment.merchant is not None
        accounts = rules.Accounts(payment.operator_id, payment.station_id, payment.tender, payment.merchant)
        confirmed = rules.move(
            Kind.REFUND_CONFIRMED,
            f"refund:{refund.id}",
            accounts.in_transit,
            accounts.receivable,
            refund.amount_fen,
        )
        await ledger.post(session, confirmed)
    refund = await queries.get_refund(session, actor.scope, refund_id)
    await _tell_refund(session, refund)
    return refund


async def _tell_refund(session: WriteSession, refund: Refund) -> None:
    event = RefundSettled(
        operator_id=refund.operator_id,
        refund_id=refund.id,
        payment_id=refund.payment_id,
        amount_fen=refund.amount_fen,
        state=refund.state.value,
        station_id=refund.station_id,
    )
    await outbox.add(session, event)


async def lease_refunds(session: WriteSession, owner: str, waits: Waits, limit: int) -> list[Refund]:
    until = session.now() + timedelta(seconds=waits.lease_s)
    return await queries.lease_due_refunds_many(session, owner, until, limit)
