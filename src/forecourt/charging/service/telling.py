"""What charge points ask and tell: each keeps the raw frame and its effect in the caller's transaction."""

from collections.abc import Mapping
from typing import Any

from forecourt.charging import queries, rules
from forecourt.charging.service import sessions, showing
from forecourt.charging.service.showing import Live, Shown, nobody
from forecourt.charging.types import (
    Authorise,
    Boot,
    ChargeAsk,
    ChargePointRef,
    ConnectorStatus,
    Permit,
    RawFrame,
    Readings,
    Registration,
    Start,
    Started,
    Status,
    Stop,
    StrayReason,
    StrayState,
    Transaction,
    TransactionState,
)
from forecourt.core.actor import OperatorId
from forecourt.core.db import WriteSession
from forecourt.deliveries.types import NozzleState
from forecourt.devices import service as devices
from forecourt.devices.types import BODY_BYTES_MAX, DeviceId, InboxMessage
from forecourt.sites.types import Nozzle

RECORD_CLASS_MONEY, CHANNEL_OCPP, FORMAT_JSON = 2, 16, 2


async def boot(session: WriteSession, ref: ChargePointRef, frame: RawFrame, told: Boot) -> Registration:
    """A charge point started: note what it is, and say whether it may go on."""
    await _keep_raw(session, ref, frame)
    nozzles = await showing.nozzles_of(session, ref)
    registration = Registration.ACCEPTED if nozzles else Registration.PENDING
    await _ensure_charge_point(session, ref)
    await queries.update_charge_point(
        session,
        ref.operator_id,
        ref.device_id,
        {
            "registration": registration,
            "vendor": told.vendor,
            "model": told.model,
            "serial": told.serial,
            "firmware": told.firmware,
            "meter_serial": told.meter_serial,
            "heard_at": frame.received_at,
        },
    )
    return registration


async def authorise(
    session: WriteSession, ref: ChargePointRef, frame: RawFrame, id_tag: str, who: Authorise[WriteSession]
) -> Permit:
    """May this tag charge at this charge point? Says nothing about a connector, as nobody knows it yet."""
    await _keep_raw(session, ref, frame)
    return await who(session, _ask(ref, None, id_tag))


async def start(
    session: WriteSession,
    ref: ChargePointRef,
    frame: RawFrame,
    told: Start,
    who: Authorise[WriteSession],
    live: Live = nobody,
) -> Started:
    """A session began. The same start told again gets the same number; a refused tag gets one as well."""
    await _keep_raw(session, ref, frame)
    await _ensure_charge_point(session, ref)
    number = await queries.next_transaction_id(
        session, ref.operator_id, ref.device_id
    )  # From here on, one start at a time.
    key = rules.start_key(told)
    earlier = await queries.transaction_by_start(session, ref.operator_id, ref.device_id, key)
    if earlier is not None:
        return Started(earlier.transaction_id, _permit_of(earlier))
    permit = await who(session, _ask(ref, told.connector_number, told.id_tag))
    for left_open in await queries.open_transactions(
        session, ref.operator_id, ref.device_id, told.connector_number
    ):
        await sessions.supersede(session, left_open)
    nozzle = await showing.nozzle_of(session, ref, told.connector_number)
    row = _transaction_row(session, ref, told, key, number, nozzle, permit)
    new = await queries.insert_transaction(session, row)
    assert new, "the charge point's row is held: no other start can have come between"
    if nozzle is not None:
        await showing.show(session, ref, [Shown(nozzle, NozzleState.STARTED)], live)
    return Started(number, permit)


async def stop(
    session: WriteSession, ref: ChargePointRef, frame: RawFrame, told: Stop, live: Live = nobody
) -> None:
    """A session ended: one delivery. An end of no session, or another end of an ended one, is kept apart."""
    await _keep_raw(session, ref, frame)
    found = await queries.lock_transaction(session, ref.operator_id, ref.device_id, told.transaction_id)
    if found is None:
        await _keep_stray(session, ref, told, StrayReason.UNKNOWN_TRANSACTION)
    elif found.state is TransactionState.ENDED:
        if (found.meter_stop_wh, found.ended_at) != (told.meter_stop_wh, told.ended_at):
            await _keep_stray(session, ref, told, StrayReason.CONTRADICTS)
    else:
        await sessions.end(session, found, told, ended_by=None, live=live)


