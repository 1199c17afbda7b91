"""The published vectors: still what the code gives, and readable without it."""

import hmac
import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

import slp_vectors
from forecourt_protocols.slp import limits
from forecourt_protocols.slp.device import DeviceConfig, DeviceSession
from forecourt_protocols.slp.events import JournalState, Outbound
from forecourt_protocols.slp.framing import StreamReader
from forecourt_protocols.slp.state import TRANSITIONS

PAGE = (Path(__file__).parents[3] / "docs/reference/slp.md").read_text("utf-8")
NAMES = ["keys.json", "frames.json", "refused.json", "stream.json", "session.json"]
TYPES = {
    1: "HELLO",
    2: "RETRY",
    3: "WELCOME",
    4: "DATA",
    5: "ACK",
    6: "PING",
    7: "PONG",
    9: "CLOSE",
    10: "RESET",
}


def read(name: str) -> Any:
    return json.loads((slp_vectors.FOLDER / name).read_text("utf-8"))


KEYS = read("keys.json")
PSK = bytes.fromhex(KEYS["psk"])


@pytest.mark.parametrize("name", NAMES)
def test_the_code_still_gives_the_published_vectors(name: str) -> None:
    content = slp_vectors.vectors()[name]
    assert slp_vectors.render(content) == (slp_vectors.FOLDER / name).read_text("utf-8")


class TestWithoutOurCode:
    """A reader written from docs/reference/slp.md alone, on another HKDF."""

    def traffic_key(self, direction: int) -> bytes:
        salt = bytes.fromhex(KEYS["client_random"] + KEYS["server_random"])
        info = b"slp1" + bytes.fromhex(KEYS["device_id"]) + struct.pack(">IB", KEYS["epoch"], direction)
        return HKDF(algorithm=SHA256(), length=16, salt=salt, info=info).derive(PSK)

    def test_keys(self) -> None:
        assert self.traffic_key(0).hex() == KEYS["key_up"]
        assert self.traffic_key(1).hex() == KEYS["key_down"]
        info = b"slp1 reset" + bytes.fromhex(KEYS["device_id"]) + struct.pack(">I", KEYS["epoch"])
        secret = bytes.fromhex(KEYS["reset_secret"])
        assert hmac.digest(secret, info, "sha256")[:16].hex() == KEYS["reset_token"]

    @pytest.mark.parametrize("vector", read("frames.json"), ids=lambda vector: vector["name"])
    def test_frames(self, vector: dict[str, Any]) -> None:
        frame = bytes.fromhex(vector["frame"])
        version, kind, flags, device, epoch, pn, size, key_id, zero = struct.unpack(">BBHQIIHBB", frame[:24])
        assert (version, zero, key_id) == (0xB1, 0, 1)
        assert len(frame) == 24 + size + 16
        assert (f"{device:016x}", epoch) == (KEYS["device_id"], KEYS["epoch"])
        assert vector["name"].startswith(TYPES[kind])
        direction = flags >> 6 & 1
        header, body, tag = frame[:24], frame[24:-16], frame[-16:]
        plain = bytes.fromhex(vector["plain"])
        nonce = struct.pack(">B3xII", direction, epoch, pn)
        if kind in (1, 2):
            signed = (bytes.fromhex(KEYS["client_random"]) if kind == 2 else b"") + header + body
            assert hmac.digest(PSK, signed, "sha256")[:16] == tag
            assert body == plain
        elif kind == 3:
            aead = AESGCM(self.traffic_key(1))
            assert body[:16].hex() == KEYS["server_random"]
            assert aead.decrypt(nonce, body[18:] + tag, header + body[:18]) == plain
        elif kind == 10:
            assert hmac.digest(bytes.fromhex(KEYS["reset_token"]), header, "sha256")[:16] == tag
        else:
            assert AESGCM(self.traffic_key(direction)).decrypt(nonce, body + tag, header) == plain
            self.assert_plain(kind, flags, plain, vector)

    def assert_plain(self, kind: int, flags: int, plain: bytes, vector: dict[str, Any]) -> None:
        start = 0
        if flags & 1:
            names = ("rcv_base", "bitmap", "com_base", "delay_ms", "credit")
            assert dict(zip(names, struct.unpack(">QQQHH", plain[:28]), strict=True)) == vector["ack"]
            start = 28
        if kind != 4:
            return
        records = []
        while start < len(plain):
            rflags, channel, form, mid, size = struct.unpack(">BBBxQH", plain[start : start + 14])
            start += 14
            part = parts = 0
            if rflags & 0x20:
                part, parts = struct.unpack(">HH", plain[start : start + 4])
                start += 4
            body = plain[start : start + size]
            start += size
            records.append(
                {
                    "rflags": rflags,
                    "channel": channel,
                    "content_format": form,
                    "mid": mid,
                    "body": body.hex(),
                    "part": part,
                    "parts": parts,
                }
            )
        if vector["records"]:
            assert records == vector["records"]


