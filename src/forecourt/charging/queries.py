"""Every statement about charge points, sessions, meter values and id tags."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVarTuple

from sqlalchemy import Select, func, select, update

from forecourt.charging.errors import StrayStopNotFound, TokenNotFound, TransactionNotFound
from forecourt.charging.models import (
    ChargePointRow,
    ChargePointSettingRow,
    ConnectorRow,
    IdTokenRow,
    MeterValueRow,
    StrayStopRow,
    TransactionRow,
)
from forecourt.charging.types import (
    ChargePoint,
    ChargingId,
    Connector,
    Sample,
    StrayState,
    StrayStop,
    Token,
    Transaction,
    TransactionState,
)
from forecourt.core.actor import Scope, operator_of
from forecourt.core.db import ReadSession, WriteSession, insert_new, upsert_many
from forecourt.core.verify import VIOLATIONS_MAX, Violation
from forecourt.deliveries import queries as deliveries

Columns = TypeVarTuple("Columns")

LOOKED_UP_MAX = 500  # Rows asked for in one statement.

TRANSACTION = (
    TransactionRow.id,
    TransactionRow.operator_id,
    TransactionRow.station_id,
    TransactionRow.device_id,
    TransactionRow.transaction_id,
    TransactionRow.connector_number,
    TransactionRow.nozzle_number,
    TransactionRow.id_tag,
    TransactionRow.verdict,
    TransactionRow.authorisation_id,
    TransactionRow.member_id,
    TransactionRow.limit_e4,
    TransactionRow.state,
    TransactionRow.meter_start_wh,
    TransactionRow.started_at,
    TransactionRow.meter_last_wh,
    TransactionRow.meter_stop_wh,
    TransactionRow.ended_at,
    TransactionRow.stop_reason,
    TransactionRow.delivery_id,
    TransactionRow.start_key,
    TransactionRow.stop_asked,
)
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
TOKEN = (
    IdTokenRow.id,
    IdTokenRow.operator_id,
    IdTokenRow.tag,
    IdTokenRow.member_id,
    IdTokenRow.state,
    IdTokenRow.expires_at,
    IdTokenRow.parent_tag,
)
CHARGE_POINT = (
    ChargePointRow.device_id,
    ChargePointRow.operator_id,
    ChargePointRow.station_id,
    ChargePointRow.registration,
    ChargePointRow.vendor,
    ChargePointRow.model,
    ChargePointRow.firmware,
    ChargePointRow.connected,
    ChargePointRow.heard_at,
)


def _transaction(row: Any) -> Transaction:
    return Transaction(**{**row._mapping, "id": ChargingId(row.id)})  # noqa: SLF001  (SQLAlchemy's own name.)


def _stray_stop(row: Any) -> StrayStop:
    return StrayStop(**row._mapping)  # noqa: SLF001


def _token(row: Any) -> Token:
    return Token(**row._mapping)  # noqa: SLF001


def _mine(wanted: Select[*Columns], column: Any, scope: Scope) -> Select[*Columns]:
    mine = operator_of(scope)
    return wanted if mine is None else wanted.where(column == mine)


# Charge points.


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
    return await session.run(held.values(connected=False, connection=None, heard_at=at)) == 1


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
        _mine(wanted, ChargePointRow.operator_id, scope).order_by(ChargePointRow.device_id)
    )
    return [ChargePoint(**row._mapping) for row in rows]  # noqa: SLF001


async def find_charge_point(session: ReadSession, operator_id: int, device_id: int) -> ChargePoint | None:
    wanted = select(*CHARGE_POINT).where(
        ChargePointRow.device_id == device_id, ChargePointRow.operator_id == operator_id
    )
    row = await session.first(wanted)
    return ChargePoint(**row._mapping) if row else None  # noqa: SLF001


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
    rows = await session.all(_mine(wanted, ChargePointSettingRow.operator_id, scope))
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


# Sessions.


async def insert_transaction(session: WriteSession, row: Mapping[str, Any]) -> bool:
    """Whether it was new; an equal start keeps its first row."""
    return bool(await insert_new(session, TransactionRow, [row], key=("device_id", "start_key")))


async def transaction_by_start(
    session: ReadSession, operator_id: int, device_id: int, start_key: str
) -> Transaction | None:
    wanted = select(*TRANSACTION).where(
        TransactionRow.operator_id == operator_id,
        TransactionRow.device_id == device_id,
        TransactionRow.start_key == start_key,
    )
    row = await session.first(wanted)
    return _transaction(row) if row else None


async def lock_transaction(
    session: WriteSession, operator_id: int, device_id: int, transaction_id: int
) -> Transaction | None:
    """The session behind a charge point's number, held until the unit of work ends."""
    wanted = select(*TRANSACTION).where(
        TransactionRow.operator_id == operator_id,
        TransactionRow.device_id == device_id,
        TransactionRow.transaction_id == transaction_id,
    )
    row = await session.first(wanted.with_for_update())
    return _transaction(row) if row else None


