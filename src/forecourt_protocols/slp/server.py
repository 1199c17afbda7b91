"""The platform's end of SLP/1, without I/O: all devices of one gateway process.

The adapter calls `receive_many` with everything that has arrived, stores `Receipt.messages` durably,
calls `committed`, then sends `datagrams_to_send`. Junk is counted and leaves no other trace.
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Protocol

from forecourt_protocols.slp import framing, limits, messages
from forecourt_protocols.slp.doorkeeper import Doorkeeper, WelcomeTerms
from forecourt_protocols.slp.errors import Malformed, Misuse
from forecourt_protocols.slp.events import (
    Address,
    CommandHandled,
    DeviceConnected,
    DeviceGone,
    HelloAccepted,
    Message,
    ServerEvent,
)
from forecourt_protocols.slp.framing import (
    FLAG_ACK,
    FLAG_DOWN,
    FLAG_ELICIT,
    FLAGS_RESERVED,
    FRAME_BYTES_MIN,
    HEADER,
    VERSION,
    FrameType,
    Header,
)
from forecourt_protocols.slp.messages import AckBlock, Record
from forecourt_protocols.slp.server_session import (
    JournalSide,
    KeyLookup,
    OutgoingCommand,
    ServerConfig,
    ServerDevice,
    ServerSession,
)

_FLAGS_REFUSED_UP: Final = FLAGS_RESERVED | FLAG_DOWN
_WAITING_FEW: Final = limits.UNSTORED_MESSAGES_MAX - limits.WINDOW_MIDS  # Up to here no need to count.
_SWEEP_S: Final = 10.0
_SEALED: Final = frozenset(
    int(kind) for kind in (FrameType.DATA, FrameType.ACK, FrameType.PING, FrameType.PONG, FrameType.CLOSE)
)


class Stored(Protocol):
    """What names a stored message; a `Message` is one."""

    @property
    def device_id(self) -> int: ...
    @property
    def incarnation(self) -> bytes: ...
    @property
    def mid(self) -> int: ...


class Receipt(NamedTuple):
    """What one batch of datagrams brought."""

    now_s: float
    messages: list[Message]  # Classes 1 to 3, to be stored, then told to `committed`.
    live: list[Message]  # Class 0.
    events: list[ServerEvent]


class Server:
    """Sessions of all devices.

    Args:
        keys: (device id, key id) -> 32-byte key, or None for a device or key that is not known.
        random_bytes: n -> n bytes fit for keys.
        unix_ms: wall time, told to devices.
    """

    def __init__(
        self,
        config: ServerConfig,
        keys: KeyLookup,
        random_bytes: Callable[[int], bytes],
        unix_ms: Callable[[], int],
    ) -> None:
        self.counters: dict[str, int] = {}
        self._config = config
        self._random_bytes = random_bytes
        self._unix_ms = unix_ms
        self._out: list[tuple[bytes, Address]] = []
        self._devices: dict[int, ServerDevice] = {}
        self._sessions: dict[int, ServerSession] = {}  # Confirmed ones, by device: the hot path's table.
        self._credit = limits.CREDIT_MAX
        self._accepting = True
        self._ack_now: dict[ServerSession, None] = {}
        self._ack_later: dict[ServerSession, float] = {}  # Oldest first: every delay is the same.
        self._pushing: dict[ServerSession, None] = {}
        self._starved: dict[ServerSession, None] = {}
        self._sweep_at_s: float | None = None
        self._doorkeeper = Doorkeeper(
            config, keys, random_bytes, unix_ms, self._devices, self._out, self.count
        )

    # -- The network's side --------------------------------------------------------------------------

    def receive(self, datagram: bytes, now_s: float, address: Address) -> Receipt:
        return self.receive_many([(datagram, address)], now_s)

    def receive_many(self, datagrams: Iterable[tuple[bytes, Address]], now_s: float) -> Receipt:
        """Take datagrams (or frames of streams) in the order they came. Nothing is raised for any bytes."""
        receipt = Receipt(now_s, [], [], [])
        sessions, unpack_from = self._sessions, HEADER.unpack_from
        for frame, address in datagrams:
            size = len(frame)
            if size < FRAME_BYTES_MIN:
                self.count("no frame")
                continue
            header = unpack_from(frame)
            version, kind, flags, device_id, epoch, _, body_bytes, _, zero = header
            if (
                version != VERSION
                or zero
                or flags & _FLAGS_REFUSED_UP
                or body_bytes != size - FRAME_BYTES_MIN
            ):
                self.count("no frame")
                continue
            session = sessions.get(device_id)
            if session is not None and session.epoch == epoch and kind in _SEALED:
                self._receive_sealed(session, frame, header, address, receipt)
            else:
                self._receive_other(frame, address, receipt)
        return receipt

    def _receive_sealed(
        self,
        session: ServerSession,
        frame: bytes,
        header: tuple[int, ...],
        address: Address,
        receipt: Receipt,
    ) -> None:
        if not session.replay.fresh(header[5]):
            self.count("replayed")
            return
        own = address == session.address
        # Strangers who write a device's number on junk must not use up the device's own allowance.
        if not (session.bucket if own else session.device.strange_frames).take(receipt.now_s):
            self.count("too many frames")
            return
        body = session.opener.open(frame)
        if body is None:
            self.count("bad tag")
            return
        session.heard_s = receipt.now_s
        if session.replay.accept(header[5]) and not own:
            session.move(address, self._random_bytes(8), receipt.now_s)
        if not session.proven:
            session.allow(len(frame))
        try:
            self._receive_body(session, header, body, address, receipt)
        except Malformed as fault:
            self.count(f"malformed: {fault}")

    def _receive_body(
        self,
        session: ServerSession,
        header: tuple[int, ...],
        body: bytes,
        address: Address,
        receipt: Receipt,
    ) -> None:
        kind, flags, start = header[1], header[2], 0
        if flags & FLAG_ACK:
            start = messages.ACK_BLOCK.size
            self._receive_ack(session, messages.decode_ack(body), receipt)
        if session.sender is not None and session.device.commands:
            session.sender.resume()
            self._pushing[session] = None
        if kind == FrameType.DATA:
            self._receive_data(session, messages.decode_records(body, start), receipt)
        elif kind == FrameType.PING:
            session.data_at_s = receipt.now_s
            t1, challenge = messages.decode_fixed(messages.PING, body, start)
            now_us = self._unix_ms() * 1000
            pong = messages.PONG.pack(t1, challenge, now_us, now_us)
            session.send(FrameType.PONG, FLAG_ACK, self._ack_block(session, receipt.now_s) + pong)
        elif kind == FrameType.PONG:
            _, challenge, _, _ = messages.decode_fixed(messages.PONG, body, start)
            assert isinstance(challenge, bytes)
            session.prove(address, challenge)
        elif kind == FrameType.CLOSE:
            reason, _ = messages.decode_fixed(messages.CLOSE, body, start)
            self._end(session.device, f"closed {reason!r}", receipt.events)

    def _receive_data(self, session: ServerSession, records: list[Record], receipt: Receipt) -> None:
        device = session.device
        receiver = session.journal.receiver
        device_id, incarnation, append = (
            device.device_id,
            session.journal.incarnation,
            receipt.messages.append,
        )
        accepting = self._accepts(session.journal)
        urgent, reliable = not accepting, False
        new = tuple.__new__
        for record in records:
            if record[0] < messages.RFLAGS_RELIABLE:
                self._receive_latest(session, record, receipt)
                continue
            reliable = True
            if not accepting:
                self.count("no room")
                continue
            ready = receiver.take(record)
            if ready is None:
                urgent = True
                continue
            for rflags, channel, content_format, mid, body, _, _ in ready:
                reply = rflags & messages.RFLAG_REPLY != 0
                fields = (device_id, incarnation, mid, rflags >> 6, reply, channel, content_format, body)
                append(new(Message, fields))
            if record[6]:
                self._acknowledge_fragments(session, record.mid)
        if reliable:
            session.data_at_s = receipt.now_s
            if urgent or receiver.bitmap:
                self._ack_now[session] = None
            elif session not in self._ack_later:
                self._ack_later[session] = receipt.now_s + limits.ACK_DELAY_S

    def _accepts(self, journal: JournalSide) -> bool:
        receiver = journal.receiver
        waiting = receiver.base - receiver.com_base
        if waiting > _WAITING_FEW:
            waiting = receiver.uncommitted
        return self._accepting and not journal.held_at_mid and waiting < limits.UNSTORED_MESSAGES_MAX

    def _receive_latest(self, session: ServerSession, record: Record, receipt: Receipt) -> None:
        device = session.device
        if record.channel != messages.LINK_CHANNEL:
            receipt.live.append(
                Message(
                    device.device_id,
                    session.journal.incarnation,
                    0,
                    0,
                    False,  # noqa: FBT003 - a tuple, filled by place
                    record.channel,
                    record.content_format,
                    record.body,
                )
            )
        elif record.content_format == messages.LINK_FRAGMENT_ACK and session.sender is not None:
            have = messages.decode_fixed(messages.FRAGMENT_ACK, record.body, 0)[0]
            assert isinstance(have, int)
            session.sender.receive_fragment_ack(record.mid, have, receipt.now_s)

    def _receive_ack(self, session: ServerSession, ack: AckBlock, receipt: Receipt) -> None:
        sender, device = session.sender, session.device
        if sender is None or ack.com_base > sender.highest_mid:
            return
        sender.receive_ack(ack, receipt.now_s)
        for mid in [mid for mid in session.command_mids if mid <= ack.com_base]:
            command_id = session.command_mids.pop(mid)
            if device.commands.pop(command_id, None) is not None:
                receipt.events.append(CommandHandled(device.device_id, command_id))
        self._pushing[session] = None

    def _receive_other(self, frame: bytes, address: Address, receipt: Receipt) -> None:
        """Everything but a frame of a session that stands."""
        header = framing.decode_header(frame)
        if header is None:
            self.count("no frame")
        elif header.kind == FrameType.HELLO:
            hello = self._doorkeeper.hello(header, frame, address, receipt.now_s)
            if hello is not None:
                receipt.events.append(hello)
        elif header.kind not in _SEALED:
            self.count("out of place")
        elif not self._confirm(header, frame, address, receipt):
            device = self._devices.get(header.device_id)
            if device is not None and header.epoch < device.newest_epoch:
                self.count("another session's")
            else:
                self._doorkeeper.reset(header, len(frame), address, receipt.now_s)

    def _confirm(self, header: Header, frame: bytes, address: Address, receipt: Receipt) -> bool:
        """The first authentic frame under new keys makes the welcomed session the device's session."""
        device = self._devices.get(header.device_id)
        session = device.pending if device is not None else None
        if device is None or session is None or session.epoch != header.epoch:
            return False
        if not device.strange_frames.take(receipt.now_s) or session.opener.open(frame) is None:
            self.count("bad tag")
            return True
        if device.current is not None:
            self._drop_session(device.current)
        device.current, device.pending, device.journal = session, None, session.journal
        self._sessions[device.device_id] = session
        session.address = address
        receipt.events.append(DeviceConnected(device.device_id, session.epoch))
        if device.commands:
            self._push_commands(session)
        self._receive_sealed(session, frame, HEADER.unpack_from(frame), address, receipt)
        return True

    # -- The application's side ----------------------------------------------------------------------

    def welcome(self, hello: HelloAccepted, answer: WelcomeTerms, now_s: float) -> list[ServerEvent]:
        """Answer a device that proved its key, once its highest durable message id is known."""
        return self._doorkeeper.welcome(hello, answer, self._credit, now_s)

    def committed(self, stored: Iterable[Stored]) -> None:
        """These messages are durable: move `com_base` of their devices and tell them."""
        last_id = -1
        device: ServerDevice | None = None
        for message in stored:
            device_id = message.device_id
            if device_id != last_id:
                last_id, device = device_id, self._devices.get(device_id)
            if (
                device is not None
                and device.journal.incarnation == message.incarnation
                and device.journal.receiver.commit(message.mid)
                and device.current is not None
            ):
                self._ack_now[device.current] = None

    def com_base(self, device_id: int) -> int:
        device = self._devices.get(device_id)
        return device.journal.receiver.com_base if device else 0

    def set_credit(self, credit_max: int, *, accepting: bool) -> None:
        """Back-pressure for all devices: `credit_max` 0 tells them to stop, `accepting` false drops what
        still comes, unacknowledged, so that they send it again.
        """
        grew = credit_max > self._credit
        self._credit = min(max(credit_max, 0), limits.CREDIT_MAX)
        self._accepting = accepting
        if grew:
            self._ack_now.update(self._starved)
            self._starved.clear()

    def connected(self, device_id: int) -> bool:
        return device_id in self._sessions

    def connected_devices(self) -> list[int]:
        return list(self._sessions)

    def send_command(self, device_id: int, command: OutgoingCommand) -> bool:
        """Keep a command until the device has handled it, over sessions; False when its mailbox is full.

        Raises:
            Misuse: a command of this id is still under way, or it is too long for a message.
        """
        device = self._devices.get(device_id)
        if device is None:
            device = self._devices[device_id] = ServerDevice(device_id)
        if command.command_id in device.commands:
            raise Misuse(f"command {command.command_id} is under way")
        if len(command.body) + messages.COMMAND.size > limits.COMMAND_BYTES_MAX:
            raise Misuse("the command is too long")
        if len(device.commands) >= limits.COMMANDS_PER_DEVICE_MAX:
            return False
        device.commands[command.command_id] = command
        if session := self._sessions.get(device_id):
            self._push_commands(session)
        return True

    def withdraw_command(self, device_id: int, command_id: int) -> bool:
        """Forget a command that has expired; True when the device had not confirmed it yet."""
        device = self._devices.get(device_id)
        return device is not None and device.commands.pop(command_id, None) is not None

    def send_live(self, device_id: int, channel: int, content_format: int, body: bytes) -> bool:
        """One unrepeated record of class 0; False without a session."""
        session = self._sessions.get(device_id)
        if session is None or len(body) + messages.RECORD.size > session.record_bytes_max:
            return False
        record = messages.encode_record(Record(0, channel, content_format, 0, body))
        session.send(FrameType.DATA, 0, record)
        return True

    def disconnect(self, device_id: int, reason: int, retry_s: int = 0) -> None:
        """Close a device's session, for instance because its key was revoked."""
        session = self._sessions.get(device_id)
        if session is not None:
            session.send(FrameType.CLOSE, 0, messages.CLOSE.pack(reason, retry_s))
            self._end(session.device, "disconnected", [])

    # -- Time ----------------------------------------------------------------------------------------

    def poll(self, now_s: float) -> list[ServerEvent]:
        """Let time act: late acknowledgements, pushes, sessions gone silent."""
        for session, due_s in self._ack_later.items():
            if due_s > now_s:
                break
            self._ack_now[session] = None
        for session in list(self._pushing):
            self._push(session, now_s)
        if self._ack_now:
            for session in self._ack_now:
                self._ack_later.pop(session, None)
                session.send(FrameType.ACK, FLAG_ACK, self._ack_block(session, now_s))
            self._ack_now.clear()
        if self._sweep_at_s is None:
            self._sweep_at_s = now_s + _SWEEP_S
        return self._sweep(now_s) if now_s >= self._sweep_at_s else []

    def datagrams_to_send(self) -> list[tuple[bytes, Address]]:
        out = self._out[:]
        self._out.clear()
        return out

    def next_timeout_s(self, now_s: float) -> float | None:
        """When to call `poll` next, apart from after `receive_many` and `committed`."""
        if self._ack_now:
            return now_s
        due = [next(iter(self._ack_later.values()))] if self._ack_later else []
        for session in self._pushing:
            sending = session.sender.next_timeout_s(now_s) if session.sender else None
            if sending is not None:
                due.append(sending)
        return min(due, default=self._sweep_at_s)

    def count(self, what: str) -> None:
        self.counters[what] = self.counters.get(what, 0) + 1

    # -- Inside --------------------------------------------------------------------------------------

    def _ack_block(self, session: ServerSession, now_s: float) -> bytes:
        block = session.ack_block(now_s, self._credit)
        if session.starved:
            self._starved[session] = None
        return block

    def _acknowledge_fragments(self, session: ServerSession, mid: int) -> None:
        have = session.journal.receiver.fragments_of(mid)
        if have:
            body = messages.FRAGMENT_ACK.pack(have)
            record = Record(0, messages.LINK_CHANNEL, messages.LINK_FRAGMENT_ACK, mid, body)
            session.send(FrameType.DATA, 0, messages.encode_record(record))

    def _push_commands(self, session: ServerSession) -> None:
        session.send_commands(float(self._config.rate_frames_s), self._chance)
        self._pushing[session] = None

    def _push(self, session: ServerSession, now_s: float) -> None:
        """Send what this session's pushes may send now; a device that does not answer is left to sleep."""
        sender = session.sender
        if sender is None or sender.asleep or (sender.idle and not session.device.commands):
            del self._pushing[session]
            return
        if len(session.command_mids) < len(session.device.commands):
            self._push_commands(session)
        while (body := sender.take(now_s, session.record_bytes_max)) is not None:
            session.send(FrameType.DATA, FLAG_ELICIT, body)

    def _chance(self) -> float:
        return int.from_bytes(self._random_bytes(2), "big") / 65_536

    def _end(self, device: ServerDevice, reason: str, events: list[ServerEvent]) -> None:
        if device.current is not None:
            self._drop_session(device.current)
            device.current = None
            self._sessions.pop(device.device_id, None)
            events.append(DeviceGone(device.device_id, reason))

    def _drop_session(self, session: ServerSession) -> None:
        for table in (self._ack_now, self._starved, self._pushing):
            table.pop(session, None)
        self._ack_later.pop(session, None)

    def _sweep(self, now_s: float) -> list[ServerEvent]:
        """Forget sessions gone silent, and devices of which nothing is left to remember."""
        self._sweep_at_s = now_s + _SWEEP_S
        events: list[ServerEvent] = []
        for device in list(self._devices.values()):
            if device.current is not None and now_s - device.current.heard_s > limits.SESSION_IDLE_S:
                self._end(device, "silent", events)
            if device.pending is not None and now_s > device.pending_until_s:
                device.pending = None
            kept = device.current or device.pending or device.commands or device.journal.receiver.uncommitted
            if not kept and now_s - device.hello_at_s > limits.SESSION_IDLE_S:
                del self._devices[device.device_id]
        return events
