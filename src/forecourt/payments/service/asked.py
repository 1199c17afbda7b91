"""Asked tenders: the intent, the channel's word, and where the money that came in belongs."""

from datetime import datetime, timedelta
from typing import Any

from forecourt.core import outbox
from forecourt.core.actor import Actor
from forecourt.core.db import WriteSession
from forecourt.ledger import service as ledger
from forecourt.ledger.types import Kind, Topup
from forecourt.payments import queries, rules
from forecourt.payments.errors import PaymentEndedAlready
from forecourt.payments.service.refunds import apply_refund_answer, suspend_and_refund
from forecourt.payments.types import (
    LIVE,
    PAID_STATES,
    Answer,
    Attempt,
    AttemptId,
    NewAsked,
    Notice,
    Outcome,
    Payment,
    PaymentEnded,
    PaymentId,
    PaymentPurpose,
    PaymentState,
    PaymentSucceeded,
    Tender,
    Waits,
)
from forecourt_kit.ids import to_public


async def open_asked(session: WriteSession, new: NewAsked, waits: Waits) -> Attempt:
    """Commit the intent to ask a channel; `flows.start` asks. If nobody does, the poller will."""
    now = session.now()
    expires = now + timedelta(seconds=waits.native_expires_s)
    await queries.insert_payments_many(session, [_asked_row(new, now, expires)])
    if new.sale_id is not None:
        row = _allocation(new.payment_id, new.sale_id, new, 0, now)
        await queries.insert_allocations_many(session, [row])
    attempt_id = session.new_id()
    row = {
        "id": attempt_id,
        "payment_id": new.payment_id,
        "operator_id": new.operator_id,
        "provider": new.tender,
        "merchant": new.merchant,
        "product": new.product,
        "out_trade_no": f"F{to_public(attempt_id)}",
        "amount_fen": new.amount_fen,
        "state": PaymentState.CREATED,
        "qr": None,
        "channel_no": None,
        "last_code": "",
        "last_message": "",
        "created_at": now,
        "expires_at": expires,
        "ended_at": None,
        "ending": 0,
        "asked": 0,
        "next_ask_at": now + timedelta(seconds=waits.code_ask_every_s),
        "lease_owner": None,
        "lease_until": None,
        "tries": 0,
    }
    await queries.insert_attempt(session, row, new.operator_id)
    return (await queries.attempts_many(session, [attempt_id]))[0]


def _asked_row(new: NewAsked, now: datetime, expires: datetime) -> dict[str, Any]:
    return {
        "id": new.payment_id,
        "operator_id": new.operator_id,
        "station_id": new.station_id,
        "purpose": new.purpose,
        "tender": new.tender,
        "product": new.product,
        "merchant": new.merchant,
        "member_id": new.member_id,
        "amount_fen": new.amount_fen,
        "paid_fen": 0,
        "allocated_fen": 0,
        "refunded_fen": 0,
        "state": PaymentState.CREATED,
        "created_by": new.created_by,
        "created_at": now,
        "expires_at": expires,
        "paid_at": None,
    }


def _allocation(payment_id: int, sale_id: int, new: NewAsked, settled: int, now: datetime) -> dict[str, Any]:
    return {
        "payment_id": payment_id,
        "sale_id": sale_id,
        "operator_id": new.operator_id,
        "amount_fen": new.amount_fen,
        "settled": settled,
        "created_at": now,
    }