async def lock_transaction_by_id(session: WriteSession, scope: Scope, charging_id: int) -> Transaction:
    """Raises `TransactionNotFound`."""
    wanted = _mine(
        select(*TRANSACTION).where(TransactionRow.id == charging_id), TransactionRow.operator_id, scope
    )
    row = await session.first(wanted.with_for_update())
    if row is None:
        raise TransactionNotFound(charging_id=charging_id)
    return _transaction(row)


async def get_transaction(session: ReadSession, scope: Scope, charging_id: int) -> Transaction:
    """Raises `TransactionNotFound`."""
    wanted = select(*TRANSACTION).where(TransactionRow.id == charging_id)
    row = await session.first(_mine(wanted, TransactionRow.operator_id, scope))
    if row is None:
        raise TransactionNotFound(charging_id=charging_id)
    return _transaction(row)


async def list_transactions(
    session: ReadSession, scope: Scope, state: TransactionState | None, limit: int, after: int | None
) -> list[Transaction]:
    """Newest first."""
    wanted = select(*TRANSACTION)
    if state is not None:
        wanted = wanted.where(TransactionRow.state == state)
    if after is not None:
        wanted = wanted.where(TransactionRow.id < after)
    wanted = _mine(wanted, TransactionRow.operator_id, scope).order_by(TransactionRow.id.desc()).limit(limit)
    return [_transaction(row) for row in await session.all(wanted)]


async def open_transactions(
    session: ReadSession, operator_id: int, device_id: int, connector_number: int
) -> list[Transaction]:
    """What a connector is charging, as far as anybody told; more than one only when ends were lost."""
    wanted = select(*TRANSACTION).where(
        TransactionRow.operator_id == operator_id,
        TransactionRow.device_id == device_id,
        TransactionRow.connector_number == connector_number,
        TransactionRow.state == TransactionState.OPEN,
    )
    return [_transaction(row) for row in await session.all(wanted.order_by(TransactionRow.id))]


async def charges_elsewhere(
    session: ReadSession,
    operator_id: int,
    id_tag: str,
    device_id: int,
    connector_number: int,
    since: datetime,
) -> bool:
    """Whether a tag charges at another connector of this operator now, begun no earlier than `since`."""
    wanted = select(func.count()).where(
        TransactionRow.operator_id == operator_id,
        TransactionRow.id_tag == id_tag,
        TransactionRow.state == TransactionState.OPEN,
        (TransactionRow.device_id != device_id) | (TransactionRow.connector_number != connector_number),
        TransactionRow.recorded_at >= since,
    )
    return bool(await session.scalar(wanted))


async def update_transaction(
    session: WriteSession,
    operator_id: int,
    charging_id: int,
    was: TransactionState,
    values: Mapping[str, Any],
) -> bool:
    """Guarded by the state it was read in."""
    guarded = update(TransactionRow).where(
        TransactionRow.id == charging_id,
        TransactionRow.operator_id == operator_id,
        TransactionRow.state == was,
    )
    return await session.run(guarded.values(**values)) == 1


