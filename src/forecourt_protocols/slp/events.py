"""What sessions are told and tell. Plain tuples: the server makes tens of thousands a second."""

from typing import NamedTuple

Address = tuple[object, ...]
"""Whatever the adapter sends to: ("192.0.2.7", 40001) for UDP, StreamAddress for TCP. Host first."""


class StreamAddress(NamedTuple):
    """The address of a TCP connection; `connection` makes it unlike every earlier one."""

    host: str
    port: int
    connection: int


class Message(NamedTuple):
    """One message of a device, whole. `mid` is 0 for class 0."""

    device_id: int
    incarnation: bytes
    mid: int
    record_class: int
    reply: bool
    channel: int
    content_format: int
    body: bytes


class HelloAccepted(NamedTuple):
    """A device proved its key. Find its highest durable message id, then call `server.welcome`."""

    device_id: int
    key_id: int
    epoch: int
    client_random: bytes
    address: Address
    incarnation: bytes
    firmware_id: int
    boot_reason: int
    oldest_mid: int
    next_mid: int
    datagram_bytes_max: int
    window: int


class HelloUnknown(NamedTuple):
    """A HELLO whose key is not at hand. If it can be found, give this frame to `receive_many` again."""

    device_id: int
    frame: bytes
    address: Address


class DeviceConnected(NamedTuple):
    """The first authentic frame of a new session came in."""

    device_id: int
    epoch: int


class DeviceGone(NamedTuple):
    """The session ended: closed by the device, or silent too long."""

    device_id: int
    reason: str


class JournalRolledBack(NamedTuple):
    """The device's journal is older than what was committed from it: it is held until a person decides."""

    device_id: int
    next_mid: int
    highest_mid: int


class MessagesMissing(NamedTuple):
    """These ids were discarded by the device, but never committed here: the store went back in time."""

    device_id: int
    first_mid: int
    last_mid: int


class CommandHandled(NamedTuple):
    """The device's application has done with this command."""

    device_id: int
    command_id: int


ServerEvent = (
    HelloAccepted
    | HelloUnknown
    | DeviceConnected
    | DeviceGone
    | JournalRolledBack
    | MessagesMissing
    | CommandHandled
)


class JournalState(NamedTuple):
    """What `connect` needs of the journal. `epoch` is persisted before this is handed over (rule E1)."""

    epoch: int
    incarnation: bytes
    oldest_mid: int
    next_mid: int


class Outbound(NamedTuple):
    """A journal record to be sent. `reply` marks the answer to a command."""

    mid: int
    record_class: int
    channel: int
    content_format: int
    body: bytes
    reply: bool = False


class Connected(NamedTuple):
    """The session stands. Read the journal from `com_base` + 1."""

    com_base: int
    server_time_ms: int
    config_version: int
    script_version: int


class Committed(NamedTuple):
    """All messages up to here are durable at the centre; the journal may discard them."""

    com_base: int


class Command(NamedTuple):
    """A command from the centre, handed up once. `expires_at_ms` is Unix time, 0 for never.

    Call `handled(command_id)` when it is done or refused; its answer, if any, goes by the journal.
    """

    command_id: int
    expires_at_ms: int
    channel: int
    content_format: int
    body: bytes


class Push(NamedTuple):
    """News from the centre that is no command and is not repeated over sessions."""

    channel: int
    content_format: int
    body: bytes


class EpochJump(NamedTuple):
    """The centre knows a higher epoch: persist this one before the next HELLO (lost flash)."""

    epoch: int


class Redirected(NamedTuple):
    """This device's partition is served elsewhere."""

    host: str
    port: int


class JournalBehind(NamedTuple):
    """The centre committed ids that this journal has yet to give: it was restored from an old copy."""

    com_base: int
    next_mid: int


class Disconnected(NamedTuple):
    """No session. Come back after `retry_in_s` with the next epoch."""

    reason: str
    retry_in_s: float


class ClockSample(NamedTuple):
    """Server's Unix time minus `now_s`, and the round trip it was measured over."""

    offset_s: float
    round_trip_s: float


DeviceEvent = (
    Connected
    | Committed
    | Command
    | Push
    | EpochJump
    | Redirected
    | JournalBehind
    | Disconnected
    | ClockSample
)
