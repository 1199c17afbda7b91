"""`forecourt up`: the whole centre in one process; with `--demo`, a world around it."""

import asyncio
import importlib
import ipaddress
import logging
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack

from forecourt.channels.opening import channels_of
from forecourt.cli import demo as world
from forecourt.cli.migrate import migrate
from forecourt.core.host import Host, Ports
from forecourt.core.process import attend, run, settings_from
from forecourt.core.settings import EMBEDDED, Settings, address_of
from forecourt.operators import service as operators
from forecourt_kit.settings import SettingsError

log = logging.getLogger(__name__)


def up(env: Mapping[str, str], ports: Ports, *, demo: bool, **overrides: object) -> int:
    """Run until told to stop. Raises `SettingsError`."""
    settings = settings_from(env, ports, **overrides)
    if settings.bus_url != EMBEDDED:
        raise SettingsError(["`forecourt up` is one process; leave FORECOURT_BUS_URL out"])
    if demo:
        _refuse_remote(settings)
        settings = world.prepare(settings, ports, env, overrides)
    run(settings, ports, sys.stderr, lambda host: _everything(host, demo=demo))
    return 0


def _refuse_remote(settings: Settings) -> None:
    """A demo has log-ins that anybody at the machine can read: it stays on the machine."""
    remote = [
        f"FORECOURT_{name.upper()}: a demo listens on loopback only, not on {value}"
        for name, value in (("http", settings.http), ("slp", settings.slp), ("devices", settings.devices))
        if not _is_loopback(address_of(value)[0])
    ]
    if remote:
        raise SettingsError(remote)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _everything(host: Host, *, demo: bool) -> None:
    await migrate(host.database)
    scene = await world.build(host) if demo else None
    channels = channels_of(host, await host.database.transact(operators.only_operator_id))
    # Processes do not import each other; the command that runs all of them finds them by name.
    api, gateway, worker = (
        importlib.import_module(name)
        for name in ("forecourt.api.main", "forecourt.gateway.work", "forecourt.worker.work")
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(channels.close)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        tasks.create_task(attend(host))
        tasks.create_task(worker.work(host, channels))
        tasks.create_task(gateway.work(host))
        tasks.create_task(api.serve(host, channels, demo=demo))
        if scene is not None:
            tasks.create_task(world.play(host, scene))
        else:
            _tell(host.settings)


def _tell(settings: Settings) -> None:
    address, port = address_of(settings.http)
    sys.stdout.write(f"forecourt listens on http://{address}:{port}/console/\n")
    sys.stdout.write("First administrator: forecourt admin create\n")
    sys.stdout.flush()
