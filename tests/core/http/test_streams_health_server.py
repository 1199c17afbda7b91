"""Streams that resume, readers that do not read, dependencies that do not answer, clients that stall."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from forecourt.core.errors import Unavailable
from forecourt.core.http import EventStream, ServerEvent
from forecourt.core.http import server as http_server
from forecourt.core.http.health import readiness, sqlite_warning
from forecourt.core.http.reference import page
from forecourt.core.http.server import HttpServer, guarded


class Wire:
    """One ASGI connection as the server sees it."""

    def __init__(self, *, slow: bool = False) -> None:
        self.sent: list[dict[str, Any]] = []
        self.gone = asyncio.Event()
        self.slow = slow

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if self.slow and message["type"] == "http.response.body":
            await asyncio.sleep(3600)
        self.sent.append(message)

    @property
    def text(self) -> str:
        return b"".join(message.get("body", b"") for message in self.sent).decode()


class Source:
    """Events, and whether the stream closed it."""

    def __init__(self, *events: ServerEvent, endless: bool = False) -> None:
        self.events = events
        self.endless = endless
        self.closed = False

    async def __call__(self) -> AsyncIterator[ServerEvent]:
        try:
            for event in self.events:
                yield event
            if self.endless:
                await asyncio.sleep(3600)
        finally:
            self.closed = True


class TestEventStream:
    async def test_events_carry_id_name_and_every_line_of_data(self) -> None:
        wire, source = Wire(), Source(ServerEvent("a\nb", event="sale", id="7"), ServerEvent(""))
        await EventStream(source())({}, wire.receive, wire.send)
        assert wire.text == "retry: 2000\n\nid: 7\nevent: sale\ndata: a\ndata: b\n\ndata: \n\n"
        assert wire.sent[-1]["more_body"] is False
        assert source.closed

    async def test_a_quiet_stream_beats(self) -> None:
        wire, source = Wire(), Source(endless=True)
        stream = EventStream(source(), heartbeat_s=0.01)
        running = asyncio.create_task(stream({}, wire.receive, wire.send))
        while wire.text.count(": beat") < 2:
            await asyncio.sleep(0.005)
        wire.gone.set()
        await running
        assert source.closed

    async def test_a_reader_that_does_not_read_is_cut_off(self) -> None:
        wire, source = Wire(slow=True), Source(ServerEvent("x"), endless=True)
        await EventStream(source(), send_timeout_s=0.01)({}, wire.receive, wire.send)
        assert [message["type"] for message in wire.sent] == ["http.response.start"]

    async def test_a_stream_ends_when_its_reader_may_no_longer(self) -> None:
        async def no() -> bool:
            return False

        wire, source = Wire(), Source(endless=True)
        stream = EventStream(source(), heartbeat_s=0.01, still_allowed=no)
        await stream({}, wire.receive, wire.send)
        assert source.closed
        assert ": beat" not in wire.text

    async def test_a_bug_in_the_source_is_not_swallowed(self) -> None:
        async def broken() -> AsyncIterator[ServerEvent]:
            yield ServerEvent("x")
            raise LookupError("bug")

        wire = Wire()
        with pytest.raises(LookupError):
            await EventStream(broken())({}, wire.receive, wire.send)

    async def test_a_stream_has_a_longest_life(self) -> None:
        wire, source = Wire(), Source(endless=True)
        await EventStream(source(), stream_s_max=0.02)({}, wire.receive, wire.send)
        assert source.closed
        assert wire.sent[-1]["more_body"] is False


class TestReadiness:
    async def test_each_dependency_is_told_by_name(self) -> None:
        async def fine() -> None:
            return None

        async def down() -> None:
            raise Unavailable("The broker does not answer.")

        async def refused() -> None:
            raise ConnectionRefusedError

        answer = await readiness({"database": fine})
        assert (answer.status_code, bytes(answer.body)) == (
            200,
            b'{"status":"ready","checks":{"database":{"ok":true,"detail":""}},"warnings":[]}',
        )
        answer = await readiness({"database": fine, "bus": down, "cache": refused}, ("beware",))
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "2"
        assert b'"bus":{"ok":false,"detail":"The broker does not answer."}' in bytes(answer.body)
        assert b"ConnectionRefusedError" in bytes(answer.body)
        assert b'"warnings":["beware"]' in bytes(answer.body)

    async def test_a_dependency_that_hangs_is_not_ready(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("forecourt.core.http.health.CHECK_TIMEOUT_S", 0.01)

        async def hangs() -> None:
            await asyncio.sleep(3600)

        answer = await readiness({"bus": hangs})
        assert answer.status_code == 503
        assert b"no answer within" in bytes(answer.body)

    def test_an_old_sqlite_is_told(self) -> None:
        assert "3.40.1" in (sqlite_warning((3, 40, 1)) or "")
        assert sqlite_warning((3, 51, 3)) is None


@asynccontextmanager
async def serving(monkeypatch: pytest.MonkeyPatch, **limits: Any) -> AsyncIterator[int]:
    monkeypatch.setattr(http_server, "guarded", lambda: guarded(**limits))
    server = HttpServer(PlainTextResponse("hello"), host="127.0.0.1", port=0)
    running = asyncio.create_task(server.run())
    while not server.started:
        await asyncio.sleep(0.005)
    yield server.port
    server.stop()
    await running


async def _cut(reader: asyncio.StreamReader) -> bool:
    """Whether the server ended the connection without an answer."""
    try:
        return await reader.read() == b""
    except ConnectionError:
        return True


GET = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n"


class TestServer:
    async def test_half_a_header_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with serving(monkeypatch, header_timeout_s=0.05) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: t\r\nX-Slow: ")
            assert await _cut(reader)
            writer.close()

    async def test_a_whole_request_is_answered_again_and_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with serving(monkeypatch, header_timeout_s=5) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for _ in range(3):
                writer.write(GET)
                assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
            writer.close()

    async def test_endless_headers_are_cut(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with serving(monkeypatch) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\n")
            writer.write(b"".join(b"X-%d: %s\r\n" % (number, b"y" * 100) for number in range(2_000)))
            assert await _cut(reader)
            writer.close()

    async def test_one_address_has_so_many_connections(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with serving(monkeypatch, per_ip_max=2) as port:
            held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
            for reader, writer in held:
                writer.write(GET)
                await reader.readuntil(b"hello")
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET)
            assert await _cut(reader)
            for _, open_writer in [*held, (reader, writer)]:
                open_writer.close()


def test_the_reference_page_shows_permission_and_shape_and_escapes() -> None:
    operation = {
        "tags": ["things"],
        "summary": "<Make>",
        "x-permission": "things:write",
        "parameters": [{"name": "key", "in": "header", "required": True}],
        "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}},
        "responses": {"200": {"description": "ok"}},
    }
    schema = {
        "properties": {"n": {"type": "integer", "minimum": 1}, "of": {"$ref": "#/components/schemas/Thing"}}
    }
    document = {
        "info": {"title": "T", "version": "1"},
        "paths": {"/things": {"post": operation}},
        "components": {"schemas": {"Thing": {**schema, "required": ["n"]}}},
    }
    html = page(document)
    assert "things:write" in html
    assert "&lt;Make&gt;" in html
    assert "n: integer ≥ 1" in html
    assert "<script" not in html
