"""The simulated channel behind one ASGI application."""

from pathlib import Path

import httpx
from starlette.applications import Starlette

from forecourt_kit.clock import Clock
from forecourt_kit.disk import Disk
from forecourt_kit.random import Random
from forecourt_simulators.channels.wechat import api, control
from forecourt_simulators.channels.wechat.keys import PlatformKeys
from forecourt_simulators.channels.wechat.platform import DEFAULTS, Platform, SimulatorSettings


class WeChatPaySimulator(Platform):
    """`app` answers under /v3 and /_control, on a socket or mounted by httpx.ASGITransport.

    Use it as an async context manager: entering takes up what a journal left open, leaving ends its tasks.
    """

    def __init__(
        self,
        keys: PlatformKeys,
        clock: Clock,
        random: Random,
        settings: SimulatorSettings = DEFAULTS,
        *,
        disk: Disk | None = None,
        journal: Path | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(keys, clock, random, settings, disk=disk, journal=journal, transport=transport)
        self.app = Starlette(routes=[*api.routes(self), *control.routes(self)])
