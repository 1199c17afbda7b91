"""The HTTP process: API, screens, streams."""

import asyncio
import os
import sys
from importlib.metadata import version

from forecourt.api.app import build_api
from forecourt.api.services import Services
from forecourt.channels.directory import Channels
from forecourt.channels.opening import channels_of
from forecourt.core.host import Host, Ports
from forecourt.core.http.server import HttpServer
from forecourt.core.process import attend, run, settings_from
from forecourt.core.settings import address_of, refuse_embedded
from forecourt.operators import service as operators
from forecourt.payments.flows import Desk
from forecourt.payments.types import Waits
from forecourt.sales.routes import Till
from forecourt_kit.clock import SystemClock
from forecourt_kit.disk import OsDisk
from forecourt_kit.random import SystemRandom


def main() -> None:
    """`forecourt api`. Raises `SettingsError`."""
    ports = Ports(clock=SystemClock(), random=SystemRandom(), disk=OsDisk())
    settings = settings_from(os.environ, ports)
    refuse_embedded(settings, "api")
    run(settings, ports, sys.stderr, _alone)


async def _alone(host: Host) -> None:
    channels = channels_of(host, await host.database.transact(operators.only_operator_id))
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(attend(host))
            tasks.create_task(channels.keep_keys())
            tasks.create_task(serve(host, channels))
    finally:
        await channels.close()


async def serve(host: Host, channels: Channels, *, demo: bool = False) -> None:
    """Until cancelled."""
    app = build_api(services_of(host, channels, demo=demo))
    address, port = address_of(host.settings.http)
    server = HttpServer(app, host=address, port=port)
    serving = asyncio.ensure_future(server.run())
    try:
        await asyncio.shield(serving)
    finally:
        server.stop()
        await asyncio.wait([serving])


def services_of(host: Host, channels: Channels, *, demo: bool = False) -> Services:
    """What the application is made of."""
    settings = host.settings
    waits = Waits.every(settings.ask_every_s, settings.native_expires_s, settings.code_reverse_after_s)
    return Services(
        db=host.database,
        vault=host.vault,
        passwords=host.passwords,
        version=version("forecourt"),
        demo=demo,
        secure=settings.public_url.startswith("https://"),
        trusted_origins=frozenset({settings.public_url.rstrip("/")}),
        checks={"bus": host.bus.ping},
        parts=(host.hub, Till.open(host.database), Desk(host.database, channels, waits)),
    )
