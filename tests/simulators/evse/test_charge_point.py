"""The virtual charge point without a socket: seeded, and by the book where it is not told to be faulty."""

import json
from typing import Any

import msgspec
import pytest

from forecourt_kit.clock import ManualClock
from forecourt_kit.random import SeededRandom
from forecourt_protocols.ocpp.v16 import messages as m
from forecourt_protocols.ocpp.v16.types import AuthorizationStatus, Reason, RegistrationStatus
from forecourt_protocols.ocpp.v16.types import ChargePointStatus as Status
from forecourt_simulators.evse.charge_point import MADE_UP_ID, ChargePoint, Refused
from forecourt_simulators.evse.connector import NEXT, Event
from forecourt_simulators.evse.fleet import Fleet
from forecourt_simulators.evse.main import options_of
from forecourt_simulators.evse.setup import ChargePointSetup, ConnectorSetup, Faults, parse_faults

SECOND_US = 1_000_000


class Platform:
    """Answers everything at once and notes it."""

    def __init__(self, point: ChargePoint, clock: ManualClock) -> None:
        self.point, self.clock = point, clock
        self.heard: list[m.Message] = []
        self.verdict = AuthorizationStatus.ACCEPTED

    def listen(self) -> None:
        while (outgoing := self.point.next_request()) is not None:
            request = outgoing.write()
            self.heard.append(request)
            self.point.answered(request, outgoing, self.answer(request))

    def answer(self, request: m.Message) -> m.Message:
        info = m.IdTagInfo(status=self.verdict)
        match request:
            case m.BootNotification():
                return m.BootNotificationResponse(
                    status=RegistrationStatus.ACCEPTED, current_time=self.clock.now(), interval=60
                )
            case m.Authorize():
                return m.AuthorizeResponse(id_tag_info=info)
            case m.StartTransaction():
                return m.StartTransactionResponse(id_tag_info=info, transaction_id=7)
            case m.Heartbeat():
                return m.HeartbeatResponse(current_time=self.clock.now())
            case m.StopTransaction():
                return m.StopTransactionResponse()
        return m.Message()

    def of(self, kind: type[m.Message]) -> list[Any]:
        return [each for each in self.heard if isinstance(each, kind)]


class World:
    def __init__(self, faults: Faults | None = None, seed: int = 0) -> None:
        self.clock = ManualClock()
        setup = ChargePointSetup(
            code="CP-1", connectors=(ConnectorSetup(register_wh=1_000),) * 2, faults=faults or Faults()
        )
        self.point = ChargePoint(setup, self.clock, SeededRandom(seed))
        self.fleet = Fleet({"CP-1": self.point})
        self.platform = Platform(self.point, self.clock)

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1)
            self.fleet.advance(SECOND_US)
            if self.point.online:
                self.platform.listen()


def told(world: World) -> list[Any]:
    return [[type(each).__name__, json.loads(msgspec.json.encode(each))] for each in world.platform.heard]


class TestChargePoint:
    def test_nothing_is_said_before_the_boot_is_accepted(self) -> None:
        world = World()
        world.point.plug_in(1)
        world.point.link_up()
        world.run(1)
        assert isinstance(world.platform.heard[0], m.BootNotification)

    def test_energy_is_whole_to_the_watt_hour(self) -> None:
        world = World()
        world.point.link_up()
        world.run(1)
        world.fleet.act({"do": "charge", "connector": 1, "energy_wh": 777, "id_tag": "A"})
        world.run(120)
        (start,), (stop,) = world.platform.of(m.StartTransaction), world.platform.of(m.StopTransaction)
        assert stop.meter_stop - start.meter_start == 777
        assert world.fleet.ends["CP-1", 1] == "full"

    def test_a_start_that_is_refused_stops_at_once(self) -> None:
        world = World()
        world.point.link_up()
        world.run(1)
        world.platform.verdict = AuthorizationStatus.BLOCKED
        world.point.plug_in(1)
        world.point.begin(1, "A")
        world.run(2)
        (stop,) = world.platform.of(m.StopTransaction)
        assert stop.reason is Reason.DE_AUTHORIZED

    def test_an_id_is_made_up_where_the_platforms_was_forgotten(self) -> None:
        world = World(Faults(unknown_ids_percent=100))
        world.fleet.act({"do": "charge", "connector": 1, "energy_wh": 100, "id_tag": "A"})
        world.run(30)
        world.point.link_up()
        world.run(2)
        (stop,) = world.platform.of(m.StopTransaction)
        assert stop.transaction_id == MADE_UP_ID

    def test_the_same_seed_tells_the_same_story(self) -> None:
        faults = Faults(duplicate_stop_percent=50, meter_backwards_percent=50)
        stories = []
        for seed in (3, 3, 4):
            world = World(faults, seed)
            world.point.link_up()
            world.run(1)
            for _ in range(6):
                world.fleet.act({"do": "charge", "connector": 1, "energy_wh": 50, "id_tag": "A"})
                world.run(30)
            stories.append(told(world))
        assert stories[0] == stories[1] != stories[2]

    def test_a_broken_link_keeps_transactions_and_forgets_the_rest(self) -> None:
        world = World()
        world.fleet.act({"do": "charge", "connector": 1, "energy_wh": 100, "id_tag": "A"})
        world.run(30)
        world.point.link_down()
        assert world.point.outbox.kept == len(world.point.outbox) > 0


class TestTable:
    def test_a_plug_can_always_be_pulled_in_the_end(self) -> None:
        leaving = {Event.UNPLUG, Event.STOP, Event.REPAIR}
        ways_out = {row for row in NEXT if row[1] in leaving}
        for status in set(NEXT.values()):
            reachable: set[Status] = {status}
            seen: set[Status] = set()
            while reachable - seen:
                here = (reachable - seen).pop()
                seen.add(here)
                reachable |= {NEXT[each] for each in ways_out if each[0] is here}
                if here.value == "Unavailable":
                    reachable.add(NEXT[here, Event.ENABLE])
            assert any(each.value == "Available" for each in seen), status


class TestSetup:
    def test_faults_are_read_by_their_names(self) -> None:
        assert parse_faults("offline=20,clock_off_s=-60") == Faults(offline_percent=20, clock_off_s=-60)
        assert parse_faults("") == Faults()

    @pytest.mark.parametrize("text", ["gremlins=1", "offline=101", "offline=x", "offline_s=-1"])
    def test_what_is_no_fault_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"."):
            parse_faults(text)

    def test_the_command_line(self) -> None:
        options = options_of(["--charge-point", "A:pw", "--charge-point", "B", "--connectors", "3"])
        assert [(each.code, each.password, len(each.connectors)) for each in options.setups] == [
            ("A", "pw", 3),
            ("B", "", 3),
        ]
        assert options.control_port == 7302

    def test_people_are_told_what_cannot_be(self) -> None:
        world = World()
        with pytest.raises(Refused):
            world.point.unplug(1)
        world.point.plug_in(1)
        with pytest.raises(Refused):
            world.point.plug_in(1)
