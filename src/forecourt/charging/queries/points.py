"""Every statement about charge points and their connectors."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, update

from forecourt.charging.errors import ChargePointNotFound
from forecourt.charging.models import (
    ChargePointRow,
    ChargePointSettingRow,
    ConnectorRow,
)
from forecourt.charging.queries.bounds import mine
from forecourt.charging.types import (
    ChargePoint,
    Connector,
)
from forecourt.core.actor import Scope
from forecourt.core.db import ReadSession, WriteSession, insert_new, upsert_many

CHARGE_POINT = (
    ChargePointRow.device_id,
    ChargePointRow.operator_id,
    ChargePointRow.station_id,
    ChargePointRow.registration,
    ChargePointRow.vendor,
    ChargePointRow.model,
    ChargePointRow.firmware,
    ChargePointRow.connection,
    ChargePointRow.heard_at,
)


def _charge_point(row: Any) -> ChargePoint:
    return ChargePoint(
        device_id=row.device_id,
        operator_id=row.operator_id,
        station_id=row.station_id,
        registration=row.registration,
        vendor=row.vendor,
        model=row.model,
        firmware=row.firmware,
        connected=row.connection is not None,
        heard_at=row.heard_at,
    )


async def add_charge_point(session: WriteSession, row: Mapping[str, Any]) -> None:
    """Make the row of a charge point unless it has one."""
    await insert_new(session, ChargePointRow, [row], key=("device_id",))


async def update_charge_point(
    session: WriteSession, operator_id: int, device_id: int, values: Mapping[str, Any]
) -> None:
    own = update(ChargePointRow).where(
        ChargePointRow.device_id == device_id, ChargePointRow.operator_id == operator_id
    )
    await session.run(own.values(**values))


async def release_connection(
    session: WriteSession, operator_id: int, device_id: int, connection: str, at: datetime
) -> bool:
    """Mark a charge point as gone, unless another connection holds it by now."""
    held = update(ChargePointRow).where(
        ChargePointRow.device_id == device_id,
        ChargePointRow.operator_id == operator_id,
        ChargePointRow.connection == connection,
    )
    return await session.run(held.values(connection=None, heard_at=at)) == 1


async def connections_many(session: ReadSession, device_ids: Sequence[int]) -> dict[int, str | None]:
    """The connection that holds each charge point, for gateways, whatever the operator."""
    wanted = select(ChargePointRow.device_id, ChargePointRow.connection).where(
        ChargePointRow.device_id.in_(list(device_ids))
    )
    return {row.device_id: row.connection for row in await session.all(wanted)}


async def next_transaction_id(session: WriteSession, operator_id: int, device_id: int) -> int:
    """Draw the next number of a charge point; holds its row, so that two starts of one come one by one."""
    own = (ChargePointRow.device_id == device_id) & (ChargePointRow.operator_id == operator_id)
    await session.run(
        update(ChargePointRow).where(own).values(last_transaction=ChargePointRow.last_transaction + 1)
    )
    drawn: int = await session.scalar(select(ChargePointRow.last_transaction).where(own))
    return drawn


async def list_charge_points(session: ReadSession, scope: Scope, station_id: int) -> list[ChargePoint]:
    wanted = select(*CHARGE_POINT).where(ChargePointRow.station_id == station_id)
    rows = await session.all(
        mine(wanted, ChargePointRow.operator_id, scope).order_by(ChargePointRow.device_id)
    )
    return [_charge_point(row) for row in rows]


async def find_charge_point(session: ReadSession, operator_id: int, device_id: int) -> ChargePoint | None:
    wanted = select(*CHARGE_POINT).where(
        ChargePointRow.device_id == device_id, ChargePointRow.operator_id == operator_id
    )
    row = await session.first(wanted)
    return _charge_point(row) if row else None


async def get_charge_point(session: ReadSession, scope: Scope, device_id: int) -> ChargePoint:
    """Raises `ChargePointNotFound`."""
    wanted = select(*CHARGE_POINT).where(ChargePointRow.device_id == device_id)
    row = await session.first(mine(wanted, ChargePointRow.operator_id, scope))
    if row is None:
        raise ChargePointNotFound(device_id=device_id)
    return _charge_point(row)


async def upsert_settings_many(session: WriteSession, rows: Sequence[Mapping[str, Any]]) -> None:
    await upsert_many(
        session,
        ChargePointSettingRow,
        rows,
        key=("device_id", "key"),
        update=("value", "readonly", "reported_at"),
    )


async def settings_of(session: ReadSession, scope: Scope, device_id: int) -> dict[str, str | None]:
    """The configuration as last reported."""
    wanted = select(ChargePointSettingRow.key, ChargePointSettingRow.value).where(
        ChargePointSettingRow.device_id == device_id
    )
    rows = await session.all(mine(wanted, ChargePointSettingRow.operator_id, scope))
    return {row.key: row.value for row in rows}


async def upsert_connector(session: WriteSession, row: Mapping[str, Any]) -> None:
    await upsert_many(
        session,
        ConnectorRow,
        [row],
        key=("device_id", "connector_number"),
        update=("status", "error", "info", "vendor_error", "at"),
    )


async def connectors_of(session: ReadSession, operator_id: int, device_id: int) -> list[Connector]:
    """Latest statuses."""
    rows = await session.all(
        select(
            ConnectorRow.device_id,
            ConnectorRow.connector_number,
            ConnectorRow.status,
            ConnectorRow.error,
            ConnectorRow.info,
            ConnectorRow.at,
        )
        .where(ConnectorRow.device_id == device_id, ConnectorRow.operator_id == operator_id)
        .order_by(ConnectorRow.connector_number)
    )
    return [Connector(**row._mapping) for row in rows]  # noqa: SLF001
