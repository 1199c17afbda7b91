"""The network ports: what the edge, the gateway and the simulators ask of a socket. No socket lives here."""

from typing import Protocol

Address = tuple[str, int]
"""Host (a literal address once received) and port."""


class Datagrams(Protocol):
    """One bound datagram socket. A datagram may be lost, doubled, reordered or forged."""

    def send(self, data: bytes, to: Address) -> None:
        """Hand a datagram to the network; a full buffer loses it, as the network may."""
        ...

    async def receive(self) -> tuple[bytes, Address]:
        """The next datagram. Raises ConnectionError once closed."""
        ...

    def close(self) -> None: ...


class Stream(Protocol):
    """One connection: bytes in order, cut anywhere."""

    async def read(self, bytes_max: int) -> bytes:
        """At least one byte, at most bytes_max; b"" when the other end has closed."""
        ...

    async def write(self, data: bytes) -> None:
        """Hand bytes on; waits while the other end does not take them. Raises ConnectionError."""
        ...

    async def close(self) -> None: ...


class Network(Protocol):
    """Opens the above; the simulation's network loses, doubles and delays by its seed."""

    async def bind(self, host: str, port: int) -> Datagrams: ...

    async def connect(self, to: Address) -> Stream: ...
