"""The messages of OCPP 1.6, sections 4 to 6: one type a request, one an answer, checked as they are decoded.

Field names are the specification's, written in Python's way (`idTag` is `id_tag`); lengths are CiStringNN's.
A dateTime without an offset is taken as UTC, as section 3.13 asks of charge points; all others become UTC.
"""

from datetime import UTC, datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType, structs

from forecourt_protocols.ocpp.v16.types import (
    AuthorizationStatus,
    AvailabilityStatus,
    AvailabilityType,
    ChargePointErrorCode,
    ChargePointStatus,
    ClearCacheStatus,
    ConfigurationStatus,
    DataTransferStatus,
    DiagnosticsStatus,
    FirmwareStatus,
    Location,
    Measurand,
    MessageTrigger,
    Phase,
    ReadingContext,
    Reason,
    RegistrationStatus,
    RemoteStartStopStatus,
    ResetStatus,
    ResetType,
    TriggerMessageStatus,
    UnitOfMeasure,
    UnlockStatus,
    ValueFormat,
)

METER_VALUES_MAX = 500  # Of one message; far above any sampling that fits into a frame.
SAMPLED_VALUES_MAX = 100
INT32_MAX = 2**31 - 1
METER_WH_MAX = 10**15  # Beyond any register.
YEAR_MIN, YEAR_MAX = 1970, 2199  # A clock that was never set says 1970; anything beyond is no time at all.

Text20 = Annotated[str, Meta(max_length=20)]
Text25 = Annotated[str, Meta(max_length=25)]
Text50 = Annotated[str, Meta(max_length=50)]
Text255 = Annotated[str, Meta(max_length=255)]
Text500 = Annotated[str, Meta(max_length=500)]
Int32 = Annotated[int, Meta(ge=-INT32_MAX - 1, le=INT32_MAX)]
MeterWh = Annotated[int, Meta(ge=-METER_WH_MAX, le=METER_WH_MAX)]
ConnectorId = Annotated[int, Meta(ge=0, le=INT32_MAX)]  # 0 is the charge point itself.
SampledValues = Annotated[list["SampledValue"], Meta(min_length=1, max_length=SAMPLED_VALUES_MAX)]
MeterValueList = Annotated[list["MeterValue"], Meta(min_length=1, max_length=METER_VALUES_MAX)]


class Message(
    Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True
):
    """Any payload. Optional fields that were not sent are `UNSET`; `null` is not a value in OCPP."""


