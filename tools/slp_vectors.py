"""Writes the test vectors of SLP/1: `python tools/slp_vectors.py`. The same code gives the same bytes."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from forecourt_protocols.slp import crypto, framing, handshake, messages
from forecourt_protocols.slp.device import DeviceConfig, DeviceSession
from forecourt_protocols.slp.doorkeeper import WelcomeTerms
from forecourt_protocols.slp.events import Command, HelloAccepted, JournalState, Outbound
from forecourt_protocols.slp.framing import FrameType, Header
from forecourt_protocols.slp.messages import AckBlock, Hello, Record, Welcome
from forecourt_protocols.slp.server import Server
from forecourt_protocols.slp.server_session import OutgoingCommand, ServerConfig

FOLDER = Path(__file__).parent.parent / "src/forecourt_protocols/slp/vectors"
PSK = bytes(range(32))
DEVICE_ID, EPOCH, KEY_ID = 0x0123_4567_89AB_CDEF, 5, 1
CLIENT_RANDOM, SERVER_RANDOM = b"client random 16", b"server random 16"
RESET_SECRET, COOKIE_SECRET = b"reset secret of a test 32 bytes!", b"cookie secret of a test 32 bytes"
HELLO = Hello(CLIENT_RANDOM, b"jrnl", 1, 1200, 32, 0x0102_0304, 41, 45, 2)
TOKEN = crypto.reset_token(RESET_SECRET, DEVICE_ID, EPOCH)
WELCOME = Welcome(1_795_000_000_123, 40, 55, 5000, 20, 1200, 32, 7, 9, 0, TOKEN)


class Chance:
    """Repeatable bytes: SHA-256 of a counter."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._count = 0

    def __call__(self, size: int) -> bytes:
        self._count += 1
        return sha256(f"{self._label} {self._count}".encode()).digest()[:size]


def vectors() -> dict[str, Any]:
    """File name -> its content."""
    return {
        "keys.json": key_vectors(),
        "frames.json": frame_vectors(),
        "refused.json": refused_vectors(),
        "stream.json": stream_vectors(),
        "session.json": session_vectors(),
    }


def key_vectors() -> dict[str, Any]:
    keys = _keys()
    return {
        "psk": PSK.hex(),
        "device_id": f"{DEVICE_ID:016x}",
        "epoch": EPOCH,
        "client_random": CLIENT_RANDOM.hex(),
        "server_random": SERVER_RANDOM.hex(),
        "info_up": (b"slp1" + DEVICE_ID.to_bytes(8, "big") + EPOCH.to_bytes(4, "big") + b"\0").hex(),
        "info_down": (b"slp1" + DEVICE_ID.to_bytes(8, "big") + EPOCH.to_bytes(4, "big") + b"\1").hex(),
        "key_up": keys.up_key.hex(),
        "key_down": keys.down_key.hex(),
        "nonce_up_pn_1": "00000000" + f"{EPOCH:08x}" + "00000001",
        "nonce_down_pn_1": "01000000" + f"{EPOCH:08x}" + "00000001",
        "reset_secret": RESET_SECRET.hex(),
        "reset_token": TOKEN.hex(),
    }


