"""The station's end of SLP/1, without I/O: datagrams in, events and datagrams out, time passed in."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from forecourt_protocols.slp import crypto, framing, handshake, limits, messages
from forecourt_protocols.slp.errors import Malformed, Misuse
from forecourt_protocols.slp.events import (
    ClockSample,
    Committed,
    Connected,
    DeviceEvent,
    Disconnected,
    EpochJump,
    JournalBehind,
    JournalState,
    Outbound,
    Push,
    Redirected,
)
from forecourt_protocols.slp.framing import FLAG_ACK, FLAG_DOWN, FLAG_ELICIT, FLAG_LAST, FrameType, Header
from forecourt_protocols.slp.inbox import CommandInbox
from forecourt_protocols.slp.messages import AckBlock, Record, RecordClass
from forecourt_protocols.slp.sender import Sender
from forecourt_protocols.slp.state import TRANSITIONS, DeviceState, DeviceTrigger
from forecourt_protocols.slp.timing import backed_off_s
from forecourt_protocols.slp.window import ReplayWindow

STREAM_PTO_S_MIN: Final = 3.0  # TCP repeats by itself; ours is for what a full server dropped.
COMMIT_PROBE_S: Final = 1.0
LIVE_MESSAGES_MAX: Final = 32  # Telemetry waiting for the next datagram; older is dropped for newer.


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceConfig:
    """Who this device is. `psk` is 32 bytes."""

    device_id: int
    key_id: int
    psk: bytes
    firmware_id: int = 0
    boot_reason: int = 0
    datagram_bytes_max: int = limits.DATAGRAM_BYTES_MAX


class DeviceSession:
    """One device's session; after `Disconnected` the caller calls `connect` again with the next epoch.

    Args:
        random_bytes: n -> n bytes fit for nonces.
    """

    def __init__(self, config: DeviceConfig, random_bytes: Callable[[int], bytes]) -> None:
        if len(config.psk) != crypto.PSK_BYTES:
            raise Misuse(f"a device key has {crypto.PSK_BYTES} bytes")
        if not limits.DATAGRAM_BYTES_MIN <= config.datagram_bytes_max <= limits.DATAGRAM_BYTES_MAX:
            raise Misuse("datagram_bytes_max is out of range")
        self.state = DeviceState.IDLE
        self.counters: dict[str, int] = {}
        self._config = config
        self._random_bytes = random_bytes
        self._journal = JournalState(0, b"\0\0\0\0", 1, 1)
        self._stream = False
        self._failures = 0  # Handshakes in a row that led nowhere.
        self._inbox = CommandInbox()
        self._out: list[bytes] = []
        self._live: deque[Record] = deque(maxlen=LIVE_MESSAGES_MAX)
        self._clear()

    def _clear(self) -> None:
        """Forget everything that belongs to one session."""
        self._client_random = b""
        self._hello = b""
        self._hello_tries = 0
        self._hello_at_s = 0.0
        self._sealer: crypto.Sealer | None = None
        self._opener: crypto.Opener | None = None
        self._reset_token = b""
        self._replay = ReplayWindow()
        self._inbox.new_session()
        self._sender: Sender | None = None
        self._com_base = 0
        self._keepalive_s = float(limits.KEEPALIVE_S)
        self._born_s = self._heard_s = self._spoke_s = 0.0
        self._silent_since_s: float | None = None  # The oldest question that nobody answered.
        self._probe_at_s: float | None = None
        self._probes = 0
        self._ack_due = False
        self._live.clear()
        self._record_bytes_max = _record_bytes_max(self._config.datagram_bytes_max)

    # -- The caller's side ---------------------------------------------------------------------------

    def connect(self, now_s: float, journal: JournalState, *, stream: bool = False) -> None:
        """Send HELLO. `journal.epoch` must be higher than every epoch used before, and on disk.

        `stream`: this session runs over TCP, which paces and repeats by itself.
        """
        self._move(DeviceTrigger.CONNECT)
        self._clear()
        self._journal = journal
        self._stream = stream
        self._client_random = self._random_bytes(crypto.RANDOM_BYTES)
        self._say_hello(now_s, b"")

    @property
    def read_after(self) -> int:
        """The highest message id taken from the journal; read on behind it."""
        return self._sender.highest_mid if self._sender else 0

    @property
    def com_base(self) -> int:
        return self._com_base

    def room(self) -> int:
        """How many journal records `push` will take now; 0 without a session."""
        return self._sender.room() if self._sender and self.state is DeviceState.CONNECTED else 0

    def push(self, records: Iterable[Outbound]) -> None:
        """Take records in the order of their ids, as many as there is room for; see `read_after`.

        Ids that the journal has dropped are filled with void records, so that the other end sees no hole.
        """
        sender = self._sender
        if sender is None or self.state is not DeviceState.CONNECTED:
            return
        for record in records:
            while sender.room() > 0 and sender.highest_mid + 1 < record.mid:
                sender.push(messages.void_record(sender.highest_mid + 1))
            if sender.room() <= 0:
                return
            if record.record_class == RecordClass.LATEST:
                # Telemetry that was journalled is sent once like all telemetry; its id stays void.
                if len(record.body) + messages.RECORD.size <= self._record_bytes_max:
                    self.push_live(record.channel, record.content_format, record.body)
                sender.push(messages.void_record(record.mid))
                continue
            reply = messages.RFLAG_REPLY if record.reply else 0
            rflags = record.record_class << messages.CLASS_SHIFT | reply
            sender.push(Record(rflags, record.channel, record.content_format, record.mid, record.body))

    def push_live(self, channel: int, content_format: int, body: bytes) -> None:
        """Telemetry of class 0: sent once with the next datagram, lost if that is, or without a session."""
        if len(body) + messages.RECORD.size > self._record_bytes_max:
            raise Misuse("telemetry does not fit a datagram")
        if self.state in (DeviceState.CONNECTED, DeviceState.HELD):
            self._live.append(Record(0, channel, content_format, 0, body))

    def handled(self, command_id: int) -> None:
        """The application has done with this command, whatever session it came in."""
        if self._inbox.handled(command_id):
            self._ack_due = True

    def close(self, reason: int = messages.CloseReason.SHUTDOWN) -> None:
        """Say good-bye; the datagram is in `datagrams_to_send`."""
        if self._sealer and self.state in (DeviceState.CONNECTED, DeviceState.HELD):
            self._out.append(self._sealer.seal(FrameType.CLOSE, 0, messages.CLOSE.pack(reason, 0)))
        if self.state is not DeviceState.IDLE:
            self._move(DeviceTrigger.LOST)
            self._clear()

    def connection_lost(self) -> list[DeviceEvent]:
        """The TCP connection under this session has ended."""
        return self._lose("connection lost") if self.state is not DeviceState.IDLE else []

    def datagrams_to_send(self, now_s: float) -> list[bytes]:
        """Everything that is due; each is one datagram, or the next bytes of the TCP stream."""
        if self._sealer and self.state in (DeviceState.CONNECTED, DeviceState.HELD):
            self._send_session(self._sealer, now_s)
        out, self._out = self._out, []
        if out:
            self._spoke_s = now_s
        return out

    def next_timeout_s(self, now_s: float) -> float | None:
        """When to call `poll`, in the time of `now_s`; None when only news can change anything."""
        if self.state is DeviceState.IDLE:
            return None
        if self.state is DeviceState.GREETING:
            return self._hello_at_s
        due = [self._spoke_s + self._keepalive_s, self._born_s + limits.SESSION_AGE_S_MAX]
        if self._silent_since_s is not None:
            due.append(self._silent_since_s + limits.SILENCE_S)
        if self._probe_at_s is not None:
            due.append(self._probe_at_s)
        if self._sender and (sending := self._sender.next_timeout_s(now_s)) is not None:
            due.append(sending)
        return min(due)

    def poll(self, now_s: float) -> list[DeviceEvent]:
        """Let time act. Call it at `next_timeout_s`, then send what `datagrams_to_send` gives."""
        if self.state is DeviceState.IDLE:
            return []
        if self.state is DeviceState.GREETING:
            return self._poll_greeting(now_s)
        if self._silent_since_s is not None and now_s >= self._silent_since_s + limits.SILENCE_S:
            return self._lose("silence")
        assert self._sealer is not None
        if (
            now_s >= self._born_s + limits.SESSION_AGE_S_MAX
            or self._sealer.packet_number >= limits.SESSION_FRAMES_MAX
        ):
            self._out.append(
                self._sealer.seal(FrameType.CLOSE, 0, messages.CLOSE.pack(messages.CloseReason.RENEW, 0))
            )
            return self._lose("renew", retry_in_s=0.0)
        self._plan_probe(now_s)
        if self._probe_at_s is not None and now_s >= self._probe_at_s:
            self._probes += 1
            self._probe_at_s = now_s + backed_off_s(COMMIT_PROBE_S, self._probes, self._chance())
            self._ping(now_s)
        elif now_s >= self._spoke_s + self._keepalive_s:
            self._ping(now_s)
        return []

    # -- The network's side --------------------------------------------------------------------------

    def receive(self, frame: bytes, now_s: float) -> list[DeviceEvent]:
        """Take one datagram (or one frame of the stream). Whatever it holds, nothing is raised."""
        header = framing.decode_header(frame)
        if header is None or not header.flags & FLAG_DOWN:
            return self._count("no frame")
        if header.device_id != self._config.device_id or header.epoch != self._journal.epoch:
            return self._count("another session's")
        try:
            if self.state is DeviceState.GREETING:
                return self._receive_greeting(header, frame, now_s)
            if self.state is DeviceState.IDLE:
                return self._count("no session")
            if header.kind == FrameType.RESET:
                return self._receive_reset(header, frame)
            return self._receive_sealed(header, frame, now_s)
        except Malformed as fault:
            return self._count(f"malformed: {fault}")

    def _receive_greeting(self, header: Header, frame: bytes, now_s: float) -> list[DeviceEvent]:
        psk = self._config.psk
        if header.kind == FrameType.RETRY:
            cookie = handshake.open_retry(psk, self._client_random, frame)
            if cookie is None:
                return self._count("bad tag")
            self._move(DeviceTrigger.RETRY)
            self._say_hello(now_s, cookie)
            return []
        if header.kind != FrameType.WELCOME:
            return self._count("out of place")
        answer = handshake.open_welcome(psk, self._client_random, header, frame)
        if answer is None:
            return self._count("bad tag")
        welcome, keys = answer
        self._opener = keys.opener(crypto.DOWN)
        self._sealer = keys.sealer(crypto.UP)
        return self._enter_session(welcome, now_s)

    def _enter_session(self, welcome: messages.Welcome, now_s: float) -> list[DeviceEvent]:
        if welcome.epoch_jump or welcome.redirect:
            self._move(DeviceTrigger.TURNED_AWAY)
            self._clear()
            if welcome.epoch_jump:
                return [EpochJump(welcome.epoch_jump), Disconnected("epoch", 0.0)]
            place = messages.split_redirect(welcome.redirect)
            if place is None:
                return [Disconnected("redirect", self._reconnect_s())]
            return [Redirected(*place), Disconnected("redirect", 0.0)]
        behind = welcome.com_base >= self._journal.next_mid
        self._move(DeviceTrigger.BEHIND if behind else DeviceTrigger.WELCOME)
        self._failures = 0
        self._reset_token = welcome.reset_token
        self._record_bytes_max = _record_bytes_max(
            min(self._config.datagram_bytes_max, max(welcome.datagram_bytes_max, limits.DATAGRAM_BYTES_MIN))
        )
        self._keepalive_s = float(max(welcome.keepalive_s, 1))
        self._com_base = welcome.com_base
        self._born_s = self._heard_s = self._spoke_s = now_s
        self._sender = Sender(
            welcome.com_base,
            self._record_bytes_max,
            self._chance,
            frames_per_s=1e6 if self._stream else max(welcome.rate_frames_s, 1),
            credit=welcome.credit,
            pto_s_min=STREAM_PTO_S_MIN if self._stream else limits.PTO_S_MIN,
            pto_s_max=max(welcome.pto_max_ms / 1000, limits.PTO_S_MIN),
        )
        self._ping(now_s)  # The first authentic frame: until it comes the server keeps the old session.
        if behind:
            return [JournalBehind(welcome.com_base, self._journal.next_mid)]
        return [
            Connected(
                welcome.com_base, welcome.server_time_ms, welcome.config_version, welcome.script_version
            ),
            Committed(welcome.com_base),
        ]

    def _receive_reset(self, header: Header, frame: bytes) -> list[DeviceEvent]:
        asked = self._sealer is not None and header.packet_number <= self._sealer.packet_number
        tag = crypto.tag128(self._reset_token, frame[: framing.HEADER_BYTES])
        if not asked or header.body_bytes or not crypto.tags_equal(tag, frame[framing.HEADER_BYTES :]):
            return self._count("bad tag")
        return self._lose("reset", retry_in_s=0.0)

    def _receive_sealed(self, header: Header, frame: bytes, now_s: float) -> list[DeviceEvent]:
        assert self._opener is not None
        if not self._replay.fresh(header.packet_number):
            return self._count("replayed")
        body = self._opener.open(frame)
        if body is None:
            return self._count("bad tag")
        self._replay.accept(header.packet_number)
        self._heard_s = now_s
        self._silent_since_s = None
        assert self._sender is not None
        self._sender.resume()
        events: list[DeviceEvent] = []
        start = 0
        if header.flags & FLAG_ACK:
            start = messages.ACK_BLOCK.size
            events += self._receive_ack(messages.decode_ack(body), now_s)
        if header.flags & FLAG_ELICIT:
            self._ack_due = True
        if header.kind == FrameType.DATA:
            events += self._receive_records(messages.decode_records(body, start), now_s)
        elif header.kind == FrameType.PING:
            self._receive_ping(body, start, now_s)
        elif header.kind == FrameType.PONG:
            events += self._receive_pong(body, start, now_s)
        elif header.kind == FrameType.CLOSE:
            reason, retry_s = messages.decode_fixed(messages.CLOSE, body, start)
            assert isinstance(reason, int)
            assert isinstance(retry_s, int)
            events += self._lose(f"closed {reason}", retry_in_s=retry_s + 2 * self._chance())
        return events

    def _receive_ack(self, ack: AckBlock, now_s: float) -> list[DeviceEvent]:
        assert self._sender is not None
        if ack.com_base > self._sender.highest_mid and self.state is DeviceState.CONNECTED:
            self._count("acknowledged what was not sent")
            return []
        self._sender.receive_ack(ack, now_s)
        if ack.com_base <= self._com_base:
            return []
        self._com_base = ack.com_base
        self._probes = 0
        self._probe_at_s = None
        return [Committed(ack.com_base)]

    def _receive_records(self, records: list[Record], now_s: float) -> list[DeviceEvent]:
        assert self._sender is not None
        events: list[DeviceEvent] = []
        for record in records:
            record_class = record.rflags >> messages.CLASS_SHIFT
            if record_class == RecordClass.LATEST:
                if record.channel != messages.LINK_CHANNEL:
                    events.append(Push(record.channel, record.content_format, record.body))
                elif record.content_format == messages.LINK_FRAGMENT_ACK:
                    have = messages.decode_fixed(messages.FRAGMENT_ACK, record.body, 0)[0]
                    assert isinstance(have, int)
                    self._sender.receive_fragment_ack(record.mid, have, now_s)
                continue
            events += self._inbox.take(record)
            if record.parts and (answer := self._inbox.fragment_ack(record.mid)):
                self._live.append(answer)
        return events

    def _receive_ping(self, body: bytes, start: int, now_s: float) -> None:
        assert self._sealer is not None
        t1, challenge = messages.decode_fixed(messages.PING, body, start)
        now_us = int(now_s * 1_000_000)
        pong = messages.PONG.pack(t1, challenge, now_us, now_us)
        self._out.append(self._sealer.seal(FrameType.PONG, FLAG_ACK, self._inbox.ack_block() + pong))

    def _receive_pong(self, body: bytes, start: int, now_s: float) -> list[DeviceEvent]:
        assert self._sender is not None
        t1, _, t2, t3 = messages.decode_fixed(messages.PONG, body, start)
        assert isinstance(t1, int)
        assert isinstance(t2, int)
        assert isinstance(t3, int)
        round_trip_s = now_s - t1 / 1e6 - (t3 - t2) / 1e6
        if not 0 <= round_trip_s <= limits.SILENCE_S:
            return []
        self._sender.round_trip.sample(round_trip_s)
        return [ClockSample((t2 + t3) / 2e6 - (now_s - round_trip_s / 2), round_trip_s)]

    # -- Sending -------------------------------------------------------------------------------------

    def _send_session(self, sealer: crypto.Sealer, now_s: float) -> None:
        assert self._sender is not None
        limit = self._record_bytes_max
        while (body := self._sender.take(now_s, limit)) is not None:
            self._ask(now_s)
            flags = FLAG_ELICIT | (FLAG_LAST if self._sender.all_sent else 0)
            if self._ack_due:
                self._ack_due = False
                flags |= FLAG_ACK
                body = self._inbox.ack_block() + body
            self._out.append(sealer.seal(FrameType.DATA, flags, body))
        while self._live:
            record = self._live.popleft()
            self._out.append(sealer.seal(FrameType.DATA, 0, messages.encode_record(record)))
        if self._ack_due:
            self._ack_due = False
            self._out.append(sealer.seal(FrameType.ACK, FLAG_ACK, self._inbox.ack_block()))
        self._plan_probe(now_s)

    def _ping(self, now_s: float) -> None:
        assert self._sealer is not None
        self._ask(now_s)
        body = messages.PING.pack(int(now_s * 1_000_000), bytes(8))
        self._out.append(self._sealer.seal(FrameType.PING, FLAG_ELICIT, body))

    def _ask(self, now_s: float) -> None:
        if self._silent_since_s is None:
            self._silent_since_s = now_s

    def _plan_probe(self, now_s: float) -> None:
        """Ask again for credit, for a commit, for a sign of life: nothing else would repeat a lost answer."""
        sender = self._sender
        assert sender is not None
        unanswered = sender.idle and self._silent_since_s is not None
        uncommitted = sender.idle and sender.acked_base > self._com_base
        if not (sender.starved or uncommitted or unanswered):
            self._probe_at_s = None
            self._probes = 0
        elif self._probe_at_s is None:
            self._probe_at_s = now_s + COMMIT_PROBE_S

    def _say_hello(self, now_s: float, cookie: bytes) -> None:
        journal, config = self._journal, self._config
        hello = messages.Hello(
            client_random=self._client_random,
            incarnation=journal.incarnation,
            suites=messages.SUITE_BIT_AES_128_GCM,
            datagram_bytes_max=config.datagram_bytes_max,
            window=limits.CREDIT_MAX,
            firmware_id=config.firmware_id,
            oldest_mid=journal.oldest_mid,
            next_mid=journal.next_mid,
            boot_reason=config.boot_reason,
            cookie=cookie,
        )
        self._hello = handshake.seal_hello(config.psk, config.device_id, journal.epoch, config.key_id, hello)
        self._repeat_hello(now_s)

    def _repeat_hello(self, now_s: float) -> None:
        self._hello_at_s = now_s + backed_off_s(limits.RTT_FIRST_S, self._hello_tries, self._chance())
        self._hello_tries += 1
        self._out.append(self._hello)

    def _poll_greeting(self, now_s: float) -> list[DeviceEvent]:
        if now_s < self._hello_at_s:
            return []
        if self._hello_tries >= limits.HELLO_TRIES_MAX:
            self._move(DeviceTrigger.NO_ANSWER)
            self._clear()
            return [Disconnected("no answer", self._reconnect_s())]
        self._repeat_hello(now_s)
        return []

    # -- Ends ----------------------------------------------------------------------------------------

    def _lose(self, reason: str, retry_in_s: float | None = None) -> list[DeviceEvent]:
        self._move(DeviceTrigger.LOST)
        self._clear()
        return [Disconnected(reason, self._reconnect_s() if retry_in_s is None else retry_in_s)]

    def _reconnect_s(self) -> float:
        """0 to 30 s, doubling with each failure up to ten minutes."""
        self._failures += 1
        reach_s = limits.RECONNECT_JITTER_S * 2.0 ** min(self._failures - 1, 10)
        return min(self._chance() * reach_s, limits.RECONNECT_S_MAX)

    def _chance(self) -> float:
        return int.from_bytes(self._random_bytes(2), "big") / 65_536

    def _move(self, trigger: DeviceTrigger) -> None:
        after = TRANSITIONS.get((self.state, trigger))
        if after is None:
            raise Misuse(f"{trigger} while {self.state}")
        self.state = after

    def _count(self, what: str) -> list[DeviceEvent]:
        self.counters[what] = self.counters.get(what, 0) + 1
        return []


def _record_bytes_max(datagram_bytes_max: int) -> int:
    return datagram_bytes_max - framing.FRAME_BYTES_MIN - messages.ACK_BLOCK.size
