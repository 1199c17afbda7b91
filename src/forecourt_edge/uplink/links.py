"""The uplink's sockets: one link to the centre, datagrams or a stream cut into frames."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, cast

from forecourt_edge.uplink.config import Endpoint
from forecourt_protocols.slp.framing import StreamReader

QUEUE_FRAMES_MAX = 1_024  # Frames not yet looked at; more are dropped, and the centre sends them again.
CONNECT_TIMEOUT_S = 10.0
READ_BYTES = 65_536


class Link(Protocol):
    """Carries whole frames. It may lose datagrams; it never alters or invents a frame that verifies."""

    def send(self, frame: bytes) -> None: ...

    async def receive(self) -> bytes:
        """The next frame. Raises OSError when no more will come."""
        ...

    def close(self) -> None: ...


LinkOpener = Callable[[Endpoint], Awaitable[Link]]
"""Raises OSError when it cannot be opened."""


async def open_link(endpoint: Endpoint) -> Link:
    loop = asyncio.get_running_loop()
    place = (endpoint.host, endpoint.port)
    if endpoint.transport == "udp":
        _, link = await loop.create_datagram_endpoint(_DatagramLink, remote_addr=place)
        return link
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        reader, writer = await asyncio.open_connection(*place)
    return _StreamLink(reader, writer)


class _DatagramLink(asyncio.DatagramProtocol):
    """A connected UDP socket: the kernel drops what comes from elsewhere."""

    def __init__(self) -> None:
        self._frames: asyncio.Queue[bytes] = asyncio.Queue(QUEUE_FRAMES_MAX)
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[object, ...]) -> None:  # noqa: ARG002 - connected
        if not self._frames.full():
            self._frames.put_nowait(data)

    def error_received(self, exc: Exception) -> None:
        """The port is closed or the way is barred, for now: SLP/1 asks again and gives up by itself."""

    def send(self, frame: bytes) -> None:
        assert self._transport is not None
        self._transport.sendto(frame)

    async def receive(self) -> bytes:
        return await self._frames.get()

    def close(self) -> None:
        assert self._transport is not None
        self._transport.close()


class _StreamLink:
    """A TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._cutter = StreamReader()
        self._frames: list[bytes] = []

    def send(self, frame: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(frame)

    async def receive(self) -> bytes:
        while not self._frames:
            data = await self._reader.read(READ_BYTES)
            self._frames = self._cutter.receive(data)
            if not data or (self._cutter.broken and not self._frames):
                raise ConnectionResetError("the stream has ended")
        return self._frames.pop(0)

    def close(self) -> None:
        self._writer.close()
