import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from forecourt_kit.clock import SystemClock
from forecourt_kit.disk import OsDisk
from forecourt_kit.random import SeededRandom
from forecourt_simulators.station import setup
from forecourt_simulators.station.control import StationControl
from forecourt_simulators.station.main import StationOptions
from forecourt_simulators.station.main import running as station_running
from forecourt_simulators.station.setup import PRODUCTS
from forecourt_simulators.traffic.attendant import Attendant, AttendantPace
from forecourt_simulators.traffic.centre import Centre, LogIn, Payers
from forecourt_simulators.traffic.main import TrafficOptions, options_of, over, running
from forecourt_simulators.traffic.vehicles import Vehicles
from forecourt_simulators.traffic.wishes import Tender, TenderMix, draw_tender, draw_wish

AT_ONCE = AttendantPace(look_every_ms=1, think_ms=0, retry_ms=0)


class Desk:
    """A centre and a channel in a dozen lines: an HTTP server on the other side of the wire."""

    def __init__(self, sales: int, *, fail_first: int = 0) -> None:
        self.open = {f"s{number}": {"id": f"s{number}", "due_fen": 100} for number in range(sales)}
        self.fails = fail_first
        self.paid: dict[str, dict[str, Any]] = {}
        self.keys: Counter[str] = Counter()
        self.logged_in = 0

    def centre(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/v1/session":
            self.logged_in += 1
            return httpx.Response(200, json={}, headers={"set-cookie": "forecourt_session=x; Path=/"})
        if "forecourt_session" not in request.headers.get("cookie", ""):
            return httpx.Response(401, json={"code": "core.unauthenticated"})
        if request.method == "GET":
            assert request.url.params["state"] == "open"
            return httpx.Response(200, json={"items": list(self.open.values()), "next_cursor": None})
        sale = request.url.path.split("/")[4]
        self.keys[request.headers["idempotency-key"]] += 1
        if self.fails:
            self.fails -= 1
            return httpx.Response(503)
        if sale in self.paid:
            return httpx.Response(409, json={"code": "sales.paid_already"})
        body = _json(request)
        if body["tender"] == "wechat":
            return httpx.Response(201, json={"state": "pending", "qr_text": f"weixin://{sale}"})
        self._settle(sale, body)
        return httpx.Response(201, json={"state": "paid"})

    def channel(self, request: httpx.Request) -> httpx.Response:
        body = _json(request)
        self._settle(body["code_url"].removeprefix("weixin://"), {"tender": "wechat"})
        return httpx.Response(200, json={})

    def _settle(self, sale: str, body: dict[str, Any]) -> None:
        self.paid[sale] = body
        del self.open[sale]


def _json(request: httpx.Request) -> dict[str, Any]:
    body: dict[str, Any] = httpx.Response(200, content=request.content).json()
    return body


def attendant(desk: Desk, mix: TenderMix | None = None, members: tuple[str, ...] = ()) -> Attendant:
    centre = httpx.AsyncClient(transport=httpx.MockTransport(desk.centre), base_url="http://centre")
    phones = httpx.AsyncClient(transport=httpx.MockTransport(desk.channel), base_url="http://channel")
    return Attendant(
        Centre(over(centre), LogIn("anna", "secret")),
        Payers(over(phones)),
        SeededRandom(5),
        mix or TenderMix(),
        members,
        AT_ONCE,
    )


class TestAttendant:
    async def test_every_open_sale_is_paid_once_in_its_drivers_way(self) -> None:
        desk = Desk(sales=40)
        worker = attendant(desk, members=("m1", "m2"))
        for _ in range(3):
            await worker.look()
        await worker.rest()
        assert desk.open == {}
        assert {body["tender"] for body in desk.paid.values()} == {"cash", "wallet", "wechat"}
        assert (worker.paid, worker.refused, desk.logged_in) == (40, 0, 1)

    async def test_a_try_that_failed_is_repeated_under_its_key(self) -> None:
        desk = Desk(sales=1, fail_first=3)
        worker = attendant(desk, TenderMix(wechat_percent=0, wallet_percent=0, cash_percent=100))
        await worker.look()
        await worker.rest()
        assert list(desk.keys.values()) == [4]
        assert worker.paid == 1

    async def test_a_refusal_is_not_repeated(self) -> None:
        desk = Desk(sales=1)
        desk.paid["s0"] = {}
        worker = attendant(desk)
        await worker.look()
        await worker.rest()
        assert (worker.refused, worker.paid) == (1, 0)

    async def test_what_is_left_to_others_is_not_touched(self) -> None:
        desk = Desk(sales=5)
        worker = attendant(desk, TenderMix(wechat_percent=0, wallet_percent=0, cash_percent=0))
        await worker.look()
        await worker.rest()
        assert (worker.left, len(desk.open)) == (5, 5)


class TestWishes:
    @pytest.mark.parametrize("product", sorted(PRODUCTS))
    def test_a_wish_fits_the_dispenser(self, product: str) -> None:
        chance = SeededRandom(product)
        for wish in (draw_wish(chance, product) for _ in range(200)):
            assert 0 < wish.room_e4 <= 999_999 * 100
            assert wish.amount_fen is None or 0 < wish.amount_fen <= 999_999

    def test_the_same_seed_wishes_the_same(self) -> None:
        first, second = ([draw_wish(SeededRandom(seed), "lng") for _ in range(5)] for seed in (3, 3))
        assert first == second

    def test_shares_are_kept(self) -> None:
        chance, mix = SeededRandom(1), TenderMix(wechat_percent=50, wallet_percent=30, cash_percent=10)
        drawn = Counter(draw_tender(chance, mix, members=True) for _ in range(4_000))
        assert 1_800 < drawn[Tender.WECHAT] < 2_200
        assert 1_000 < drawn[Tender.WALLET] < 1_400
        assert 250 < drawn[None] < 550

    def test_shares_above_a_hundred_are_refused(self) -> None:
        with pytest.raises(ValueError, match="shares"):
            TenderMix(wechat_percent=90, wallet_percent=20)


class TestVehicles:
    async def test_they_come_to_free_nozzles_of_a_real_simulator(self, tmp_path: Path) -> None:
        options = StationOptions(setup=setup.of_kind("mixed"), pty_directory=tmp_path)
        async with station_running(options, SystemClock(), OsDisk()) as up:
            control = StationControl("127.0.0.1", up.control_port)
            vehicles = Vehicles(SeededRandom(1), per_minute_e2=6_000)
            await vehicles.look_at_station(control)
            await vehicles.look_at_station(control)
            assert vehicles.arrived == 5
            assert {gun["state"] for gun in (await control.act("guns"))["guns"]} == {"calling"}
            await control.close()

    async def test_a_simulator_that_is_away_is_waited_for(self, tmp_path: Path) -> None:
        options = StationOptions(setup=setup.of_kind("petrol"), pty_directory=tmp_path)
        async with station_running(options, SystemClock(), OsDisk()) as up:
            port = up.control_port
        async with running(TrafficOptions(stations=(("127.0.0.1", port),), per_minute_e2=6_000)) as traffic:
            await asyncio.sleep(0.05)
            assert traffic.vehicles.arrived == 0


def test_the_command_line_is_read(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc\n")
    words = "--api http://127.0.0.1:8000 --station 127.0.0.1:7301 --chargers 127.0.0.1:7302 --per-minute 1.5"
    options = options_of(
        [*words.split(), "--tenders", "wechat=10,wallet=5", "--token-file", str(tmp_path / "token")]
    )
    assert (options.token, options.per_minute_e2) == ("abc", 150)
    assert options.mix == TenderMix(wechat_percent=10, wallet_percent=5, cash_percent=0)
    assert (options.stations, options.chargers) == ((("127.0.0.1", 7301),), (("127.0.0.1", 7302),))
