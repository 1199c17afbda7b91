"""Real processes around one station: centre, gateway, worker, station agent, dispensers, payment channel.

A journey talks to them as people and devices do: over HTTP, at the dispenser, at the payer's phone.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
from tests.private_servers import free_port

from forecourt.access import service as access
from forecourt.access.types import Role
from forecourt.charging import service as charging
from forecourt.cli.migrate import migrate
from forecourt.core.actor import Actor, Operator, OperatorId, system
from forecourt.core.db import WriteSession
from forecourt.core.host import Host, Ports, open_host
from forecourt.core.settings import load_settings
from forecourt.customers import service as customers
from forecourt.devices import service as devices
from forecourt.devices.types import DeviceKind, NewDevice
from forecourt.operators import service as operators
from forecourt.payments import service as payments
from forecourt.pricing import service as pricing
from forecourt.sites import service as sites
from forecourt.sites.types import Energy
from forecourt_kit.clock import SystemClock
from forecourt_kit.disk import OsDisk
from forecourt_kit.ids import to_public
from forecourt_kit.quantity import Unit
from forecourt_kit.random import SystemRandom

T = TypeVar("T")

PASSWORD = "journey-of-one-litre"
PATIENCE_S = 60.0
START_PATIENCE_S = 240.0  # Ten processes begin at once, on as few as two cores.
SPEED = 30
MEMBER_FEN = 2_000_00

# The guns of the simulator's "mixed" station, in order, as the centre sells them. Gun 2 waits for the centre.
Gun = tuple[str, Energy, Unit, int, str, str]
GUNS: tuple[Gun, ...] = (
    ("92", Energy.PETROL, Unit.L, 78_500, "petrol-92", "free"),
    ("95", Energy.PETROL, Unit.L, 83_600, "petrol-95", "authorise"),
    ("LNG", Energy.LNG, Unit.KG, 51_800, "lng", "free"),
    ("CNG", Energy.CNG, Unit.NM3, 43_500, "cng", "free"),
    ("H35", Energy.HYDROGEN, Unit.KG, 350_000, "hydrogen-35", "free"),
)
CHARGER: Gun = ("DC", Energy.EV, Unit.KWH, 13_800, "", "")


@dataclass(frozen=True, slots=True)
class Backend:
    """What the centre stands on. Embedded: one process; else api, two gateways, two workers."""

    name: str
    database_url: str = ""
    bus_url: str = "embedded"
    cache_url: str = "memory"

    @property
    def is_embedded(self) -> bool:
        return self.bus_url == "embedded"


@dataclass(slots=True)
class Rig:
    """One running world. Everything is reached on loopback, on ports of its own."""

    folder: Path
    backend: Backend
    facts: dict[str, Any] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    client: httpx.Client = field(default_factory=httpx.Client)

    # ---------------------------------------------------------------- processes

    def environment(self, gateway: int = 1) -> dict[str, str]:
        return {
            **os.environ,
            "FORECOURT_DATA_DIR": str(self.folder / "data"),
            "FORECOURT_DATABASE_URL": self.backend.database_url,
            "FORECOURT_BUS_URL": self.backend.bus_url,
            "FORECOURT_CACHE_URL": self.backend.cache_url,
            "FORECOURT_NAMESPACE": f"journey-{os.getpid()}-{self.ports['http']}",
            "FORECOURT_HTTP": f"127.0.0.1:{self.ports['http']}",
            "FORECOURT_PUBLIC_URL": f"http://127.0.0.1:{self.ports['http']}",
            "FORECOURT_SLP": f"127.0.0.1:{self.ports[f'slp{gateway}']}",
            "FORECOURT_DEVICES": f"127.0.0.1:{self.ports[f'devices{gateway}']}",
            "FORECOURT_WECHAT_MERCHANT_FILE": str(self.folder / "channels" / "merchant.json"),
            "FORECOURT_ASK_EVERY_S": "1",
            "FORECOURT_CODE_REVERSE_AFTER_S": "15",
            "FORECOURT_LOG_LEVEL": "INFO",
        }

    def spawn(self, name: str, *words: str, gateway: int = 1) -> None:
        log = (self.folder / f"{name}.log").open("ab")
        with log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", *words],
                env=self.environment(gateway),
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )

    def start_centre(self) -> None:
        for name in self.centre:
            self.start(name)

    @property
    def centre(self) -> tuple[str, ...]:
        if self.backend.is_embedded:
            return ("centre",)
        return ("api", "gateway1", "gateway2", "worker1", "worker2")

    def start(self, name: str) -> None:
        """Start a process of the rig, the first time or again."""
        if name == "centre":
            self.spawn(name, "forecourt.cli.main", "up")
        elif name == "edge":
            self.spawn(name, "forecourt_edge.main", "run", "--config", str(self.folder / "edge.toml"))
        elif name == "channels":
            address = f"127.0.0.1:{self.ports['channels']}"
            keys = str(self.folder / "channels")
            words = ["--listen", address, "--keys", keys, "--books", keys, "--notify-delay-scale", "0.02"]
            self.spawn(name, "forecourt_simulators.main", "channels", *words)
        elif name == "station":
            line = f"127.0.0.1:{self.ports['line']}"
            control = f"127.0.0.1:{self.ports['control']}"
            state = str(self.folder / "station.json")
            words = ["--kind", "mixed", "--tcp", line, "--control", control, "--speed", str(SPEED)]
            self.spawn(name, "forecourt_simulators.main", "station", *words, "--state", state)
        else:
            number = int(name[-1]) if name[-1].isdigit() else 1
            self.spawn(name, "forecourt.cli.main", name.rstrip("12"), gateway=number)

    def kill(self, name: str) -> None:
        """Kill -9: no good-bye, no flush."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.client.close()

    # ---------------------------------------------------------------- the people

    def log_in(self) -> None:
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.ports['http']}/api/v1",
            headers={"origin": f"http://127.0.0.1:{self.ports['http']}"},
            timeout=20.0,
        )
        who = {"account": "anna", "password": PASSWORD}
        until(lambda: self._answers("POST", "/session", who), "the API answers", START_PATIENCE_S)

    def _answers(self, method: str, path: str, body: dict[str, Any]) -> bool:
        try:
            return self.client.request(method, path, json=body).is_success
        except httpx.TransportError:
            return False

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        answer = self.client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def post(self, path: str, body: dict[str, Any], key: str | None = None) -> httpx.Response:
        headers = {} if key is None else {"idempotency-key": key}
        return self.client.post(path, json=body, headers=headers)

    def pay(self, sale_id: str, key: str, **body: Any) -> dict[str, Any]:
        answer = self.post(f"/sales/{sale_id}/payments", body, key)
        assert answer.status_code in {201, 202}, answer.text
        paid: dict[str, Any] = answer.json()
        return paid

    def sales(self, **query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        cursor = None
        while True:
            page = self.get("/sales", limit=200, **query, **({"cursor": cursor} if cursor else {}))
            found += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    def sale(self, sale_id: str) -> dict[str, Any]:
        return self.get(f"/sales/{sale_id}")

    def until_sale(self, sale_id: str, state: str) -> dict[str, Any]:
        return until(
            lambda: found if (found := self.sale(sale_id))["state"] == state else None, f"sale is {state}"
        )

    def wallet(self) -> dict[str, Any]:
        return self.get(f"/members/{self.facts['member_id']}/wallet")

    # ---------------------------------------------------------------- the forecourt

    def station(self, **order: Any) -> dict[str, Any]:
        """One order to the dispensers' control API."""
        with socket.create_connection(("127.0.0.1", self.ports["control"]), 5) as connection:
            connection.sendall(json.dumps(order).encode() + b"\n")
            answer: dict[str, Any] = json.loads(connection.makefile().readline())
        assert answer["ok"], answer
        return answer

    def gun(self, number: int) -> dict[str, Any]:
        guns: list[dict[str, Any]] = self.station(do="guns")["guns"]
        return next(gun for gun in guns if gun["gun"] == number)

    def fill(self, gun: int, **wish: Any) -> dict[str, Any]:
        """A vehicle comes to a gun, fills and hangs up; gives its sale."""
        known = {sale["id"] for sale in self.sales(nozzle_id=self.nozzle(gun))}
        self.station(do="fill", gun=gun, **wish)
        return self.new_sale(gun, known)

    def new_sale(self, gun: int, known: set[str]) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            new = [sale for sale in self.sales(nozzle_id=self.nozzle(gun)) if sale["id"] not in known]
            return new[0] if new else None

        return until(look, f"gun {gun} has a new sale")

    def nozzle(self, gun: int) -> str:
        nozzle: str = self.facts["nozzles"][gun - 1]
        return nozzle

    # ---------------------------------------------------------------- the channel

    def channel(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        url = f"http://127.0.0.1:{self.ports['channels']}/_control/{path}"
        answer = httpx.request(method, url, json=body, timeout=10.0)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def scan(self, qr: str) -> None:
        """The payer's phone pays what a QR asks for."""
        self.channel("POST", "pay", {"code_url": qr, "payer": "driver-1"})

    # ---------------------------------------------------------------- the books

    def verify(self) -> dict[str, Any]:
        """`forecourt verify` as its user runs it."""
        done = subprocess.run(
            [sys.executable, "-m", "forecourt.cli.main", "verify", "--json"],
            env=self.environment(),
            cwd=self.folder,
            capture_output=True,
            check=False,
        )
        report: dict[str, Any] = json.loads(done.stdout or b"{}")
        assert done.returncode == 0, (report, done.stderr[-2000:])
        return report

    def settle(self) -> None:
        """Wait until every dispenser's sale is a sale of the centre."""
        until(lambda: all(not gun["busy"] for gun in self.station(do="guns")["guns"]), "the guns hang")
        until(
            lambda: all(gun["sales_waiting"] == 0 for gun in self.station(do="guns")["guns"]),
            "sales are taken",
        )


def until(look: Callable[[], T | None], what: str, patience_s: float = PATIENCE_S) -> T:
    """Look again and again; what never comes is a failure that says what was waited for."""
    end = time.monotonic() + patience_s
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"waited {patience_s:g} s in vain: {what}")
        time.sleep(0.1)


@contextlib.contextmanager
def running(folder: Path, backend: Backend) -> Iterator[Rig]:
    """Seed and start everything; stop everything at the end, whatever happened."""
    rig = Rig(folder, backend)
    names = ("http", "slp1", "slp2", "devices1", "devices2", "channels", "control", "line")
    rig.ports = {name: free_port() for name in names}
    (folder / "data").mkdir(parents=True)
    keys = str(folder / "channels")
    listen = f"127.0.0.1:{rig.ports['channels']}"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "forecourt_simulators.main",
            "channels",
            "--listen",
            listen,
            "--write-keys",
            keys,
        ],
        check=True,
        capture_output=True,
    )
    rig.facts = asyncio.run(_seeded(rig))
    (folder / "edge.toml").write_text(_edge_toml(rig))
    try:
        for name in ("channels", "station"):
            rig.start(name)
        rig.start_centre()
        until(lambda: _listens(rig.ports["control"]), "the station answers")
        rig.start("edge")
        rig.log_in()
        until(lambda: _online(rig), "the nozzles are online", START_PATIENCE_S)
        yield rig
    finally:
        rig.stop()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _online(rig: Rig) -> bool:
    items = rig.get(f"/stations/{rig.facts['station_id']}/forecourt")["items"]
    return all(item["state"] == "idle" and not item["price_pending"] for item in items[: len(GUNS)])


