"""HTTP of devices: the registry, enrolment of terminals, commands, parked messages."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from forecourt.access.types import TooManyTries
from forecourt.core.actor import Actor, Device
from forecourt.core.db import Database
from forecourt.core.errors import Forbidden
from forecourt.core.http import Db, Page, PublicId, part, public, refusals, require, signed_in
from forecourt.core.http.cookies import address_of, set_session_cookie
from forecourt.core.http.permissions import DEVICE_COOKIE
from forecourt.core.http.problem import shown
from forecourt.core.vault import Vault
from forecourt.devices import queries, service
from forecourt.devices.errors import (
    DeviceCodeTaken,
    DeviceNotFound,
    DeviceRevoked,
    EnrolmentRefused,
    HasNoKey,
    NotATerminal,
    NozzleElsewhere,
    TooManyEnrolments,
)
from forecourt.devices.schemas import (
    CommandOut,
    CommandsOut,
    DeviceIn,
    DeviceOut,
    DevicesOut,
    EnrolIn,
    EnrolledOut,
    EnrolmentOut,
    NewDeviceOut,
    NozzleIdsIn,
    NozzleIdsOut,
    ParkedListOut,
    ParkedOut,
    TerminalNozzleOut,
    TerminalOut,
    TerminalStationOut,
)
from forecourt.devices.types import DEVICES_READ, DEVICES_WRITE, DeviceInfo, NewDevice, ParkedMessage
from forecourt.sites import queries as sites
from forecourt.sites.errors import StationNotFound

router = APIRouter(tags=["devices"])

TOKEN_BYTES = 24

Reader = Annotated[Actor, Depends(require(DEVICES_READ))]
Writer = Annotated[Actor, Depends(require(DEVICES_WRITE))]
Keys = Annotated[Vault, Depends(part(Vault))]


@router.get("/devices")
async def list_devices(
    actor: Reader, db: Db, page: Page, station_id: Annotated[PublicId | None, Query()] = None
) -> DevicesOut:
    """Newest first."""
    async with db.read() as session:
        found = await queries.list_devices(
            session, actor.scope, limit=page.limit, after=page.after, station_id=station_id
        )
    return DevicesOut(
        items=[DeviceOut.model_validate(each) for each in found], next_cursor=page.next_cursor(found)
    )


@router.get("/devices/{device_id}", responses=refusals(DeviceNotFound))
async def get_device(device_id: PublicId, actor: Reader, db: Db) -> DeviceOut:
    async with db.read() as session:
        return DeviceOut.model_validate(await queries.get_device(session, actor.scope, device_id))


def _shown_once(made: NewDevice) -> NewDeviceOut:
    return NewDeviceOut(
        device=DeviceOut.model_validate(made.device),
        key_id=made.key_id,
        psk_hex=None if made.psk is None else made.psk.hex(),
        password=made.password,
        enrolment=None if made.enrolment is None else EnrolmentOut.model_validate(made.enrolment),
    )


@router.post("/devices", status_code=201, responses=refusals(StationNotFound, DeviceCodeTaken))
async def register_device(body: DeviceIn, actor: Writer, db: Db, vault: Keys) -> NewDeviceOut:
    """Add a device; its secret is in this answer and nowhere else."""
    made = await db.transact(
        service.register_device,
        actor,
        vault,
        db.random,
        station_id=body.station_id,
        kind=body.kind,
        name=body.name,
        code=body.code,
    )
    return _shown_once(made)


@router.post(
    "/devices/{device_id}/key",
    responses=refusals(DeviceNotFound, DeviceRevoked, HasNoKey),
)
async def rotate_key(device_id: PublicId, actor: Writer, db: Db, vault: Keys) -> NewDeviceOut:
    """Make a new key or password; an agent's old key works 24 hours more."""
    return _shown_once(await db.transact(service.rotate_key, actor, vault, db.random, device_id))


@router.post(
    "/devices/{device_id}/enrolment-code",
    responses=refusals(DeviceNotFound, DeviceRevoked, NotATerminal),
)
async def new_enrolment(device_id: PublicId, actor: Writer, db: Db) -> EnrolmentOut:
    """Give a terminal a new one-time code, good for ten minutes."""
    return EnrolmentOut.model_validate(await db.transact(service.new_enrolment, actor, db.random, device_id))


@router.post("/devices/{device_id}/revoke", responses=refusals(DeviceNotFound))
async def revoke(device_id: PublicId, actor: Writer, db: Db) -> DeviceOut:
    """End a device for good."""
    return DeviceOut.model_validate(await db.transact(service.revoke, actor, device_id))