def frame_vectors() -> list[dict[str, Any]]:
    """Frames of every type, with the plain body that is in them."""
    keys = _keys()
    hello = handshake.seal_hello(PSK, DEVICE_ID, EPOCH, KEY_ID, HELLO)
    header = framing.decode_header(hello)
    assert header is not None
    cookie = handshake.cookie_for(COOKIE_SECRET, 3, header, CLIENT_RANDOM, "192.0.2.7|40001")
    retry = handshake.seal_retry(PSK, header, CLIENT_RANDOM, cookie)
    with_cookie = Hello(CLIENT_RANDOM, b"jrnl", 1, 1200, 32, 0x0102_0304, 41, 45, 2, cookie)
    welcome = handshake.seal_welcome(keys.sealer(crypto.DOWN), SERVER_RANDOM, WELCOME)
    frames = [
        _frame("HELLO", hello, HELLO.encode(), _hello_fields(HELLO)),
        _frame(
            "RETRY", retry, retry[24:-16], {"cookie": cookie.hex(), "random_echo": CLIENT_RANDOM[:8].hex()}
        ),
        _frame(
            "HELLO with cookie",
            handshake.seal_hello(PSK, DEVICE_ID, EPOCH, KEY_ID, with_cookie),
            with_cookie.encode(),
            _hello_fields(with_cookie),
        ),
        _frame("WELCOME", welcome, WELCOME.encode(), _welcome_fields()),
    ]
    up, down = keys.sealer(crypto.UP), keys.sealer(crypto.DOWN)
    sale = Record(0x80, 3, 2, 41, b'{"kind":"delivery.ended"}')
    news = Record(0x40, 3, 2, 42, b"news")
    live = Record(0x00, 3, 2, 0, b"12.50")
    parts = messages.cut_message(Record(0x80, 3, 0, 43, bytes(range(100))), 64)
    command = Record(0xC0, 4, 2, 1, messages.COMMAND.pack(900, 1_795_000_060_000) + b"stop")
    ack = AckBlock(42, 0b110, 41, 3, 32)
    block = messages.ACK_BLOCK.pack(*ack)
    ping, pong = messages.PING.pack(1_000_000, bytes(8)), messages.PONG.pack(1_000_000, bytes(8), 7, 9)
    data = messages.encode_record
    void = data(messages.void_record(44))
    have = data(Record(0, 255, 1, 43, messages.FRAGMENT_ACK.pack(0b1)))
    frames += [
        _sealed("DATA, one sale", up, FrameType.DATA, 0x02, data(sale), [sale]),
        _sealed("DATA, telemetry, nothing more to send", up, FrameType.DATA, 0x10, data(live), [live]),
        _sealed("DATA, two records", up, FrameType.DATA, 0x12, data(sale) + data(news), [sale, news]),
        _sealed("DATA, first fragment", up, FrameType.DATA, 0x02, data(parts[0]), [parts[0]]),
        _sealed("DATA, last fragment", up, FrameType.DATA, 0x02, data(parts[-1]), [parts[-1]]),
        _sealed("DATA, void record", up, FrameType.DATA, 0x02, void, [messages.void_record(44)]),
        _sealed("DATA, fragments 0 of message 43 are here", down, FrameType.DATA, 0, have, []),
        _sealed("ACK", down, FrameType.ACK, 0x01, block, [], ack),
        _sealed(
            "DATA, ack block and command", down, FrameType.DATA, 0x03, block + data(command), [command], ack
        ),
        _sealed("PING", up, FrameType.PING, 0x02, ping, []),
        _sealed("PONG with ack block", down, FrameType.PONG, 0x01, block + pong, [], ack),
        _sealed("CLOSE, shutting down", up, FrameType.CLOSE, 0, messages.CLOSE.pack(0, 0), []),
    ]
    provoked = Header(FrameType.DATA, 0, DEVICE_ID, EPOCH, 17, 30, KEY_ID)
    frames.append(_frame("RESET, provoked by packet 17", crypto.seal_reset(TOKEN, provoked), b"", {}))
    return frames


def refused_vectors() -> list[dict[str, str]]:
    """Frames that a receiver drops without an answer (a server that has no session may answer RESET)."""
    up = _keys().sealer(crypto.UP)
    good = up.seal(FrameType.DATA, 0x02, messages.encode_record(Record(0x80, 3, 2, 41, b"sale")))
    other_key = crypto.Sealer(bytes(16), DEVICE_ID, EPOCH, KEY_ID, crypto.UP)
    hello = bytearray(handshake.seal_hello(PSK, DEVICE_ID, EPOCH, KEY_ID, HELLO))
    hello[60] ^= 0x01
    short = up.seal(FrameType.DATA, 0x02, b"\x80\x03\x02\x00")

    def spoilt(place: int, bits: int) -> str:
        frame = bytearray(good)
        frame[place] ^= bits
        return bytes(frame).hex()

    return [
        {"why": "version", "frame": spoilt(0, 0x01)},
        {"why": "type", "frame": spoilt(1, 0x08)},
        {"why": "reserved flag", "frame": spoilt(3, 0x80)},
        {"why": "deflate flag", "frame": spoilt(3, 0x20)},
        {"why": "direction", "frame": spoilt(3, 0x40)},
        {"why": "device", "frame": spoilt(11, 0x01)},
        {"why": "epoch", "frame": spoilt(15, 0x01)},
        {"why": "packet number", "frame": spoilt(19, 0x02)},
        {"why": "length", "frame": spoilt(21, 0x01)},
        {"why": "key id", "frame": spoilt(22, 0x01)},
        {"why": "reserved byte", "frame": spoilt(23, 0x01)},
        {"why": "body", "frame": spoilt(30, 0x10)},
        {"why": "tag", "frame": spoilt(len(good) - 1, 0x80)},
        {"why": "truncated", "frame": good[:-1].hex()},
        {"why": "one byte too many", "frame": (good + b"\0").hex()},
        {"why": "another key", "frame": other_key.seal(FrameType.DATA, 2, bytes(20)).hex()},
        {"why": "HELLO with a wrong tag", "frame": bytes(hello).hex()},
        {"why": "authentic, but a record is cut short", "frame": short.hex()},
    ]


def stream_vectors() -> dict[str, Any]:
    """One TCP stream: the frames in it, and where each ends."""
    up = _keys().sealer(crypto.UP)
    frames = [up.seal(FrameType.DATA, 2, bytes(size)) for size in (14, 200, 0)]
    return {
        "stream": b"".join(frames).hex(),
        "frames": [frame.hex() for frame in frames],
        "ends": [sum(map(len, frames[: count + 1])) for count in range(len(frames))],
        "breaks_at_once": [b"GET / HTTP/1.1\r\n".hex(), "b10b", "b104" + "00" * 18 + "ffff0100"],
    }