async def _seeded(rig: Rig) -> dict[str, Any]:
    ports = Ports(clock=SystemClock(), random=SystemRandom(), disk=OsDisk())
    async with open_host(load_settings(rig.environment()), ports) as host:
        await migrate(host.database)
        password_hash = await host.passwords.hash(PASSWORD)
        return await host.database.transact(_seed, host, password_hash)


async def _seed(session: WriteSession, host: Host, password_hash: str) -> dict[str, Any]:
    operator = await operators.create_operator(session, system("rig"), code="rig", name="Rig")
    actor = Actor(scope=Operator(OperatorId(operator.id)), subject="rig")
    await access.create_staff(
        session,
        system("rig"),
        operator_id=operator.id,
        login="anna",
        name="Anna",
        role=Role.OPERATOR_ADMIN,
        password_hash=password_hash,
    )
    station = await sites.create_station(session, actor, name="旅程站")
    agent = await _device(session, host, actor, station.id, DeviceKind.STATION_AGENT)
    charge_point = await _device(session, host, actor, station.id, DeviceKind.CHARGE_POINT, "CP-1")
    pillar = await _device(session, host, actor, station.id, DeviceKind.TERMINAL)
    sold = [await _nozzle(session, actor, station.id, number, gun) for number, gun in enumerate(GUNS, 1)]
    connector, _ = await _nozzle(session, actor, station.id, 9, CHARGER, charge_point.device.id)
    await devices.bind_nozzles(session, actor, pillar.device.id, [sold[2][0]])
    await charging.add_token(session, actor, "CARD-1", None, None)
    member = await customers.create_member(session, actor, host.vault, name="王", phone="13800000001")
    await payments.top_up_cash(
        session,
        actor,
        operator_id=operator.id,
        station_id=station.id,
        member_id=member.id,
        amount_fen=MEMBER_FEN,
        bonus_fen=0,
    )
    assert agent.psk is not None
    return {
        "station_id": to_public(station.id),
        "agent_id": to_public(agent.device.id),
        "psk": agent.psk.hex(),
        "charge_point_password": charge_point.password,
        "connector_id": to_public(connector),
        "nozzles": [to_public(nozzle) for nozzle, _ in sold],
        "products": [to_public(product) for _, product in sold],
        "member_id": to_public(member.id),
        "pillar_id": to_public(pillar.device.id),
    }


