"""The device port in this process: a real server on a free port, for charge points of any make."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.applications import Starlette
from tests.charging.world import ChargingWorld

from forecourt.charging import service
from forecourt.charging.doors import Ocpp16Door
from forecourt.charging.types import Authorise
from forecourt.core.db import WriteSession
from forecourt.core.http.server import HttpServer
from forecourt.gateway.ocpp import OcppGateway, OcppLimits, registry
from forecourt.gateway.ocpp_commands import OcppCommands
from forecourt_kit.clock import SystemClock
from forecourt_kit.random import SystemRandom


@dataclass
class DevicePort:
    url: str
    gateway: OcppGateway
    commands: OcppCommands

    def count(self, name: str) -> int:
        return self.gateway.counters.get(name, 0)


@contextlib.asynccontextmanager
async def device_port(
    world: ChargingWorld,
    limits: OcppLimits | None = None,
    authorise: Authorise[WriteSession] = service.authorise_by_token,
) -> AsyncIterator[DevicePort]:
    database = world.database
    door = Ocpp16Door(database, authorise)
    gateway = OcppGateway(door, registry(database), SystemClock(), SystemRandom(), limits)
    server = HttpServer(Starlette(routes=gateway.routes), host="127.0.0.1", port=0, websockets=True)
    commands = OcppCommands(database, gateway, door)
    with contextlib.suppress(asyncio.CancelledError):
        serving = asyncio.create_task(server.run())
        while not server.started:
            await asyncio.sleep(0.01)
        sending = asyncio.create_task(commands.run())
        try:
            yield DevicePort(f"ws://127.0.0.1:{server.port}/ocpp", gateway, commands)
        finally:
            sending.cancel()
            await gateway.close()
            server.stop()
            await serving
