"""Junk, spoilt bits, replays and forged addresses: silence, a counter, no state, no large answer."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecourt_protocols.slp import crypto, handshake, limits, messages
from forecourt_protocols.slp.device import DeviceConfig, DeviceSession
from forecourt_protocols.slp.doorkeeper import WelcomeTerms
from forecourt_protocols.slp.events import (
    Address,
    DeviceEvent,
    HelloAccepted,
    JournalState,
    Message,
    Outbound,
)
from forecourt_protocols.slp.framing import HEADER, FrameType, StreamReader, decode_header
from forecourt_protocols.slp.server import Server
from forecourt_protocols.slp.server_session import ServerConfig
from forecourt_protocols.slp.state import DeviceState

PSK = bytes(range(32))
HOME: Address = ("203.0.113.9", 40_001)
AWAY: Address = ("198.51.100.77", 666)


class Pair:
    """A device and a server joined by hand, so that a test can hold each frame in its fingers."""

    def __init__(self, seed: int = 1, hello_load_per_s: int = 1000) -> None:
        chance = random.Random(seed)
        self.now_s = 5000.0
        self.config = ServerConfig(reset_secret=b"s" * 32, hello_load_per_s=hello_load_per_s)
        self.chance = chance
        self.new_server()
        self.device = DeviceSession(DeviceConfig(device_id=7, key_id=1, psk=PSK), chance.randbytes)
        self.epoch = 0
        self.next_mid = 1
        self.received: list[Message] = []

    def new_server(self) -> None:
        self.server = Server(
            self.config,
            lambda device_id, key_id: PSK if (device_id, key_id) == (7, 1) else None,
            self.chance.randbytes,
            lambda: 1_795_000_000_000,
        )

    def hello(self) -> bytes:
        self.epoch += 1
        self.device.connect(self.now_s, JournalState(self.epoch, b"inc1", 1, self.next_mid))
        return self.up()[0]

    def up(self) -> list[bytes]:
        return self.device.datagrams_to_send(self.now_s)

    def down(self) -> list[tuple[bytes, Address]]:
        self.server.poll(self.now_s)
        return self.server.datagrams_to_send()

    def to_server(self, frame: bytes, address: Address = HOME) -> list[tuple[bytes, Address]]:
        receipt = self.server.receive(frame, self.now_s, address)
        self.received += receipt.messages
        self.server.committed(receipt.messages)
        for event in receipt.events:
            if isinstance(event, HelloAccepted):
                self.server.welcome(event, WelcomeTerms(highest_mid=None), self.now_s)
        return self.down()

    def to_device(self, frame: bytes) -> list[DeviceEvent]:
        return self.device.receive(frame, self.now_s)

    def connect(self) -> "Pair":
        waiting = [self.hello()]
        while waiting:
            answers = [answer for frame in waiting for answer, _ in self.to_server(frame)]
            for answer in answers:
                self.to_device(answer)
            waiting = self.up()
        assert self.device.state is DeviceState.CONNECTED
        assert self.server.connected(7)
        return self

    def data(self, body: bytes = b"sale") -> bytes:
        """One DATA frame of the device, not yet given to the server."""
        self.device.push([Outbound(self.next_mid, 2, 1, 2, body)])
        self.next_mid += 1
        frames = [f for f in self.up() if f[1] == FrameType.DATA]
        return frames[0]


def flips(frame: bytes) -> list[bytes]:
    spoilt = []
    for bit in range(8 * len(frame)):
        other = bytearray(frame)
        other[bit // 8] ^= 1 << bit % 8
        spoilt.append(bytes(other))
    return spoilt


def hello_frame(pair: Pair) -> bytes:
    return pair.hello()


def welcome_frame(pair: Pair) -> bytes:
    return pair.to_server(pair.hello())[0][0]


def retry_frame(pair: Pair) -> bytes:
    pair.connect()
    pair.epoch = 0
    pair.device.close()
    pair.device._out.clear()
    return pair.to_server(pair.hello())[0][0]


def ack_frame(pair: Pair) -> bytes:
    return pair.connect().to_server(pair.data())[0][0]


def reset_frame(pair: Pair) -> bytes:
    pair.connect()
    pair.new_server()
    return pair.to_server(pair.data(b"a body of some length"))[0][0]


class TestFlippedBits:
    def test_no_spoilt_hello_is_welcomed(self) -> None:
        pair = Pair()
        for spoilt in flips(pair.hello()):
            answers = pair.to_server(spoilt)
            assert all(decode_header(answer).kind == FrameType.RESET for answer, _ in answers)  # type: ignore[union-attr]
        assert not pair.server._devices

    def test_no_spoilt_data_is_taken(self) -> None:
        pair = Pair().connect()
        frame = pair.data()
        for number, spoilt in enumerate(flips(frame)):
            pair.now_s += 0.05 * (number % 40 == 0)
            answers = pair.to_server(spoilt)
            assert all(decode_header(answer).kind == FrameType.RESET for answer, _ in answers)  # type: ignore[union-attr]
        assert pair.received == []
        pair.to_server(frame)
        assert [message.body for message in pair.received] == [b"sale"]

    @pytest.mark.parametrize(
        ("kind", "make"),
        [
            (FrameType.WELCOME, welcome_frame),
            (FrameType.RETRY, retry_frame),
            (FrameType.ACK, ack_frame),
            (FrameType.RESET, reset_frame),
        ],
    )
    def test_no_spoilt_frame_moves_a_device(self, kind: FrameType, make: Callable[[Pair], bytes]) -> None:
        pair = Pair()
        frame = make(pair)
        assert frame[1] == kind
        before = pair.device.state, pair.device.com_base
        for spoilt in flips(frame):
            assert pair.to_device(spoilt) == []
        assert (pair.device.state, pair.device.com_base) == before
        assert pair.up() == []
        assert pair.to_device(frame) or pair.up(), "the frame itself is good"


class TestJunk:
    @given(st.binary(max_size=300))
    @settings(max_examples=300)
    def test_noise_is_silence(self, noise: bytes) -> None:
        pair = Pair()
        assert pair.to_server(noise) == []
        pair.hello()
        assert pair.to_device(noise) == []
        assert not pair.server._devices

    @given(
        st.integers(1, 10),
        st.integers(0, 0x5F),
        st.sampled_from([7, 8]),
        st.integers(0, 3),
        st.binary(max_size=200),
    )
    @settings(max_examples=300)
    def test_well_formed_junk_is_answered_by_nothing_larger_and_leaves_nothing(
        self, kind: int, flags: int, device_id: int, epoch: int, body: bytes
    ) -> None:
        pair = Pair().connect()
        devices = dict(pair.server._devices)
        state = pair.device.state
        head = HEADER.pack(0xB1, kind, flags, device_id, epoch, 5, len(body), 1, 0)
        junk = head + body + bytes(16)
        answers = pair.to_server(junk, AWAY)

        assert sum(len(answer) for answer, _ in answers) < len(junk)
        assert pair.server._devices == devices
        assert pair.to_device(junk) == []
        assert pair.device.state is state
        assert pair.received == []

    def test_every_truncation_is_silence(self) -> None:
        pair = Pair().connect()
        frame = pair.data()
        for size in range(len(frame)):
            assert pair.to_server(frame[:size]) == []
        assert pair.received == []

    def test_a_flood_of_hello_with_wrong_keys_makes_no_state_and_no_answer(self) -> None:
        server = Pair().server
        chance = random.Random(3)
        hello = messages.Hello(b"c" * 16, b"inc1", 1, 1200, 32, 0, 1, 1, 0)
        for number in range(2000):
            frame = handshake.seal_hello(chance.randbytes(32), 7, number, 1, hello)
            server.receive(frame, 1.0, (f"10.{number % 256}.{number // 256}.1", 1))
        assert server.datagrams_to_send() == []
        assert not server._devices

    def test_junk_from_elsewhere_does_not_use_up_the_devices_own_allowance(self) -> None:
        pair = Pair().connect()
        good = pair.data()
        junk = bytearray(good)
        junk[-1] ^= 1
        for _ in range(5000):
            pair.to_server(bytes(junk), AWAY)
        assert pair.server.counters["too many frames"] > 4000
        pair.to_server(good, HOME)
        assert pair.received

    def test_junk_cannot_push_the_replay_window(self) -> None:
        pair = Pair().connect()
        frame = pair.data()
        ahead = bytearray(frame)
        ahead[16:20] = (0xFFFF_FFF0).to_bytes(4, "big")
        pair.to_server(bytes(ahead))
        pair.to_server(frame)
        assert pair.received

    def test_a_malformed_body_of_an_authentic_device_is_counted_not_raised(self) -> None:
        pair = Pair().connect()
        sealer = pair.device._sealer
        assert sealer is not None
        chance = random.Random(5)
        for _ in range(3000):
            pair.now_s += 0.01
            kind = chance.choice([FrameType.DATA, FrameType.ACK, FrameType.PING, FrameType.PONG])
            pair.to_server(
                sealer.seal(kind, chance.choice([0, 1, 2, 3]), chance.randbytes(chance.randrange(80)))
            )
        assert any(what.startswith("malformed") for what in pair.server.counters)
        assert pair.server.connected(7)

    def test_a_malformed_body_of_an_authentic_server_is_counted_not_raised(self) -> None:
        pair = Pair().connect()
        sealer = pair.server._sessions[7].sealer
        chance = random.Random(6)
        for _ in range(3000):
            kind = chance.choice([FrameType.DATA, FrameType.ACK, FrameType.PING, FrameType.PONG])
            pair.to_device(
                sealer.seal(kind, chance.choice([0, 1, 2, 3]), chance.randbytes(chance.randrange(80)))
            )
        assert any(what.startswith("malformed") for what in pair.device.counters)
        assert pair.device.com_base == 0


class TestReplay:
    def test_a_repeated_datagram_is_taken_once(self) -> None:
        pair = Pair().connect()
        frame = pair.data()
        for _ in range(3):
            pair.to_server(frame)
        assert len(pair.received) == 1
        assert pair.server.counters["replayed"] == 2

    def test_a_datagram_from_behind_the_window_is_dropped(self) -> None:
        pair = Pair().connect()
        old = pair.data()
        sealer = pair.device._sealer
        assert sealer is not None
        for _ in range(limits.REPLAY_WINDOW_PNS + 5):
            pair.now_s += 0.01
            pair.to_server(sealer.seal(FrameType.PING, 2, messages.PING.pack(1, bytes(8))))
        pair.to_server(old)
        assert not pair.received

    def test_frames_of_an_earlier_session_are_dropped(self) -> None:
        pair = Pair().connect()
        old = pair.data()
        pair.device.close()
        pair.up()
        pair.connect()
        assert pair.to_server(old) == []
        assert not pair.received

    def test_a_copied_hello_gets_the_same_welcome_once_a_second_and_moves_nothing(self) -> None:
        pair = Pair()
        hello = pair.hello()
        welcome = pair.to_server(hello)[0][0]
        pair.to_device(welcome)
        for frame in pair.up():
            pair.to_server(frame)
        session = pair.server._sessions[7]
        assert pair.to_server(hello, AWAY) == []
        pair.now_s += 1.1
        assert pair.to_server(hello, AWAY) == [(welcome, AWAY)]
        assert pair.to_server(hello, AWAY) == []
        assert pair.server._sessions[7] is session
        assert session.address == HOME

    def test_a_copied_hello_after_a_server_restart_does_not_lock_the_device_out(self) -> None:
        pair = Pair()
        hello = pair.hello()
        pair.to_device(pair.to_server(hello)[0][0])
        for frame in pair.up():
            pair.to_server(frame)
        pair.new_server()
        assert pair.to_server(hello, AWAY)
        pair.now_s += 31
        pair.server.poll(pair.now_s)
        pair.now_s += 11
        pair.server.poll(pair.now_s)
        for answer, _ in pair.to_server(pair.data(b"a sale of some length")):
            pair.to_device(answer)
        assert pair.device.state is DeviceState.IDLE, "it was reset, and will greet again"

    def test_an_old_epoch_needs_a_cookie_and_moves_nothing(self) -> None:
        pair = Pair().connect()
        session = pair.server._sessions[7]
        attacker = DeviceSession(DeviceConfig(device_id=7, key_id=1, psk=PSK), random.Random(8).randbytes)
        attacker.connect(pair.now_s, JournalState(1, b"inc1", 1, 1))
        (hello,) = attacker.datagrams_to_send(pair.now_s)
        ((retry, _),) = pair.to_server(hello, AWAY)
        assert retry[1] == FrameType.RETRY
        assert len(retry) == 64
        assert pair.server._sessions[7] is session
        attacker.receive(retry, pair.now_s)
        (again,) = attacker.datagrams_to_send(pair.now_s)
        assert pair.to_server(again, HOME)[0][0][1] == FrameType.RETRY, (
            "a cookie is good for its address only"
        )
        ((jump, _),) = pair.to_server(again, AWAY)
        assert jump[1] == FrameType.WELCOME
        assert [type(event).__name__ for event in attacker.receive(jump, pair.now_s)] == [
            "EpochJump",
            "Disconnected",
        ]
        assert pair.server._sessions[7] is session


class TestHandshake:
    def test_no_answer_is_larger_than_what_it_answers(self) -> None:
        pair = Pair()
        hello = pair.hello()
        assert len(hello) == 160
        receipt = pair.server.receive(hello, pair.now_s, HOME)
        (event,) = receipt.events
        assert isinstance(event, HelloAccepted)
        pair.server.welcome(event, WelcomeTerms(highest_mid=None, redirect="h" * 40 + ":65535"), pair.now_s)
        ((welcome, _),) = pair.down()
        assert len(welcome) <= 160
        assert len(reset_frame(Pair())) == 40

    def test_under_load_a_hello_must_bring_a_cookie(self) -> None:
        pair = Pair(hello_load_per_s=1)
        pair.server.receive(handshake.seal_hello(PSK, 7, 1, 1, _hello(b"x" * 16)), pair.now_s, AWAY)
        ((retry, _),) = pair.to_server(pair.hello())
        assert retry[1] == FrameType.RETRY
        pair.to_device(retry)
        (again,) = pair.up()
        ((welcome, _),) = pair.to_server(again)
        assert welcome[1] == FrameType.WELCOME

    def test_a_redirected_device_is_told_the_place(self) -> None:
        pair = Pair()
        receipt = pair.server.receive(pair.hello(), pair.now_s, HOME)
        assert isinstance(receipt.events[0], HelloAccepted)
        pair.server.welcome(
            receipt.events[0], WelcomeTerms(highest_mid=None, redirect="gw2.example:7100"), pair.now_s
        )
        events = pair.to_device(pair.down()[0][0])
        assert events[0] == ("gw2.example", 7100)

    def test_both_of_two_key_ids_open_a_session(self) -> None:
        other = bytes(range(32, 64))
        pair = Pair()
        pair.server = Server(
            pair.config,
            lambda device_id, key_id: {1: PSK, 2: other}.get(key_id) if device_id == 7 else None,
            pair.chance.randbytes,
            lambda: 1,
        )
        for key_id, psk in ((1, PSK), (2, other)):
            pair.device = DeviceSession(
                DeviceConfig(device_id=7, key_id=key_id, psk=psk), pair.chance.randbytes
            )
            pair.connect()

    def test_the_old_session_stands_until_the_new_one_speaks(self) -> None:
        pair = Pair().connect()
        old, frame = pair.server._sessions[7], pair.data()
        successor = DeviceSession(DeviceConfig(device_id=7, key_id=1, psk=PSK), pair.chance.randbytes)
        successor.connect(pair.now_s, JournalState(9, b"inc1", 1, 2))
        (hello,) = successor.datagrams_to_send(pair.now_s)
        ((welcome, _),) = pair.to_server(hello)
        assert pair.server._sessions[7] is old
        pair.to_server(frame)
        assert pair.received
        successor.receive(welcome, pair.now_s)
        for ping in successor.datagrams_to_send(pair.now_s):
            pair.to_server(ping)
        assert pair.server._sessions[7].epoch == 9

    def test_a_greeting_with_a_new_journal_does_not_rename_what_the_old_session_sends(self) -> None:
        pair = Pair().connect()
        frame = pair.data()
        successor = DeviceSession(DeviceConfig(device_id=7, key_id=1, psk=PSK), pair.chance.randbytes)
        successor.connect(pair.now_s, JournalState(9, b"inc2", 1, 1))
        pair.to_server(successor.datagrams_to_send(pair.now_s)[0])
        pair.to_server(frame)
        assert [(message.incarnation, message.mid) for message in pair.received] == [(b"inc1", 1)]


class TestAddresses:
    def test_a_new_address_gets_little_until_it_answers_a_challenge(self) -> None:
        pair = Pair().connect()
        frame = pair.data()
        sent = pair.to_server(frame, AWAY)
        assert {address for _, address in sent} == {AWAY}
        session = pair.server._sessions[7]
        for _ in range(50):
            pair.server.send_live(7, 1, 2, bytes(400))
        sent += pair.down()
        assert sum(len(data) for data, _ in sent) <= 3 * (len(frame) + 40)
        assert not session.proven
        for data, _ in sent:
            pair.to_device(data)
        for answer in pair.up():
            pair.to_server(answer, AWAY)
        assert session.proven
        pair.server.send_live(7, 1, 2, bytes(400))
        assert [address for _, address in pair.down()] == [AWAY]

    def test_an_older_packet_from_elsewhere_moves_nothing(self) -> None:
        pair = Pair().connect()
        late, newer = pair.data(b"one"), pair.data(b"two")
        pair.to_server(newer, HOME)
        pair.to_server(late, AWAY)
        assert pair.server._sessions[7].address == HOME
        assert len(pair.received) == 2


class TestStream:
    @given(st.lists(st.binary(max_size=60), min_size=1, max_size=6), st.data())
    @settings(max_examples=200)
    def test_frames_come_out_whole_at_every_cut(self, contents: list[bytes], data: st.DataObject) -> None:
        sealer = crypto.Sealer(b"k" * 16, 7, 1, 1, crypto.UP)
        frames = [sealer.seal(FrameType.DATA, 0, body) for body in contents]
        stream = b"".join(frames)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
        reader = StreamReader()
        got: list[bytes] = []
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            got += reader.receive(stream[start:end])
        assert got == frames
        assert not reader.broken

    def test_every_single_cut(self) -> None:
        sealer = crypto.Sealer(b"k" * 16, 7, 1, 1, crypto.UP)
        frames = [sealer.seal(FrameType.DATA, 0, b"x" * size) for size in (0, 1, 40)]
        stream = b"".join(frames)
        for cut in range(len(stream) + 1):
            reader = StreamReader()
            assert reader.receive(stream[:cut]) + reader.receive(stream[cut:]) == frames
        reader = StreamReader()
        assert [frame for byte in stream for frame in reader.receive(bytes([byte]))] == frames

    @given(st.binary(min_size=1, max_size=200), st.integers(0, 3))
    @settings(max_examples=200)
    def test_noise_ends_a_stream_without_an_exception(self, noise: bytes, good: int) -> None:
        sealer = crypto.Sealer(b"k" * 16, 7, 1, 1, crypto.UP)
        frames = [sealer.seal(FrameType.DATA, 0, b"body") for _ in range(good)]
        reader = StreamReader()
        got = reader.receive(b"".join(frames) + noise)
        assert got[:good] == frames
        if reader.broken:
            assert reader.receive(frames[0] if frames else b"\xb1" * 60) == []

    def test_a_frame_longer_than_agreed_breaks_the_stream(self) -> None:
        sealer = crypto.Sealer(b"k" * 16, 7, 1, 1, crypto.UP)
        reader = StreamReader(frame_bytes_max=100)
        assert reader.receive(sealer.seal(FrameType.DATA, 0, bytes(100))) == []
        assert reader.broken


def _hello(client_random: bytes) -> messages.Hello:
    return messages.Hello(client_random, b"inc1", 1, 1200, 32, 0, 1, 1, 0)
