"""The WeChat Pay driver against the simulator, in one process, without sockets, under one clock."""

import asyncio
from collections.abc import AsyncIterator, Callable
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import httpx
import pytest
from tests.channels.conformance import Breakage, Delivery

from forecourt.channels.wechat import WeChatChannel, WeChatConfig
from forecourt.channels.wechat.config import read_merchant_json
from forecourt_kit.clock import ManualClock
from forecourt_kit.random import SeededRandom
from forecourt_simulators.channels.wechat import (
    PlatformKeys,
    SignsWith,
    SimulatorSettings,
    WeChatPaySimulator,
    make_keys,
)
from forecourt_simulators.channels.wechat.keys import MadeKeys
from forecourt_simulators.channels.wechat.seal import Forgery, to_json

BASE_URL = "https://wechat.test"
BREAKAGES: dict[Breakage, dict[str, Any]] = {
    Breakage.SERVER_ERROR: {"kind": "error"},
    Breakage.HTML: {"kind": "error", "status": 502, "form": "html"},
    Breakage.SERVER_ERROR_AFTER_ACTING: {"kind": "error_after"},
    Breakage.FORGED_ANSWER: {"kind": "bad_answer", "how": "wrong_key"},
    Breakage.UNSIGNED_ANSWER: {"kind": "bad_answer", "how": "unsigned"},
    Breakage.STALE_ANSWER: {"kind": "bad_answer", "how": "stale"},
    Breakage.ALTERED_ANSWER: {"kind": "bad_answer", "how": "flipped_body"},
}


class Line(httpx.AsyncBaseTransport):
    """The driver's way to the simulator; it can lose a request or its answer, as a time-out does."""

    def __init__(self, simulator: WeChatPaySimulator) -> None:
        self._wire = httpx.ASGITransport(simulator.app)
        self.loses: Breakage | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        lost, self.loses = self.loses, None
        if lost is Breakage.TIMEOUT:
            raise httpx.ReadTimeout("the request was lost", request=request)
        answer = await self._wire.handle_async_request(request)
        if lost is Breakage.TIMEOUT_AFTER_ACTING:
            raise httpx.ReadTimeout("the answer was lost", request=request)
        return answer


@dataclass
class WeChatRig:
    """Plays payer, mood and mailbox of the simulated WeChat Pay."""

    channel: WeChatChannel
    simulator: WeChatPaySimulator
    clock: ManualClock
    received: list[Delivery]
    arrived: asyncio.Event
    config: WeChatConfig
    control: httpx.AsyncClient = field(repr=False)
    line: Line

    def now(self) -> datetime:
        return self.clock.now()

    async def do(self, path: str, **content: Any) -> dict[str, Any]:
        answer = await self.control.post(f"/_control/{path}", json=content)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def payer_pays(self, out_trade_no: str) -> None:
        await self.do("pay", out_trade_no=out_trade_no)

    async def next_code_waits_for_the_payer(self) -> None:
        await self.do("faults", kind="userpaying")

    async def next_code_is_declined(self) -> None:
        await self.do("faults", kind="decline", operation="code")

    async def payer_gives_up(self, out_trade_no: str) -> None:
        await self.do("close-app", out_trade_no=out_trade_no)

    async def money_comes_after_the_next_close(self) -> None:
        await self.do("faults", kind="late_success")

    async def next_answer_breaks(self, how: Breakage) -> None:
        if how in BREAKAGES:
            await self.do("faults", **BREAKAGES[how])
        else:
            self.line.loses = how

    async def given_back_fen(self, out_trade_no: str) -> int:
        answer = await self.control.get("/_control/orders", params={"out_trade_no": out_trade_no})
        return int(answer.json()["orders"][0]["refunded_fen"])

    async def deliveries(self, count: int) -> list[Delivery]:
        while len(self.received) < count:
            self.arrived.clear()
            await asyncio.wait_for(self.arrived.wait(), 10)
        return list(self.received)

    async def forged(self, out_trade_no: str) -> list[Delivery]:
        before = len(self.received)
        for how in (*Forgery, "wrong_merchant", "wrong_key_of_content"):
            await self.do("forge", out_trade_no=out_trade_no, how=str(how))
        forged = self.received[before:]
        del self.received[before:]
        assert len(forged) == len(Forgery) + 2
        return forged


@pytest.fixture(scope="session")
def made_keys() -> MadeKeys:
    """Made once: RSA keys are dear. Copied for each test, as rotation changes them."""
    start = datetime.fromisoformat("2026-11-22T02:00:00+00:00")
    return make_keys(SeededRandom("keys"), start, base_url=BASE_URL, merchants=2)


def platform_of(made: MadeKeys, signs_with: SignsWith) -> PlatformKeys:
    keys = copy(made.platform)
    keys.certificates = list(keys.certificates)
    keys.merchants = {
        mchid: replace(one, signs_with=signs_with) for mchid, one in made.platform.merchants.items()
    }
    return keys


def config_of(made: MadeKeys, signs_with: SignsWith, merchant: int = 0, **changes: Any) -> WeChatConfig:
    content = dict(made.merchant_files[merchant])
    if signs_with is SignsWith.CERTIFICATE:
        content |= {"platform_public_key_id": "", "platform_public_key_pem": "", "fetch_certificates": True}
    return read_merchant_json(to_json(content | changes).decode())


RigMaker = Callable[..., Any]


@pytest.fixture
async def make_rig(
    made_keys: MadeKeys, clock: ManualClock, chance: SeededRandom
) -> AsyncIterator[Callable[..., WeChatRig]]:
    open_rigs: list[WeChatRig] = []

    def make(
        signs_with: SignsWith = SignsWith.PUBLIC_KEY,
        settings: SimulatorSettings | None = None,
        notice_status: int = 200,
        **config: Any,
    ) -> WeChatRig:
        received: list[Delivery] = []
        arrived = asyncio.Event()

        async def mailbox(request: httpx.Request) -> httpx.Response:
            received.append(Delivery(dict(request.headers), request.content))
            arrived.set()
            return httpx.Response(notice_status)

        simulator = WeChatPaySimulator(
            platform_of(made_keys, signs_with),
            clock,
            chance.branch("simulator"),
            settings or SimulatorSettings(),
            transport=httpx.MockTransport(mailbox),
        )
        line = Line(simulator)
        settings_of_driver = config_of(made_keys, signs_with, **config)
        rig = WeChatRig(
            channel=WeChatChannel(settings_of_driver, clock, chance.branch("driver"), line),
            simulator=simulator,
            clock=clock,
            received=received,
            arrived=arrived,
            config=settings_of_driver,
            control=httpx.AsyncClient(transport=httpx.ASGITransport(simulator.app), base_url=BASE_URL),
            line=line,
        )
        open_rigs.append(rig)
        return rig

    yield make
    for rig in open_rigs:
        await rig.channel.close_connections()
        await rig.control.aclose()
        await rig.simulator.close()
