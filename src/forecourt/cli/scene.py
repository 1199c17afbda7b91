"""What the demo is made of, and the files that keep it over restarts."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from forecourt.sites.types import Energy
from forecourt_kit.disk import Disk
from forecourt_kit.quantity import Unit

SCENE_FILE = "scene.json"


@dataclass(frozen=True, slots=True)
class NozzlePlan:
    """`gun_product` is the simulator's word for what flows there."""

    code: str
    name: str
    energy: Energy
    unit: Unit
    unit_price_e4: int
    gun_product: str = ""


@dataclass(frozen=True, slots=True)
class StationPlan:
    """`kind` names the simulator's ready-made station; chargers have none."""

    kind: str
    name: str
    nozzles: tuple[NozzlePlan, ...]
    day_cut_min: int = 0
    gun_kind: bool = True


LNG = NozzlePlan("LNG", "液化天然气", Energy.LNG, Unit.KG, 51_800, "lng")
CNG = NozzlePlan("CNG", "压缩天然气", Energy.CNG, Unit.NM3, 43_500, "cng")
P92 = NozzlePlan("92", "92号汽油", Energy.PETROL, Unit.L, 78_500, "petrol-92")
P95 = NozzlePlan("95", "95号汽油", Energy.PETROL, Unit.L, 83_600, "petrol-95")
D0 = NozzlePlan("0", "0号柴油", Energy.DIESEL, Unit.L, 75_200, "diesel-0")
H35 = NozzlePlan("H35", "氢气 35MPa", Energy.HYDROGEN, Unit.KG, 350_000, "hydrogen-35")
EV = NozzlePlan("DC", "直流快充", Energy.EV, Unit.KWH, 13_800)

STATIONS = (
    StationPlan("gas", "城东 LNG/CNG 站", (LNG, LNG, CNG, CNG), day_cut_min=480),
    StationPlan("petrol", "滨江加油站", (P92, P95, P92, D0)),
    StationPlan("hydrogen", "高新加氢站", (H35, H35)),
    StationPlan("evse", "会展充电站", (EV, EV), gun_kind=False),
)


@dataclass(frozen=True, slots=True)
class Scene:
    """Public ids of what was made, and the stations' secrets: its file is mode 0600."""

    operator_id: str
    admin_id: str
    attendant_id: str
    member_id: str
    stations: list[dict[str, str]]


def read_scene(disk: Disk, folder: Path) -> Scene | None:
    path = folder / SCENE_FILE
    return Scene(**json.loads(disk.read(path))) if disk.exists(path) else None


def write_scene(disk: Disk, folder: Path, scene: Scene, slp: str) -> None:
    """The scene, and a configuration for each station agent."""
    plans = {plan.kind: plan for plan in STATIONS}
    for station in scene.stations:
        if "psk" in station:
            text = agent_config(plans[station["kind"]], station, folder, slp)
            disk.replace(folder / f"edge-{station['kind']}.toml", text.encode(), 0o600)
    disk.replace(folder / SCENE_FILE, json.dumps(asdict(scene), indent=2).encode(), 0o600)


def agent_config(plan: StationPlan, station: dict[str, str], folder: Path, slp: str) -> str:
    """The station agent's TOML (docs/reference/edge.md)."""
    lines = [
        "[station]",
        f'name = "{plan.kind}"',
        f'data_dir = "{folder / f"agent-{plan.kind}"}"',
        "[uplink]",
        f'server = "{slp}"',
        f'device = "{station["device_id"]}"',
        "key_id = 1",
        f'psk = "{station["psk"]}"',
        "[[line]]",
        'name = "line1"',
        f'port = "{folder / plan.kind / "line1"}"',
    ]
    for number, nozzle in enumerate(plan.nozzles, 1):
        lines += [
            "[[line.nozzle]]",
            f"nozzle = {number}",
            f'product = "{nozzle.gun_product}"',
            f'unit = "{nozzle.unit.value}"',
        ]
    return "\n".join(lines) + "\n"
