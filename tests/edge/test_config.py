import pytest

from forecourt_edge.config import ConfigError, parse
from forecourt_edge.drivers.types import ReleaseMode

SOUND = """
[station]
name = "north"
data_dir = "/var/lib/forecourt-edge"

[journal]
bytes_max = 1000000

[poll]
idle_ms = 250

[uplink]
anything = "is the uplink's own"

[[line]]
name = "island-1"
port = "/dev/ttyUSB0"

[[line.nozzle]]
nozzle = 3
gun = 1
product = "lng"
unit = "kg"
mode = "authorise"

[[line.nozzle]]
nozzle = 4
product = "petrol-92"
unit = "L"
"""


def test_a_sound_file_is_read_with_its_defaults() -> None:
    config = parse(SOUND)
    (line,) = config.lines
    assert (line.driver, line.baud, line.port) == ("lanfeng", 9600, "/dev/ttyUSB0")
    first, second = line.nozzles
    assert (first.nozzle, first.gun, first.unit, first.mode) == (3, 1, "kg", ReleaseMode.AUTHORISE)
    assert (second.gun, second.mode) == (4, ReleaseMode.FREE)
    assert (config.journal.bytes_max, config.pace.idle_ms, config.pace.active_ms) == (1_000_000, 250, 100)
    assert config.uplink == {"anything": "is the uplink's own"}


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("[station]", "[stations]", "no such key: stations"),
        ('name = "north"', "", "missing: 'name'"),
        ("nozzle = 4", "nozzle = 3", "nozzle given twice: 3"),
        ("nozzle = 4", "nozzle = 1", "gun of island-1 given twice: 1"),
        ('unit = "kg"', 'unit = "pound"', "pound"),
        ('mode = "authorise"', 'mode = "anarchy"', "anarchy"),
        ('port = "/dev/ttyUSB0"', 'port = "x"\ndriver = "gilbarco"', "driver must be one of lanfeng"),
        ('product = "lng"', 'produkt = "lng"', "no such key: produkt"),
        ("bytes_max", "bytes_maximum", "bytes_maximum"),
        ("nozzle = 4", "nozzle = 256", "nozzle"),
        ('port = "/dev/ttyUSB0"', 'port = "x"\nbaud = 1', "baud must be one of"),
        ("[station]", "[station", "toml|Expected"),
    ],
)
def test_every_mistake_is_named(old: str, new: str, why: str) -> None:
    assert old in SOUND
    with pytest.raises(ConfigError, match=why):
        parse(SOUND.replace(old, new, 1))
