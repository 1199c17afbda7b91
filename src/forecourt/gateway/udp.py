"""The UDP receiver: takes everything that has arrived in one go, which is where its speed comes from."""

import asyncio
import contextlib
import logging
import socket

from forecourt.gateway.slp import SlpGateway
from forecourt_protocols.slp.events import Address
from forecourt_protocols.slp.limits import DATAGRAM_BYTES_MAX

BUFFER_BYTES = 4 * 1024 * 1024  # A second of a city's traffic while the loop is busy elsewhere.

logger = logging.getLogger(__name__)


class UdpReceiver:
    """A bound datagram socket read by the running loop, until `close`."""

    def __init__(self, gateway: SlpGateway, host: str, port: int, *, datagrams_per_turn_max: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)  # noqa: FBT003 - the library's signature
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
            self._socket.bind((host, port))
        except OSError:
            self._socket.close()
            raise
        self.address: Address = self._socket.getsockname()
        self.unsent = 0  # Datagrams that the network did not take; the devices ask again.
        self._gateway = gateway
        self._per_turn = range(datagrams_per_turn_max)
        gateway.attach_datagrams(self._send)
        asyncio.get_running_loop().add_reader(self._socket, self._readable)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _readable(self) -> None:
        receive = self._socket.recvfrom
        datagrams: list[tuple[bytes, Address]] = []
        with contextlib.suppress(BlockingIOError, InterruptedError):
            for _ in self._per_turn:
                # One byte more than allowed: a longer datagram is cut, and then no frame.
                datagrams.append(receive(DATAGRAM_BYTES_MAX + 1))  # noqa: PERF401 - keeps what came before
        if datagrams:
            self._gateway.receive(datagrams)

    def _send(self, data: bytes, address: Address) -> None:
        try:
            self._socket.sendto(data, address)
        except OSError:
            self.unsent += 1
