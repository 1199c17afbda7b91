"""Every statement about payments, attempts, allocations, refunds and notices."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import segno
from sqlalchemy import select, update

from forecourt.core.actor import Device, Scope, operator_of
from forecourt.core.db import ReadSession, WriteSession, insert_new, lease
from forecourt.payments.errors import PaymentNotFound, RefundNotFound
from forecourt.payments.models import AllocationRow, AttemptRow, NoticeRow, PaymentRow, RefundRow
from forecourt.payments.types import (
    Attempt,
    AttemptId,
    NoticeTaken,
    Payment,
    PaymentId,
    PaymentState,
    PaymentView,
    Refund,
    RefundId,
    Tender,
)

PAYMENT = (
    PaymentRow.id,
    PaymentRow.operator_id,
    PaymentRow.station_id,
    PaymentRow.purpose,
    PaymentRow.tender,
    PaymentRow.product,
    PaymentRow.merchant,
    PaymentRow.member_id,
    PaymentRow.amount_fen,
    PaymentRow.paid_fen,
    PaymentRow.allocated_fen,
    PaymentRow.refunded_fen,
    PaymentRow.state,
    PaymentRow.created_by,
    PaymentRow.created_at,
    PaymentRow.expires_at,
    PaymentRow.paid_at,
)
ATTEMPT = (
    AttemptRow.id,
    AttemptRow.payment_id,
    AttemptRow.operator_id,
    AttemptRow.provider,
    AttemptRow.merchant,
    AttemptRow.product,
    AttemptRow.out_trade_no,
    AttemptRow.amount_fen,
    AttemptRow.state,
    AttemptRow.qr,
    AttemptRow.channel_no,
    AttemptRow.last_code,
    AttemptRow.last_message,
    AttemptRow.created_at,
    AttemptRow.expires_at,
    AttemptRow.ended_at,
    AttemptRow.ending,
    AttemptRow.asked,
)
REFUND = (
    RefundRow.id,
    RefundRow.operator_id,
    RefundRow.station_id,
    RefundRow.payment_id,
    RefundRow.sale_id,
    RefundRow.out_refund_no,
    RefundRow.amount_fen,
    RefundRow.reason,
    RefundRow.state,
    RefundRow.last_code,
    RefundRow.last_message,
    RefundRow.created_by,
    RefundRow.created_at,
    RefundRow.ended_at,
    RefundRow.asked,
)
ENDING, REVERSING = 1, 2  # Of `AttemptRow.ending`.


def _payment(row: Any) -> Payment:
    fields = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping.
    return Payment(**{**fields, "id": PaymentId(row.id)})


def _attempt(row: Any) -> Attempt:
    fields = dict(row._mapping)  # noqa: SLF001
    ending = {"ending": row.ending != 0, "reversing": row.ending == REVERSING}
    return Attempt(**{**fields, "id": AttemptId(row.id), **ending})


def _refund(row: Any) -> Refund:
    return Refund(**{**dict(row._mapping), "id": RefundId(row.id)})  # noqa: SLF001


async def insert_payments_many(session: WriteSession, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        await session.insert_many(PaymentRow, rows)


async def insert_allocations_many(session: WriteSession, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        await session.insert_many(AllocationRow, rows)


async def insert_attempt(session: WriteSession, row: Mapping[str, Any], operator_id: int) -> None:
    assert row["operator_id"] == operator_id
    await session.insert_many(AttemptRow, [row])


def _seen_by(statement: Any, scope: Scope) -> Any:
    """Bound a statement on payments to what `scope` may see: its operator's, a terminal its station's."""
    if (mine := operator_of(scope)) is not None:
        statement = statement.where(PaymentRow.operator_id == mine)
    if isinstance(scope, Device):
        statement = statement.where(PaymentRow.station_id == scope.station_id)
    return statement


async def get_payment(session: ReadSession, scope: Scope, payment_id: int) -> Payment:
    """Raises `PaymentNotFound`."""
    row = await session.first(_seen_by(select(*PAYMENT).where(PaymentRow.id == payment_id), scope))
    if row is None:
        raise PaymentNotFound(payment_id=payment_id)
    return _payment(row)


async def payment_view(session: ReadSession, scope: Scope, payment_id: int) -> PaymentView:
    """Raises `PaymentNotFound`."""
    payment = await get_payment(session, scope, payment_id)
    attempts = (await attempts_of_many(session, [payment.id])).get(payment.id, [])
    sales = await sales_of_payment(session, payment.id, payment.operator_id)
    qr = next((each.qr for each in reversed(attempts) if each.qr), None)
    if payment.state is not PaymentState.PENDING:
        qr = None
    return PaymentView(
        id=payment.id,
        state=payment.state,
        tender=payment.tender,
        product=payment.product,
        amount_fen=payment.amount_fen,
        paid_fen=payment.paid_fen,
        refunded_fen=payment.refunded_fen,
        sale_ids=tuple(sale_id for sale_id, _, _ in sales),
        qr_text=qr,
        qr_svg=None if qr is None else segno.make(qr, error="m").svg_inline(border=2, omitsize=True),
        expires_at=payment.expires_at,
        created_at=payment.created_at,
        paid_at=payment.paid_at,
    )


async def lock_payment(session: WriteSession, scope: Scope, payment_id: int) -> Payment:
    """The same, locked until the transaction ends. Attempts and refunds are changed under this lock."""
    wanted = _seen_by(select(*PAYMENT).where(PaymentRow.id == payment_id), scope)
    row = await session.first(wanted.with_for_update())
    if row is None:
        raise PaymentNotFound(payment_id=payment_id)
    return _payment(row)


async def set_payment(session: WriteSession, scope: Scope, payment_id: int, **values: Any) -> None:
    statement = update(PaymentRow).where(PaymentRow.id == payment_id)
    if (mine := operator_of(scope)) is not None:
        statement = statement.where(PaymentRow.operator_id == mine)
    touched = await session.run(statement.values(**values))
    assert touched <= 1


async def list_payments(
    session: ReadSession, scope: Scope, *, before: int | None, limit: int, state: str | None
) -> list[Payment]:
    """Newest first; `before` is the id of the last one seen."""
    wanted = select(*PAYMENT).order_by(PaymentRow.id.desc()).limit(limit)
    if (mine := operator_of(scope)) is not None:
        wanted = wanted.where(PaymentRow.operator_id == mine)
    if before is not None:
        wanted = wanted.where(PaymentRow.id < before)
    if state is not None:
        wanted = wanted.where(PaymentRow.state == state)
    return [_payment(row) for row in await session.all(wanted)]


async def attempt_by_number(
    session: ReadSession, provider: Tender, merchant: str, out_trade_no: str, operator_id: int
) -> Attempt | None:
    wanted = select(*ATTEMPT).where(
        AttemptRow.provider == provider,
        AttemptRow.merchant == merchant,
        AttemptRow.out_trade_no == out_trade_no,
        AttemptRow.operator_id == operator_id,
    )
    row = await session.first(wanted)
    return None if row is None else _attempt(row)


async def attempts_of_many(session: ReadSession, payment_ids: Iterable[int]) -> dict[int, list[Attempt]]:
    """Attempts by payment, oldest first."""
    found: dict[int, list[Attempt]] = {}
    wanted = select(*ATTEMPT).where(AttemptRow.payment_id.in_(list(payment_ids))).order_by(AttemptRow.id)
    for row in await session.all(wanted):
        found.setdefault(row.payment_id, []).append(_attempt(row))
    return found


async def attempts_many(session: ReadSession, attempt_ids: Iterable[int]) -> list[Attempt]:
    rows = await session.all(select(*ATTEMPT).where(AttemptRow.id.in_(list(attempt_ids))))
    return [_attempt(row) for row in rows]


async def lease_due_attempts_many(
    session: WriteSession, owner: str, until: datetime, limit: int
) -> list[Attempt]:
    """Take orders whose time to be asked about has come."""
    due = AttemptRow.next_ask_at.is_not(None) & (AttemptRow.next_ask_at <= session.now())
    taken = await lease(
        session,
        AttemptRow,
        ready=due,
        order_by=AttemptRow.next_ask_at.asc(),
        limit=limit,
        owner=owner,
        until=until,
    )
    return await attempts_many(session, taken)


async def set_attempt(session: WriteSession, attempt_id: int, operator_id: int, **values: Any) -> None:
    await session.run(
        update(AttemptRow)
        .where(AttemptRow.id == attempt_id, AttemptRow.operator_id == operator_id)
        .values(**values, lease_owner=None, lease_until=None)
    )


async def set_ending(
    session: WriteSession, attempt_id: int, operator_id: int, ending: int, next_ask_at: datetime
) -> None:
    """Note that an order is to be ended. A lease stays: its holder may be the one who ends it."""
    await session.run(
        update(AttemptRow)
        .where(AttemptRow.id == attempt_id, AttemptRow.operator_id == operator_id)
        .values(ending=ending, next_ask_at=next_ask_at)
    )


async def payments_of_sales_many(
    session: ReadSession, sale_ids: Iterable[int]
) -> dict[int, list[tuple[Payment, int, bool]]]:
    """(payment, amount meant or booked, booked?) by sale, oldest first."""
    found: dict[int, list[tuple[Payment, int, bool]]] = {}
    wanted = (
        select(
            *PAYMENT,
            AllocationRow.sale_id.label("of_sale"),
            AllocationRow.amount_fen.label("of_fen"),
            AllocationRow.settled.label("of_settled"),
        )
        .join(PaymentRow, PaymentRow.id == AllocationRow.payment_id)
        .where(AllocationRow.sale_id.in_(list(sale_ids)))
        .order_by(PaymentRow.id)
    )
    for row in await session.all(wanted):
        fields = dict(row._mapping)  # noqa: SLF001
        sale, fen, settled = fields.pop("of_sale"), fields.pop("of_fen"), fields.pop("of_settled")
        found.setdefault(sale, []).append((Payment(**fields), fen, bool(settled)))
    return found


async def sales_of_payment(
    session: ReadSession, payment_id: int, operator_id: int
) -> list[tuple[int, int, bool]]:
    """(sale, amount, booked?) of one payment."""
    wanted = select(AllocationRow.sale_id, AllocationRow.amount_fen, AllocationRow.settled).where(
        AllocationRow.payment_id == payment_id, AllocationRow.operator_id == operator_id
    )
    return [(row[0], row[1], bool(row[2])) for row in await session.all(wanted)]


async def settle_allocation(
    session: WriteSession, payment_id: int, sale_id: int, operator_id: int, amount_fen: int
) -> bool:
    """Book a meant allocation; False when it is booked already or was never meant."""
    touched = await session.run(
        update(AllocationRow)
        .where(
            AllocationRow.payment_id == payment_id,
            AllocationRow.sale_id == sale_id,
            AllocationRow.operator_id == operator_id,
            AllocationRow.settled == 0,
        )
        .values(settled=1, amount_fen=amount_fen)
    )
    return touched == 1


async def insert_refund(session: WriteSession, row: Mapping[str, Any], operator_id: int) -> None:
    assert row["operator_id"] == operator_id
    await session.insert_many(RefundRow, [row])


async def find_refund(session: ReadSession, operator_id: int, out_refund_no: str) -> Refund | None:
    wanted = select(*REFUND).where(
        RefundRow.operator_id == operator_id, RefundRow.out_refund_no == out_refund_no
    )
    row = await session.first(wanted)
    return None if row is None else _refund(row)


async def get_refund(session: ReadSession, scope: Scope, refund_id: int) -> Refund:
    """Raises `RefundNotFound`."""
    wanted = select(*REFUND).where(RefundRow.id == refund_id)
    if (mine := operator_of(scope)) is not None:
        wanted = wanted.where(RefundRow.operator_id == mine)
    row = await session.first(wanted)
    if row is None:
        raise RefundNotFound(refund_id=refund_id)
    return _refund(row)


async def refunds_of_many(session: ReadSession, payment_ids: Iterable[int]) -> dict[int, list[Refund]]:
    found: dict[int, list[Refund]] = {}
    wanted = select(*REFUND).where(RefundRow.payment_id.in_(list(payment_ids))).order_by(RefundRow.id)
    for row in await session.all(wanted):
        found.setdefault(row.payment_id, []).append(_refund(row))
    return found


async def lease_due_refunds_many(
    session: WriteSession, owner: str, until: datetime, limit: int
) -> list[Refund]:
    due = RefundRow.next_ask_at.is_not(None) & (RefundRow.next_ask_at <= session.now())
    taken = await lease(
        session,
        RefundRow,
        ready=due,
        order_by=RefundRow.next_ask_at.asc(),
        limit=limit,
        owner=owner,
        until=until,
    )
    rows = await session.all(select(*REFUND).where(RefundRow.id.in_(taken)))
    return [_refund(row) for row in rows]


async def set_refund(session: WriteSession, refund_id: int, operator_id: int, **values: Any) -> None:
    await session.run(
        update(RefundRow)
        .where(RefundRow.id == refund_id, RefundRow.operator_id == operator_id)
        .values(**values, lease_owner=None, lease_until=None)
    )


async def insert_notice_many(session: WriteSession, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Keep a notification; False when this very one came before."""
    return bool(await insert_new(session, NoticeRow, rows, key=("provider", "notice_id")))


async def notices_of_many(session: ReadSession, payment_ids: Iterable[int]) -> list[NoticeTaken]:
    wanted = select(NoticeRow.payment_id, NoticeRow.effect, NoticeRow.received_at).where(
        NoticeRow.payment_id.in_(list(payment_ids))
    )
    return [
        NoticeTaken(payment_id=row[0], effect=row[1], received_at=row[2])
        for row in await session.all(wanted.order_by(NoticeRow.id))
    ]
