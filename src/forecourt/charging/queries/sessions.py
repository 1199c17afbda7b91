"""Every statement about charging sessions and their meter values."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update

from forecourt.charging.errors import TransactionNotFound
from forecourt.charging.models import (
    MeterValueRow,
    TransactionRow,
)
from forecourt.charging.queries.bounds import mine
from forecourt.charging.types import (
    ChargingId,
    Sample,
    Transaction,
    TransactionState,
    Verdict,
)
from forecourt.core.actor import Scope
from forecourt.core.db import ReadSession, WriteSession, insert_new

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
    TransactionRow.stop_asked_at,
)


def transaction_of(row: Any) -> Transaction:
    return Transaction(**{**row._mapping, "id": ChargingId(row.id)})  # noqa: SLF001  (SQLAlchemy's own name.)


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
    return transaction_of(row) if row else None


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
    return transaction_of(row) if row else None


async def lock_transaction_by_id(session: WriteSession, scope: Scope, charging_id: int) -> Transaction:
    """Raises `TransactionNotFound`."""
    wanted = mine(
        select(*TRANSACTION).where(TransactionRow.id == charging_id), TransactionRow.operator_id, scope
    )
    row = await session.first(wanted.with_for_update())
    if row is None:
        raise TransactionNotFound(charging_id=charging_id)
    return transaction_of(row)


async def get_transaction(session: ReadSession, scope: Scope, charging_id: int) -> Transaction:
    """Raises `TransactionNotFound`."""
    wanted = select(*TRANSACTION).where(TransactionRow.id == charging_id)
    row = await session.first(mine(wanted, TransactionRow.operator_id, scope))
    if row is None:
        raise TransactionNotFound(charging_id=charging_id)
    return transaction_of(row)


async def list_transactions(
    session: ReadSession, scope: Scope, state: TransactionState | None, limit: int, after: int | None
) -> list[Transaction]:
    """Newest first."""
    wanted = select(*TRANSACTION)
    if state is not None:
        wanted = wanted.where(TransactionRow.state == state)
    if after is not None:
        wanted = wanted.where(TransactionRow.id < after)
    wanted = mine(wanted, TransactionRow.operator_id, scope).order_by(TransactionRow.id.desc()).limit(limit)
    return [transaction_of(row) for row in await session.all(wanted)]


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
    return [transaction_of(row) for row in await session.all(wanted.order_by(TransactionRow.id))]


async def open_by_authorisation(
    session: ReadSession, operator_id: int, device_id: int, authorisation_id: int
) -> Transaction | None:
    wanted = select(*TRANSACTION).where(
        TransactionRow.operator_id == operator_id,
        TransactionRow.device_id == device_id,
        TransactionRow.authorisation_id == authorisation_id,
        TransactionRow.state == TransactionState.OPEN,
    )
    row = await session.first(wanted)
    return transaction_of(row) if row else None


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
        TransactionRow.verdict == Verdict.ACCEPTED,
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