async def apply_answer(
    session: WriteSession, actor: Actor, attempt_id: AttemptId, answer: Answer, waits: Waits
) -> Payment:
    """Take a channel's word about one order. Any order of answers, any number of times: one effect.

    An answer about another amount is not believed: the order stays UNKNOWN, with the difference on record.
    """
    (attempt,) = await queries.attempts_many(session, [attempt_id])
    payment = await queries.lock_payment(session, actor.scope, attempt.payment_id)
    (attempt,) = await queries.attempts_many(session, [attempt_id])  # Again, now under the lock.
    outcome, code, message = answer.outcome, answer.code, answer.message
    if outcome is Outcome.PAID and answer.amount_fen != attempt.amount_fen:
        outcome, code = Outcome.UNKNOWN, "AMOUNT_DIFFERS"
        message = f"the channel says {answer.amount_fen} fen, the order says {attempt.amount_fen}"
    after = rules.after(attempt, outcome)
    now = session.now()
    ended = None if after in LIVE else attempt.ended_at or now
    await queries.set_attempt(
        session,
        attempt.id,
        attempt.operator_id,
        state=after,
        qr=answer.qr or attempt.qr,
        channel_no=answer.channel_no or attempt.channel_no,
        last_code=code[:80],
        last_message=message[:300],
        asked=attempt.asked + 1,
        ended_at=ended,
        next_ask_at=rules.next_ask(attempt, after, now, waits),
    )
    if after is attempt.state:
        return payment
    paid_fen = payment.paid_fen
    if after in PAID_STATES:
        paid_fen = attempt.amount_fen
    paid_at = (answer.paid_at or now) if after in PAID_STATES else payment.paid_at
    await queries.set_payment(
        session, actor.scope, payment.id, state=after, paid_fen=paid_fen, paid_at=paid_at
    )
    payment = await queries.get_payment(session, actor.scope, payment.id)
    if after in PAID_STATES:
        await _received(session, actor, payment, attempt)
    elif after not in LIVE:
        event = PaymentEnded(
            operator_id=payment.operator_id,
            payment_id=payment.id,
            state=after.value,
            station_id=payment.station_id,
        )
        await outbox.add(session, event)
    return payment


async def _received(session: WriteSession, actor: Actor, payment: Payment, attempt: Attempt) -> None:
    """Book money that a channel has taken for us; when it came after the end, send it back."""
    accounts = rules.Accounts(payment.operator_id, payment.station_id, attempt.provider, attempt.merchant)
    reference = f"payment:{payment.id}"
    if payment.purpose is PaymentPurpose.TOPUP and payment.state is PaymentState.PAID:
        assert payment.member_id is not None
        await ledger.post(
            session,
            Topup(
                operator_id=payment.operator_id,
                reference=reference,
                member_id=payment.member_id,
                principal_fen=payment.paid_fen,
                bonus_fen=0,
                debit=accounts.receivable,
            ),
        )
        await queries.set_payment(session, actor.scope, payment.id, allocated_fen=payment.paid_fen)
    else:
        received = rules.move(
            Kind.CHANNEL_RECEIVED, reference, accounts.receivable, accounts.unallocated, payment.paid_fen
        )
        await ledger.post(session, received)
    if payment.state is PaymentState.PAID_LATE:
        await suspend_and_refund(session, actor, payment.id, "paid after the order had ended")
        return
    event = PaymentSucceeded(
        operator_id=payment.operator_id,
        payment_id=payment.id,
        purpose=payment.purpose.value,
        tender=payment.tender.value,
        amount_fen=payment.paid_fen,
        station_id=payment.station_id,
    )
    await outbox.add(session, event)


async def allocate(
    session: WriteSession, actor: Actor, payment_id: int, sale_id: int, amount_fen: int
) -> bool:
    """Settle `amount_fen` of a sale with money that came in. False when this was booked before."""
    payment = await queries.lock_payment(session, actor.scope, payment_id)
    assert payment.merchant is not None
    links = {
        sale: settled
        for sale, _, settled in await queries.sales_of_payment(session, payment.id, payment.operator_id)
    }
    if links.get(sale_id):
        return False
    assert 0 < amount_fen <= payment.free_fen
    if sale_id in links:
        await queries.settle_allocation(session, payment.id, sale_id, payment.operator_id, amount_fen)
    else:
        row = {
            "payment_id": payment.id,
            "sale_id": sale_id,
            "operator_id": payment.operator_id,
            "amount_fen": amount_fen,
            "settled": 1,
            "created_at": session.now(),
        }
        await queries.insert_allocations_many(session, [row])
    accounts = rules.Accounts(payment.operator_id, payment.station_id, payment.tender, payment.merchant)
    reference = f"payment:{payment.id}:sale:{sale_id}"
    moved = rules.move(Kind.RECEIPT_ALLOCATED, reference, accounts.unallocated, accounts.payable, amount_fen)
    await ledger.post(session, moved)
    await queries.set_payment(
        session, actor.scope, payment.id, allocated_fen=payment.allocated_fen + amount_fen
    )
    return True


