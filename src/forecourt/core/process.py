"""How every process starts and ends: settings, logs, uvloop, signals."""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TextIO

import uvloop

from forecourt.core.host import Host, Ports, open_host
from forecourt.core.settings import Settings, load_settings
from forecourt_kit import log

SETTINGS_FILE = Path("forecourt.toml")

logger = logging.getLogger(__name__)


def settings_from(env: Mapping[str, str], ports: Ports, **overrides: object) -> Settings:
    """Environment, then forecourt.toml of the working folder, then defaults. Raises `SettingsError`."""
    file = SETTINGS_FILE if ports.disk.exists(SETTINGS_FILE) else None
    return load_settings(env, file, **overrides)


def run(settings: Settings, ports: Ports, errors: TextIO, body: Callable[[Host], Awaitable[None]]) -> None:
    """Open the host and run `body` until it ends or the process is told to stop."""
    log.configure(errors, settings.log_level)
    uvloop.run(_run(settings, ports, body))


async def attend(host: Host) -> None:
    """What runs in every process beside its own work, until cancelled: live values and cache invalidation."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(host.hub.run())
        tasks.create_task(host.cache.run())


async def _run(settings: Settings, ports: Ports, body: Callable[[Host], Awaitable[None]]) -> None:
    async with open_host(settings, ports) as host:
        task = asyncio.ensure_future(body(host))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            logger.info("stopped")