def test_a_device_fed_with_the_servers_datagrams_sends_the_devices() -> None:
    session = read("session.json")
    drawn = iter(session["random"])
    device = DeviceSession(
        DeviceConfig(device_id=int(session["device_id"], 16), key_id=1, psk=bytes.fromhex(session["psk"])),
        lambda _size: bytes.fromhex(next(drawn)),
    )
    device.connect(100.0, JournalState(5, b"jrnl", 41, 43))
    sent: list[str] = []
    for step in session["datagrams"]:
        sent += [frame.hex() for frame in device.datagrams_to_send(step["at_s"])]
        if step.get("from") == "server":
            at_s = step["at_s"] + 0.02
            for event in device.receive(bytes.fromhex(step["frame"]), at_s):
                if type(event).__name__ == "Command":
                    device.handled(900)
            if step["at_s"] == 100.06:
                device.push(
                    [
                        Outbound(41, 2, 3, 2, b'{"kind":"delivery.ended"}'),
                        Outbound(42, 1, 3, 2, b'{"kind":"totalizer"}'),
                    ]
                )
    device.close()
    sent += [frame.hex() for frame in device.datagrams_to_send(101.0)]
    assert sent == [step["frame"] for step in session["datagrams"] if step.get("from") == "device"]


def test_the_stream_is_cut_at_every_place() -> None:
    vector = read("stream.json")
    stream = bytes.fromhex(vector["stream"])
    for cut in range(len(stream) + 1):
        reader = StreamReader()
        frames = reader.receive(stream[:cut]) + reader.receive(stream[cut:])
        assert [frame.hex() for frame in frames] == vector["frames"]
    for beginning in vector["breaks_at_once"]:
        reader = StreamReader()
        reader.receive(bytes.fromhex(beginning) + bytes(24))
        assert reader.broken


class TestPage:
    def test_every_limit_is_on_the_page_with_its_value(self) -> None:
        told = dict(re.findall(r"^\| ([A-Z_]+) \| ([0-9.]+) \|", PAGE, re.MULTILINE))
        real = {name: value for name, value in vars(limits).items() if name.isupper()}
        assert {name: float(value) for name, value in told.items()} == {
            name: float(value) for name, value in real.items()
        }

    def test_the_states_are_those_of_the_table(self) -> None:
        section = PAGE.split("## 10.")[1].split("## 11.")[0]
        told = set(re.findall(r"^\| ([a-z]+) \| ([a-z ]+) \| ([a-z]+) \|$", section, re.MULTILINE))
        told.discard(("state", "on", "becomes"))
        assert told == {(before, trigger, after) for (before, trigger), after in TRANSITIONS.items()}

    def test_every_vector_file_is_described(self) -> None:
        assert set(re.findall(r"`(\w+\.json)`", PAGE)) == {path.name for path in slp_vectors.FOLDER.iterdir()}
