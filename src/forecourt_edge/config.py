"""The station's configuration file: TOML, read once at start, every mistake named."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forecourt_edge.drivers.schedule import PollPace
from forecourt_edge.drivers.types import NozzleSetup, ReleaseMode
from forecourt_edge.journal.sqlite import JournalLimits
from forecourt_kit.limits import whole
from forecourt_kit.quantity import Unit

DRIVERS = ("lanfeng",)
BAUDS = (2400, 4800, 9600, 19200)
LINE_KEYS = frozenset({"name", "driver", "port", "baud", "nozzle"})
NOZZLE_KEYS = frozenset({"nozzle", "gun", "product", "unit", "mode", "totalizer_modulus_e4"})
STATION_KEYS = frozenset({"name", "data_dir"})
SECTIONS = frozenset({"station", "journal", "poll", "uplink", "line"})


class ConfigError(ValueError):
    """The file cannot be used; the text says where and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineConfig:
    name: str
    driver: str
    port: str
    baud: int
    nozzles: tuple[NozzleSetup, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeConfig:
    """`uplink` is handed on as it stands to the uplink, which knows its own keys; empty: no uplink."""

    name: str
    data_dir: Path
    lines: tuple[LineConfig, ...]
    journal: JournalLimits = field(default_factory=JournalLimits)
    pace: PollPace = field(default_factory=PollPace)
    uplink: Mapping[str, Any] = field(default_factory=dict)


def parse(text: str) -> EdgeConfig:
    """Read the configuration. Raises ConfigError."""
    try:
        table = tomllib.loads(text)
        _only("the file", table, SECTIONS)
        station = table["station"]
        _only("[station]", station, STATION_KEYS)
        lines = tuple(_line(each) for each in table.get("line", []))
        config = EdgeConfig(
            name=station["name"],
            data_dir=Path(station["data_dir"]),
            lines=lines,
            journal=JournalLimits(**table.get("journal", {})),
            pace=PollPace(**table.get("poll", {})),
            uplink=table.get("uplink", {}),
        )
    except KeyError as missing:
        raise ConfigError(f"missing: {missing}") from missing
    except (TypeError, ValueError) as why:
        raise ConfigError(str(why)) from why
    _check_unique("line name", [line.name for line in lines])
    _check_unique("nozzle", [nozzle.nozzle for line in lines for nozzle in line.nozzles])
    for line in lines:
        _check_unique(f"gun of {line.name}", [nozzle.gun for nozzle in line.nozzles])
    return config


def _line(table: dict[str, Any]) -> LineConfig:
    name = str(table["name"])
    _only(f"line {name}", table, LINE_KEYS)
    if (driver := table.get("driver", "lanfeng")) not in DRIVERS:
        raise ConfigError(f"line {name}: driver must be one of {', '.join(DRIVERS)}")
    if (baud := table.get("baud", 9600)) not in BAUDS:
        raise ConfigError(f"line {name}: baud must be one of {', '.join(map(str, BAUDS))}")
    nozzles = tuple(_nozzle(each) for each in table["nozzle"])
    return LineConfig(
        name=name,
        driver=driver,
        port=str(table["port"]),
        baud=baud,
        nozzles=nozzles,
    )


def _nozzle(table: dict[str, Any]) -> NozzleSetup:
    _only(f"nozzle {table.get('nozzle')}", table, NOZZLE_KEYS)
    number = whole("nozzle", table["nozzle"], 1, 254)  # Channel 255 of SLP/1 is the link's own.
    return NozzleSetup(
        nozzle=number,
        gun=whole("gun", table.get("gun", number), 1, 99),
        product=str(table["product"]),
        unit=Unit(table["unit"]),
        mode=ReleaseMode(table.get("mode", "free")),
        totalizer_modulus_e4=whole(
            "totalizer_modulus_e4", table.get("totalizer_modulus_e4", 10**10), 10**6, 10**18
        ),
    )


def _only(where: str, table: Mapping[str, Any], known: frozenset[str]) -> None:
    if unknown := table.keys() - known:
        raise ConfigError(f"{where}: no such key: {', '.join(sorted(unknown))}")


def _check_unique(what: str, values: list[Any]) -> None:
    if twice := sorted({value for value in values if values.count(value) > 1}):
        raise ConfigError(f"{what} given twice: {', '.join(map(str, twice))}")
