"""What a virtual station is made of: lines, guns, products; read from TOML or of a ready-made kind."""

import tomllib
from dataclasses import dataclass, field, fields
from typing import Any

from forecourt_kit.quantity import E4, Unit

E2_TO_E4 = 100  # The line counts in 0.01, the rest of the house in 0.0001.


@dataclass(frozen=True, slots=True, kw_only=True)
class GunSetup:
    """One gun as it was installed. Quantities 1e-4 of the unit, prices 1e-4 yuan a unit."""

    gun: int
    product: str
    unit: Unit
    unit_price_e4: int
    flow_e4_per_s: int
    ramp_ms: int = 1_500  # From the first drop to full flow.
    slow_e4: int = 5_000  # The small valve alone runs this long before a preset.
    totalizer_e4: int = 0
    totalizer_amount_fen: int = 0
    totalizer_digits: int = 8  # 999999.99, then 0.00.
    pressure_start_kpa: int = 0  # 0: a liquid at ambient pressure, nothing is measured.
    pressure_full_kpa: int = 0
    temperature_k_e1: int = 0
    controlled: bool = True

    def __post_init__(self) -> None:
        for name in ("unit_price_e4", "totalizer_e4"):
            if getattr(self, name) % E2_TO_E4:
                raise ValueError(f"gun {self.gun}: {name} must be whole 0.01 on this line")
        if not 0 < self.flow_e4_per_s <= 1_000 * E4 or not 1 <= self.gun <= 99:
            raise ValueError(f"gun {self.gun}: flow or number out of range")


@dataclass(frozen=True, slots=True, kw_only=True)
class LineSetup:
    """One serial line with its guns."""

    name: str
    guns: tuple[GunSetup, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StationSetup:
    """All lines of a station."""

    name: str = "station"
    lines: tuple[LineSetup, ...] = field(default=())


PRODUCTS: dict[str, dict[str, Any]] = {
    "petrol-92": {"unit": Unit.L, "unit_price_e4": 78_500, "flow_e4_per_s": 6_600},
    "petrol-95": {"unit": Unit.L, "unit_price_e4": 83_600, "flow_e4_per_s": 6_600},
    "diesel-0": {"unit": Unit.L, "unit_price_e4": 75_200, "flow_e4_per_s": 12_000},
    "lng": {
        "unit": Unit.KG,
        "unit_price_e4": 51_800,
        "flow_e4_per_s": 15_000,
        "pressure_start_kpa": 420,
        "pressure_full_kpa": 950,
        "temperature_k_e1": 1_331,
    },
    "cng": {
        "unit": Unit.NM3,
        "unit_price_e4": 43_500,
        "flow_e4_per_s": 3_000,
        "pressure_start_kpa": 3_200,
        "pressure_full_kpa": 20_000,
        "temperature_k_e1": 2_981,
    },
    "hydrogen-35": {
        "unit": Unit.KG,
        "unit_price_e4": 350_000,
        "flow_e4_per_s": 260,
        "ramp_ms": 4_000,
        "slow_e4": 200,
        "pressure_start_kpa": 4_000,
        "pressure_full_kpa": 35_000,
        "temperature_k_e1": 2_401,
    },
}

KINDS: dict[str, tuple[str, ...]] = {
    "petrol": ("petrol-92", "petrol-95", "petrol-92", "diesel-0"),
    "gas": ("lng", "lng", "cng", "cng"),
    "hydrogen": ("hydrogen-35", "hydrogen-35"),
    "mixed": ("petrol-92", "petrol-95", "lng", "cng", "hydrogen-35"),
}


def of_kind(kind: str) -> StationSetup:
    """A ready-made station: one line, its guns numbered from 1."""
    guns = tuple(
        GunSetup(gun=number, product=product, **PRODUCTS[product])
        for number, product in enumerate(KINDS[kind], start=1)
    )
    return StationSetup(name=kind, lines=(LineSetup(name="line1", guns=guns),))


def parse(text: str) -> StationSetup:
    """Read a station from TOML: `name`, and `[[line]]` tables with `name` and `[[line.gun]]` tables.

    A gun names its `product`; what it does not state comes from PRODUCTS.

    Raises:
        ValueError: not TOML, an unknown key, or a value out of its range.
    """
    table = tomllib.loads(text)
    known = {each.name for each in fields(GunSetup)}
    lines = []
    for line in table.get("line", []):
        guns = []
        for gun in line.get("gun", []):
            if unknown := gun.keys() - known:
                raise ValueError(f"gun {gun.get('gun')}: no such key: {', '.join(sorted(unknown))}")
            merged = {**PRODUCTS.get(gun.get("product", ""), {}), **gun}
            guns.append(GunSetup(**{**merged, "unit": Unit(merged["unit"])}))
        lines.append(LineSetup(name=line["name"], guns=tuple(guns)))
    return StationSetup(name=table.get("name", "station"), lines=tuple(lines))
