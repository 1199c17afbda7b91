"""The adapters of this simulator: pseudo-terminals and TCP sockets for lines, TCP for the control API."""

import asyncio
import contextlib
import os
import pty
import tty
from pathlib import Path

READ_BYTES_MAX = 4_096


class PtyPort:
    """The dispenser's end of a pseudo-terminal; `link` is a stable name of the computer's end."""

    __slots__ = ("_dispenser", "_keep_open", "link")

    def __init__(self, link: Path) -> None:
        self._dispenser, self._keep_open = pty.openpty()
        # Our own hold on the computer's end: without it, reading fails between two of its openings.
        tty.setraw(self._keep_open)
        os.set_blocking(self._dispenser, False)
        self.link = link
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(os.ttyname(self._keep_open))

    async def read(self, bytes_max: int) -> bytes:
        loop = asyncio.get_running_loop()
        while True:
            try:
                return os.read(self._dispenser, bytes_max)
            except BlockingIOError:
                readable = loop.create_future()
                loop.add_reader(self._dispenser, _wake, readable)
                try:
                    await readable
                finally:
                    loop.remove_reader(self._dispenser)

    async def write(self, data: bytes) -> None:
        # A computer that does not listen loses bytes, as on a wire.
        with contextlib.suppress(BlockingIOError):
            os.write(self._dispenser, data)

    async def close(self) -> None:
        self.link.unlink(missing_ok=True)
        os.close(self._dispenser)
        os.close(self._keep_open)


class TcpPort:
    """One accepted connection that carries the line's bytes."""

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
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
