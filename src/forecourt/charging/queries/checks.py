"""What `forecourt verify` asks of charging."""

from sqlalchemy import func, select

from forecourt.charging.models import TransactionRow
from forecourt.charging.queries.sessions import TRANSACTION, transaction_of
from forecourt.charging.rules import delivered_e4
from forecourt.charging.types import E4_PER_WH, Transaction, TransactionState
from forecourt.core.db import ReadSession
from forecourt.core.verify import VIOLATIONS_MAX, Check, Violation
from forecourt.deliveries import queries as deliveries
from forecourt.deliveries.types import Delivery

PAGE_ROWS = 500


async def check_ended_are_delivered(session: ReadSession) -> list[Violation]:
    """Every ended session has its one delivery, with the meter's readings and what lies between them."""
    violations: list[Violation] = []
    last = 0
    ended = select(*TRANSACTION).where(TransactionRow.state == TransactionState.ENDED)
    ended = ended.order_by(TransactionRow.id).limit(PAGE_ROWS)
    while len(violations) < VIOLATIONS_MAX:
        page = [transaction_of(row) for row in await session.all(ended.where(TransactionRow.id > last))]
        if not page:
            break
        last = page[-1].id
        ids = [each.delivery_id for each in page if each.delivery_id is not None]
        found = await deliveries.deliveries_many(session, ids)
        violations += [
            Violation(check="charging.delivered", subject=str(each.id), detail=wrong)
            for each in page
            if (wrong := _wrong(each, found.get(each.delivery_id or 0))) is not None
        ]
    return violations[:VIOLATIONS_MAX]


def _wrong(row: Transaction, delivery: Delivery | None) -> str | None:
    if delivery is None or row.meter_stop_wh is None:
        return "no delivery"
    registers = (row.meter_start_wh * E4_PER_WH, row.meter_stop_wh * E4_PER_WH)
    if (delivery.totalizer_before_e4, delivery.totalizer_after_e4) != registers:
        return "other meter readings than its delivery"
    if delivery.quantity_e4 != delivered_e4(row.meter_start_wh, row.meter_stop_wh):
        return "another quantity than its delivery"
    if delivery.operator_id != row.operator_id:
        return "a delivery of another operator"
    return None


async def check_one_session_a_connector(session: ReadSession) -> list[Violation]:
    """No connector has two open sessions: the second superseded the first."""
    rows = await session.all(
        select(TransactionRow.device_id, TransactionRow.connector_number, func.count().label("open"))
        .where(TransactionRow.state == TransactionState.OPEN)
        .group_by(TransactionRow.device_id, TransactionRow.connector_number)
        .having(func.count() > 1)
        .limit(VIOLATIONS_MAX)
    )
    return [
        Violation(
            check="charging.one_session",
            subject=f"{row.device_id}/{row.connector_number}",
            detail=f"{row.open} open sessions",
        )
        for row in rows
    ]


CHECKS: tuple[Check, ...] = (check_ended_are_delivered, check_one_session_a_connector)
