"""The gateway process."""

import asyncio
import os
import sys

from forecourt.core.host import Host, Ports
from forecourt.core.process import attend, run, settings_from
from forecourt.core.settings import refuse_embedded
from forecourt.gateway.work import work
from forecourt_kit.clock import SystemClock
from forecourt_kit.disk import OsDisk
from forecourt_kit.random import SystemRandom


def main() -> None:
    """`forecourt gateway`. Raises `SettingsError`."""
    ports = Ports(clock=SystemClock(), random=SystemRandom(), disk=OsDisk())
    settings = settings_from(os.environ, ports)
    refuse_embedded(settings, "gateway")
    run(settings, ports, sys.stderr, _alone)


async def _alone(host: Host) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(attend(host))
        tasks.create_task(work(host))
