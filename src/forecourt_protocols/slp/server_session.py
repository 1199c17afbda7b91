"""What a server keeps of one device and of one session with it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from forecourt_protocols.slp import crypto, framing, limits, messages
from forecourt_protocols.slp.events import Address, StreamAddress
from forecourt_protocols.slp.framing import FLAG_ACK, FLAG_ELICIT, FLAG_PENDING, FrameType
from forecourt_protocols.slp.handshake import SessionKeys
from forecourt_protocols.slp.messages import Record, RecordClass
from forecourt_protocols.slp.sender import Sender
from forecourt_protocols.slp.timing import TokenBucket
from forecourt_protocols.slp.window import Receiver, ReplayWindow

_STREAM_PTO_S_MIN = 3.0


KeyLookup = Callable[[int, int], bytes | None]
"""(device id, key id) -> 32-byte key, or None when either is unknown. Two key ids may be good at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Settings told to devices in WELCOME, and the server's own limits.

    `reset_secret` (32 bytes) must be the same in every gateway process and over restarts.
    """

    reset_secret: bytes
    keepalive_s: int = limits.KEEPALIVE_S
    pto_max_ms: int = int(limits.PTO_S_MAX * 1000)
    rate_frames_s: int = limits.FRAMES_PER_S
    datagram_bytes_max: int = limits.DATAGRAM_BYTES_MAX
    frames_per_s_max: float = 50.0 * limits.FRAMES_PER_S
    hello_load_per_s: int = limits.HELLO_LOAD_PER_S
    hellos_per_s: float = limits.HELLOS_PER_S


class OutgoingCommand(NamedTuple):
    """A command until the device's application has done with it."""

    command_id: int
    expires_at_ms: int
    channel: int
    content_format: int
    body: bytes


class JournalSide:
    """What the server knows of one journal. Sessions of one device with one journal share it."""

    __slots__ = ("held_at_mid", "incarnation", "receiver")

    def __init__(self, incarnation: bytes, com_base: int) -> None:
        self.incarnation = incarnation
        self.receiver = Receiver(com_base)
        self.held_at_mid = 0  # Of a journal that went back in time: the id it should be behind. Else 0.

    @property
    def com_base(self) -> int:
        """Told in WELCOME. A journal that went back in time sees by it that it is behind."""
        return max(self.receiver.com_base, self.held_at_mid)


class ServerDevice:
    """One known device: what outlives its sessions."""

    __slots__ = (
        "commands",
        "current",
        "device_id",
        "hello",
        "hello_at_s",
        "journal",
        "last_epoch",
        "pending",
        "pending_until_s",
        "strange_frames",
        "welcome",
        "welcome_at_s",
    )

    def __init__(self, device_id: int) -> None:
        self.device_id = device_id
        self.current: ServerSession | None = None
        self.pending: ServerSession | None = None  # Welcomed, but no authentic frame yet.
        self.pending_until_s = 0.0
        self.last_epoch = 0
        self.hello: tuple[int, bytes] | None = None  # Epoch and random of the HELLO being answered.
        self.hello_at_s = 0.0
        self.welcome = b""
        self.welcome_at_s = float("-inf")
        self.journal = JournalSide(b"", 0)
        self.commands: dict[int, OutgoingCommand] = {}
        rate = limits.STRANGE_ADDRESS_FRAMES_PER_S
        self.strange_frames = TokenBucket(rate, rate * limits.BURST_FACTOR)

    @property
    def newest_epoch(self) -> int:
        """Of the sessions that stand or wait; 0 when there is none."""
        return max((session.epoch for session in (self.current, self.pending) if session), default=0)


