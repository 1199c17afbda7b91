"""The serial adapter: opens a line by its name, as a stream of bytes."""

import asyncio
import contextlib
import os
import termios
import tty
from pathlib import Path

from forecourt_kit.net import Stream

SPEEDS = {2400: termios.B2400, 4800: termios.B4800, 9600: termios.B9600, 19200: termios.B19200}


async def open_line(name: str, baud: int = 9600) -> Stream:
    """`/dev/ttyUSB0` (8N1, raw; pseudo-terminals too) or `tcp://host:port` of a serial device server.

    Raises OSError when it cannot be opened.
    """
    if name.startswith("tcp://"):
        host, _, port = name.removeprefix("tcp://").rpartition(":")
        return TcpLine(*await asyncio.open_connection(host, int(port)))
    return SerialLine(Path(name), baud)


class SerialLine:
    """A terminal device, read when the loop says that it is readable: no thread, no wait."""

    __slots__ = ("_device",)

    def __init__(self, path: Path, baud: int) -> None:
        self._device = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            tty.setraw(self._device)
            settings = termios.tcgetattr(self._device)
            settings[2] = termios.CS8 | termios.CREAD | termios.CLOCAL
            settings[4] = settings[5] = SPEEDS[baud]
            termios.tcsetattr(self._device, termios.TCSANOW, settings)
            termios.tcflush(self._device, termios.TCIOFLUSH)
        except termios.error as why:
            os.close(self._device)
            raise OSError(f"{path} is no serial line: {why}") from why

    async def read(self, bytes_max: int) -> bytes:
        while True:
            try:
                return os.read(self._device, bytes_max)
            except BlockingIOError:
                await self._ready()

    async def write(self, data: bytes) -> None:
        # A frame is twelve bytes and the buffer of a terminal thousands: a full one means a dead line.
        if os.write(self._device, data) != len(data):
            raise OSError("the line takes no more")

    async def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._device)

    async def _ready(self) -> None:
        loop = asyncio.get_running_loop()
        readable: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._device, _wake, readable)
        try:
            await readable
        finally:
            loop.remove_reader(self._device)


class TcpLine:
    """A serial device server that passes bytes on as they are."""

    __slots__ = ("_reader", "_writer")

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def read(self, bytes_max: int) -> bytes:
        return await self._reader.read(bytes_max)

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
