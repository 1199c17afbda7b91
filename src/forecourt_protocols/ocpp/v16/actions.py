"""Which actions there are, who may ask them, and the way between a payload and its type."""

import re
from dataclasses import dataclass
from enum import Flag, auto
from typing import TypeVar

import msgspec

from forecourt_protocols.ocpp.framing import Call, CallResult, ErrorCode, Violation
from forecourt_protocols.ocpp.v16 import messages as m

SUBPROTOCOL = "ocpp1.6"

M = TypeVar("M", bound=m.Message)


class Asker(Flag):
    CHARGE_POINT = auto()
    CENTRAL_SYSTEM = auto()
    EITHER = CHARGE_POINT | CENTRAL_SYSTEM


@dataclass(frozen=True, slots=True)
class Action:
    """One row of the specification: the request, its answer, and who asks."""

    request: type[m.Message]
    answer: type[m.Message]
    asker: Asker


ACTIONS = {
    action.request.__name__: action
    for action in (
        Action(m.Authorize, m.AuthorizeResponse, Asker.CHARGE_POINT),
        Action(m.BootNotification, m.BootNotificationResponse, Asker.CHARGE_POINT),
        Action(m.DiagnosticsStatusNotification, m.Message, Asker.CHARGE_POINT),
        Action(m.FirmwareStatusNotification, m.Message, Asker.CHARGE_POINT),
        Action(m.Heartbeat, m.HeartbeatResponse, Asker.CHARGE_POINT),
        Action(m.MeterValues, m.Message, Asker.CHARGE_POINT),
        Action(m.StartTransaction, m.StartTransactionResponse, Asker.CHARGE_POINT),
        Action(m.StatusNotification, m.Message, Asker.CHARGE_POINT),
        Action(m.StopTransaction, m.StopTransactionResponse, Asker.CHARGE_POINT),
        Action(m.DataTransfer, m.DataTransferResponse, Asker.EITHER),
        Action(m.ChangeAvailability, m.ChangeAvailabilityResponse, Asker.CENTRAL_SYSTEM),
        Action(m.ChangeConfiguration, m.ChangeConfigurationResponse, Asker.CENTRAL_SYSTEM),
        Action(m.ClearCache, m.ClearCacheResponse, Asker.CENTRAL_SYSTEM),
        Action(m.GetConfiguration, m.GetConfigurationResponse, Asker.CENTRAL_SYSTEM),
        Action(m.RemoteStartTransaction, m.RemoteStartTransactionResponse, Asker.CENTRAL_SYSTEM),
        Action(m.RemoteStopTransaction, m.RemoteStopTransactionResponse, Asker.CENTRAL_SYSTEM),
        Action(m.Reset, m.ResetResponse, Asker.CENTRAL_SYSTEM),
        Action(m.TriggerMessage, m.TriggerMessageResponse, Asker.CENTRAL_SYSTEM),
        Action(m.UnlockConnector, m.UnlockConnectorResponse, Asker.CENTRAL_SYSTEM),
    )
}

NOT_SERVED = frozenset(
    {
        "CancelReservation",
        "CertificateSigned",
        "ClearChargingProfile",
        "DeleteCertificate",
        "ExtendedTriggerMessage",
        "GetCompositeSchedule",
        "GetDiagnostics",
        "GetInstalledCertificateIds",
        "GetLocalListVersion",
        "GetLog",
        "InstallCertificate",
        "LogStatusNotification",
        "ReserveNow",
        "SecurityEventNotification",
        "SendLocalList",
        "SetChargingProfile",
        "SignCertificate",
        "SignedFirmwareStatusNotification",
        "SignedUpdateFirmware",
        "UpdateFirmware",
    }
)
"""Actions of OCPP 1.6 and its security white paper that are known and not served: NotSupported, the others
are NotImplemented."""

_WRONG = (
    (re.compile("missing required field"), ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION),
    (re.compile("unknown field|malformed|truncated|trailing"), ErrorCode.FORMATION_VIOLATION),
    (re.compile("of length|Invalid enum|[<>]=|calendar"), ErrorCode.PROPERTY_CONSTRAINT_VIOLATION),
)


def action_of(name: str, asker: Asker) -> Action:
    """The row of an action that this side may ask.

    Raises:
        Violation: there is none (NotImplemented), or it is not served here (NotSupported).
    """
    action = ACTIONS.get(name)
    if action is not None and action.asker & asker:
        return action
    if action is not None or name in NOT_SERVED:
        raise Violation(ErrorCode.NOT_SUPPORTED, f"{name} is not served here")
    raise Violation(ErrorCode.NOT_IMPLEMENTED, "no such action")


def request_of(call: Call, asker: Asker) -> m.Message:
    """The typed request of a CALL. Raises `Violation`, with the CALL's unique id."""
    try:
        return parse(call.payload, action_of(call.action, asker).request)
    except Violation as wrong:
        raise Violation(wrong.code, wrong.description, call.unique_id) from wrong


def answer_of(call: Call, result: CallResult) -> m.Message:
    """The typed answer to a CALL that we sent. Raises `Violation`, with the CALL's unique id."""
    try:
        return parse(result.payload, ACTIONS[call.action].answer)
    except Violation as wrong:
        raise Violation(wrong.code, wrong.description, call.unique_id) from wrong


def call(unique_id: str, request: m.Message) -> Call:
    return Call(unique_id, type(request).__name__, msgspec.json.encode(request))


def result(unique_id: str, answer: m.Message) -> CallResult:
    return CallResult(unique_id, msgspec.json.encode(answer))


def parse(payload: bytes, kind: type[M]) -> M:
    """Decode and check one payload. Raises `Violation` with the code that OCPP-J gives the fault."""
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        text = str(error)
        code = next(
            (code for pattern, code in _WRONG if pattern.search(text)), ErrorCode.TYPE_CONSTRAINT_VIOLATION
        )
        raise Violation(code, text) from error
