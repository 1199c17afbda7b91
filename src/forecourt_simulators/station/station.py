"""The whole virtual station: lines, visits, and the verbs of its control API. No clock, no socket."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forecourt_kit.disk import Disk
from forecourt_kit.limits import whole
from forecourt_kit.price import Preset, PresetKind
from forecourt_kit.random import Random
from forecourt_simulators.station.gun import Gun
from forecourt_simulators.station.line import Line
from forecourt_simulators.station.meter import US_PER_MS
from forecourt_simulators.station.setup import E2_TO_E4, StationSetup
from forecourt_simulators.station.visit import Visit

ROOM_E2_MAX = 999_999
AMOUNT_FEN_MAX = 999_999
POWER_LOSS_MS_MAX = 3_600_000
PERCENT_MAX = 100


class Refused(ValueError):
    """The control API says no; the text says why."""


@dataclass(slots=True)
class Station:
    """Gun numbers are unique over all lines of a station."""

    name: str
    lines: dict[str, Line]
    visits: dict[int, Visit] = field(default_factory=dict)
    ends: dict[int, str] = field(default_factory=dict)

    @classmethod
    def installed(cls, setup: StationSetup, random: Random) -> "Station":
        return cls(name=setup.name, lines={line.name: Line.installed(line, random) for line in setup.lines})

    def advance(self, elapsed_us: int) -> None:
        """Let time pass for people and product alike."""
        for number, visit in list(self.visits.items()):
            if (end := visit.advance(elapsed_us)) is not None:
                self.ends[number] = end
                del self.visits[number]
        for line in self.lines.values():
            line.advance(elapsed_us)

    def act(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Do one verb of the control API and answer with JSON values. Raises Refused."""
        verb = VERBS.get(str(command.get("do")))
        if verb is None:
            raise Refused(f"no such verb; there are: {', '.join(VERBS)}")
        try:
            return verb(self, command)
        except (KeyError, TypeError, ValueError) as why:
            raise Refused(f"{command.get('do')}: {why}") from why

    def line_of(self, number: int) -> Line:
        for line in self.lines.values():
            if number in line.guns:
                return line
        raise Refused(f"no gun {number}")

    def gun(self, number: int) -> Gun:
        return self.line_of(number).guns[number]

    def save(self, disk: Disk, path: Path) -> None:
        """Keep what dispensers keep without power."""
        kept = {str(n): gun.kept() for line in self.lines.values() for n, gun in line.guns.items()}
        disk.replace(path, json.dumps(kept).encode())

    def load(self, disk: Disk, path: Path) -> None:
        """Take up where `save` left off; a station without a file starts as installed."""
        if not disk.exists(path):
            return
        kept = json.loads(disk.read(path))
        for line in self.lines.values():
            for number, gun in line.guns.items():
                if str(number) in kept:
                    gun.restore(kept[str(number)])


def _describe(number: int, gun: Gun, station: Station) -> dict[str, Any]:
    return {
        "gun": number,
        "product": gun.setup.product,
        "unit": gun.setup.unit.value,
        "state": gun.state.name.lower(),
        "busy": number in station.visits,
        "last_end": station.ends.get(number),
        "unit_price_e4": gun.unit_price_e2 * E2_TO_E4,
        "quantity_e4": gun.meter.quantity_e2 * E2_TO_E4 if gun.meter else 0,
        "amount_fen": gun.meter.amount_fen if gun.meter else 0,
        "totalizer_e4": gun.register_e2 * E2_TO_E4,
        "last_sequence": gun.last_sequence,
        "sales_waiting": len(gun.waiting),
    }


def _guns(station: Station, _: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "guns": [
            _describe(number, gun, station)
            for line in station.lines.values()
            for number, gun in line.guns.items()
        ]
    }


