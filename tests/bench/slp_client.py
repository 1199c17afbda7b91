"""A process that plays many stations: sealed DATA datagrams over UDP, a few in flight for each, all new.

Frames are sealed before the clock runs. A datagram that gets no answer is sent again and counted as lost.
"""

import asyncio
import select
import socket
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from tests.bench.children import questions, say, settings
from tests.bench.figures import percentile

from forecourt_kit.random import SystemRandom
from forecourt_protocols.slp import crypto
from forecourt_protocols.slp.device import DeviceConfig, DeviceSession
from forecourt_protocols.slp.events import JournalState
from forecourt_protocols.slp.framing import FLAG_ACK, FLAG_ELICIT, HEADER, FrameType
from forecourt_protocols.slp.messages import CLASS_SHIFT, Record, RecordClass, decode_ack, encode_record
from forecourt_protocols.slp.state import DeviceState

BODY = bytes(range(84))  # With 54 bytes of frame and record around it.
SILENCE_S = 0.5
BUFFER_BYTES = 4 * 1024 * 1024


def psk_of(device_id: int) -> bytes:
    return device_id.to_bytes(4, "big") * 8


def bare_keys(device_id: int) -> tuple[bytes, bytes]:
    """Up and down, for the bare loop: it has no handshake."""
    return device_id.to_bytes(8, "big") * 2, (device_id + 1).to_bytes(8, "little") * 2


@dataclass(slots=True)
class Station:
    device_id: int
    sealer: crypto.Sealer
    opener: crypto.Opener
    sealed: int = 0  # The last message id that is sealed ...
    sent: int = 0  # ... that is on its way ...
    stored: int = 0  # ... and that is durable there.
    frames: deque[bytes] = field(default_factory=deque)  # From `stored` on.
    sent_s: dict[int, float] = field(default_factory=dict)

    def seal(self, count: int) -> None:
        for mid in range(self.sealed + 1, self.sealed + count + 1):
            record = Record(RecordClass.ORDERED << CLASS_SHIFT, 1, 2, mid, BODY)
            self.frames.append(self.sealer.seal(FrameType.DATA, FLAG_ELICIT, encode_record(record)))
        self.sealed += count


class Fleet:
    def __init__(self, told: dict[str, Any]) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self._socket.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
        self._socket.connect(("127.0.0.1", told["port"]))
        self._socket.setblocking(False)
        made = self._bare if told["kind"] == "limit" else self._greet
        self._stations = made(told["devices"])
        self.lost = 0
        self.latencies_s: list[float] = []

    def seal(self, count: int) -> None:
        for station in self._stations.values():
            station.seal(count)

    def run(self, in_flight: int) -> None:
        """Until everything that is sealed is stored."""
        waiting = set(self._stations)
        for station in self._stations.values():
            self._send(station, in_flight)
        while waiting:
            moved = self._hear()
            if not moved:
                self._repeat(waiting)
            for station in moved:
                if station.stored == station.sealed:
                    waiting.discard(station.device_id)
                else:
                    self._send(station, in_flight)

    def _send(self, station: Station, in_flight: int) -> None:
        while station.sent < min(station.sealed, station.stored + in_flight):
            data = station.frames[station.sent - station.stored]
            station.sent += 1
            station.sent_s[station.sent] = time.perf_counter()
            self._out(data)

    def _out(self, data: bytes) -> None:
        try:
            self._socket.send(data)
        except BlockingIOError:
            select.select([], [self._socket], [])
            self._socket.send(data)

    def _hear(self) -> list[Station]:
        moved: dict[int, Station] = {}
        if not select.select([self._socket], [], [], SILENCE_S)[0]:
            return []
        while True:
            try:
                frame = self._socket.recv(2048)
            except BlockingIOError:
                return list(moved.values()) or self._hear()
            flags, device_id = HEADER.unpack_from(frame)[2:4]
            station = self._stations[device_id]
            if not flags & FLAG_ACK or (body := station.opener.open(frame)) is None:
                continue
            stored, now_s = decode_ack(body).com_base, time.perf_counter()
            for mid in range(station.stored + 1, stored + 1):
                self.latencies_s.append(now_s - station.sent_s.pop(mid))
                station.frames.popleft()
            if stored > station.stored:
                station.stored = stored
                moved[device_id] = station

    def _repeat(self, waiting: set[int]) -> None:
        for device_id in waiting:
            station = self._stations[device_id]
            for at in range(station.sent - station.stored):
                self.lost += 1
                self._out(station.frames[at])

    def _bare(self, devices: list[int]) -> dict[int, Station]:
        found = {}
        for device_id in devices:
            up, down = bare_keys(device_id)
            sealer = crypto.Sealer(up, device_id, 1, 1, crypto.UP)
            found[device_id] = Station(device_id, sealer, crypto.Opener(down, 1, crypto.DOWN))
        return found

    def _greet(self, devices: list[int]) -> dict[int, Station]:
        random = SystemRandom()
        sessions = {
            each: DeviceSession(DeviceConfig(device_id=each, key_id=1, psk=psk_of(each)), random.bytes)
            for each in devices
        }
        for session in sessions.values():
            session.connect(time.monotonic(), JournalState(1, b"inc1", 1, 1))
        while any(each.state is not DeviceState.CONNECTED for each in sessions.values()):
            for session in sessions.values():
                session.poll(time.monotonic())
                for data in session.datagrams_to_send(time.monotonic()):
                    self._out(data)
            while select.select([self._socket], [], [], 0.05)[0]:
                frame = self._socket.recv(2048)
                device_id = HEADER.unpack_from(frame)[3]
                sessions[device_id].receive(frame, time.monotonic())
        found = {}
        for device_id, session in sessions.items():
            assert session._sealer is not None
            assert session._opener is not None
            found[device_id] = Station(device_id, session._sealer, session._opener)
        return found


async def main() -> None:
    fleet = Fleet(settings())
    say(ready=True)
    async for asked in questions():
        if "messages" in asked:
            fleet.seal(asked["messages"])
            fleet.lost, fleet.latencies_s = 0, []
            say(sealed=True)
            continue
        fleet.run(asked["in_flight"])
        latencies_s = fleet.latencies_s
        say(
            stored=len(latencies_s),
            sent_again=fleet.lost,
            p50_ms=percentile(latencies_s, 0.5) * 1000,
            p99_ms=percentile(latencies_s, 0.99) * 1000,
        )


if __name__ == "__main__":
    asyncio.run(main())
