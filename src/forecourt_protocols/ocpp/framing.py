"""Text in, frames out: CALL, CALLRESULT and CALLERROR of OCPP-J 1.6 (section 4.2), the same in 2.0.1.

    [2, "<unique id>", "<action>", {payload}]
    [3, "<unique id>", {payload}]
    [4, "<unique id>", "<error code>", "<description>", {details}]

A payload stays JSON text until the action is known, so that each is decoded once, straight into its type.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

import msgspec

FRAME_BYTES_MAX = 64 * 1024
UNIQUE_ID_CHARS_MAX = 36  # OCPP-J 1.6, section 4.1.4: room for a GUID.
ACTION_CHARS_MAX = 64
DESCRIPTION_CHARS_MAX = 255  # OCPP-J 1.6, section 4.2.3.
UNKNOWN_ID = "-1"  # A frame whose own id could not be read is answered under this one (OCPP-J 2.0.1, 4.2.3).

T = TypeVar("T")


class ErrorCode(StrEnum):
    """The codes of CALLERROR, spelled as OCPP-J 1.6 spells them (one letter is missing in one of them)."""

    NOT_IMPLEMENTED = "NotImplemented"  # The action is not known.
    NOT_SUPPORTED = "NotSupported"  # The action is known, and not served here.
    INTERNAL_ERROR = "InternalError"
    PROTOCOL_ERROR = "ProtocolError"  # The payload is incomplete.
    SECURITY_ERROR = "SecurityError"
    FORMATION_VIOLATION = "FormationViolation"  # Not a frame, or not this action's form.
    PROPERTY_CONSTRAINT_VIOLATION = "PropertyConstraintViolation"
    OCCURRENCE_CONSTRAINT_VIOLATION = "OccurenceConstraintViolation"
    TYPE_CONSTRAINT_VIOLATION = "TypeConstraintViolation"
    GENERIC_ERROR = "GenericError"


@dataclass(frozen=True, slots=True)
class Call:
    """A request; `payload` is JSON text of one object."""

    unique_id: str
    action: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class CallResult:
    """The answer to a CALL; its action is the CALL's."""

    unique_id: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class CallError:
    """The other "answer" to a CALL. `code` is text: a peer may send one that is in no list."""

    unique_id: str
    code: str
    description: str = ""
    details: bytes = b"{}"


Frame = Call | CallResult | CallError


class Violation(ValueError):
    """What was received breaks the protocol; says how, in the protocol's own words."""

    def __init__(self, code: ErrorCode, description: str, unique_id: str = UNKNOWN_ID) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description[:DESCRIPTION_CHARS_MAX]
        self.unique_id = unique_id

    def answer(self, unique_id: str | None = None) -> CallError:
        """The frame that tells the peer."""
        return CallError(unique_id or self.unique_id, self.code, self.description)


_ROOT = msgspec.json.Decoder(list[msgspec.Raw])
_KIND = msgspec.json.Decoder(int, strict=True)
_TEXT = msgspec.json.Decoder(str)
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])

CALL, CALL_RESULT, CALL_ERROR = 2, 3, 4
ANSWER = re.compile(r"\s*\[\s*[34]\s*[],]")


def unpack(text: str | bytes) -> Frame:
    """Read one WebSocket message.

    Raises:
        Violation: it is no frame. `unique_id` is its own where that could be read, so that a broken CALL can
            be answered; `is_answer` says whether one is due at all.
    """
    if len(text) > FRAME_BYTES_MAX:
        raise Violation(ErrorCode.FORMATION_VIOLATION, f"longer than {FRAME_BYTES_MAX} bytes")
    parts = _decoded(_ROOT, text, "not a JSON array")
    if len(parts) < 3:
        raise Violation(ErrorCode.FORMATION_VIOLATION, "a frame has at least three elements")
    kind = _decoded(_KIND, parts[0], "the message type is not a number")
    unique_id = _decoded(_TEXT, parts[1], "the unique id is not text")
    if not 0 < len(unique_id) <= UNIQUE_ID_CHARS_MAX:
        raise Violation(ErrorCode.FORMATION_VIOLATION, f"a unique id has 1..{UNIQUE_ID_CHARS_MAX} characters")
    if kind == CALL:
        return _call(unique_id, parts)
    if kind == CALL_RESULT and len(parts) == 3:
        return CallResult(unique_id, _payload(parts[2], unique_id))
    if kind == CALL_ERROR and 3 <= len(parts) <= 5:
        code = _decoded(_TEXT, parts[2], "the error code is not text", unique_id)
        description = _decoded(_TEXT, parts[3], "no text", unique_id) if len(parts) > 3 else ""
        details = bytes(parts[4]) if len(parts) > 4 else b"{}"
        return CallError(unique_id, code[:ACTION_CHARS_MAX], description[:DESCRIPTION_CHARS_MAX], details)
    raise Violation(ErrorCode.FORMATION_VIOLATION, "no such message type, or too many elements", unique_id)


def is_answer(text: str | bytes) -> bool:
    """Whether a text that `unpack` refused was meant as an answer: answers are never answered."""
    head = (text if isinstance(text, str) else text.decode("utf-8", "replace"))[:40]
    return ANSWER.match(head) is not None


def pack(frame: Frame) -> str:
    """The WebSocket message of a frame."""
    unique_id = _json(frame.unique_id)
    match frame:
        case Call(_, action, payload):
            parts = [b"2", unique_id, _json(action), payload]
        case CallResult(_, payload):
            parts = [b"3", unique_id, payload]
        case CallError(_, code, description, details):
            parts = [b"4", unique_id, _json(str(code)), _json(description), details]
    return f"[{b','.join(parts).decode()}]"


def _call(unique_id: str, parts: list[msgspec.Raw]) -> Call:
    if len(parts) != 4:
        raise Violation(ErrorCode.FORMATION_VIOLATION, "a CALL has four elements", unique_id)
    action = _decoded(_TEXT, parts[2], "the action is not text", unique_id)
    if not 0 < len(action) <= ACTION_CHARS_MAX:
        raise Violation(ErrorCode.NOT_IMPLEMENTED, "no such action", unique_id)
    return Call(unique_id, action, _payload(parts[3], unique_id))


def _payload(part: msgspec.Raw, unique_id: str) -> bytes:
    _decoded(_OBJECT, part, "the payload is not an object", unique_id)
    return bytes(part)


def _decoded(
    decoder: msgspec.json.Decoder[T], text: str | bytes | msgspec.Raw, wrong: str, unique_id: str = UNKNOWN_ID
) -> T:
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Violation(ErrorCode.FORMATION_VIOLATION, wrong, unique_id) from error


def _json(text: str) -> bytes:
    return msgspec.json.encode(text)
