"""Statements about the registry: devices, their keys, their nozzles, enrolment codes."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, select, true, update

from forecourt.core.actor import Device, Scope, System, operator_of
from forecourt.core.db import ReadSession, WriteSession
from forecourt.devices.errors import DeviceNotFound
from forecourt.devices.models import DeviceRow, EnrolmentRow, TerminalNozzleRow
from forecourt.devices.types import DeviceId, DeviceInfo, DeviceKind, DeviceState, SealedKeys

DEVICE = DeviceRow.__table__.c
BINDING = TerminalNozzleRow.__table__.c
ENROLMENT = EnrolmentRow.__table__.c
COLUMNS = [DEVICE[name] for name in DeviceInfo.__dataclass_fields__]


def _mine(scope: Scope, column: ColumnElement[int]) -> ColumnElement[bool]:
    own = operator_of(scope)
    return true() if own is None else column == own


def _itself(scope: Scope, column: ColumnElement[int]) -> ColumnElement[bool]:
    """A device sees itself and no other."""
    return column == scope.device_id if isinstance(scope, Device) else true()


def _info(row: Row[Any]) -> DeviceInfo:
    return DeviceInfo(**{name: getattr(row, name) for name in DeviceInfo.__dataclass_fields__})


async def get_device(session: ReadSession, scope: Scope, device_id: int) -> DeviceInfo:
    row = await session.first(
        select(*COLUMNS).where(
            DEVICE.id == device_id, _mine(scope, DEVICE.operator_id), _itself(scope, DEVICE.id)
        )
    )
    if row is None:
        raise DeviceNotFound
    return _info(row)


async def list_devices(
    session: ReadSession,
    scope: Scope,
    *,
    limit: int,
    after: int | None = None,
    station_id: int | None = None,
) -> list[DeviceInfo]:
    """Newest first."""
    found = select(*COLUMNS).where(_mine(scope, DEVICE.operator_id))
    if after is not None:
        found = found.where(DEVICE.id < after)
    if station_id is not None:
        found = found.where(DEVICE.station_id == station_id)
    return [_info(row) for row in await session.all(found.order_by(DEVICE.id.desc()).limit(limit))]


async def find_charge_point(session: ReadSession, _: System, code: str) -> tuple[DeviceInfo, str] | None:
    """The active charge point that connects under this code, with the hash of its password."""
    row = await session.first(
        select(*COLUMNS, DEVICE.password_hash).where(
            DEVICE.code == code,
            DEVICE.kind == DeviceKind.CHARGE_POINT,
            DEVICE.state == DeviceState.ACTIVE,
        )
    )
    return None if row is None else (_info(row), str(row.password_hash))


async def is_code_taken(session: ReadSession, _: System, code: str) -> bool:
    return await session.scalar(select(DEVICE.id).where(DEVICE.code == code)) is not None


async def find_sealed_keys(session: ReadSession, _: System, device_id: int) -> SealedKeys | None:
    """What a device proves itself with; who it is is the question, so only the platform asks."""
    row = await session.first(
        select(
            *COLUMNS,
            DEVICE.key_id,
            DEVICE.psk_sealed,
            DEVICE.previous_key_id,
            DEVICE.previous_psk_sealed,
            DEVICE.previous_until,
        ).where(DEVICE.id == device_id)
    )
    if row is None:
        return None
    keys = []
    if row.psk_sealed is not None:
        keys.append((row.key_id, bytes(row.psk_sealed)))
    if row.previous_psk_sealed is not None and row.previous_until > session.now():
        keys.append((row.previous_key_id, bytes(row.previous_psk_sealed)))
    return SealedKeys(device=_info(row), keys=tuple(keys))


async def insert_device(
    session: WriteSession,
    scope: Scope,
    device: DeviceInfo,
    *,
    key_id: int | None = None,
    psk_sealed: bytes | None = None,
    password_hash: str | None = None,
) -> None:
    own = operator_of(scope)
    assert own is None or own == device.operator_id
    row: dict[str, Any] = {name: getattr(device, name) for name in DeviceInfo.__dataclass_fields__}
    row |= {"key_id": key_id, "psk_sealed": psk_sealed, "password_hash": password_hash}
    row |= {"previous_key_id": None, "previous_psk_sealed": None, "previous_until": None}
    await session.insert_many(DeviceRow, [row])


async def lock_keys(session: WriteSession, scope: Scope, device_id: int) -> tuple[int, bytes | None]:
    """The current key's number and the sealed key, locked until the transaction ends."""
    row = await session.first(
        select(DEVICE.key_id, DEVICE.psk_sealed)
        .where(DEVICE.id == device_id, _mine(scope, DEVICE.operator_id))
        .with_for_update()
    )
    if row is None:
        raise DeviceNotFound
    return int(row.key_id or 0), row.psk_sealed


