"""All charge points of one simulator, the drivers at them, and the verbs of the control API. No socket."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from forecourt_kit.limits import whole
from forecourt_protocols.ocpp.v16.types import ChargePointStatus as Status
from forecourt_simulators.evse.charge_point import ChargePoint, Refused
from forecourt_simulators.evse.setup import SECONDS_MAX

ENERGY_WH_MAX = 1_000_000
PATIENCE_S = 90  # How long a driver waits for energy before leaving.
US_PER_S = 1_000_000


@dataclass(slots=True)
class Visit:
    """A driver who plugged in and waits for the car to be full, or for the session to end by itself."""

    point: ChargePoint
    connector: int
    waited_us: int = 0
    began: bool = False

    def advance(self, elapsed_us: int) -> str | None:
        """Why the driver left, once that happened."""
        connector = self.point.connectors[self.connector]
        if connector.session is not None:
            self.began = True
            if connector.status is Status.SUSPENDED_EV:
                self.point.unplug(self.connector)
                return "full"
            return None
        self.waited_us += elapsed_us
        if not self.began and self.waited_us < PATIENCE_S * US_PER_S:
            return None
        if connector.plugged:
            self.point.unplug(self.connector)
        return "stopped" if self.began else "not_started"


@dataclass(slots=True)
class Fleet:
    points: dict[str, ChargePoint]
    visits: dict[tuple[str, int], Visit] = field(default_factory=dict)
    ends: dict[tuple[str, int], str] = field(default_factory=dict)

    def advance(self, elapsed_us: int, speed: int = 1) -> None:
        """Let time pass for charge points and drivers alike."""
        for point in self.points.values():
            point.advance(elapsed_us, speed)
        for place, visit in list(self.visits.items()):
            if (end := visit.advance(elapsed_us)) is not None:
                self.ends[place] = end
                del self.visits[place]

    def act(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """Do one verb of the control API and answer with JSON values. Raises Refused."""
        verb = VERBS.get(str(command.get("do")))
        if verb is None:
            raise Refused(f"no such verb; there are: {', '.join(VERBS)}")
        try:
            return verb(self, command)
        except (KeyError, TypeError, ValueError) as why:
            raise Refused(f"{command.get('do')}: {why}") from why

    def kept(self) -> dict[str, dict[str, int]]:
        """What meters keep without power: their registers, in micro-watt-hours, as JSON."""
        return {
            code: {str(number): each.register_uwh for number, each in point.connectors.items()}
            for code, point in self.points.items()
        }

    def restore(self, kept: Mapping[str, Mapping[str, int]]) -> None:
        """Take up where `kept` left off; what it does not name stays as installed."""
        for code, point in self.points.items():
            for number, connector in point.connectors.items():
                connector.register_uwh = kept.get(code, {}).get(str(number), connector.register_uwh)

    def point_of(self, command: Mapping[str, Any]) -> ChargePoint:
        """The one named by `charge_point`; the only one when there is one."""
        name = command.get("charge_point")
        if name is None and len(self.points) == 1:
            return next(iter(self.points.values()))
        if name not in self.points:
            raise Refused(f"no charge point {name}")
        return self.points[name]


def _charge_points(fleet: Fleet, _: Mapping[str, Any]) -> dict[str, Any]:
    return {"charge_points": [_described(fleet, point) for point in fleet.points.values()]}


def _described(fleet: Fleet, point: ChargePoint) -> dict[str, Any]:
    code = point.setup.code
    return {
        "charge_point": code,
        "online": point.online,
        "accepted": point.accepted,
        "kept": point.outbox.kept,
        "connectors": [
            {
                "connector": number,
                "status": each.status.value,
                "register_wh": each.register_wh,
                "drawn_wh": each.drawn_wh,
                "transaction_id": each.session.transaction_id if each.session else None,
                "busy": (code, number) in fleet.visits,
                "last_end": fleet.ends.get((code, number)),
            }
            for number, each in point.connectors.items()
        ],
    }


def _charge(fleet: Fleet, command: Mapping[str, Any]) -> dict[str, Any]:
    """A driver comes: plugs in, shows `id_tag` (without one, waits for a remote start), leaves when full."""
    point, number = fleet.point_of(command), int(command["connector"])
    want_wh = whole("energy_wh", command["energy_wh"], 1, ENERGY_WH_MAX)
    if (point.setup.code, number) in fleet.visits:
        raise Refused(f"connector {number} is taken")
    point.plug_in(number, want_wh)
    fleet.ends.pop((point.setup.code, number), None)
    fleet.visits[point.setup.code, number] = Visit(point, number)
    if command.get("id_tag"):
        point.show_tag(number, str(command["id_tag"]))
    return {"connector": number}


def _plug_in(fleet: Fleet, command: Mapping[str, Any]) -> dict[str, Any]:
    point, number = fleet.point_of(command), int(command["connector"])
    want = command.get("energy_wh")
    point.plug_in(number, None if want is None else whole("energy_wh", want, 1, ENERGY_WH_MAX))
    return {"status": point.connectors[number].status.value}


def _unplug(fleet: Fleet, command: Mapping[str, Any]) -> dict[str, Any]:
    point, number = fleet.point_of(command), int(command["connector"])
    fleet.visits.pop((point.setup.code, number), None)  # A hand on the cable ends what a driver did there.
    point.unplug(number)
    return {"status": point.connectors[number].status.value}


def _show_tag(fleet: Fleet, command: Mapping[str, Any]) -> dict[str, Any]:
    fleet.point_of(command).show_tag(int(command["connector"]), str(command["id_tag"]))
    return {}


def _offline(fleet: Fleet, command: Mapping[str, Any]) -> dict[str, Any]:
    """Cut the link for `seconds`; 0 lets it come back now."""
    seconds = whole("seconds", command["seconds"], 0, SECONDS_MAX)
    fleet.point_of(command).offline_for_us = seconds * US_PER_S
    return {}


def _faults(fleet: Fleet, command: Mapping[str, Any]) -> dict[str, Any]:
    """Change any of the faults by their names; those not given stay."""
    point = fleet.point_of(command)
    given = {name: value for name, value in command.items() if name not in {"do", "charge_point"}}
    point.faults = replace(point.faults, **given)
    return {}


def _fail(fleet: Fleet, command: Mapping[str, Any]) -> dict[str, Any]:
    point, number = fleet.point_of(command), int(command["connector"])
    point.fail(number, on=bool(command.get("on", True)))
    return {"status": point.connectors[number].status.value}


VERBS: dict[str, Callable[[Fleet, Mapping[str, Any]], dict[str, Any]]] = {
    "charge_points": _charge_points,
    "charge": _charge,
    "plug_in": _plug_in,
    "unplug": _unplug,
    "show_tag": _show_tag,
    "offline": _offline,
    "faults": _faults,
    "fail": _fail,
}
