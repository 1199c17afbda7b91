"""The worker process."""

import asyncio
import os
import sys

from forecourt.channels.opening import channels_of
from forecourt.core.host import Host, Ports
from forecourt.core.process import attend, run, settings_from
from forecourt.core.settings import refuse_embedded
from forecourt.operators import service as operators
from forecourt.worker.work import work
from forecourt_kit.clock import SystemClock
from forecourt_kit.disk import OsDisk
from forecourt_kit.random import SystemRandom


def main() -> None:
    """`forecourt worker`. Raises `SettingsError`."""
    ports = Ports(clock=SystemClock(), random=SystemRandom(), disk=OsDisk())
    settings = settings_from(os.environ, ports)
    refuse_embedded(settings, "worker")
    run(settings, ports, sys.stderr, _alone)


async def _alone(host: Host) -> None:
    channels = channels_of(host, await host.database.transact(operators.only_operator_id))
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(attend(host))
            tasks.create_task(work(host, channels))
    finally:
        await channels.close()