async def add_samples(session: WriteSession, transaction: Transaction, samples: Sequence[Sample]) -> int:
    """Keep readings that were not told before; gives how many were new."""
    rows = [
        {
            "id": session.new_id(),
            "operator_id": transaction.operator_id,
            "charging_id": transaction.id,
            "at": each.at,
            "context": each.context,
            "energy_wh": each.energy_wh,
            "power_w": each.power_w,
            "soc_percent": each.soc_percent,
        }
        for each in samples
    ]
    return len(await insert_new(session, MeterValueRow, rows, key=("charging_id", "at", "context")))


async def sample_count(session: ReadSession, operator_id: int, charging_id: int) -> int:
    counted: int = await session.scalar(
        select(TransactionRow.samples).where(
            TransactionRow.id == charging_id, TransactionRow.operator_id == operator_id
        )
    )
    return counted


async def samples_of(session: ReadSession, operator_id: int, charging_id: int) -> list[Sample]:
    """In the order of their time."""
    rows = await session.all(
        select(
            MeterValueRow.at,
            MeterValueRow.context,
            MeterValueRow.energy_wh,
            MeterValueRow.power_w,
            MeterValueRow.soc_percent,
        )
        .where(MeterValueRow.charging_id == charging_id, MeterValueRow.operator_id == operator_id)
        .order_by(MeterValueRow.at, MeterValueRow.id)
    )
    return [Sample(**row._mapping) for row in rows]  # noqa: SLF001


# Ends that fit nothing.


async def insert_stray_stop(session: WriteSession, row: Mapping[str, Any]) -> bool:
    """Whether it was new."""
    return bool(await insert_new(session, StrayStopRow, [row], key=("device_id", "stop_key")))


async def list_stray_stops(session: ReadSession, scope: Scope, limit: int) -> list[StrayStop]:
    """What waits for a person, oldest first."""
    wanted = select(*STRAY_STOP).where(StrayStopRow.state == StrayState.OPEN)
    wanted = _mine(wanted, StrayStopRow.operator_id, scope).order_by(StrayStopRow.id).limit(limit)
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


# Id tags.


async def token_by_tag(session: ReadSession, operator_id: int, tag: str) -> Token | None:
    row = await session.first(
        select(*TOKEN).where(IdTokenRow.operator_id == operator_id, IdTokenRow.tag == tag)
    )
    return _token(row) if row else None


async def get_token(session: ReadSession, scope: Scope, token_id: int) -> Token:
    """Raises `TokenNotFound`."""
    wanted = select(*TOKEN).where(IdTokenRow.id == token_id)
    row = await session.first(_mine(wanted, IdTokenRow.operator_id, scope))
    if row is None:
        raise TokenNotFound(token_id=token_id)
    return _token(row)


async def list_tokens(session: ReadSession, scope: Scope, limit: int, after: int | None) -> list[Token]:
    """Newest first."""
    wanted = select(*TOKEN)
    if after is not None:
        wanted = wanted.where(IdTokenRow.id < after)
    wanted = _mine(wanted, IdTokenRow.operator_id, scope).order_by(IdTokenRow.id.desc()).limit(limit)
    return [_token(row) for row in await session.all(wanted)]


async def insert_token(session: WriteSession, row: Mapping[str, Any]) -> bool:
    """Whether it was new."""
    return bool(await insert_new(session, IdTokenRow, [row], key=("operator_id", "tag")))


async def update_token(session: WriteSession, scope: Scope, token_id: int, values: Mapping[str, Any]) -> bool:
    statement = update(IdTokenRow).where(IdTokenRow.id == token_id)
    if (mine := operator_of(scope)) is not None:
        statement = statement.where(IdTokenRow.operator_id == mine)
    return await session.run(statement.values(**values)) == 1


# For `verify`.


async def check_ended_are_delivered(session: ReadSession) -> list[Violation]:
    """Every ended session has its one delivery, with the meter's readings and what lies between them."""
    ended = select(*TRANSACTION).where(TransactionRow.state == TransactionState.ENDED)
    rows = [_transaction(row) for row in await session.all(ended.order_by(TransactionRow.id))]
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
