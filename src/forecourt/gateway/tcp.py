"""The TCP receiver, for sites that let no UDP through: the same frames, one connection a device."""

import asyncio
import itertools
import logging
from typing import cast

from forecourt.gateway.limits import GatewayLimits
from forecourt.gateway.slp import SlpGateway
from forecourt_protocols.slp.events import StreamAddress
from forecourt_protocols.slp.framing import StreamReader

logger = logging.getLogger(__name__)


class TcpReceiver:
    """A listening socket and its connections, until `close`."""

    def __init__(self, gateway: SlpGateway, limits: GatewayLimits) -> None:
        self._gateway = gateway
        self._limits = limits
        self._open: dict[StreamAddress, _Connection] = {}
        self._numbers = itertools.count(1)
        self._server: asyncio.Server | None = None
        gateway.attach_streams(self._send)

    async def listen(self, host: str, port: int) -> int:
        """Bind; gives back the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, host, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._open.values()):
            connection.abort()
        await self._server.wait_closed()

    @property
    def connections(self) -> int:
        return len(self._open)

    def _connection(self) -> asyncio.Protocol:
        return _Connection(self._gateway, self._limits, self._open, next(self._numbers))

    def _send(self, data: bytes, address: StreamAddress) -> None:
        connection = self._open.get(address)
        if connection is not None:
            connection.send(data)


class _Connection(asyncio.Protocol):
    """One TCP connection. Whoever proves nothing in time, or stops speaking SLP/1, is cut off."""

    def __init__(
        self,
        gateway: SlpGateway,
        limits: GatewayLimits,
        open_connections: "dict[StreamAddress, _Connection]",
        number: int,
    ) -> None:
        self._gateway = gateway
        self._limits = limits
        self._open = open_connections
        self._address = StreamAddress("", 0, number)
        self._reader = StreamReader()
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._answered = False
        self._spoke = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = stream = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        if peer is None or len(self._open) >= self._limits.connections_max:
            stream.abort()
            return
        self._address = self._address._replace(host=peer[0], port=peer[1])
        self._open[self._address] = self
        self._set_deadline(self._limits.connection_silent_s)

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            logger.info("connection lost", extra={"peer": self._address.host, "why": str(exc)})
        self._open.pop(self._address, None)
        if self._deadline is not None:
            self._deadline.cancel()

    def data_received(self, data: bytes) -> None:
        self._spoke = True
        frames = self._reader.receive(data)
        if frames:
            self._gateway.receive([(frame, self._address) for frame in frames])
        if self._reader.broken:
            self.abort()

    def send(self, data: bytes) -> None:
        """Only a proven device is ever answered, so an answer is what keeps a connection open."""
        assert self._transport is not None
        self._answered = True
        if self._transport.get_write_buffer_size() > self._limits.connection_unsent_bytes_max:
            self.abort()
        else:
            self._transport.write(data)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _set_deadline(self, after_s: float) -> None:
        self._deadline = asyncio.get_running_loop().call_later(after_s, self._look)

    def _look(self) -> None:
        if not (self._answered and self._spoke):
            self.abort()
            return
        self._answered = self._spoke = False
        self._set_deadline(self._limits.connection_idle_s)
