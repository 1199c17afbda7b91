"""HTTP shapes of devices."""

from typing import Annotated, Any

from pydantic import Field

from forecourt.core.http import IdOut, In, InstantOut, Out, PublicId
from forecourt.core.http.fields import Name, SecretText
from forecourt.devices.rules import NOZZLES_PER_TERMINAL_MAX
from forecourt.devices.types import CommandKind, CommandState, DeviceKind, DeviceState

DeviceCode = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,48}$", examples=["CP-0001"])]


class DeviceIn(In):
    """`code` is for charge points: they connect at `/ocpp/<code>`."""

    station_id: PublicId
    kind: DeviceKind
    name: Name
    code: DeviceCode | None = None


class DeviceOut(Out):
    id: IdOut
    operator_id: IdOut
    station_id: IdOut
    kind: DeviceKind
    name: str
    state: DeviceState
    code: str | None
    created_at: InstantOut


class DevicesOut(Out):
    items: list[DeviceOut]
    next_cursor: str | None


class EnrolmentOut(Out):
    code: str
    expires_at: InstantOut


class NewDeviceOut(Out):
    """The secret is shown this once: `psk_hex` of an agent, `password` of a charge point, or `enrolment`."""

    device: DeviceOut
    key_id: int | None
    psk_hex: str | None
    password: str | None
    enrolment: EnrolmentOut | None


class NozzleIdsIn(In):
    nozzle_ids: Annotated[list[PublicId], Field(max_length=NOZZLES_PER_TERMINAL_MAX)]


class NozzleIdsOut(Out):
    """None means all nozzles of the station."""

    nozzle_ids: list[IdOut]


class EnrolIn(In):
    code: SecretText


class TerminalStationOut(Out):
    id: IdOut
    name: str
    timezone: str


class TerminalNozzleOut(Out):
    id: IdOut
    number: int


class TerminalOut(Out):
    """A terminal screen, its station, and the nozzles it shows."""

    terminal_id: IdOut
    name: str
    station: TerminalStationOut
    nozzles: list[TerminalNozzleOut]


class EnrolledOut(TerminalOut):
    """The token is also set as the cookie `forecourt_device`."""

    token: str
    expires_at: InstantOut


class CommandOut(Out):
    id: IdOut
    kind: CommandKind
    subject: str
    body: dict[str, Any]
    state: CommandState
    created_at: InstantOut
    expires_at: InstantOut
    sent_at: InstantOut | None
    ended_at: InstantOut | None
    tries: int
    error: str


class CommandsOut(Out):
    items: list[CommandOut]
    next_cursor: str | None


class ParkedOut(Out):
    id: IdOut
    device_id: IdOut
    station_id: IdOut
    mid: str
    record_class: int
    channel: int
    format: int
    body_hex: str
    received_at: InstantOut
    reason: str
    tries: int


class ParkedListOut(Out):
    items: list[ParkedOut]
    next_cursor: str | None
