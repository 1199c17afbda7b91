"""The demo: an operator with stations of every energy, and virtual stations, vehicles and a payment channel.

What must be the same at the next start (keys, totalizers, books) lies in DIR/demo; log-ins are new each time.
"""

import asyncio
import json
import logging
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from forecourt.access import service as access
from forecourt.access.types import Role
from forecourt.charging import service as charging
from forecourt.cli.scene import STATIONS, Scene, StationPlan, read_scene, write_scene
from forecourt.core.actor import Actor, Operator, OperatorId, system
from forecourt.core.db import WriteSession
from forecourt.core.host import Host, Ports
from forecourt.core.process import settings_from
from forecourt.core.settings import Settings, address_of
from forecourt.customers import service as customers
from forecourt.devices import service as devices
from forecourt.devices.types import DeviceKind
from forecourt.payments import service as payments
from forecourt.pricing import service as pricing
from forecourt.sites import service as sites
from forecourt_kit.ids import from_public, to_public

PASSWORD_BYTES = 9
CARDS = 20  # Charging cards that the virtual vehicles carry.
ADMIN, ATTENDANT = "admin", "attendant"
CHANNELS = "127.0.0.1:7303"
MEMBER_FEN, BONUS_FEN = 5_000_00, 200_00
RESTART_PAUSE_S = 2.0
READY_TRIES = 100

log = logging.getLogger(__name__)


def prepare(
    settings: Settings, ports: Ports, env: Mapping[str, str], overrides: Mapping[str, object]
) -> Settings:
    """Name the merchant file of the channel stand-in, and ask it often: a demo does not wait."""
    folder = _folder(settings)
    ports.disk.make_directory(settings.data_dir, 0o700)
    ports.disk.make_directory(folder, 0o700)
    address, port = address_of(settings.http)
    return settings_from(
        env,
        ports,
        **{
            **overrides,
            "wechat_merchant_file": str(folder / "channels" / "merchant.json"),
            "public_url": f"http://{address}:{port}",
            "ask_every_s": 2,
        },
    )


def _folder(settings: Settings) -> Path:
    return settings.data_dir / "demo"


@dataclass(frozen=True, slots=True)
class LogIns:
    """Of this start. A pillar's code opens one terminal and lives ten minutes."""

    admin_password: str
    attendant_password: str
    pillar_code: str


@dataclass(frozen=True, slots=True)
class Stage:
    """The scene and who may enter it."""

    scene: Scene
    log_ins: LogIns


async def build(host: Host) -> Stage:
    """Make the operator and its stations where they are not there yet, and new log-ins."""
    folder = _folder(host.settings)
    if not host.ports.disk.exists(folder / "channels" / "merchant.json"):
        await _run_once(
            "forecourt_simulators.main",
            "channels",
            "--listen",
            CHANNELS,
            "--write-keys",
            str(folder / "channels"),
        )
    scene = read_scene(host.ports.disk, folder)
    if scene is None:
        unknown = await host.passwords.hash(host.ports.random.token())  # Replaced below, at every start.
        scene = await host.database.transact(_first_time, host, unknown)
        write_scene(host.ports.disk, folder, scene, host.settings.slp)
    log_ins = await _log_ins(host, scene)
    host.ports.disk.replace(folder / "attendant.password", log_ins.attendant_password.encode(), 0o600)
    return Stage(scene, log_ins)


async def _first_time(session: WriteSession, host: Host, password_hash: str) -> Scene:
    operator, admin = await access.open_operator(
        session,
        system("demo"),
        code="demo",
        name="Demo 能源",
        admin_login=ADMIN,
        admin_name="Demo admin",
        admin_password_hash=password_hash,
    )
    actor = Actor(scope=Operator(OperatorId(operator.id)), subject="demo")
    attendant = await access.create_staff(
        session,
        system("demo"),
        operator_id=operator.id,
        login=ATTENDANT,
        name="王师傅",
        role=Role.CASHIER,
        password_hash=password_hash,
    )
    products = {
        plan.code: await sites.create_product(
            session, actor, code=plan.code, name=plan.name, energy=plan.energy, unit=plan.unit
        )
        for plan in {each.code: each for station in STATIONS for each in station.nozzles}.values()
    }
    member = await customers.create_member(
        session, actor, host.vault, name="李师傅", phone="13800000001", plate="川A12345"
    )
    for number in range(CARDS):
        await charging.add_token(session, actor, f"TAG{number:04d}", None, None)
    scene = Scene(
        operator_id=to_public(operator.id),
        admin_id=to_public(admin.id),
        attendant_id=to_public(attendant.id),
        member_id=to_public(member.id),
        stations=[
            await _station(session, host, actor, plan, {code: each.id for code, each in products.items()})
            for plan in STATIONS
        ],
    )
    await payments.top_up_cash(
        session,
        actor,
        operator_id=operator.id,
        station_id=from_public(scene.stations[0]["station_id"]),
        member_id=member.id,
        amount_fen=MEMBER_FEN,
        bonus_fen=BONUS_FEN,
    )
    return scene