async def apply_notice(
    session: WriteSession, actor: Actor, provider: Tender, operator_id: int, notice: Notice, waits: Waits
) -> str:
    """Take a verified notification. Its effect: `applied`, `repeated`, `unknown_order`, `unknown_refund`."""
    effect, payment_id = "unknown_order", None
    if notice.payment is not None:
        attempt = await queries.attempt_by_number(
            session, provider, notice.merchant, notice.payment.out_trade_no, operator_id
        )
        if attempt is not None:
            payment = await apply_answer(session, actor, attempt.id, notice.payment, waits)
            effect, payment_id = "applied", payment.id
    else:
        assert notice.refund is not None
        effect = "unknown_refund"
        refund = await queries.find_refund(session, operator_id, notice.refund.out_refund_no)
        if refund is not None:
            await apply_refund_answer(session, actor, refund.id, notice.refund, waits)
            effect, payment_id = "applied", refund.payment_id
    told = notice.payment or notice.refund
    assert told is not None
    row = {
        "id": session.new_id(),
        "provider": provider,
        "merchant": notice.merchant,
        "notice_id": notice.notice_id,
        "operator_id": operator_id,
        "payment_id": payment_id,
        "effect": effect,
        "body": {"outcome": told.outcome.value, "channel_no": told.channel_no, "amount_fen": told.amount_fen},
        "received_at": session.now(),
    }
    return effect if await queries.insert_notice_many(session, [row]) else "repeated"


async def end_asked(session: WriteSession, actor: Actor, payment_id: PaymentId) -> Payment:
    """Ask for the end of an unpaid payment; the channel is told first, and its word decides.

    Raises:
        PaymentNotFound, PaymentEndedAlready.
    """
    payment = await queries.lock_payment(session, actor.scope, payment_id)
    if payment.state not in LIVE:
        raise PaymentEndedAlready(payment_id=to_public(payment.id), state=payment.state.value)
    await _give_up(session, payment)
    return payment


async def give_up(session: WriteSession, actor: Actor, payment_id: int) -> None:
    """Nobody wants this payment any more: it is ended at its channel, unless it has ended already."""
    await _give_up(session, await queries.lock_payment(session, actor.scope, payment_id))


async def _give_up(session: WriteSession, payment: Payment) -> None:
    for attempt in (await queries.attempts_of_many(session, [payment.id])).get(payment.id, []):
        if attempt.state in LIVE and not attempt.ending:
            await queries.set_ending(session, attempt.id, attempt.operator_id, queries.ENDING, session.now())


async def begin_reverse(session: WriteSession, actor: Actor, attempt_id: AttemptId) -> bool:
    """Decide, before the channel is asked, that an order is reversed. False: it has ended meanwhile.

    Without this a success that is told while the reverse is on its way would stay booked, its money gone.
    """
    (attempt,) = await queries.attempts_many(session, [attempt_id])
    await queries.lock_payment(session, actor.scope, attempt.payment_id)
    (attempt,) = await queries.attempts_many(session, [attempt_id])
    if attempt.state not in LIVE:
        return False
    now = session.now()
    await queries.set_ending(session, attempt.id, attempt.operator_id, queries.REVERSING, now)
    return True


async def lease_attempts(session: WriteSession, owner: str, waits: Waits, limit: int) -> list[Attempt]:
    until = session.now() + timedelta(seconds=waits.lease_s)
    return await queries.lease_due_attempts_many(session, owner, until, limit)