async def read(
    session: WriteSession, ref: ChargePointRef, frame: RawFrame, told: Readings, live: Live = nobody
) -> None:
    """Meter values: kept with their session up to a number, shown live, and held against its limit."""
    await _keep_raw(session, ref, frame)
    found = None
    if told.transaction_id is not None:
        found = await queries.lock_transaction(session, ref.operator_id, ref.device_id, told.transaction_id)
    if found is None or found.state is TransactionState.ENDED:
        return  # Clock-aligned readings, or of a session nobody knows: the raw frame keeps them.
    last_wh = await sessions.add_samples(session, found, told.samples)
    if rules.is_limit_reached(found.limit_e4, found.meter_start_wh, last_wh) and found.stop_asked_at is None:
        await sessions.ask_stop(session, found)
    nozzle = await showing.nozzle_of(session, ref, found.connector_number)
    if nozzle is not None and found.state is TransactionState.OPEN:
        drawn_e4 = rules.delivered_e4(found.meter_start_wh, last_wh)
        await showing.show(session, ref, [Shown(nozzle, NozzleState.FUELLING, drawn_e4)], live)


async def status(
    session: WriteSession, ref: ChargePointRef, frame: RawFrame, told: Status, live: Live = nobody
) -> None:
    """A connector says how it is. One that is free has no session: an open one there lost its end."""
    await _keep_raw(session, ref, frame)
    await queries.upsert_connector(
        session,
        {
            "id": session.new_id(),
            "operator_id": ref.operator_id,
            "device_id": ref.device_id,
            "connector_number": told.connector_number,
            "status": told.status,
            "error": told.error,
            "info": told.info,
            "vendor_error": told.vendor_error,
            "at": told.at,
        },
    )
    if told.connector_number == 0:
        return
    await _show(session, ref, told.connector_number, told.status, live)


async def note(
    session: WriteSession, ref: ChargePointRef, frame: RawFrame, values: Mapping[str, str]
) -> None:
    """`firmware_status` or `diagnostics_status`, as told; or nothing, and only the frame is kept."""
    await _keep_raw(session, ref, frame)
    if values:
        await _ensure_charge_point(session, ref)
        await queries.update_charge_point(session, ref.operator_id, ref.device_id, values)


async def park(session: WriteSession, ref: ChargePointRef, frame: RawFrame, reason: str) -> None:
    """Keep a frame about money that nobody can read, for a person."""
    await devices.park_many(session, [(_message(ref, frame), reason)])


async def connected(session: WriteSession, ref: ChargePointRef, connection: str, live: Live = nobody) -> None:
    """A connection holds the charge point from now on; its connectors are as they last were."""
    await _ensure_charge_point(session, ref)
    now = session.now()
    await queries.update_charge_point(
        session,
        ref.operator_id,
        ref.device_id,
        {"connection": connection, "heard_at": now},
    )
    for each in await queries.connectors_of(session, ref.operator_id, ref.device_id):
        if each.connector_number:
            await _show(session, ref, each.connector_number, each.status, live, supersede=False)


async def disconnected(
    session: WriteSession, ref: ChargePointRef, connection: str, live: Live = nobody
) -> None:
    """The connection is gone; its nozzles show it, unless another connection took over."""
    if not await queries.release_connection(
        session, ref.operator_id, ref.device_id, connection, session.now()
    ):
        return
    nozzles = await showing.nozzles_of(session, ref)
    await showing.show(session, ref, [Shown(each, NozzleState.OFFLINE) for each in nozzles], live)


async def report_settings(
    session: WriteSession, ref: ChargePointRef, settings: Mapping[str, tuple[str | None, bool]]
) -> None:
    """The charge point's configuration: by key its value and whether it is read-only."""
    now = session.now()
    await queries.upsert_settings_many(
        session,
        [
            {
                "id": session.new_id(),
                "operator_id": ref.operator_id,
                "device_id": ref.device_id,
                "key": key,
                "value": value,
                "readonly": int(readonly),
                "reported_at": now,
            }
            for key, (value, readonly) in settings.items()
        ],
    )


