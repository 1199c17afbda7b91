"""What `forecourt verify` asks of devices."""

from sqlalchemy import select

from forecourt.core.db import ReadSession
from forecourt.core.verify import VIOLATIONS_MAX, Check, Violation
from forecourt.devices.models import DeviceRow, TerminalNozzleRow
from forecourt.devices.types import DeviceState
from forecourt.sites import queries as sites

DEVICE = DeviceRow.__table__.c
BINDING = TerminalNozzleRow.__table__.c
PAGE_ROWS = 500


async def check_devices_stand_on_stations(session: ReadSession) -> list[Violation]:
    """A device and its station are one operator's; what it is bound to stands on that station."""
    found: list[Violation] = []
    after = 0
    columns = (DEVICE.id, DEVICE.operator_id, DEVICE.station_id)
    while len(found) < VIOLATIONS_MAX and (
        page := await session.all(
            select(*columns).where(DEVICE.id > after).order_by(DEVICE.id).limit(PAGE_ROWS)
        )
    ):
        after = page[-1].id
        stations = await sites.stations_many(session, [row.station_id for row in page])
        bound = await session.all(
            select(BINDING.device_id, BINDING.nozzle_id).where(
                BINDING.device_id.in_([row.id for row in page])
            )
        )
        nozzles = await sites.nozzles_many(session, [row.nozzle_id for row in bound])
        of_device = {row.id: row.station_id for row in page}
        strays = {
            row.device_id
            for row in bound
            if row.nozzle_id not in nozzles or nozzles[row.nozzle_id].station_id != of_device[row.device_id]
        }
        for row in page:
            station = stations.get(row.station_id)
            if station is None or station.operator_id != row.operator_id:
                found.append(_wrong(row.id, "no station of its operator"))
            elif row.id in strays:
                found.append(_wrong(row.id, "bound to a nozzle elsewhere"))
    return found[:VIOLATIONS_MAX]


async def check_revoked_hold_no_secret(session: ReadSession) -> list[Violation]:
    """A revoked device has neither key nor password left."""
    held = (
        DEVICE.psk_sealed.is_not(None)
        | DEVICE.previous_psk_sealed.is_not(None)
        | DEVICE.password_hash.is_not(None)
    )
    rows = await session.all(
        select(DEVICE.id).where(DEVICE.state == DeviceState.REVOKED, held).limit(VIOLATIONS_MAX)
    )
    return [_wrong(row.id, "revoked, and still has a secret") for row in rows]


def _wrong(device_id: int, detail: str) -> Violation:
    return Violation(check="devices.registry", subject=f"device {device_id}", detail=detail)


CHECKS: tuple[Check, ...] = (check_devices_stand_on_stations, check_revoked_hold_no_secret)
