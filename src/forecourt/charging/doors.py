"""OCPP 1.6 into charging's verbs and back: parse, call once, answer. An answer leaves after its commit."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from msgspec import UNSET

from forecourt.charging import queries, service
from forecourt.charging.types import (
    METER_WH_MAX,
    Authorise,
    Boot,
    ChargePointRef,
    ConnectorStatus,
    Permit,
    RawFrame,
    Readings,
    Registration,
    Sample,
    Start,
    Status,
    Stop,
    Verdict,
)
from forecourt.core.db import Database, WriteSession
from forecourt.devices.types import Command, CommandKind
from forecourt_kit.ids import from_public
from forecourt_kit.limits import TEXT_NUMBER_CHARS_MAX
from forecourt_protocols.ocpp.framing import Call, CallError, CallResult, Violation
from forecourt_protocols.ocpp.v16 import messages as m
from forecourt_protocols.ocpp.v16 import types as t
from forecourt_protocols.ocpp.v16.actions import Asker, request_of, result

__all__ = ["ChargePointRef", "Ocpp16Door", "RawFrame", "is_yes", "samples_of"]

HEARTBEAT_S = 60
PENDING_RETRY_S = 60

MONEY = frozenset({"StartTransaction", "StopTransaction"})
"""What nobody can read of these is kept for a person, although it is answered with an error."""

VERDICTS = {
    Verdict.ACCEPTED: t.AuthorizationStatus.ACCEPTED,
    Verdict.BLOCKED: t.AuthorizationStatus.BLOCKED,
    Verdict.EXPIRED: t.AuthorizationStatus.EXPIRED,
    Verdict.INVALID: t.AuthorizationStatus.INVALID,
    Verdict.CONCURRENT: t.AuthorizationStatus.CONCURRENT_TX,
}
REGISTRATIONS = {
    Registration.ACCEPTED: t.RegistrationStatus.ACCEPTED,
    Registration.PENDING: t.RegistrationStatus.PENDING,
    Registration.REJECTED: t.RegistrationStatus.REJECTED,
}
STATUSES = {
    t.ChargePointStatus.AVAILABLE: ConnectorStatus.AVAILABLE,
    t.ChargePointStatus.PREPARING: ConnectorStatus.PREPARING,
    t.ChargePointStatus.CHARGING: ConnectorStatus.CHARGING,
    t.ChargePointStatus.SUSPENDED_EVSE: ConnectorStatus.SUSPENDED_EVSE,
    t.ChargePointStatus.SUSPENDED_EV: ConnectorStatus.SUSPENDED_EV,
    t.ChargePointStatus.FINISHING: ConnectorStatus.FINISHING,
    t.ChargePointStatus.RESERVED: ConnectorStatus.RESERVED,
    t.ChargePointStatus.UNAVAILABLE: ConnectorStatus.UNAVAILABLE,
    t.ChargePointStatus.FAULTED: ConnectorStatus.FAULTED,
}


@dataclass(frozen=True, slots=True)
class Ocpp16Door:
    """What the gateway hands each CALL of a charge point to. Holds no connection and no state."""

    database: Database
    authorise: Authorise[WriteSession]
    live: service.Live = service.nobody
    heartbeat_s: int = HEARTBEAT_S

    async def answer(self, ref: ChargePointRef, call: Call, frame: RawFrame) -> CallResult | CallError:
        """Do what a CALL asks in one transaction, and give its answer.

        Raises:
            Unavailable: the database does not answer. Nothing was done, so nothing may be answered.
        """
        try:
            request = request_of(call, Asker.CHARGE_POINT)
        except Violation as wrong:
            if call.action in MONEY:
                await self.database.transact(service.park, ref, frame, str(wrong))
            return wrong.answer()
        return result(call.unique_id, await ANSWERS[type(request)](self, ref, frame, request))

    async def connected(self, ref: ChargePointRef, connection: str) -> None:
        await self.database.transact(service.connected, ref, connection, self.live)

    async def disconnected(self, ref: ChargePointRef, connection: str) -> None:
        await self.database.transact(service.disconnected, ref, connection, self.live)

    async def holding(self, held: Mapping[int, str]) -> list[int]:
        """Of devices and their connections here, those that no other process holds by a newer one."""
        async with self.database.read() as session:
            holders = await queries.connections_many(session, list(held))
        return [device_id for device_id, name in held.items() if holders.get(device_id) == name]

    async def told(self, ref: ChargePointRef, answer: m.Message) -> None:
        """Keep what an answer to a CALL of ours says beyond yes or no: the configuration."""
        if isinstance(answer, m.GetConfigurationResponse):
            settings = {
                each.key: (m.given(each.value), each.readonly)
                for each in m.given(answer.configuration_key) or ()
            }
            if settings:
                await self.database.transact(service.report_settings, ref, settings)

    async def request_for(self, ref: ChargePointRef, command: Command) -> m.Message | None:
        """What to ask the charge point for a command; None when there is nothing to ask, and all is well.

        Raises:
            Violation: the command's body makes no request.
        """
        body = command.body
        match command.kind:
            case CommandKind.REMOTE_START:
                tag = body.get("id_tag") or body["authorisation_id"]  # Sales knows its own ids again.
                return m.RemoteStartTransaction(id_tag=tag, connector_id=body["connector_number"])
            case CommandKind.REMOTE_STOP:
                return m.RemoteStopTransaction(transaction_id=body["transaction_id"])
            case CommandKind.STOP | CommandKind.RELEASE:
                return await self._stop_of(ref, str(body["authorisation_id"]))
            case CommandKind.BLOCK | CommandKind.UNBLOCK:
                able = command.kind is CommandKind.UNBLOCK
                kind = t.AvailabilityType.OPERATIVE if able else t.AvailabilityType.INOPERATIVE
                return m.ChangeAvailability(connector_id=body["connector_number"], type=kind)
            case CommandKind.CHARGE_POINT_CALL:
                payload = json.dumps(body["payload"]).encode()
                return request_of(Call("0", str(body["action"]), payload), Asker.CENTRAL_SYSTEM)
            case _:
                return None  # It has no price display and no pump to release: there is nothing to tell it.

    async def _stop_of(self, ref: ChargePointRef, authorisation_id: str) -> m.Message | None:
        async with self.database.read() as session:
            found = await queries.open_by_authorisation(
                session, ref.operator_id, ref.device_id, from_public(authorisation_id)
            )
        return m.RemoteStopTransaction(transaction_id=found.transaction_id) if found else None

    async def _boot(self, ref: ChargePointRef, frame: RawFrame, ask: m.BootNotification) -> m.Message:
        told = Boot(
            vendor=ask.charge_point_vendor,
            model=ask.charge_point_model,
            serial=m.given(ask.charge_point_serial_number),
            firmware=m.given(ask.firmware_version),
            meter_serial=m.given(ask.meter_serial_number),
        )
        registration = await self.database.transact(service.boot, ref, frame, told)
        accepted = registration is Registration.ACCEPTED
        return m.BootNotificationResponse(
            status=REGISTRATIONS[registration],
            current_time=self._now(),
            interval=self.heartbeat_s if accepted else PENDING_RETRY_S,
        )

    async def _heartbeat(self, ref: ChargePointRef, frame: RawFrame, ask: m.Heartbeat) -> m.Message:
        del ref, frame, ask  # It says only that the link lives, and asks the time.
        return m.HeartbeatResponse(current_time=self._now())

    async def _authorize(self, ref: ChargePointRef, frame: RawFrame, ask: m.Authorize) -> m.Message:
        permit = await self.database.transact(service.authorise, ref, frame, ask.id_tag, self.authorise)
        return m.AuthorizeResponse(id_tag_info=_info(permit))

    async def _start(self, ref: ChargePointRef, frame: RawFrame, ask: m.StartTransaction) -> m.Message:
        told = Start(
            connector_number=ask.connector_id,
            id_tag=ask.id_tag,
            meter_start_wh=ask.meter_start,
            started_at=ask.timestamp,
        )
        started = await self.database.transact(service.start, ref, frame, told, self.authorise, self.live)
        return m.StartTransactionResponse(
            id_tag_info=_info(started.permit), transaction_id=started.transaction_id
        )

    async def _stop(self, ref: ChargePointRef, frame: RawFrame, ask: m.StopTransaction) -> m.Message:
        told = Stop(
            transaction_id=ask.transaction_id,
            meter_stop_wh=ask.meter_stop,
            ended_at=ask.timestamp,
            reason=m.given(ask.reason) or t.Reason.LOCAL,
            id_tag=m.given(ask.id_tag),
            samples=samples_of(m.given(ask.transaction_data) or ()),
        )
        await self.database.transact(service.stop, ref, frame, told, self.live)
        return m.StopTransactionResponse()

    async def _meter_values(self, ref: ChargePointRef, frame: RawFrame, ask: m.MeterValues) -> m.Message:
        told = Readings(
            connector_number=ask.connector_id,
            transaction_id=m.given(ask.transaction_id),
            samples=samples_of(ask.meter_value),
        )
        await self.database.transact(service.read, ref, frame, told, self.live)
        return m.Message()

    async def _status(self, ref: ChargePointRef, frame: RawFrame, ask: m.StatusNotification) -> m.Message:
        told = Status(
            connector_number=ask.connector_id,
            status=STATUSES[ask.status],
            error=ask.error_code,
            info=m.given(ask.info),
            vendor_error=m.given(ask.vendor_error_code),
            at=m.given(ask.timestamp) or frame.received_at,
        )
        await self.database.transact(service.status, ref, frame, told, self.live)
        return m.Message()

    async def _diagnostics(
        self, ref: ChargePointRef, frame: RawFrame, ask: m.DiagnosticsStatusNotification
    ) -> m.Message:
        told = {"diagnostics_status": ask.status.value}
        await self.database.transact(service.note, ref, frame, told)
        return m.Message()

    async def _firmware(
        self, ref: ChargePointRef, frame: RawFrame, ask: m.FirmwareStatusNotification
    ) -> m.Message:
        told = {"firmware_status": ask.status.value}
        await self.database.transact(service.note, ref, frame, told)
        return m.Message()

    async def _data_transfer(self, ref: ChargePointRef, frame: RawFrame, ask: m.DataTransfer) -> m.Message:
        del ask  # No vendor's extension is known here; the frame is kept all the same.
        await self.database.transact(service.note, ref, frame, {})
        return m.DataTransferResponse(status=t.DataTransferStatus.UNKNOWN_VENDOR_ID)

    def _now(self) -> datetime:
        return self.database.clock.now()


YES = frozenset({None, "Accepted", "Scheduled", "RebootRequired", "Unlocked"})

ANSWERS: dict[
    type[m.Message], Callable[[Ocpp16Door, ChargePointRef, RawFrame, Any], Awaitable[m.Message]]
] = {
    m.Authorize: Ocpp16Door._authorize,  # noqa: SLF001  (The table is the class's own.)
    m.BootNotification: Ocpp16Door._boot,  # noqa: SLF001
    m.DataTransfer: Ocpp16Door._data_transfer,  # noqa: SLF001
    m.DiagnosticsStatusNotification: Ocpp16Door._diagnostics,  # noqa: SLF001
    m.FirmwareStatusNotification: Ocpp16Door._firmware,  # noqa: SLF001
    m.Heartbeat: Ocpp16Door._heartbeat,  # noqa: SLF001
    m.MeterValues: Ocpp16Door._meter_values,  # noqa: SLF001
    m.StartTransaction: Ocpp16Door._start,  # noqa: SLF001
    m.StatusNotification: Ocpp16Door._status,  # noqa: SLF001
    m.StopTransaction: Ocpp16Door._stop,  # noqa: SLF001
}


def is_yes(answer: m.Message) -> bool:
    """Whether the charge point does what it was asked, now or soon. An answer without a status is a yes."""
    return getattr(answer, "status", None) in YES


def _info(permit: Permit) -> m.IdTagInfo:
    return m.IdTagInfo(
        status=VERDICTS[permit.verdict],
        expiry_date=permit.expires_at or UNSET,
        parent_id_tag=permit.parent_tag or UNSET,
    )


def samples_of(values: Sequence[m.MeterValue]) -> tuple[Sample, ...]:
    """The readings that charging keeps: the energy register, power and state of charge of the whole outlet.

    Signed data, single phases and what is no number are passed over; the raw frame keeps them.
    """
    samples = []
    for value in values:
        found: dict[str, int] = {}
        context = t.ReadingContext.SAMPLE_PERIODIC
        for each in value.sampled_value:
            if m.given(each.phase) is not None or m.given(each.format) is t.ValueFormat.SIGNED_DATA:
                continue
            name, number = _measured(each)
            if name is not None and number is not None:
                found[name] = number
                context = m.given(each.context) or context
        if found:
            samples.append(Sample(at=value.timestamp, context=context, **found))
    return tuple(samples)


def _measured(each: m.SampledValue) -> tuple[str | None, int | None]:
    measurand = m.given(each.measurand) or t.Measurand.ENERGY_ACTIVE_IMPORT_REGISTER
    unit = m.given(each.unit)
    thousand = unit in {t.UnitOfMeasure.K_WH, t.UnitOfMeasure.K_W}
    match measurand:
        case t.Measurand.ENERGY_ACTIVE_IMPORT_REGISTER:
            return "energy_wh", _whole(each.value, 1000 if thousand else 1)
        case t.Measurand.POWER_ACTIVE_IMPORT:
            return "power_w", _whole(each.value, 1000 if thousand else 1)
        case t.Measurand.SOC:
            return "soc_percent", _whole(each.value, 1)
        case _:
            return None, None


def _whole(text: str, times: int) -> int | None:
    """A reading as a whole number of its small unit, rounded down: a meter does not round up."""
    try:
        value = Decimal(text.strip()) if len(text) <= TEXT_NUMBER_CHARS_MAX else Decimal("NaN")
    except InvalidOperation:
        return None
    if not value.is_finite() or abs(value) > METER_WH_MAX:
        return None
    return int(value * times // 1)
