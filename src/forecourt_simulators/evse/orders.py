"""What the platform may ask of a charge point, and what it gets."""

from collections.abc import Callable
from typing import Any

from forecourt_protocols.ocpp.v16 import messages as m
from forecourt_protocols.ocpp.v16.types import (
    AvailabilityStatus,
    AvailabilityType,
    ClearCacheStatus,
    ConfigurationStatus,
    DataTransferStatus,
    MessageTrigger,
    ReadingContext,
    Reason,
    RemoteStartStopStatus,
    ResetStatus,
    ResetType,
    TriggerMessageStatus,
    UnlockStatus,
)
from forecourt_protocols.ocpp.v16.types import ChargePointStatus as Status
from forecourt_simulators.evse.charge_point import ChargePoint
from forecourt_simulators.evse.connector import Connector, Event
from forecourt_simulators.evse.outbox import Outgoing

SETTING_MAX = 86_400


def obey(point: ChargePoint, request: m.Message) -> m.Message:
    """Do what is asked, if it can be done, and answer."""
    answer: m.Message = ORDERS[type(request)](point, request)
    return answer


def _remote_start(point: ChargePoint, ask: m.RemoteStartTransaction) -> m.Message:
    connector = _free(point, m.given(ask.connector_id))
    if connector is None or not point.accepted:
        return m.RemoteStartTransactionResponse(status=RemoteStartStopStatus.REJECTED)
    if connector.plugged:
        point.begin(connector.number, ask.id_tag)
    else:
        point.await_car(connector.number, ask.id_tag)
    return m.RemoteStartTransactionResponse(status=RemoteStartStopStatus.ACCEPTED)


def _free(point: ChargePoint, number: int | None) -> Connector | None:
    """The connector asked for, or the first that could begin; those with a car go before those without."""
    wanted = [each for each in point.connectors.values() if number in (None, each.number)]
    able = [each for each in wanted if each.status in (Status.PREPARING, Status.FINISHING, Status.AVAILABLE)]
    return min(able, key=lambda each: not each.plugged, default=None)


def _remote_stop(point: ChargePoint, ask: m.RemoteStopTransaction) -> m.Message:
    for connector in point.connectors.values():
        if connector.session is not None and connector.session.transaction_id == ask.transaction_id:
            point.stop(connector.number, Reason.REMOTE)
            return m.RemoteStopTransactionResponse(status=RemoteStartStopStatus.ACCEPTED)
    return m.RemoteStopTransactionResponse(status=RemoteStartStopStatus.REJECTED)


def _reset(point: ChargePoint, ask: m.Reset) -> m.Message:
    reason = Reason.HARD_RESET if ask.type is ResetType.HARD else Reason.SOFT_RESET
    for number in point.connectors:
        point.stop(number, reason)
    point.reboot_wanted = True
    return m.ResetResponse(status=ResetStatus.ACCEPTED)


def _unlock(point: ChargePoint, ask: m.UnlockConnector) -> m.Message:
    if ask.connector_id not in point.connectors:
        return m.UnlockConnectorResponse(status=UnlockStatus.NOT_SUPPORTED)
    point.stop(ask.connector_id, Reason.UNLOCK_COMMAND)
    return m.UnlockConnectorResponse(status=UnlockStatus.UNLOCKED)


def _availability(point: ChargePoint, ask: m.ChangeAvailability) -> m.Message:
    numbers = [ask.connector_id] if ask.connector_id else list(point.connectors)
    if any(number not in point.connectors for number in numbers):
        return m.ChangeAvailabilityResponse(status=AvailabilityStatus.REJECTED)
    if any(point.connectors[number].session is not None for number in numbers):
        return m.ChangeAvailabilityResponse(status=AvailabilityStatus.REJECTED)
    event = Event.ENABLE if ask.type is AvailabilityType.OPERATIVE else Event.DISABLE
    for number in numbers:
        if point.connectors[number].go(event):
            point.tell_status(number)
    return m.ChangeAvailabilityResponse(status=AvailabilityStatus.ACCEPTED)


def _get_configuration(point: ChargePoint, ask: m.GetConfiguration) -> m.Message:
    have = {
        **{
            key: m.KeyValue(key=key, readonly=False, value=str(value))
            for key, value in point.settings.items()
        },
        "NumberOfConnectors": m.KeyValue(
            key="NumberOfConnectors", readonly=True, value=str(len(point.connectors))
        ),
    }
    keys = m.given(ask.key) or list(have)
    return m.GetConfigurationResponse(
        configuration_key=[have[key] for key in keys if key in have],
        unknown_key=[key for key in keys if key not in have],
    )


def _change_configuration(point: ChargePoint, ask: m.ChangeConfiguration) -> m.Message:
    status = ConfigurationStatus.ACCEPTED
    if ask.key not in point.settings:
        status = ConfigurationStatus.NOT_SUPPORTED
    elif not ask.value.isascii() or not ask.value.isdigit() or int(ask.value[:9]) > SETTING_MAX:
        status = ConfigurationStatus.REJECTED
    else:
        point.settings[ask.key] = int(ask.value)
    return m.ChangeConfigurationResponse(status=status)


def _trigger(point: ChargePoint, ask: m.TriggerMessage) -> m.Message:
    asked = m.given(ask.connector_id)
    numbers = list(point.connectors) if asked is None else [asked]
    if any(number not in point.connectors for number in numbers):
        return m.TriggerMessageResponse(status=TriggerMessageStatus.REJECTED)
    match ask.requested_message:
        case MessageTrigger.BOOT_NOTIFICATION:
            point.outbox.add(Outgoing(point.boot))
        case MessageTrigger.HEARTBEAT:
            point.outbox.add(Outgoing(m.Heartbeat))
        case MessageTrigger.STATUS_NOTIFICATION:
            for number in numbers:
                point.tell_status(number)
        case MessageTrigger.METER_VALUES:
            for number in numbers:
                point.tell_meter(number, ReadingContext.TRIGGER)
        case _:
            return m.TriggerMessageResponse(status=TriggerMessageStatus.NOT_IMPLEMENTED)
    return m.TriggerMessageResponse(status=TriggerMessageStatus.ACCEPTED)


def _clear_cache(_: ChargePoint, __: m.ClearCache) -> m.Message:
    return m.ClearCacheResponse(status=ClearCacheStatus.ACCEPTED)


def _data_transfer(_: ChargePoint, __: m.DataTransfer) -> m.Message:
    return m.DataTransferResponse(status=DataTransferStatus.UNKNOWN_VENDOR_ID)


ORDERS: dict[type[m.Message], Callable[[ChargePoint, Any], m.Message]] = {
    m.RemoteStartTransaction: _remote_start,
    m.RemoteStopTransaction: _remote_stop,
    m.Reset: _reset,
    m.UnlockConnector: _unlock,
    m.ChangeAvailability: _availability,
    m.GetConfiguration: _get_configuration,
    m.ChangeConfiguration: _change_configuration,
    m.TriggerMessage: _trigger,
    m.ClearCache: _clear_cache,
    m.DataTransfer: _data_transfer,
}