async def update_device(session: WriteSession, scope: Scope, device_id: int, **values: Any) -> None:
    await session.run(
        update(DeviceRow).where(DEVICE.id == device_id, _mine(scope, DEVICE.operator_id)).values(**values)
    )


# ---------------------------------------------------------------------------------- nozzles, enrolment


async def nozzle_ids_of(session: ReadSession, scope: Scope, device_id: int) -> list[int]:
    """The nozzles bound to a device; none means all of its station."""
    found = select(BINDING.nozzle_id).where(BINDING.device_id == device_id, _mine(scope, BINDING.operator_id))
    return sorted(row.nozzle_id for row in await session.all(found))


async def replace_nozzles(
    session: WriteSession, scope: Scope, device: DeviceInfo, nozzle_ids: Sequence[int]
) -> None:
    await session.run(
        delete(TerminalNozzleRow).where(BINDING.device_id == device.id, _mine(scope, BINDING.operator_id))
    )
    rows = [
        {"device_id": device.id, "nozzle_id": nozzle_id, "operator_id": device.operator_id}
        for nozzle_id in sorted(set(nozzle_ids))
    ]
    if rows:
        await session.insert_many(TerminalNozzleRow, rows)


async def agents_of_nozzles_many(
    session: ReadSession, nozzles: Iterable[tuple[int, int]]
) -> dict[int, DeviceId]:
    """Nozzle id → the active station agent that drives it, for (nozzle id, station id) pairs.

    Of several agents on a station the one bound to the nozzle; else the first registered.
    """
    wanted = dict(nozzles)
    agents = select(DEVICE.id, DEVICE.station_id).where(
        DEVICE.station_id.in_(set(wanted.values())),
        DEVICE.kind == DeviceKind.STATION_AGENT,
        DEVICE.state == DeviceState.ACTIVE,
    )
    first: dict[int, int] = {}
    active = set()
    for row in await session.all(agents.order_by(DEVICE.id)):
        first.setdefault(row.station_id, row.id)
        active.add(row.id)
    bound = select(BINDING.nozzle_id, BINDING.device_id).where(
        BINDING.nozzle_id.in_(set(wanted)), BINDING.device_id.in_(active)
    )
    by_binding = {row.nozzle_id: row.device_id for row in await session.all(bound)}
    return {
        nozzle_id: DeviceId(by_binding.get(nozzle_id, first[station_id]))
        for nozzle_id, station_id in wanted.items()
        if station_id in first
    }


async def insert_enrolment(
    session: WriteSession, scope: Scope, device: DeviceInfo, code_hash: str, expires_at: datetime
) -> None:
    """A new code; earlier ones of the device are void."""
    own = operator_of(scope)
    assert own is None or own == device.operator_id
    await session.run(
        delete(EnrolmentRow).where(ENROLMENT.device_id == device.id, ENROLMENT.used_at.is_(None))
    )
    row = {
        "id": session.new_id(),
        "operator_id": device.operator_id,
        "device_id": device.id,
        "code_hash": code_hash,
        "expires_at": expires_at,
        "used_at": None,
    }
    await session.insert_many(EnrolmentRow, [row])


async def use_enrolment(session: WriteSession, _: System, code_hash: str) -> int | None:
    """The device that the code enrols, if it is good; it is not, from now on."""
    now = session.now()
    row = await session.first(
        select(ENROLMENT.id, ENROLMENT.device_id).where(
            ENROLMENT.code_hash == code_hash, ENROLMENT.used_at.is_(None), ENROLMENT.expires_at > now
        )
    )
    if row is None:
        return None
    used = await session.run(
        update(EnrolmentRow).where(ENROLMENT.id == row.id, ENROLMENT.used_at.is_(None)).values(used_at=now)
    )
    return int(row.device_id) if used == 1 else None
