"""What `forecourt verify` asks of charging."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import func, select

from forecourt.charging.models import (
    TransactionRow,
)
from forecourt.charging.queries.sessions import TRANSACTION, transaction_of
from forecourt.charging.types import (
    TransactionState,
)
from forecourt.core.db import ReadSession
from forecourt.core.verify import VIOLATIONS_MAX, Violation
from forecourt.deliveries import queries as deliveries

LOOKED_UP_MAX = 500  # Rows asked for in one statement.


async def check_ended_are_delivered(session: ReadSession) -> list[Violation]:
    """Every ended session has its one delivery, with the meter's readings and what lies between them."""
    ended = select(*TRANSACTION).where(TransactionRow.state == TransactionState.ENDED)
    rows = [transaction_of(row) for row in await session.all(ended.order_by(TransactionRow.id))]
    found = await _deliveries_many(session, [row.delivery_id for row in rows if row.delivery_id is not None])
    violations = []
    for row in rows:
        delivery = found.get(row.delivery_id or 0)
        if delivery is None or delivery.ended_at != row.ended_at or row.meter_stop_wh is None:
            violations.append(
                Violation(check="charging.delivered", subject=str(row.id), detail="no delivery")
            )
        elif (delivery.totalizer_before_e4, delivery.totalizer_after_e4) != (
            row.meter_start_wh * 10,
            row.meter_stop_wh * 10,
        ):
            violations.append(
                Violation(check="charging.delivered", subject=str(row.id), detail="other meter readings")
            )
    return violations[:VIOLATIONS_MAX]


async def _deliveries_many(session: ReadSession, ids: Iterable[int]) -> dict[int, Any]:
    wanted = sorted(set(ids))
    found: dict[int, Any] = {}
    for start in range(0, len(wanted), LOOKED_UP_MAX):
        found |= await deliveries.deliveries_many(session, wanted[start : start + LOOKED_UP_MAX])
    return found


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
