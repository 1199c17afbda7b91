"""A merchant that signs with the SDK's functions, against the simulator without sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from wechatpayv3 import utils

from forecourt_kit.clock import ManualClock
from forecourt_kit.disk import Disk
from forecourt_kit.random import SeededRandom
from forecourt_simulators.channels.wechat import SimulatorSettings, WeChatPaySimulator, make_keys
from forecourt_simulators.channels.wechat.keys import MadeKeys

BASE_URL = "https://wechat.test"
START = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
NATIVE = "/v3/pay/transactions/native"
CODEPAY = "/v3/pay/transactions/codepay"
REFUNDS = "/v3/refund/domestic/refunds"
ORDER = "/v3/pay/transactions/out-trade-no/"


@dataclass
class Inbox:
    """Where notifications arrive; it answers `statuses` one after the other, then 200."""

    received: list[httpx.Request] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self.received.append(request)
        self.arrived.set()
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 0:
            raise httpx.ReadTimeout("no answer", request=request)
        return httpx.Response(status)

    async def wait_for(self, count: int) -> list[httpx.Request]:
        while len(self.received) < count:
            self.arrived.clear()
            await asyncio.wait_for(self.arrived.wait(), 10)
        return list(self.received)


class Merchant:
    """Signs as `wechatpayv3` does; each part of what is signed can be bent."""

    def __init__(self, simulator: WeChatPaySimulator, file: dict[str, Any], inbox: Inbox) -> None:
        self.simulator = simulator
        self.file = file
        self.inbox = inbox
        self.key = utils.load_private_key(file["merchant_private_key_pem"])
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(simulator.app), base_url=BASE_URL)

    async def ask(
        self,
        method: str,
        target: str,
        body: dict[str, Any] | None = None,
        *,
        raw: str | None = None,
        signed_target: str | None = None,
        signed_body: str | None = None,
        age_s: int = 0,
        key: Any = None,
        headers: dict[str, str] | None = None,
        **parts: str,
    ) -> httpx.Response:
        content = raw or ("" if body is None else json.dumps(body))
        stamp = str(int(self.simulator.clock.now().timestamp()) - age_s)
        named = {
            "mchid": self.file["mchid"],
            "nonce_str": "NONCE",
            "timestamp": stamp,
            "serial_no": self.file["merchant_serial"],
        } | parts
        signed = content if signed_body is None else signed_body
        lines = [method, signed_target or target, named["timestamp"], named["nonce_str"], signed]
        named.setdefault("signature", utils.rsa_sign(key or self.key, "\n".join(lines) + "\n"))
        sent = {
            "Accept": "application/json",
            "User-Agent": "test",
            "Content-Type": "application/json",
            "Wechatpay-Serial": self.file["platform_public_key_id"],
            "Authorization": "WECHATPAY2-SHA256-RSA2048 "
            + ",".join(f'{name}="{value}"' for name, value in named.items()),
        } | (headers or {})
        return await self.http.request(method, target, content=content.encode() or None, headers=sent)

    def native(self, number: str = "sale-000001", total: int = 200_00, **changes: Any) -> dict[str, Any]:
        return {
            "appid": self.file["appid"],
            "mchid": self.file["mchid"],
            "description": "92# 汽油",
            "out_trade_no": number,
            "notify_url": "https://centre.test/notices",
            "amount": {"total": total, "currency": "CNY"},
        } | changes

    def codepay(
        self, number: str = "code-000001", code: str = "134567890123456789", **changes: Any
    ) -> dict[str, Any]:
        body = self.native(number) | {"payer": {"auth_code": code}, "scene_info": {"device_ip": "127.0.0.1"}}
        del body["notify_url"]
        return body | changes

    def refund(self, number: str = "refund-1", fen: int = 50_00, **changes: Any) -> dict[str, Any]:
        return {
            "out_trade_no": "sale-000001",
            "out_refund_no": number,
            "reason": "退",
            "notify_url": "https://centre.test/notices",
            "amount": {"refund": fen, "total": 200_00, "currency": "CNY"},
        } | changes

    async def place(self, number: str = "sale-000001") -> str:
        answer = await self.ask("POST", NATIVE, self.native(number))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["code_url"])

    async def pay(self, number: str = "sale-000001") -> None:
        await self.place(number)
        await self.do("pay", out_trade_no=number)

    async def state(self, number: str = "sale-000001") -> str:
        answer = await self.ask("GET", f"{ORDER}{number}?mchid={self.file['mchid']}")
        return str(answer.json().get("trade_state", answer.json().get("code")))

    async def end(self, verb: str, number: str) -> httpx.Response:
        body = {"mchid": self.file["mchid"]} | ({"appid": self.file["appid"]} if verb == "reverse" else {})
        return await self.ask("POST", f"{ORDER}{number}/{verb}", body)

    async def do(self, path: str, *, expect: int = 200, **content: Any) -> dict[str, Any]:
        answer = await self.http.post(f"/_control/{path}", json=content)
        assert answer.status_code == expect, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def see(self, path: str, **params: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.http.get(f"/_control/{path}", params=params)).json()
        return found


@pytest.fixture(scope="session")
def simulated_keys() -> MadeKeys:
    return make_keys(SeededRandom("simulated"), START, base_url=BASE_URL, merchants=2)


MakeMerchant = Callable[..., Merchant]


@pytest.fixture
async def make_merchant(simulated_keys: MadeKeys, clock: ManualClock) -> AsyncIterator[MakeMerchant]:
    made: list[Merchant] = []

    def make(
        settings: SimulatorSettings | None = None, disk: Disk | None = None, journal: Path | None = None
    ) -> Merchant:
        keys = copy(simulated_keys.platform)
        keys.certificates = list(keys.certificates)
        inbox = Inbox()
        simulator = WeChatPaySimulator(
            keys,
            clock,
            SeededRandom("simulator"),
            settings or SimulatorSettings(notify_delay_scale=0),
            disk=disk,
            journal=journal,
            transport=httpx.MockTransport(inbox.answer),
        )
        merchant = Merchant(simulator, simulated_keys.merchant_files[0], inbox)
        made.append(merchant)
        return merchant

    yield make
    for merchant in made:
        await merchant.http.aclose()
        await merchant.simulator.close()


@pytest.fixture
def merchant(make_merchant: MakeMerchant) -> Merchant:
    return make_merchant()
