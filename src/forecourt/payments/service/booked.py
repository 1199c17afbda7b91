"""Booked tenders: wallet and cash settle in the transaction that takes them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from forecourt.core.actor import Actor
from forecourt.core.db import WriteSession
from forecourt.core.errors import Refusal
from forecourt.ledger import service as ledger
from forecourt.ledger.types import Draw, Kind, Movement, Posted, Topup
from forecourt.payments import queries, rules
from forecourt.payments.errors import MemberNeeded
from forecourt.payments.types import NewBooked, PaymentId, PaymentPurpose, PaymentState, Tender


async def book_many(session: WriteSession, new: Sequence[NewBooked]) -> list[Posted | Refusal]:
    """Settle sales from wallets or with cash, at once; answers one outcome each, in order.

    The caller holds the sales' locks and has checked what is due.
    """
    posted = await ledger.post_many(session, [_booking(each) for each in new])
    good = [each for each, outcome in zip(new, posted, strict=True) if isinstance(outcome, Posted)]
    now = session.now()
    await queries.insert_payments_many(session, [_booked_row(each, now) for each in good])
    await queries.insert_allocations_many(session, [allocation_row(each, each.sale_id, now) for each in good])
    return posted


def _booking(new: NewBooked) -> Movement:
    payable = rules.Accounts(new.operator_id, new.station_id, new.tender, "").payable
    reference = f"payment:{new.payment_id}"
    if new.tender is Tender.CASH:
        cash = rules.Accounts(new.operator_id, new.station_id, new.tender, "").cash
        return rules.move(Kind.CASH_TAKEN, reference, cash, payable, new.amount_fen)
    assert new.tender is Tender.WALLET
    if new.member_id is None:
        raise MemberNeeded
    return Draw(
        operator_id=new.operator_id,
        reference=reference,
        member_id=new.member_id,
        amount_fen=new.amount_fen,
        credit=payable,
        hold_reference=new.hold_reference,
    )


def _booked_row(new: NewBooked, now: datetime) -> dict[str, Any]:
    return {
        "id": new.payment_id,
        "operator_id": new.operator_id,
        "station_id": new.station_id,
        "purpose": PaymentPurpose.SALE,
        "tender": new.tender,
        "product": None,
        "merchant": None,
        "member_id": new.member_id,
        "amount_fen": new.amount_fen,
        "paid_fen": new.amount_fen,
        "allocated_fen": new.amount_fen,
        "refunded_fen": 0,
        "state": PaymentState.PAID,
        "created_by": new.created_by,
        "created_at": now,
        "expires_at": None,
        "paid_at": now,
    }


async def top_up_cash(
    session: WriteSession,
    actor: Actor,
    *,
    operator_id: int,
    station_id: int,
    member_id: int,
    amount_fen: int,
    bonus_fen: int,
) -> PaymentId:
    """Fill a member's wallet with cash taken at a station, plus what the operator gives."""
    payment_id = PaymentId(session.new_id())
    now = session.now()
    new = NewBooked(
        payment_id=payment_id,
        operator_id=operator_id,
        station_id=station_id,
        sale_id=0,
        tender=Tender.CASH,
        amount_fen=amount_fen,
        member_id=member_id,
        created_by=actor.subject,
    )
    row = {**_booked_row(new, now), "purpose": PaymentPurpose.TOPUP}
    await queries.insert_payments_many(session, [row])
    cash = rules.Accounts(operator_id, station_id, Tender.CASH, "").cash
    topup = Topup(
        operator_id=operator_id,
        reference=f"payment:{payment_id}",
        member_id=member_id,
        principal_fen=amount_fen,
        bonus_fen=bonus_fen,
        debit=cash,
    )
    await ledger.post(session, topup)
    return payment_id


def allocation_row(new: NewBooked, sale_id: int, now: datetime) -> dict[str, Any]:
    return {
        "payment_id": new.payment_id,
        "sale_id": sale_id,
        "operator_id": new.operator_id,
        "amount_fen": new.amount_fen,
        "settled": 1,
        "created_at": now,
    }