async def _station(
    session: WriteSession, host: Host, actor: Actor, plan: StationPlan, products: Mapping[str, int]
) -> dict[str, str]:
    station = await sites.create_station(session, actor, name=plan.name, day_cut_min=plan.day_cut_min)
    facts = {"kind": plan.kind, "station_id": to_public(station.id)}
    kind = DeviceKind.STATION_AGENT if plan.gun_kind else DeviceKind.CHARGE_POINT
    made = await devices.register_device(
        session,
        actor,
        host.vault,
        host.ports.random,
        station_id=station.id,
        kind=kind,
        name=plan.kind,
        code=None if plan.gun_kind else f"{plan.kind.upper()}-01",
    )
    facts["device_id"] = to_public(made.device.id)
    if made.psk is not None:
        facts["psk"] = made.psk.hex()
    if made.password is not None:
        facts["password"] = made.password
    nozzles = []
    for number, nozzle_plan in enumerate(plan.nozzles, 1):
        nozzle = await sites.create_nozzle(
            session,
            actor,
            station_id=station.id,
            number=number,
            energy=nozzle_plan.energy,
            unit=nozzle_plan.unit,
            charge_point_device_id=None if plan.gun_kind else made.device.id,
            connector_number=None if plan.gun_kind else number,
        )
        nozzles.append(nozzle.id)
        await sites.set_supply(session, actor, nozzle.id, product_id=products[nozzle_plan.code], tank_id=None)
    for code, price in {each.code: each.unit_price_e4 for each in plan.nozzles}.items():
        await pricing.set_price(
            session,
            actor,
            station_id=station.id,
            product_id=products[code],
            unit_price_e4=price,
            valid_from=None,
        )
    pillar = await devices.register_device(
        session,
        actor,
        host.vault,
        host.ports.random,
        station_id=station.id,
        kind=DeviceKind.TERMINAL,
        name=f"pillar {plan.kind}",
    )
    await devices.bind_nozzles(session, actor, pillar.device.id, nozzles[:2])
    facts["pillar_id"] = to_public(pillar.device.id)
    return facts


async def _log_ins(host: Host, scene: Scene) -> LogIns:
    random, actor = host.ports.random, system("demo")
    passwords = {}
    for name, staff_id in ((ADMIN, scene.admin_id), (ATTENDANT, scene.attendant_id)):
        passwords[name] = random.token(PASSWORD_BYTES)
        hashed = await host.passwords.hash(passwords[name])
        await host.database.transact(
            access.set_password, actor, from_public(staff_id), hashed, but_session=None
        )
    owner = Actor(scope=Operator(OperatorId(from_public(scene.operator_id))), subject="demo")
    made = await host.database.transact(
        devices.new_enrolment, owner, random, from_public(scene.stations[0]["pillar_id"])
    )
    return LogIns(passwords[ADMIN], passwords[ATTENDANT], made.code)


async def play(host: Host, stage: Stage) -> None:
    """Start the world around the centre once it answers, and keep it alive. Until cancelled."""
    _announce(host, stage)
    folder = _folder(host.settings)
    await _until_ready(host.settings)
    async with asyncio.TaskGroup() as tasks:
        for name, module, words in _cast(host, stage.scene, folder):
            tasks.create_task(_keep(name, module, words))