class Exchange:
    """Both ends of a session, 20 ms apart, and everything that goes between them."""

    def __init__(self) -> None:
        self.drawn: list[str] = []
        self.log: list[dict[str, Any]] = []
        self._chance = Chance("device")
        self._now_s = 100.0
        config = ServerConfig(reset_secret=RESET_SECRET)
        self.device = DeviceSession(DeviceConfig(device_id=DEVICE_ID, key_id=KEY_ID, psk=PSK), self._draw)
        self.server = Server(config, lambda _device, _key: PSK, Chance("server"), lambda: 1_795_000_000_000)

    def connect(self) -> None:
        self.device.connect(self._now_s, JournalState(EPOCH, b"jrnl", 41, 43))

    def run(self) -> None:
        """Let datagrams fly until nobody has more to say."""
        while True:
            self.server.poll(self._now_s)
            up = self.device.datagrams_to_send(self._now_s)
            self._write("device", up)
            self._now_s += 0.02
            self._to_server(up)
            self.server.poll(self._now_s)
            down = [frame for frame, _ in self.server.datagrams_to_send()]
            self._write("server", down)
            self._now_s += 0.02
            self._to_device(down)
            if not up and not down:
                return

    def _draw(self, size: int) -> bytes:
        data = self._chance(size)
        self.drawn.append(data.hex())
        return data

    def _write(self, end: str, frames: list[bytes]) -> None:
        at_s = round(self._now_s, 3)
        self.log += [{"at_s": at_s, "from": end, "frame": frame.hex()} for frame in frames]

    def _to_server(self, frames: list[bytes]) -> None:
        receipt = self.server.receive_many([(frame, ("192.0.2.7", 40_001)) for frame in frames], self._now_s)
        self.server.committed(receipt.messages)
        for event in receipt.events:
            if isinstance(event, HelloAccepted):
                self.server.welcome(event, WelcomeTerms(highest_mid=None), self._now_s)

    def _to_device(self, frames: list[bytes]) -> None:
        for frame in frames:
            for heard in self.device.receive(frame, self._now_s):
                self.log.append({"at_s": round(self._now_s, 3), "event": type(heard).__name__})
                if isinstance(heard, Command):
                    self.device.handled(heard.command_id)


def session_vectors() -> dict[str, Any]:
    """A whole session: every datagram of both ends, in order. `random` lists what the device drew."""
    exchange = Exchange()
    exchange.connect()
    exchange.run()
    exchange.device.push(
        [
            Outbound(41, 2, 3, 2, b'{"kind":"delivery.ended"}'),
            Outbound(42, 1, 3, 2, b'{"kind":"totalizer"}'),
        ]
    )
    exchange.run()
    exchange.server.send_command(DEVICE_ID, OutgoingCommand(900, 0, 4, 2, b"stop"))
    exchange.run()
    exchange.device.close()
    exchange.run()
    return {
        "psk": PSK.hex(),
        "device_id": f"{DEVICE_ID:016x}",
        "random": exchange.drawn,
        "datagrams": exchange.log,
    }


def _keys() -> handshake.SessionKeys:
    return handshake.SessionKeys(PSK, CLIENT_RANDOM + SERVER_RANDOM, DEVICE_ID, EPOCH, KEY_ID)


def _frame(name: str, frame: bytes, plain: bytes, fields: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "frame": frame.hex(), "plain": plain.hex(), **fields}


def _sealed(
    name: str,
    sealer: crypto.Sealer,
    kind: FrameType,
    flags: int,
    body: bytes,
    records: list[Record],
    ack: AckBlock | None = None,
) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "records": [{**record._asdict(), "body": record.body.hex()} for record in records]
    }
    if ack is not None:
        fields["ack"] = ack._asdict()
    return _frame(name, sealer.seal(kind, flags, body), body, fields)


def _hello_fields(hello: Hello) -> dict[str, Any]:
    return {
        "client_random": hello.client_random.hex(),
        "incarnation": hello.incarnation.hex(),
        "suites": hello.suites,
        "datagram_bytes_max": hello.datagram_bytes_max,
        "window": hello.window,
        "firmware_id": hello.firmware_id,
        "oldest_mid": hello.oldest_mid,
        "next_mid": hello.next_mid,
        "boot_reason": hello.boot_reason,
        "cookie": hello.cookie.hex(),
    }


def _welcome_fields() -> dict[str, Any]:
    return {
        "server_random": SERVER_RANDOM.hex(),
        "server_time_ms": WELCOME.server_time_ms,
        "com_base": WELCOME.com_base,
        "keepalive_s": WELCOME.keepalive_s,
        "pto_max_ms": WELCOME.pto_max_ms,
        "rate_frames_s": WELCOME.rate_frames_s,
        "datagram_bytes_max": WELCOME.datagram_bytes_max,
        "credit": WELCOME.credit,
        "config_version": WELCOME.config_version,
        "script_version": WELCOME.script_version,
        "epoch_jump": WELCOME.epoch_jump,
        "reset_token": WELCOME.reset_token.hex(),
        "redirect": WELCOME.redirect,
    }


def render(content: object) -> str:
    return json.dumps(content, indent=1) + "\n"


def main() -> None:
    for name, content in vectors().items():
        (FOLDER / name).write_text(render(content), "utf-8")
        print(FOLDER / name)


if __name__ == "__main__":
    main()
