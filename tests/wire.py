"""The way to the simulated WeChat Pay, without sockets, and the ways in which it is cut."""

from collections.abc import Awaitable, Callable
from copy import copy
from datetime import UTC, datetime
from enum import Enum, auto
from functools import cache

import httpx

from forecourt.channels.wechat import WeChatChannel, read_merchant_json
from forecourt_kit.clock import Clock, ManualClock
from forecourt_kit.random import SeededRandom
from forecourt_simulators.channels.wechat import PlatformKeys, WeChatPaySimulator, make_keys
from forecourt_simulators.channels.wechat.keys import MadeKeys
from forecourt_simulators.channels.wechat.seal import to_json

CHANNEL_URL = "https://wechat.test"


class Killed(BaseException):
    """The process died here."""


class Cut(Enum):
    """What happens to one question on its way to the channel."""

    LOST = auto()  # It never arrives; we time out.
    ANSWER_LOST = auto()  # The channel acts; we time out.
    KILLED = auto()  # We die before it arrives.
    KILLED_AFTER = auto()  # The channel acts; we die before we hear of it.


class Wire(httpx.AsyncBaseTransport):
    """The way to the channel. Keeps what was asked, and cuts what a test has planned."""

    def __init__(self, simulator: WeChatPaySimulator) -> None:
        self._wire = httpx.ASGITransport(simulator.app)
        self.asked: list[str] = []
        self.cuts: list[tuple[str, Cut]] = []
        self.meanwhile: dict[str, Callable[[], Awaitable[object]]] = {}  # Once, after such a question.

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        step = step_of(request)
        self.asked.append(step)
        cut = next((each for each in self.cuts if each[0] in {step, "*"}), None)
        if cut is not None:
            self.cuts.remove(cut)
        match cut:
            case (_, Cut.LOST):
                raise httpx.ReadTimeout("the question was lost", request=request)
            case (_, Cut.KILLED):
                raise Killed
        answer = await self._wire.handle_async_request(request)
        if (happens := self.meanwhile.pop(step, None)) is not None:
            await happens()
        match cut:
            case (_, Cut.ANSWER_LOST):
                raise httpx.ReadTimeout("the answer was lost", request=request)
            case (_, Cut.KILLED_AFTER):
                raise Killed
        return answer


def step_of(request: httpx.Request) -> str:
    """`create code query close reverse refund query_refund`, by path."""
    last = request.url.path.rsplit("/", 1)[1]
    if "/refund/" in request.url.path:
        return "refund" if last == "refunds" else "query_refund"
    return {"native": "create", "codepay": "code", "close": "close", "reverse": "reverse"}.get(last, "query")


class CurrentClock:
    """The clock of the test that runs now."""

    def __init__(self) -> None:
        self.clock: Clock = ManualClock()

    def now(self) -> datetime:
        return self.clock.now()

    def monotonic_s(self) -> float:
        return self.clock.monotonic_s()


class CurrentWire(httpx.AsyncBaseTransport):
    """The wire of the test that runs now."""

    def __init__(self) -> None:
        self.wire: Wire | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert self.wire is not None
        return await self.wire.handle_async_request(request)


@cache
def the_channel() -> tuple[WeChatChannel, CurrentClock, CurrentWire]:
    """The driver, opened once a process: checking its keys takes longer than a whole story."""
    clock, wire = CurrentClock(), CurrentWire()
    config = read_merchant_json(to_json(_made_keys().merchant_files[0]).decode())
    return WeChatChannel(config, clock, SeededRandom("driver"), wire), clock, wire


@cache
def _made_keys() -> MadeKeys:
    """Made once: RSA keys are dear."""
    return make_keys(
        SeededRandom("keys"), datetime(2026, 11, 22, tzinfo=UTC), base_url=CHANNEL_URL, merchants=2
    )


def platform_keys() -> PlatformKeys:
    keys = copy(_made_keys().platform)
    keys.certificates = list(keys.certificates)
    keys.merchants = dict(keys.merchants)
    return keys