def _fill(station: Station, command: Mapping[str, Any]) -> dict[str, Any]:
    """A vehicle arrives: `amount_fen` or `quantity_e4` is where it stops, `room_e4` what its vessel takes.

    With `keypad` the wish is keyed in at the dispenser, so that the meter itself stops there.
    """
    number = int(command["gun"])
    gun = station.gun(number)
    if number in station.visits:
        raise Refused(f"gun {number} is taken")
    amount = command.get("amount_fen")
    quantity = command.get("quantity_e4")
    if amount is not None:
        whole("amount_fen", amount, 1, AMOUNT_FEN_MAX)
    if quantity is not None:
        whole("quantity_e4", quantity, E2_TO_E4, ROOM_E2_MAX * E2_TO_E4)
    room_e4 = whole("room_e4", command.get("room_e4", ROOM_E2_MAX * E2_TO_E4), 0, ROOM_E2_MAX * E2_TO_E4)
    gun.room_e2 = room_e4 // E2_TO_E4
    if command.get("keypad"):
        gun.keypad = _preset(amount, quantity)
    visit = Visit(gun, want_fen=amount, want_e2=None if quantity is None else quantity // E2_TO_E4)
    if command.get("keypad"):
        visit.want_fen = visit.want_e2 = None  # The meter stops by itself; the driver just holds on.
    if not visit.arrive():
        raise Refused(f"gun {number} is {gun.state.name.lower()}")
    station.visits[number] = visit
    return {"gun": number, "after_sequence": gun.last_sequence}


def _preset(amount: int | None, quantity: int | None) -> Preset | None:
    if amount is not None:
        return Preset(PresetKind.AMOUNT, amount)
    return Preset(PresetKind.QUANTITY, quantity) if quantity is not None else None


def _keypad(station: Station, command: Mapping[str, Any]) -> dict[str, Any]:
    station.gun(int(command["gun"])).keypad = _preset(command.get("amount_fen"), command.get("quantity_e4"))
    return {}


def _hand(act: Callable[[Gun], bool]) -> Callable[[Station, Mapping[str, Any]], dict[str, Any]]:
    def do(station: Station, command: Mapping[str, Any]) -> dict[str, Any]:
        number = int(command["gun"])
        station.visits.pop(number, None)  # A hand on the gun ends what a vehicle was doing there.
        gun = station.gun(number)
        if not act(gun):
            raise Refused(f"gun {number} is {gun.state.name.lower()}")
        return {"state": gun.state.name.lower()}

    return do


def _trigger(station: Station, command: Mapping[str, Any]) -> dict[str, Any]:
    station.gun(int(command["gun"])).trigger = bool(command["on"])
    return {}


def _fault(station: Station, command: Mapping[str, Any]) -> dict[str, Any]:
    """`kind`: stuck, no_answer, price_not_acknowledged (each with `on`), totalizer_jump, power_loss."""
    number, kind = int(command["gun"]), command["kind"]
    gun, line, on = station.gun(number), station.line_of(number), bool(command.get("on", True))
    match kind:
        case "stuck":
            gun.stuck = on
        case "price_not_acknowledged":
            gun.deaf_to_price = on
        case "no_answer":
            (line.faults.silent.add if on else line.faults.silent.discard)(number)
        case "totalizer_jump":
            gun.jump_totalizer(int(command["by_e4"]) // E2_TO_E4)
        case "power_loss":
            for_ms = whole("for_ms", command.get("for_ms", 5_000), 1, POWER_LOSS_MS_MAX)
            line.lose_power(number, for_ms * US_PER_MS)
        case _:
            raise Refused(f"no such fault: {kind}")
    return {}


def _line_fault(station: Station, command: Mapping[str, Any]) -> dict[str, Any]:
    """`line` and any of lost_percent, flipped_percent, noise_percent; those not given become 0."""
    line = station.lines[str(command["line"])]
    for name in ("lost_percent", "flipped_percent", "noise_percent"):
        setattr(line.faults, name, whole(name, command.get(name, 0), 0, PERCENT_MAX))
    return {}


VERBS: dict[str, Callable[[Station, Mapping[str, Any]], dict[str, Any]]] = {
    "guns": _guns,
    "fill": _fill,
    "keypad": _keypad,
    "lift": _hand(Gun.lift),
    "hang_up": _hand(Gun.hang_up),
    "close": _hand(Gun.close),
    "open": _hand(Gun.open),
    "trigger": _trigger,
    "fault": _fault,
    "line_fault": _line_fault,
}
