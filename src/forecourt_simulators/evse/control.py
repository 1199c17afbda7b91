"""The control API: one JSON object a line over TCP on loopback; each is answered by one line."""

import asyncio
import json
from typing import Any

from forecourt_simulators.evse.charge_point import Refused
from forecourt_simulators.evse.fleet import Fleet

LINE_BYTES_MAX = 16_384


async def serve(fleet: Fleet, host: str, port: int) -> asyncio.Server:
    """Listen for the control API; the caller closes the server."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(answer(fleet, line), ensure_ascii=False).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):  # Gone, or a line longer than the limit.
            pass
        finally:
            writer.close()

    return await asyncio.start_server(talk, host, port, limit=LINE_BYTES_MAX)


def answer(fleet: Fleet, line: bytes) -> dict[str, Any]:
    """`{"ok": true, …}`, or `{"ok": false, "why": …}` for anything that cannot be done."""
    try:
        command = json.loads(line)
        if isinstance(command, dict):
            return {"ok": True, **fleet.act(command)}
    except (Refused, ValueError, RecursionError) as why:
        return {"ok": False, "why": str(why)}
    return {"ok": False, "why": "a command is a JSON object"}