async def _device(
    session: WriteSession,
    host: Host,
    actor: Actor,
    station_id: int,
    kind: DeviceKind,
    code: str | None = None,
) -> NewDevice:
    return await devices.register_device(
        session,
        actor,
        host.vault,
        host.ports.random,
        station_id=station_id,
        kind=kind,
        name=kind.value,
        code=code,
    )


async def _nozzle(
    session: WriteSession,
    actor: Actor,
    station_id: int,
    number: int,
    gun: Gun,
    charge_point_id: int | None = None,
) -> tuple[int, int]:
    """A nozzle that sells its own product at its own price; (nozzle, product)."""
    code, energy, unit, price, _, _ = gun
    product = await sites.create_product(session, actor, code=code, name=code, energy=energy, unit=unit)
    nozzle = await sites.create_nozzle(
        session,
        actor,
        station_id=station_id,
        number=number,
        energy=energy,
        unit=unit,
        charge_point_device_id=charge_point_id,
        connector_number=None if charge_point_id is None else 1,
    )
    await sites.set_supply(session, actor, nozzle.id, product_id=product.id, tank_id=None)
    await pricing.set_price(
        session, actor, station_id=station_id, product_id=product.id, unit_price_e4=price, valid_from=None
    )
    return nozzle.id, product.id


def _edge_toml(rig: Rig) -> str:
    second = "slp1" if rig.backend.is_embedded else "slp2"
    lines = [
        "[station]",
        'name = "rig"',
        f'data_dir = "{rig.folder / "agent"}"',
        "[poll]",
        "active_ms = 50",
        "idle_ms = 100",
        "[uplink]",
        f'server = "127.0.0.1:{rig.ports["slp1"]}"',
        f'tcp_server = "127.0.0.1:{rig.ports[second]}"',
        f'device = "{rig.facts["agent_id"]}"',
        "key_id = 1",
        f'psk = "{rig.facts["psk"]}"',
        "[[line]]",
        'name = "line1"',
        f'port = "tcp://127.0.0.1:{rig.ports["line"]}"',
    ]
    for number, (_, _, unit, _, product, mode) in enumerate(GUNS, 1):
        lines += [
            "[[line.nozzle]]",
            f"nozzle = {number}",
            f'product = "{product}"',
            f'unit = "{unit.value}"',
            f'mode = "{mode}"',
        ]
    return "\n".join(lines) + "\n"