class ServerSession:
    """One session. `send` puts a frame into the server's list, unless the address is still unproven."""

    __slots__ = (
        "_out",
        "_proof",
        "_sealer",
        "_unproven_bytes",
        "address",
        "bucket",
        "command_mids",
        "data_at_s",
        "device",
        "epoch",
        "heard_s",
        "journal",
        "opener",
        "proven",
        "record_bytes_max",
        "replay",
        "sender",
        "starved",
    )

    def __init__(
        self,
        device: ServerDevice,
        journal: JournalSide,
        keys: SessionKeys,
        address: Address,
        out: list[tuple[bytes, Address]],
        *,
        datagram_bytes_max: int,
        frames_per_s_max: float,
    ) -> None:
        self.device = device
        self.journal = journal
        self.epoch = keys.epoch
        self.opener = keys.opener(crypto.UP)
        self._sealer = keys.sealer(crypto.DOWN)
        self.replay = ReplayWindow()
        self.address = address
        self.proven = True  # The session's own first frame shows that WELCOME was read there.
        self._proof = b""
        self._unproven_bytes = 0
        self._out = out
        self.bucket = TokenBucket(frames_per_s_max, frames_per_s_max * limits.BURST_FACTOR)
        self.heard_s = 0.0
        self.data_at_s = 0.0
        self.starved = False  # The last ack block said stop.
        self.sender: Sender | None = None
        self.command_mids: dict[int, int] = {}  # Message id -> command id, of commands on their way.
        self.record_bytes_max = datagram_bytes_max - framing.FRAME_BYTES_MIN - messages.ACK_BLOCK.size

    @property
    def sealer(self) -> crypto.Sealer:
        return self._sealer

    def send(self, kind: int, flags: int, body: bytes) -> None:
        if self.device.commands and (self.sender is None or self.sender.asleep):
            flags |= FLAG_PENDING
        frame = self._sealer.seal(kind, flags, body)
        if not self.proven:
            self._unproven_bytes -= len(frame)
            if self._unproven_bytes < 0:
                self._unproven_bytes = 0
                return
        self._out.append((frame, self.address))

    def move(self, address: Address, proof: bytes, now_s: float) -> None:
        """The newest authentic frame came from elsewhere: answer there, but not much before it is proven."""
        self.address = address
        self.proven = False
        self._proof = proof
        self._unproven_bytes = 0
        self.allow(framing.FRAME_BYTES_MIN)
        self.send(FrameType.PING, FLAG_ELICIT, messages.PING.pack(int(now_s * 1e6), proof))

    def allow(self, came_in_bytes: int) -> None:
        """So many authentic bytes came from an unproven address."""
        self._unproven_bytes += limits.UNPROVEN_ADDRESS_FACTOR * came_in_bytes

    def prove(self, address: Address, challenge: bytes) -> None:
        if not self.proven and address == self.address and crypto.tags_equal(challenge, self._proof):
            self.proven = True

    def ack_block(self, now_s: float, credit_max: int) -> bytes:
        receiver = self.journal.receiver
        credit = 0
        if not self.journal.held_at_mid:
            credit = max(0, min(credit_max, limits.UNSTORED_MESSAGES_MAX - receiver.uncommitted))
        self.starved = credit == 0
        delay_ms = min(max(int((now_s - self.data_at_s) * 1000), 0), 0xFFFF)
        return messages.ACK_BLOCK.pack(receiver.base, receiver.bitmap, receiver.com_base, delay_ms, credit)

    def send_ack(self, now_s: float, credit_max: int) -> None:
        self.send(FrameType.ACK, FLAG_ACK, self.ack_block(now_s, credit_max))

    def send_commands(self, frames_per_s: float, chance: Callable[[], float]) -> Sender:
        """Put the device's commands that are not yet on their way into this session's sender."""
        sender = self.sender
        if sender is None:
            stream = isinstance(self.address, StreamAddress)
            sender = self.sender = Sender(
                0,
                self.record_bytes_max,
                chance,
                frames_per_s=frames_per_s,
                pto_s_min=_STREAM_PTO_S_MIN if stream else limits.PTO_S_MIN,
            )
        under_way = set(self.command_mids.values())
        for command in self.device.commands.values():
            if sender.room() <= 0:
                break
            if command.command_id not in under_way:
                mid = sender.highest_mid + 1
                head = messages.COMMAND.pack(command.command_id, command.expires_at_ms)
                rflags = RecordClass.COMMAND << messages.CLASS_SHIFT
                body = head + command.body
                sender.push(Record(rflags, command.channel, command.content_format, mid, body))
                self.command_mids[mid] = command.command_id
        return sender
