"""The control API: one JSON object a line over TCP on loopback; each is answered by one line."""

import asyncio
import json
from typing import Any

from forecourt_simulators.station.station import Refused, Station

LINE_BYTES_MAX = 16_384


async def serve(station: Station, host: str, port: int) -> asyncio.Server:
    """Listen for the control API; the caller closes the server."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(_answer(station, line), ensure_ascii=False).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):  # Gone, or a line longer than the limit.
            pass
        finally:
            writer.close()

    return await asyncio.start_server(talk, host, port, limit=LINE_BYTES_MAX)


def _answer(station: Station, line: bytes) -> dict[str, Any]:
    try:
        command = json.loads(line)
        if isinstance(command, dict):
            return {"ok": True, **station.act(command)}
    except (Refused, ValueError) as why:
        return {"ok": False, "why": str(why)}
    return {"ok": False, "why": "a command is a JSON object"}


class StationControl:
    """The other end of the control API: what `traffic` and tests hold."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._one_at_a_time = asyncio.Lock()

    async def act(self, do: str, **command: Any) -> dict[str, Any]:
        """Send a verb. Raises Refused when the station says no, ConnectionError when it is gone."""
        async with self._one_at_a_time:
            if self._streams is None:
                self._streams = await asyncio.open_connection(self._host, self._port, limit=LINE_BYTES_MAX)
            reader, writer = self._streams
            writer.write(json.dumps({"do": do, **command}).encode() + b"\n")
            line = await reader.readline()
            if not line:
                self._streams = None
                raise ConnectionResetError("the station is gone")
        answer: dict[str, Any] = json.loads(line)
        if not answer.pop("ok"):
            raise Refused(answer["why"])
        return answer

    async def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