@router.get("/devices/{device_id}/nozzles", responses=refusals(DeviceNotFound))
async def list_bound_nozzles(device_id: PublicId, actor: Reader, db: Db) -> NozzleIdsOut:
    async with db.read() as session:
        device = await queries.get_device(session, actor.scope, device_id)
        return NozzleIdsOut(nozzle_ids=await queries.nozzle_ids_of(session, actor.scope, device.id))


@router.put("/devices/{device_id}/nozzles", responses=refusals(DeviceNotFound, NotATerminal, NozzleElsewhere))
async def bind_nozzles(device_id: PublicId, body: NozzleIdsIn, actor: Writer, db: Db) -> NozzleIdsOut:
    """Say which nozzles a terminal shows; none means all of its station."""
    bound = await db.transact(service.bind_nozzles, actor, device_id, body.nozzle_ids)
    return NozzleIdsOut(nozzle_ids=bound)


@router.get("/devices/{device_id}/commands", responses=refusals(DeviceNotFound))
async def list_commands(device_id: PublicId, actor: Reader, db: Db, page: Page) -> CommandsOut:
    """What the device was told, newest first."""
    async with db.read() as session:
        await queries.get_device(session, actor.scope, device_id)
        found = await queries.list_commands(
            session, actor.scope, device_id, limit=page.limit, after=page.after
        )
    shown_bodies = [replace(each, body=shown("", each.body)) for each in found]
    return CommandsOut(
        items=[CommandOut.model_validate(each) for each in shown_bodies], next_cursor=page.next_cursor(found)
    )


@router.post(
    "/terminals/enrol",
    status_code=201,
    dependencies=[Depends(public())],
    responses=refusals(EnrolmentRefused, TooManyEnrolments),
)
async def enrol(body: EnrolIn, request: Request, response: Response, db: Db) -> EnrolledOut:
    """Turn a one-time code into a terminal's session: a cookie for browsers, a bearer token for others."""
    outcome = await db.transact(
        service.enrol,
        body.code,
        token=db.random.token(TOKEN_BYTES),
        ip=address_of(request),
        agent=request.headers.get("user-agent", ""),
    )
    if isinstance(outcome, TooManyTries):
        raise TooManyEnrolments(retry_after_s=outcome.retry_after_s)
    if outcome is None:
        raise EnrolmentRefused
    age = outcome.expires_at - db.clock.now()
    set_session_cookie(response, request, DEVICE_COOKIE, outcome.token, age)
    terminal = await _terminal(db, outcome.device)
    return EnrolledOut(**terminal, token=outcome.token, expires_at=outcome.expires_at)


async def _terminal(db: Database, device: DeviceInfo) -> dict[str, Any]:
    scope = Device(device.operator_id, device.id, device.station_id)
    async with db.read() as session:
        station = await sites.get_station(session, scope, device.station_id)
        bound = set(await queries.nozzle_ids_of(session, scope, device.id))
        nozzles = await sites.nozzles_by_station(session, scope, [device.station_id])
    return {
        "terminal_id": device.id,
        "name": device.name,
        "station": TerminalStationOut.model_validate(station),
        "nozzles": [
            TerminalNozzleOut.model_validate(each) for each in nozzles if not bound or each.id in bound
        ],
    }


@router.get("/terminals/me")
async def get_terminal(actor: Annotated[Actor, Depends(signed_in())], db: Db) -> TerminalOut:
    """The terminal that asks, its station, and the nozzles it shows."""
    if not isinstance(actor.scope, Device):
        raise Forbidden(need="a terminal's session")
    async with db.read() as session:
        device = await queries.get_device(session, actor.scope, actor.scope.device_id)
    return TerminalOut(**await _terminal(db, device))


def _parked(parked: ParkedMessage) -> ParkedOut:
    message = parked.message
    return ParkedOut(
        id=parked.id,
        device_id=message.device_id,
        station_id=message.station_id,
        mid=str(message.mid),
        record_class=message.record_class,
        channel=message.channel,
        format=message.format,
        body_hex=message.body.hex(),
        received_at=message.received_at,
        reason=parked.reason,
        tries=parked.tries,
    )


@router.get("/inbox/parked")
async def list_parked(actor: Reader, db: Db, page: Page) -> ParkedListOut:
    """Messages that nobody could take, newest first."""
    async with db.read() as session:
        found = await queries.list_parked(session, actor.scope, limit=page.limit, after=page.after)
    return ParkedListOut(items=[_parked(each) for each in found], next_cursor=page.next_cursor(found))


@router.post("/inbox/{message_id}/replay", status_code=204, responses=refusals(DeviceNotFound))
async def replay(message_id: PublicId, actor: Writer, db: Db) -> None:
    """Give a parked message another try."""
    await db.transact(service.replay, actor, message_id)
