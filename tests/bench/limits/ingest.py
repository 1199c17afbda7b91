"""The least that a stored datagram can cost here: open it, gather rows, one raw insert a set, seal an ack.

No replay window, no order, no credit, no sessions; the same header, cipher, columns and durability.
"""

import asyncio
import contextlib
import socket
import sqlite3
from collections.abc import Awaitable, Callable
from struct import Struct
from typing import Any

import asyncmy
import asyncpg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import make_url
from tests.bench.slp_client import bare_keys

from forecourt.core.db.types import to_micros
from forecourt_kit.clock import SystemClock
from forecourt_kit.ids import TimeOrderedIds
from forecourt_kit.random import SystemRandom
from forecourt_protocols.slp.framing import FLAG_ACK, FLAG_DOWN, HEADER, HEADER_BYTES, VERSION, FrameType
from forecourt_protocols.slp.messages import ACK_BLOCK, CLASS_SHIFT, RECORD

DATAGRAMS_PER_TURN = 256
SET_MAX = 4_096
NONCE = Struct(">B3xI")
COLUMNS = (
    "id, operator_id, device_id, station_id, incarnation, mid, record_class, channel, format, body, "
    "received_at, state, tries"
)
PG = (
    f"INSERT INTO inbox ({COLUMNS}) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], "
    "$4::bigint[], $5::bytea[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bytea[], "
    "$11::bigint[], $12::varchar[], $13::bigint[]) ON CONFLICT (device_id, incarnation, mid) DO NOTHING"
)
MARIA = f"INSERT INTO inbox ({COLUMNS}) VALUES ({','.join(['%s'] * 13)}) ON DUPLICATE KEY UPDATE mid = mid"
SQLITE = f"INSERT INTO inbox ({COLUMNS}) VALUES ({','.join('?' * 13)}) ON CONFLICT DO NOTHING"

Rows = list[tuple[Any, ...]]


async def store_of(url: str) -> Callable[[Rows], Awaitable[None]]:
    parsed = make_url(url)
    where: dict[str, Any] = {"host": parsed.host, "port": parsed.port}
    where |= {"user": parsed.username, "database": parsed.database}
    if parsed.get_backend_name() == "postgresql":
        statement = await (await asyncpg.connect(**where)).prepare(PG)

        async def insert(rows: Rows) -> None:
            await statement.fetch(*map(list, zip(*rows, strict=True)))

    elif parsed.get_backend_name() == "sqlite":
        connection = sqlite3.connect(str(parsed.database), isolation_level=None)
        connection.execute("PRAGMA journal_mode=wal")
        connection.execute("PRAGMA synchronous=full")

        async def insert(rows: Rows) -> None:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(SQLITE, rows)
            connection.execute("COMMIT")

    else:
        maria = await asyncmy.connect(charset="utf8mb4", **where)

        async def insert(rows: Rows) -> None:
            async with maria.cursor() as cursor:
                await cursor.executemany(MARIA, rows)
            await maria.commit()

    return insert


async def serve(told: dict[str, Any]) -> int:
    """Run on the loop; gives the port."""
    bare = Bare(told, await store_of(told["url"]))
    asyncio.get_running_loop().add_reader(bare.socket, bare.readable)
    return int(bare.socket.getsockname()[1])


class Bare:
    def __init__(self, told: dict[str, Any], store: Callable[[Rows], Awaitable[None]]) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        self.socket.bind(("127.0.0.1", 0))
        self._store = store
        self._operator_id, self._station_id = told["operator_id"], told["station_id"]
        keys = {each: bare_keys(each) for each in told["devices"]}
        self._openers = {each: AESGCM(up) for each, (up, _) in keys.items()}
        self._sealers = {each: AESGCM(down) for each, (_, down) in keys.items()}
        self._packets = dict.fromkeys(keys, 0)
        self._clock = SystemClock()
        self._new_id = TimeOrderedIds(self._clock, SystemRandom()).new
        self._rows: Rows = []
        self._places: dict[int, tuple[str, int]] = {}
        self._storing: asyncio.Task[None] | None = None

    def readable(self) -> None:
        receive, now_us = self.socket.recvfrom, to_micros(self._clock.now())
        unpack_header, unpack_record = HEADER.unpack_from, RECORD.unpack_from
        prefix = NONCE.pack(0, 1)
        append, new_id, openers = self._rows.append, self._new_id, self._openers
        with contextlib.suppress(BlockingIOError):
            for _ in range(DATAGRAMS_PER_TURN):
                frame, address = receive(2048)
                device_id = unpack_header(frame)[3]
                body = openers[device_id].decrypt(
                    prefix + frame[16:20], frame[HEADER_BYTES:], frame[:HEADER_BYTES]
                )
                rflags, channel, content_format, mid, size = unpack_record(body, 0)
                self._places[device_id] = address
                append(
                    (
                        new_id(), self._operator_id, device_id, self._station_id, b"inc1", mid,
                        rflags >> CLASS_SHIFT, channel, content_format, body[14 : 14 + size], now_us, "new",
                        0,
                    )
                )  # fmt: skip
        if self._storing is None and self._rows:
            self._storing = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        while self._rows:
            rows = self._rows[:SET_MAX]
            del self._rows[:SET_MAX]
            await self._store(rows)
            highest: dict[int, int] = {}
            for row in rows:
                if row[5] > highest.get(row[2], 0):
                    highest[row[2]] = row[5]
            for device_id, mid in highest.items():
                self._acknowledge(device_id, mid)
        self._storing = None

    def _acknowledge(self, device_id: int, mid: int) -> None:
        self._packets[device_id] = packet = self._packets[device_id] + 1
        body = ACK_BLOCK.pack(mid, 0, mid, 0, 32)
        header = HEADER.pack(
            VERSION, FrameType.ACK, FLAG_ACK | FLAG_DOWN, device_id, 1, packet, len(body), 1, 0
        )
        sealed = self._sealers[device_id].encrypt(NONCE.pack(1, 1) + header[16:20], body, header)
        self.socket.sendto(header + sealed, self._places[device_id])
