"""The least that a push can cost here: the same rows committed, then one write into an open answer."""

import sqlite3
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncmy
import asyncpg
import msgspec
from sqlalchemy import make_url
from starlette.types import ASGIApp, Receive, Scope, Send

from forecourt_kit.clock import SystemClock
from forecourt_kit.ids import TimeOrderedIds, to_public
from forecourt_kit.random import SystemRandom

HEADERS = [(b"content-type", b"text/event-stream")]
EVENT = (
    "INSERT INTO outbox (id, operator_id, topic, partition_key, headers, body, created_at) "
    "VALUES ({0}, {1}, 'sales.sale.opened', {2}, '{{}}', {3}, 0)"
)
Write = Callable[[str, list[Any], str, list[Any]], Awaitable[None]]


class BarePush:
    def __init__(self, told: dict[str, Any], write: Write, mark: Callable[[int], str]) -> None:
        self._told = told
        self._write = write
        self._open: dict[str, Send] = {}
        row: dict[str, Any] = told["sale"]
        names = ", ".join(row)
        self._insert = f"INSERT INTO sale ({names}) VALUES ({', '.join(map(mark, range(1, len(row) + 1)))})"
        self._event = EVENT.format(*map(mark, range(1, 5)))
        self._row = row
        self._new_id = TimeOrderedIds(SystemClock(), SystemRandom()).new

    @classmethod
    async def open(cls, told: dict[str, Any]) -> "BarePush":
        parsed = make_url(told["url"])
        where: dict[str, Any] = {"host": parsed.host, "port": parsed.port}
        where |= {"user": parsed.username, "database": parsed.database}
        if parsed.get_backend_name() == "postgresql":
            return cls(told, _postgresql(await asyncpg.connect(**where)), lambda at: f"${at}")
        if parsed.get_backend_name() == "sqlite":
            return cls(told, _sqlite(str(parsed.database)), lambda _: "?")
        return cls(told, _mariadb(await asyncmy.connect(charset="utf8mb4", **where)), lambda _: "%s")

    def app(self) -> ASGIApp:
        """`GET /…?nozzle_id=ID`: an answer that stays open."""

        async def watch(scope: Scope, receive: Receive, send: Send) -> None:
            nozzle = scope["query_string"].decode().rpartition("=")[2]
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            hello = b"event: hello\ndata: {}\n\n"
            await send({"type": "http.response.body", "body": hello, "more_body": True})
            self._open[nozzle] = send
            while (await receive())["type"] != "http.disconnect":
                pass

        return watch

    async def open_sale(self, delivery_id: int) -> float:
        number = self._new_id()
        row = {**self._row, "id": number, "delivery_id": delivery_id, "claim": number}
        body = msgspec.json.encode({"sale_id": number, "due_fen": row["due_fen"]}).decode()
        event = [number, row["operator_id"], f"sale:{number}", body]
        await self._write(self._insert, list(row.values()), self._event, event)
        committed_s = time.monotonic()
        shown = msgspec.json.encode({**self._told["shown"], "id": to_public(number)})
        frame = b"id: %d\nevent: sale\ndata: %b\n\n" % (number, shown)
        await self._open[self._told["nozzle"]](
            {"type": "http.response.body", "body": frame, "more_body": True}
        )
        return committed_s


def _postgresql(connection: Any) -> Write:
    async def write(insert: str, row: list[Any], event: str, values: list[Any]) -> None:
        async with connection.transaction():
            await connection.execute(insert, *row)
            await connection.execute(event, *values)

    return write


def _mariadb(connection: Any) -> Write:
    async def write(insert: str, row: list[Any], event: str, values: list[Any]) -> None:
        async with connection.cursor() as cursor:
            await cursor.execute(insert, row)
            await cursor.execute(event, values)
        await connection.commit()

    return write


def _sqlite(path: str) -> Write:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous=full")

    async def write(insert: str, row: list[Any], event: str, values: list[Any]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(insert, row)
        connection.execute(event, values)
        connection.execute("COMMIT")

    return write
