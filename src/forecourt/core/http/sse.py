"""Server-sent events: resume by Last-Event-ID, heartbeats, no patience with a reader that does not read."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Header, Query
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

HEARTBEAT_S = 5.0
SEND_TIMEOUT_S = 10.0  # A reader that takes longer is cut off; it resumes where it was.
STREAM_S_MAX = 3_600.0  # Then the reader reconnects, with its place.
RETRY_MS = 2_000  # What a browser waits before it reconnects.
EVENT_ID_CHARS_MAX = 64

BEAT = b": beat\n\n"


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event. `id` is what the reader hands back to resume; without one the reader keeps its place."""

    data: str
    event: str | None = None
    id: str | None = None

    def encode(self) -> bytes:
        lines = []
        if self.id is not None:
            assert "\n" not in self.id
            lines.append(f"id: {self.id}")
        if self.event is not None:
            lines.append(f"event: {self.event}")
        lines += [f"data: {line}" for line in self.data.splitlines() or [""]]
        return ("\n".join(lines) + "\n\n").encode()


async def last_event_id(
    header: Annotated[str | None, Header(alias="Last-Event-ID", max_length=EVENT_ID_CHARS_MAX)] = None,
    query: Annotated[str | None, Query(alias="last_event_id", max_length=EVENT_ID_CHARS_MAX)] = None,
) -> str | None:
    """Where the reader was: the browser's own header, or, for a first connection, the query."""
    return header or query


class EventStream(Response):
    """An endless answer from an iterator of events.

    The iterator is closed when the reader goes, is too slow, or is no longer allowed: `still_allowed` is
    asked with each heartbeat. The source bounds its own queue; here at most one event waits.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncIterator[ServerEvent],
        status_code: int = 200,  # FastAPI reads it off here for its document.
        *,
        still_allowed: Callable[[], Awaitable[bool]] | None = None,
        heartbeat_s: float = HEARTBEAT_S,
        send_timeout_s: float = SEND_TIMEOUT_S,
        stream_s_max: float = STREAM_S_MAX,
    ) -> None:
        super().__init__(
            status_code=status_code, headers={"cache-control": "no-store", "x-accel-buffering": "no"}
        )
        del self.headers["content-length"]
        self._events = events
        self._still_allowed = still_allowed
        self._heartbeat_s = heartbeat_s
        self._send_timeout_s = send_timeout_s
        self._stream_s_max = stream_s_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        writing = asyncio.create_task(self._write(send))
        listening = asyncio.create_task(_until_gone(receive))
        try:
            done, _ = await asyncio.wait(
                {writing, listening}, timeout=self._stream_s_max, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for task in (writing, listening):
                task.cancel()
            await asyncio.wait({writing, listening})
        if listening in done:
            return
        if writing in done and not writing.cancelled() and writing.exception() is not None:
            if isinstance(writing.exception(), TimeoutError):
                return  # Too slow: the connection is dropped without an end.
            await writing
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _write(self, send: Send) -> None:
        coming: asyncio.Future[ServerEvent] | None = None
        try:
            await self._send(send, f"retry: {RETRY_MS}\n\n".encode())
            while True:
                if coming is None:
                    coming = asyncio.ensure_future(anext(self._events))
                await asyncio.wait({coming}, timeout=self._heartbeat_s)
                if not coming.done():
                    if self._still_allowed is not None and not await self._still_allowed():
                        return
                    await self._send(send, BEAT)
                    continue
                try:
                    event = coming.result()
                except StopAsyncIteration:
                    return
                coming = None
                await self._send(send, event.encode())
        finally:
            await _close(coming, self._events)

    async def _send(self, send: Send, data: bytes) -> None:
        async with asyncio.timeout(self._send_timeout_s):
            await send({"type": "http.response.body", "body": data, "more_body": True})


async def _close(coming: "asyncio.Future[ServerEvent] | None", events: AsyncIterator[ServerEvent]) -> None:
    if coming is not None:
        coming.cancel()
        await asyncio.wait({coming})
        if not coming.cancelled():
            coming.exception()  # Seen; the stream is over either way.
    close = getattr(events, "aclose", None)
    if close is not None:
        await close()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