async def _show(
    session: WriteSession,
    ref: ChargePointRef,
    connector_number: int,
    shown: ConnectorStatus,
    live: Live,
    *,
    supersede: bool = True,
) -> None:
    open_ones = await queries.open_transactions(session, ref.operator_id, ref.device_id, connector_number)
    if supersede and shown in rules.FREE:
        for each in open_ones:
            await sessions.supersede(session, each)
        open_ones = []
    nozzle = await showing.nozzle_of(session, ref, connector_number)
    if nozzle is None:
        return
    drawn_e4 = 0
    if open_ones:
        drawn_e4 = rules.delivered_e4(open_ones[-1].meter_start_wh, open_ones[-1].meter_last_wh)
    await showing.show(session, ref, [Shown(nozzle, rules.NOZZLE_STATES[shown], drawn_e4)], live)


async def _keep_stray(session: WriteSession, ref: ChargePointRef, told: Stop, reason: StrayReason) -> None:
    await queries.insert_stray_stop(
        session,
        {
            "id": session.new_id(),
            "operator_id": ref.operator_id,
            "station_id": ref.station_id,
            "device_id": ref.device_id,
            "transaction_id": told.transaction_id,
            "stop_key": rules.stop_key(told),
            "reason": reason,
            "state": StrayState.OPEN,
            "meter_stop_wh": told.meter_stop_wh,
            "ended_at": told.ended_at,
            "id_tag": told.id_tag,
            "stop_reason": told.reason,
            "received_at": session.now(),
            "settled_by": None,
        },
    )


async def _ensure_charge_point(session: WriteSession, ref: ChargePointRef) -> None:
    """A charge point may start a session without a boot that we saw: it booted before we were there."""
    if await queries.find_charge_point(session, ref.operator_id, ref.device_id) is not None:
        return
    await queries.add_charge_point(
        session,
        {
            "device_id": ref.device_id,
            "operator_id": ref.operator_id,
            "station_id": ref.station_id,
            "registration": Registration.PENDING,
            "vendor": "",
            "model": "",
            "serial": None,
            "firmware": None,
            "meter_serial": None,
            "firmware_status": None,
            "diagnostics_status": None,
            "connection": None,
            "heard_at": session.now(),
            "last_transaction": 0,
        },
    )


async def _keep_raw(session: WriteSession, ref: ChargePointRef, frame: RawFrame) -> None:
    await devices.keep_many(session, [_message(ref, frame)])


def _message(ref: ChargePointRef, frame: RawFrame) -> InboxMessage:
    return InboxMessage(
        device_id=DeviceId(ref.device_id),
        operator_id=OperatorId(ref.operator_id),
        station_id=ref.station_id,
        incarnation=frame.connection,
        mid=frame.number,
        record_class=RECORD_CLASS_MONEY,
        channel=CHANNEL_OCPP,
        format=FORMAT_JSON,
        body=frame.body[:BODY_BYTES_MAX],  # The start of a longer one; its readings are kept apart.
        received_at=frame.received_at,
    )


def _ask(ref: ChargePointRef, connector_number: int | None, id_tag: str) -> ChargeAsk:
    return ChargeAsk(
        operator_id=ref.operator_id,
        station_id=ref.station_id,
        device_id=ref.device_id,
        connector_number=connector_number,
        id_tag=id_tag,
    )


def _permit_of(transaction: Transaction) -> Permit:
    return Permit(
        verdict=transaction.verdict,
        authorisation_id=transaction.authorisation_id,
        member_id=transaction.member_id,
        limit_e4=transaction.limit_e4,
    )


def _transaction_row(
    session: WriteSession,
    ref: ChargePointRef,
    told: Start,
    key: str,
    number: int,
    nozzle: Nozzle | None,
    permit: Permit,
) -> dict[str, Any]:
    return {
        "id": session.new_id(),
        "operator_id": ref.operator_id,
        "station_id": ref.station_id,
        "device_id": ref.device_id,
        "transaction_id": number,
        "start_key": key,
        "connector_number": told.connector_number,
        "nozzle_number": nozzle.number if nozzle else None,
        "id_tag": told.id_tag,
        "verdict": permit.verdict,
        "authorisation_id": permit.authorisation_id,
        "member_id": permit.member_id,
        "limit_e4": permit.limit_e4,
        "state": TransactionState.OPEN,
        "meter_start_wh": told.meter_start_wh,
        "started_at": told.started_at,
        "meter_last_wh": told.meter_start_wh,
        "samples": 0,
        "stop_asked_at": None,
        "stop_key": None,
        "meter_stop_wh": None,
        "ended_at": None,
        "stop_reason": None,
        "delivery_id": None,
        "ended_by": None,
        "recorded_at": session.now(),
    }
