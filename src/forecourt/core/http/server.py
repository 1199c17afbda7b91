"""uvicorn with deadlines: as shipped it lets a client hold a connection for ever without a request."""

import asyncio
import socket
from collections import Counter
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADER_TIMEOUT_S = (
    10.0  # From the connection, or the first byte of a later request, to the end of its headers.
)
HEADER_BYTES_MAX = 32 * 1024  # Fed to the parser before it has seen the end of the headers.
KEEP_ALIVE_S = 75
CONNECTIONS_PER_IP_MAX = 200
SHUTDOWN_S = 5
WEBSOCKET_BYTES_MAX = 64 * 1024
WRITE_TIMEOUT_S = 60.0  # A client that takes no byte of its answer for this long is cut off.


class GuardedProtocol(HttpToolsProtocol):
    """Adds what a slow or greedy client meets: header deadline, header size, a cap per address."""

    per_ip: "Counter[str]"
    per_ip_max: int = CONNECTIONS_PER_IP_MAX
    header_timeout_s: float = HEADER_TIMEOUT_S
    write_timeout_s: float = WRITE_TIMEOUT_S

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast("asyncio.Transport", transport))
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._header_bytes = 0
        self._in_headers = True
        self._ip = self.client[0] if self.client else ""
        self.per_ip[self._ip] += 1
        if self.per_ip[self._ip] > self.per_ip_max:
            self.transport.abort()
            return
        self._deadline = self.loop.call_later(self.header_timeout_s, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        self._stop_deadline()
        self._stop_stalled()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        """A WebSocket takes the connection over, and nothing more is heard here: count it no longer."""
        super().handle_websocket_upgrade()
        self._leave()

    def _leave(self) -> None:
        self.per_ip[self._ip] -= 1
        if self.per_ip[self._ip] <= 0:
            del self.per_ip[self._ip]

    def data_received(self, data: bytes) -> None:
        if self._in_headers:
            self._header_bytes += len(data)
            if self._header_bytes > HEADER_BYTES_MAX and not self._headers_end_within(data):
                self.transport.abort()
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_headers = True
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.header_timeout_s, self._too_slow)

    def on_headers_complete(self) -> None:
        self._stop_deadline()
        self._in_headers = False
        self._header_bytes = 0
        super().on_headers_complete()

    def pause_writing(self) -> None:
        self._stalled = self.loop.call_later(self.write_timeout_s, self.transport.abort)
        super().pause_writing()

    def resume_writing(self) -> None:
        self._stop_stalled()
        super().resume_writing()

    def _headers_end_within(self, data: bytes) -> bool:
        """A large body may follow short headers in one read; only endless headers are refused."""
        return b"\r\n\r\n" in data[:HEADER_BYTES_MAX]

    def _too_slow(self) -> None:
        self._deadline = None
        self.transport.abort()

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _stop_stalled(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None


def guarded(
    *,
    per_ip_max: int = CONNECTIONS_PER_IP_MAX,
    header_timeout_s: float = HEADER_TIMEOUT_S,
    write_timeout_s: float = WRITE_TIMEOUT_S,
) -> type[GuardedProtocol]:
    """A protocol class for one server, with its own count of connections."""
    own: dict[str, Any] = {
        "per_ip": Counter(),
        "per_ip_max": per_ip_max,
        "header_timeout_s": header_timeout_s,
        "write_timeout_s": write_timeout_s,
    }
    return type("GuardedProtocol", (GuardedProtocol,), own)


class HttpServer:
    """One listening HTTP server inside a running loop; signals stay with the process."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str,
        port: int,
        trusted_proxies: str = "127.0.0.1",
        websockets: bool = False,
    ) -> None:
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            http=guarded(),
            ws="websockets-sansio" if websockets else "none",
            ws_max_size=WEBSOCKET_BYTES_MAX,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=True,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=SHUTDOWN_S,
            proxy_headers=True,
            forwarded_allow_ips=trusted_proxies,
            backlog=1024,
        )
        self._server = uvicorn.Server(config)
        self._listening: list[socket.socket] | None = None

    async def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until `stop`; at most five seconds more for answers under way."""
        await self._server._serve(sockets)  # noqa: SLF001  (`serve` would take over the process's signals.)

    @property
    def started(self) -> bool:
        return self._server.started

    @property
    def port(self) -> int:
        """The port that was bound, where 0 was asked for."""
        servers = self._server.servers
        return int(servers[0].sockets[0].getsockname()[1])

    def stop(self) -> None:
        self._server.should_exit = True
