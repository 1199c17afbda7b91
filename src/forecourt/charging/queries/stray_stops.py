"""Every statement about ends that fit no session."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select, update

from forecourt.charging.errors import StrayStopNotFound
from forecourt.charging.models import (
    StrayStopRow,
)
from forecourt.charging.queries.bounds import mine
from forecourt.charging.types import (
    StrayState,
    StrayStop,
)
from forecourt.core.actor import Scope, operator_of
from forecourt.core.db import ReadSession, WriteSession, insert_new

STRAY_STOP = (
    StrayStopRow.id,
    StrayStopRow.operator_id,
    StrayStopRow.station_id,
    StrayStopRow.device_id,
    StrayStopRow.transaction_id,
    StrayStopRow.reason,
    StrayStopRow.state,
    StrayStopRow.meter_stop_wh,
    StrayStopRow.ended_at,
    StrayStopRow.id_tag,
    StrayStopRow.stop_reason,
    StrayStopRow.received_at,
)


def _stray_stop(row: Any) -> StrayStop:
    return StrayStop(**row._mapping)  # noqa: SLF001


async def insert_stray_stop(session: WriteSession, row: Mapping[str, Any]) -> bool:
    """Whether it was new."""
    return bool(await insert_new(session, StrayStopRow, [row], key=("device_id", "stop_key")))


async def list_stray_stops(session: ReadSession, scope: Scope, limit: int) -> list[StrayStop]:
    """What waits for a person, oldest first."""
    wanted = select(*STRAY_STOP).where(StrayStopRow.state == StrayState.OPEN)
    wanted = mine(wanted, StrayStopRow.operator_id, scope).order_by(StrayStopRow.id).limit(limit)
    return [_stray_stop(row) for row in await session.all(wanted)]


async def settle_stray_stop(
    session: WriteSession, scope: Scope, stray_id: int, state: StrayState, by: str
) -> StrayStop:
    """Take an open one off the list. Raises `StrayStopNotFound`."""
    statement = update(StrayStopRow).where(StrayStopRow.id == stray_id, StrayStopRow.state == StrayState.OPEN)
    if (mine := operator_of(scope)) is not None:
        statement = statement.where(StrayStopRow.operator_id == mine)
    if await session.run(statement.values(state=state, settled_by=by)) != 1:
        raise StrayStopNotFound(stray_id=stray_id)
    row = await session.first(select(*STRAY_STOP).where(StrayStopRow.id == stray_id))
    return _stray_stop(row)
