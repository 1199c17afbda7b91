"""Devices, their messages and their commands, and what the inbox asks of whoever understands a message."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, NewType, Protocol, TypeVar

from forecourt.core.actor import OperatorId, Permission
from forecourt.core.event import Event

DeviceId = NewType("DeviceId", int)
CommandId = NewType("CommandId", int)

DEVICES_READ = Permission("devices:read")
DEVICES_WRITE = Permission("devices:write")

BODY_BYTES_MAX = (
    16_384  # One message; SLP/1 carries records up to 1,200 bytes, a charge point's frame is longer.
)
REASON_CHARS_MAX = 500


class DeviceKind(StrEnum):
    STATION_AGENT = "station_agent"
    CHARGE_POINT = "charge_point"
    TERMINAL = "terminal"


class DeviceState(StrEnum):
    WAITING = "waiting"  # A terminal whose enrolment code was not used yet.
    ACTIVE = "active"
    REVOKED = "revoked"  # For good: its key opens nothing, its sessions are over.


class InboxState(StrEnum):
    NEW = "new"
    DONE = "done"
    PARKED = "parked"  # Nobody could make sense of it; kept, with the reason, for a person.


class CommandState(StrEnum):
    QUEUED = "queued"
    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"
    EXPIRED = "expired"
    FAILED = "failed"


class CommandEvent(StrEnum):
    """What can happen to a command."""

    SEND = "send"
    ACKNOWLEDGE = "acknowledge"
    REFUSE = "refuse"
    EXPIRE = "expire"


class CommandKind(StrEnum):
    SET_PRICE = "set_price"  # body: nozzle_id, nozzle_number, unit_price_e4, price_version
    AUTHORISE = "authorise"  # body: nozzle_id, nozzle_number, preset_kind, preset_value, authorisation_id
    RELEASE = "release"  # body: nozzle_id, nozzle_number, authorisation_id: that authorisation is over
    STOP = "stop"  # body: nozzle_id, nozzle_number
    BLOCK = "block"  # body: nozzle_id, nozzle_number
    UNBLOCK = "unblock"  # body: nozzle_id, nozzle_number
    REMOTE_START = "remote_start"  # body: connector_number, id_tag, authorisation_id
    REMOTE_STOP = "remote_stop"  # body: transaction_id
    CHARGE_POINT_CALL = "charge_point_call"  # body: action, payload: any other request of OCPP


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceInfo:
    """One device of the registry. `code` is the name a charge point connects under (`/ocpp/<code>`)."""

    id: DeviceId
    operator_id: OperatorId
    station_id: int
    kind: DeviceKind
    name: str
    state: DeviceState
    code: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """A pre-shared key, opened. `key_id` is the number the device names it by on the wire."""

    key_id: int
    psk: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """A device and the keys it may use now: the current one, then the previous for 24 h after a change."""

    device: DeviceInfo
    keys: tuple[DeviceKey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxMessage:
    """One raw message of a device, as authenticated and not yet understood.

    (device_id, incarnation, mid) names it for ever: `incarnation` (at most 8 bytes) is drawn when the
    device's journal is made, `mid` counts within it. `record_class`, `channel` and `format` are SLP/1's, or
    a door's own.
    """

    device_id: DeviceId
    operator_id: OperatorId
    station_id: int
    incarnation: bytes
    mid: int
    record_class: int
    channel: int
    format: int
    body: bytes
    received_at: datetime


@dataclass(frozen=True, slots=True)
class DoorOutcome:
    """What became of one message: taken, or (`parked` says why) kept for a person."""

    parked: str | None = None


TAKEN = DoorOutcome()

Unit_contra = TypeVar("Unit_contra", contravariant=True)


class Door(Protocol[Unit_contra]):
    """Understands messages. The process wires it in as `Door[WriteSession]`; higher modules implement it."""

    async def deliver_many(
        self, session: Unit_contra, messages: Sequence[InboxMessage]
    ) -> Sequence[DoorOutcome]:
        """Take messages, in order, inside the caller's transaction; one outcome each.

        A message seen before has no second effect. What cannot be understood is an outcome with `parked`;
        raising means that the list cannot go on, and each message is then tried alone.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What a device is to do. `id` grows with time: a device obeys the highest of one `subject`."""

    id: CommandId
    operator_id: OperatorId
    device_id: DeviceId
    kind: CommandKind
    subject: str
    body: dict[str, Any]
    state: CommandState
    created_at: datetime
    expires_at: datetime
    sent_at: datetime | None
    ended_at: datetime | None
    tries: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandQueued(Event):
    """A gateway that holds the device's connection may send at once, rather than at its next look."""

    topic: ClassVar[str] = "devices.command.queued"
    command_id: int
    device_id: int

    @property
    def key(self) -> str:
        return f"device:{self.device_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandEnded(Event):
    """The device answered, or nobody heard from it in time. `state` is where the command ended."""

    topic: ClassVar[str] = "devices.command.ended"
    command_id: int
    device_id: int
    kind: str
    subject: str
    state: str
    body: dict[str, Any]

    @property
    def key(self) -> str:
        return f"device:{self.device_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """A one-time code, shown once to the person who enrols a terminal."""

    device_id: DeviceId
    code: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDevice:
    """A device just registered, with its secret, which is shown this once."""

    device: DeviceInfo
    key_id: int | None = None
    psk: bytes | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    enrolment: Enrolment | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolledTerminal:
    """A terminal that has just used its code; the token is shown this once."""

    device: DeviceInfo
    token: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedKeys:
    """A device and its keys as stored, sealed by the vault: (key id, sealed)."""

    device: DeviceInfo
    keys: tuple[tuple[int, bytes], ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasedMessage:
    """A message of the inbox that this worker holds."""

    id: int
    tries: int
    message: InboxMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedMessage:
    """A message that nobody could take, as a person sees it."""

    id: int
    reason: str
    tries: int
    message: InboxMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxCounts:
    """How the inbox stands: for metrics and readiness."""

    new: int
    parked: int
    oldest_new_at: datetime | None