def _cast(host: Host, scene: Scene, folder: Path) -> list[tuple[str, str, list[str]]]:
    """The other processes: the channel, the stations with their traffic, the station agents."""
    address, port = address_of(host.settings.http)
    channels = ["channels", "--listen", CHANNELS, "--keys", str(folder / "channels")]
    channels += ["--books", str(folder / "channels"), "--notify-delay-scale", "0.1"]
    town: list[str] = ["town"]
    controls, chargers = [], []
    for at, station in enumerate(scene.stations):
        control = f"127.0.0.1:{7311 + at}"
        if "psk" in station:
            town += ["station", "--kind", station["kind"], "--pty-dir", str(folder / station["kind"])]
            town += ["--control", control, "--speed", "6", "--seed", str(at)]
            town += ["--state", str(folder / f"{station['kind']}.json"), "--"]
            controls.append(control)
        else:
            ocpp_host, ocpp_port = address_of(host.settings.devices)
            town += ["evse", "--url", f"ws://{ocpp_host}:{ocpp_port}/ocpp", "--connectors", "2"]
            code = f"{station['kind'].upper()}-01:{station['password']}"
            town += ["--charge-point", code, "--control", control, "--speed", "60"]
            town += ["--state", str(folder / f"{station['kind']}.json"), "--"]
            chargers.append(control)
    town += ["traffic", "--api", f"http://{address}:{port}", "--login", ATTENDANT]
    town += ["--password-file", str(folder / "attendant.password"), "--channels", f"http://{CHANNELS}"]
    for control in controls:
        town += ["--station", control]
    for control in chargers:
        town += ["--chargers", control]
    town += ["--member", scene.member_id, "--per-minute", "1.50"]
    edge = ["run"]
    for station in scene.stations:
        if "psk" in station:
            edge += ["--config", str(folder / f"edge-{station['kind']}.toml")]
    return [
        ("channels", "forecourt_simulators.main", channels),
        ("town", "forecourt_simulators.main", town),
        ("edge", "forecourt_edge.main", edge),
    ]


def _announce(host: Host, stage: Stage) -> None:
    address, port = address_of(host.settings.http)
    base = f"http://{address}:{port}"
    told = {
        "console": f"{base}/console/",
        "pillar": f"{base}/device/pillar",
        "docs": f"{base}/docs",
        "channel_simulator": f"http://{CHANNELS}",
        "log_ins": [
            {"login": ADMIN, "password": stage.log_ins.admin_password, "role": "operator_admin"},
            {"login": ATTENDANT, "password": stage.log_ins.attendant_password, "role": "cashier"},
        ],
        "pillar_code": stage.log_ins.pillar_code,
    }
    host.ports.disk.replace(host.settings.data_dir / "demo.json", json.dumps(told, indent=2).encode(), 0o600)
    sys.stdout.write(
        f"\n  console  {told['console']}\n"
        f"           {ADMIN} / {stage.log_ins.admin_password}\n"
        f"           {ATTENDANT} / {stage.log_ins.attendant_password}\n"
        f"  pillar   {told['pillar']}   code {stage.log_ins.pillar_code} (ten minutes)\n"
        f"  API      {told['docs']}\n"
        f"  also in  {host.settings.data_dir / 'demo.json'}\n\n"
    )
    sys.stdout.flush()


async def _until_ready(settings: Settings) -> None:
    address, port = address_of(settings.http)
    for _ in range(READY_TRIES):
        with suppress(OSError):
            _, writer = await asyncio.open_connection(address, port)
            writer.close()
            return
        await asyncio.sleep(0.1)
    raise RuntimeError(f"the API does not answer on {settings.http}")


async def _keep(name: str, module: str, words: list[str]) -> None:
    """Run one process of the world, and start it again when it ends."""
    while True:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, *words, stdout=asyncio.subprocess.DEVNULL
        )
        try:
            status = await child.wait()
        except asyncio.CancelledError:
            child.terminate()
            with suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await child.wait()
            if child.returncode is None:
                child.kill()
            raise
        log.warning("a part of the demo ended; it starts again", extra={"part": name, "status": status})
        await asyncio.sleep(RESTART_PAUSE_S)


async def _run_once(module: str, *words: str) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *words, stdout=asyncio.subprocess.DEVNULL
    )
    if await child.wait() != 0:
        raise RuntimeError(f"{module} {' '.join(words[:1])} failed")