class Timed(Message, frozen=True, kw_only=True):
    """A payload with times: they leave the decoder aware and in UTC, or not at all."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, datetime):
                structs.force_setattr(self, name, _utc(value))


def _utc(at: datetime) -> datetime:
    if not YEAR_MIN <= at.year <= YEAR_MAX:
        raise ValueError("a time outside the calendar")
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


class IdTagInfo(Timed, frozen=True, kw_only=True):
    status: AuthorizationStatus
    expiry_date: datetime | UnsetType = UNSET
    parent_id_tag: Text20 | UnsetType = UNSET


class SampledValue(Message, frozen=True, kw_only=True):
    """One measurement; `value` is text. What is left out has the default of section 7.43."""

    value: Annotated[str, Meta(max_length=4096)]
    context: ReadingContext | UnsetType = UNSET
    format: ValueFormat | UnsetType = UNSET
    measurand: Measurand | UnsetType = UNSET
    phase: Phase | UnsetType = UNSET
    location: Location | UnsetType = UNSET
    unit: UnitOfMeasure | UnsetType = UNSET


class MeterValue(Timed, frozen=True, kw_only=True):
    timestamp: datetime
    sampled_value: SampledValues


# From the charge point.


class Authorize(Message, frozen=True, kw_only=True):
    id_tag: Text20


class AuthorizeResponse(Message, frozen=True, kw_only=True):
    id_tag_info: IdTagInfo


class BootNotification(Message, frozen=True, kw_only=True):
    charge_point_vendor: Text20
    charge_point_model: Text20
    charge_point_serial_number: Text25 | UnsetType = UNSET
    charge_box_serial_number: Text25 | UnsetType = UNSET
    firmware_version: Text50 | UnsetType = UNSET
    iccid: Text20 | UnsetType = UNSET
    imsi: Text20 | UnsetType = UNSET
    meter_type: Text25 | UnsetType = UNSET
    meter_serial_number: Text25 | UnsetType = UNSET


class BootNotificationResponse(Timed, frozen=True, kw_only=True):
    status: RegistrationStatus
    current_time: datetime
    interval: int  # Seconds between heartbeats, or until the next BootNotification when not accepted.


class DiagnosticsStatusNotification(Message, frozen=True, kw_only=True):
    status: DiagnosticsStatus


class FirmwareStatusNotification(Message, frozen=True, kw_only=True):
    status: FirmwareStatus


class Heartbeat(Message, frozen=True, kw_only=True):
    pass


class HeartbeatResponse(Timed, frozen=True, kw_only=True):
    current_time: datetime


class MeterValues(Message, frozen=True, kw_only=True):
    connector_id: ConnectorId
    transaction_id: Int32 | UnsetType = UNSET
    meter_value: MeterValueList


class StartTransaction(Timed, frozen=True, kw_only=True):
    connector_id: ConnectorId
    id_tag: Text20
    meter_start: MeterWh
    timestamp: datetime
    reservation_id: int | UnsetType = UNSET


class StartTransactionResponse(Message, frozen=True, kw_only=True):
    id_tag_info: IdTagInfo
    transaction_id: Int32


class StatusNotification(Timed, frozen=True, kw_only=True):
    connector_id: ConnectorId
    error_code: ChargePointErrorCode
    status: ChargePointStatus
    timestamp: datetime | UnsetType = UNSET
    info: Text50 | UnsetType = UNSET
    vendor_id: Text255 | UnsetType = UNSET
    vendor_error_code: Text50 | UnsetType = UNSET


class StopTransaction(Timed, frozen=True, kw_only=True):
    transaction_id: Int32
    meter_stop: MeterWh
    timestamp: datetime
    id_tag: Text20 | UnsetType = UNSET
    reason: Reason | UnsetType = UNSET
    transaction_data: Annotated[list[MeterValue], Meta(max_length=METER_VALUES_MAX)] | UnsetType = UNSET


class StopTransactionResponse(Message, frozen=True, kw_only=True):
    id_tag_info: IdTagInfo | UnsetType = UNSET


# From either side.


class DataTransfer(Message, frozen=True, kw_only=True):
    vendor_id: Text255
    message_id: Text50 | UnsetType = UNSET
    data: str | UnsetType = UNSET


class DataTransferResponse(Message, frozen=True, kw_only=True):
    status: DataTransferStatus
    data: str | UnsetType = UNSET


# To the charge point.


class ChangeAvailability(Message, frozen=True, kw_only=True):
    connector_id: ConnectorId
    type: AvailabilityType


class ChangeAvailabilityResponse(Message, frozen=True, kw_only=True):
    status: AvailabilityStatus


class ChangeConfiguration(Message, frozen=True, kw_only=True):
    key: Text50
    value: Text500


class ChangeConfigurationResponse(Message, frozen=True, kw_only=True):
    status: ConfigurationStatus


class ClearCache(Message, frozen=True, kw_only=True):
    pass


class ClearCacheResponse(Message, frozen=True, kw_only=True):
    status: ClearCacheStatus


class GetConfiguration(Message, frozen=True, kw_only=True):
    key: list[Text50] | UnsetType = UNSET


class KeyValue(Message, frozen=True, kw_only=True):
    key: Text50
    readonly: bool
    value: Text500 | UnsetType = UNSET


class GetConfigurationResponse(Message, frozen=True, kw_only=True):
    configuration_key: list[KeyValue] | UnsetType = UNSET
    unknown_key: list[Text50] | UnsetType = UNSET


class RemoteStartTransaction(Message, frozen=True, kw_only=True):
    id_tag: Text20
    connector_id: ConnectorId | UnsetType = UNSET


class RemoteStartTransactionResponse(Message, frozen=True, kw_only=True):
    status: RemoteStartStopStatus


class RemoteStopTransaction(Message, frozen=True, kw_only=True):
    transaction_id: Int32


class RemoteStopTransactionResponse(Message, frozen=True, kw_only=True):
    status: RemoteStartStopStatus


class Reset(Message, frozen=True, kw_only=True):
    type: ResetType


class ResetResponse(Message, frozen=True, kw_only=True):
    status: ResetStatus


class TriggerMessage(Message, frozen=True, kw_only=True):
    requested_message: MessageTrigger
    connector_id: ConnectorId | UnsetType = UNSET


class TriggerMessageResponse(Message, frozen=True, kw_only=True):
    status: TriggerMessageStatus


class UnlockConnector(Message, frozen=True, kw_only=True):
    connector_id: ConnectorId


class UnlockConnectorResponse(Message, frozen=True, kw_only=True):
    status: UnlockStatus


def given(value: Any) -> Any:
    """The value, or None where the field was not sent."""
    return None if value is UNSET else value
