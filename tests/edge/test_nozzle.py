from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.edge.rig import Rig

from forecourt_edge.collectors.orders import Authorise
from forecourt_edge.drivers.types import NozzleState, ReleaseMode
from forecourt_kit.clock import parse_rfc3339, rfc3339
from forecourt_protocols.lanfeng.commands import GunState

FREE, GUARDED = 1, 2


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    made = Rig(tmp_path)
    made.start()
    await made.visit()
    yield made
    await made.stop()


class TestFillThenPay:
    async def test_a_fill_becomes_one_record_with_the_meters_evidence(self, rig: Rig) -> None:
        rig.arrive(FREE, amount_fen=200_00, keypad=True)
        began = rig.clock.now()
        await rig.pass_time(90)
        (body,) = rig.told("delivery.ended")
        assert (body["quantity_e4"], body["device_amount_fen"], body["device_unit_price_e4"]) == (
            254_800,
            200_00,
            78_500,
        )
        assert body["preset"] == {"kind": "amount", "value": 200_00}
        assert (body["totalizer_before_e4"], body["totalizer_after_e4"]) == (0, 254_800)
        assert (body["device_sequence"], body["authorisation_id"], body["purpose"]) == (1, None, "sale")
        assert body["identity"] == "1:254800:1"
        assert body["detail"]["end_reason"] == "preset_reached"
        assert body["detail"]["times"] == "observed"
        assert began <= parse_rfc3339(body["started_at"]) < parse_rfc3339(body["ended_at"]) <= rig.clock.now()
        rig.check_nothing_lost_or_doubled()

    async def test_the_states_of_a_fill_are_told_in_order(self, rig: Rig) -> None:
        rig.arrive(FREE, amount_fen=50_00)
        await rig.pass_time(40)
        assert rig.events(FREE) == ["idle", "calling", "fuelling", "idle"]

    async def test_live_readings_rise_to_what_is_sold(self, rig: Rig) -> None:
        rig.arrive(FREE, amount_fen=50_00)
        await rig.pass_time(40)
        live = [each for each in rig.live if each["nozzle"] == FREE]
        running = [each["amount_fen"] for each in live if each["state"] == "fuelling"]
        assert running == sorted(running)
        assert len(running) > 5
        assert live[-1]["amount_fen"] == rig.told("delivery.ended")[0]["device_amount_fen"]

    async def test_a_guarded_nozzle_waits_for_its_authorisation(self, rig: Rig) -> None:
        rig.arrive(GUARDED, amount_fen=50_00)
        await rig.pass_time(10)
        assert rig.nozzles[GUARDED].state is NozzleState.CALLING
        assert rig.station.gun(GUARDED).register_e2 == 0

    async def test_sales_made_while_the_agent_was_away_come_in_order(self, rig: Rig) -> None:
        gun = rig.station.gun(FREE)
        gun.controlled = False
        for _ in range(3):
            gun.lift()
            rig.station.advance(10_000_000)
            gun.hang_up()
        await rig.visit(5)
        assert [body["device_sequence"] for body in rig.told("delivery.ended")] == [1, 2, 3]
        assert {body["detail"]["times"] for body in rig.told("delivery.ended")} == {"reckoned"}
        rig.check_nothing_lost_or_doubled()


class TestAuthorise:
    async def test_the_fill_that_follows_carries_it_and_stops_at_its_limit(self, rig: Rig) -> None:
        await rig.command("authorise", GUARDED, "c1", authorisation_id="A", limit_fen=100_00)
        assert rig.results() == {"c1": ("done", None)}
        rig.arrive(GUARDED)
        await rig.pass_time(90)
        (body,) = rig.told("delivery.ended")
        assert (body["authorisation_id"], body["device_amount_fen"]) == ("A", 100_00)
        rig.arrive(GUARDED)
        await rig.pass_time(5)
        assert rig.nozzles[GUARDED].state is NozzleState.CALLING

    @pytest.mark.parametrize(
        ("facts", "stops_at_e4"),
        [
            ({"limit_fen": 100_00, "preset": {"kind": "quantity", "value": 50_000}}, 50_000),
            ({"limit_fen": 10_00, "preset": {"kind": "quantity", "value": 50_000}}, 12_000),
            ({"limit_quantity_e4": 30_099, "preset": {"kind": "amount", "value": 100_00}}, 30_000),
            ({"preset": {"kind": "full"}, "limit_quantity_e4": 40_000}, 40_000),
        ],
    )
    async def test_the_tighter_of_limit_and_preset_holds(
        self, rig: Rig, facts: dict[str, Any], stops_at_e4: int
    ) -> None:
        await rig.command("authorise", GUARDED, "c1", authorisation_id="A", **facts)
        rig.arrive(GUARDED)
        await rig.pass_time(60)
        assert rig.told("delivery.ended")[0]["quantity_e4"] == stops_at_e4

    async def test_never_lifted_it_lapses_as_a_delivery_of_nothing(self, rig: Rig) -> None:
        await rig.command("authorise", GUARDED, "c1", authorisation_id="A", limit_fen=100_00)
        await rig.pass_time(301)
        (body,) = rig.told("delivery.ended")
        assert (body["authorisation_id"], body["quantity_e4"], body["device_sequence"]) == ("A", 0, None)
        assert body["detail"]["end_reason"] == "not_lifted"
        assert rig.station.gun(GUARDED).state is GunState.IDLE

    async def test_lifted_and_hung_up_dry_it_ends_as_a_sale_of_nothing(self, rig: Rig) -> None:
        await rig.command("authorise", GUARDED, "c1", authorisation_id="A", limit_fen=100_00)
        gun = rig.station.gun(GUARDED)
        gun.trigger = False
        gun.lift()
        await rig.pass_time(3)
        gun.hang_up()
        await rig.pass_time(1)
        (body,) = rig.told("delivery.ended")
        assert (body["authorisation_id"], body["quantity_e4"], body["device_sequence"]) == ("A", 0, 1)

    async def test_a_taken_nozzle_refuses_another(self, rig: Rig) -> None:
        await rig.command("authorise", GUARDED, "c1", authorisation_id="A", limit_fen=100_00)
        await rig.command("authorise", GUARDED, "c2", authorisation_id="B", limit_fen=100_00)
        assert rig.results()["c2"] == ("refused", "nozzle_taken")

    async def test_repeated_it_is_carried_out_once(self, rig: Rig) -> None:
        for _ in range(3):
            await rig.command("authorise", GUARDED, "c1", authorisation_id="A", limit_fen=50_00)
        rig.arrive(GUARDED)
        await rig.pass_time(60)
        await rig.command("authorise", GUARDED, "c1", authorisation_id="A", limit_fen=50_00)
        await rig.visit()
        assert rig.station.gun(GUARDED).state is GunState.IDLE
        assert len(rig.told("command.result")) == len(rig.told("delivery.ended")) == 1

    async def test_sent_again_after_its_fill_it_is_not_granted_a_second_time(self, rig: Rig) -> None:
        """The power went between the release and the note of its result; the fill ended meanwhile."""
        order = Authorise(
            command_id="c1",
            nozzle=GUARDED,
            authorisation_id="A",
            expires_at=rig.clock.now() + timedelta(minutes=15),
            limit_fen=50_00,
        )
        await rig.nozzles[GUARDED].obey(order)
        await rig.stop()
        rig.start()
        rig.arrive(GUARDED)
        await rig.pass_time(60)
        await rig.command("authorise", GUARDED, "c1", authorisation_id="A", limit_fen=50_00)
        assert rig.results() == {"c1": ("lapsed", "ended_before")}
        assert rig.station.gun(GUARDED).state is GunState.IDLE
        assert [body["authorisation_id"] for body in rig.told("delivery.ended")] == ["A"]
        assert rig.journal.recall("begun/") == {}

    async def test_late_it_is_expired(self, rig: Rig) -> None:
        now = rfc3339(rig.clock.now())
        await rig.command("authorise", GUARDED, "c1", authorisation_id="A", expires_at=now)
        assert rig.results() == {"c1": ("expired", None)}
        assert rig.station.gun(GUARDED).state is GunState.IDLE

    async def test_a_sale_that_waited_before_it_is_not_its_sale(self, rig: Rig) -> None:
        gun = rig.station.gun(GUARDED)
        gun.controlled = False
        gun.lift()
        rig.station.advance(5_000_000)
        gun.hang_up()
        gun.controlled = True
        await rig.command("authorise", GUARDED, "c1", authorisation_id="A", limit_fen=50_00)
        rig.arrive(GUARDED)
        await rig.pass_time(60)
        assert [body["authorisation_id"] for body in rig.told("delivery.ended")] == [None, "A"]

    async def test_power_lost_at_the_dispenser_settles_for_what_flowed(self, rig: Rig) -> None:
        await rig.command("authorise", GUARDED, "c1", authorisation_id="A", limit_fen=500_00)
        rig.arrive(GUARDED)
        await rig.pass_time(10)
        rig.station.act({"do": "fault", "gun": GUARDED, "kind": "power_loss", "for_ms": 3_000})
        await rig.pass_time(12)
        (body,) = rig.told("delivery.ended")
        assert (body["authorisation_id"], body["detail"]["end_reason"]) == ("A", "power_lost")
        assert 0 < body["device_amount_fen"] < 500_00
        rig.check_nothing_lost_or_doubled()

    async def test_a_silent_dispenser_is_uncertain_and_then_lapses(self, rig: Rig) -> None:
        rig.station.act({"do": "fault", "gun": GUARDED, "kind": "no_answer"})
        await rig.command("authorise", GUARDED, "c1", authorisation_id="A", limit_fen=100_00)
        assert rig.results() == {"c1": ("uncertain", "no_answer")}
        rig.station.act({"do": "fault", "gun": GUARDED, "kind": "no_answer", "on": False})
        await rig.visit(2)
        assert rig.station.gun(GUARDED).state is GunState.IDLE


class TestOrders:
    async def test_stop_ends_the_flow(self, rig: Rig) -> None:
        rig.arrive(FREE, amount_fen=500_00)
        await rig.pass_time(10)
        await rig.command("stop", FREE, "c1")
        await rig.pass_time(5)
        assert rig.told("delivery.ended")[0]["detail"]["end_reason"] == "stopped"

    async def test_release_needs_a_lifted_nozzle(self, rig: Rig) -> None:
        await rig.command("release", GUARDED, "c1")
        rig.arrive(GUARDED, amount_fen=50_00)
        await rig.visit()
        await rig.command("release", GUARDED, "c2")
        await rig.pass_time(40)
        assert rig.results() == {"c1": ("refused", "not_lifted"), "c2": ("done", None)}
        assert len(rig.told("delivery.ended")) == 1

    async def test_a_price_waits_for_the_end_of_the_fill_and_is_acknowledged(self, rig: Rig) -> None:
        rig.arrive(FREE, amount_fen=100_00)
        await rig.pass_time(5)
        await rig.command("price.set", FREE, "c1", unit_price_e4=80_000)
        await rig.pass_time(2)
        assert rig.told("price.acknowledged") == []
        await rig.pass_time(40)
        (body,) = rig.told("price.acknowledged")
        assert (body["unit_price_e4"], body["acknowledged"]) == (80_000, True)
        assert rig.told("delivery.ended")[0]["device_unit_price_e4"] == 78_500
        assert rig.station.gun(FREE).unit_price_e2 == 800

    async def test_a_price_that_is_not_taken_is_told_once_and_tried_on(self, rig: Rig) -> None:
        rig.station.act({"do": "fault", "gun": FREE, "kind": "price_not_acknowledged"})
        await rig.command("price.set", FREE, "c1", unit_price_e4=80_000)
        await rig.pass_time(70)
        assert [body["acknowledged"] for body in rig.told("price.acknowledged")] == [False]
        assert rig.nozzles[FREE].state is NozzleState.IDLE
        rig.station.act({"do": "fault", "gun": FREE, "kind": "price_not_acknowledged", "on": False})
        await rig.pass_time(35)
        assert [body["acknowledged"] for body in rig.told("price.acknowledged")] == [False, True]

    async def test_a_price_comes_at_its_time(self, rig: Rig) -> None:
        later = rfc3339(parse_rfc3339("2026-01-01T00:01:00Z"))
        await rig.command("price.set", FREE, "c1", unit_price_e4=80_000, effective_at=later)
        await rig.pass_time(30)
        assert rig.station.gun(FREE).unit_price_e2 == 785
        await rig.pass_time(40)
        assert rig.station.gun(FREE).unit_price_e2 == 800

    async def test_a_price_finer_than_the_dispenser_is_not_taken(self, rig: Rig) -> None:
        await rig.command("price.set", FREE, "c1", unit_price_e4=78_555)
        await rig.pass_time(5)
        assert rig.told("price.acknowledged")[0]["acknowledged"] is False
        assert rig.station.gun(FREE).unit_price_e2 == 785

    async def test_an_unknown_nozzle_and_a_bad_body_are_refused_by_name(self, rig: Rig) -> None:
        await rig.command("stop", 77, "c1")
        await rig.command("dance", FREE, "c2")
        await rig.command("authorise", FREE, "c3", authorisation_id="A", limit_fen=-1)
        await rig.commands.receive(b"\xff{")
        await rig.commands.receive(b"[]")
        assert rig.results()["c1"] == ("refused", "unknown_nozzle")
        assert {rig.results()[each][0] for each in ("c2", "c3")} == {"refused"}
        assert len(rig.results()) == 3


class TestFaults:
    async def test_a_silent_gun_is_offline_after_three_misses_and_comes_back(self, rig: Rig) -> None:
        rig.station.act({"do": "fault", "gun": FREE, "kind": "no_answer"})
        await rig.visit(4)
        assert rig.nozzles[FREE].state is NozzleState.OFFLINE
        assert rig.nozzles[GUARDED].state is NozzleState.IDLE
        rig.station.act({"do": "fault", "gun": FREE, "kind": "no_answer", "on": False})
        await rig.visit()
        assert rig.events(FREE) == ["idle", "offline", "idle"]

    async def test_a_stuck_gun_raises_its_fault_once_and_clears_it(self, rig: Rig) -> None:
        rig.station.gun(FREE).stuck = True
        rig.arrive(FREE, amount_fen=50_00)
        await rig.pass_time(5)
        rig.station.gun(FREE).stuck = False
        await rig.pass_time(30)
        faults = [event for event in rig.events(FREE) if event.startswith("fault")]
        assert faults == ["fault_raised", "fault_cleared"]

    async def test_a_bad_line_loses_no_sale_and_doubles_none(self, rig: Rig) -> None:
        rig.station.act(
            {"do": "line_fault", "line": "line1", "lost_percent": 15}
            | {"flipped_percent": 15, "noise_percent": 15}
        )
        for _ in range(4):
            rig.arrive(FREE, amount_fen=20_00)
            await rig.pass_time(40)
        rig.station.act({"do": "line_fault", "line": "line1"})
        await rig.pass_time(130)
        assert len(rig.told("delivery.ended")) >= 4
        rig.check_nothing_lost_or_doubled()

    async def test_a_totalizer_that_jumps_is_reported_as_it_is(self, rig: Rig) -> None:
        rig.station.act({"do": "fault", "gun": FREE, "kind": "totalizer_jump", "by_e4": 5_000_000})
        rig.arrive(FREE, amount_fen=20_00)
        await rig.pass_time(30)
        (body,) = rig.told("delivery.ended")
        assert body["totalizer_before_e4"] == 5_000_000
        assert body["totalizer_after_e4"] - body["totalizer_before_e4"] == body["quantity_e4"]

    async def test_totalizers_are_read_at_first_sight_and_every_hour(self, rig: Rig) -> None:
        before = len(rig.told("totalizer"))
        rig.clock.advance(3_601)
        await rig.visit()
        assert (before, len(rig.told("totalizer"))) == (2, 4)


class TestFullJournal:
    async def test_no_new_fill_begins_and_the_one_in_progress_is_kept(self, tmp_path: Path) -> None:
        rig = Rig(tmp_path, limits={"bytes_max": 4_000}, modes=(ReleaseMode.FREE, ReleaseMode.AUTHORISE))
        rig.start()
        rig.arrive(FREE, amount_fen=20_00)
        await rig.pass_time(4)
        await rig.journal.append(2, 9, 2, b'{"kind": "filler"}' + b" " * 3_900)
        await rig.pass_time(30)
        assert len(rig.told("delivery.ended")) == 1
        rig.arrive(FREE, amount_fen=20_00)
        await rig.pass_time(5)
        assert rig.station.gun(FREE).state is GunState.CALLING
        await rig.command("authorise", GUARDED, "c1", authorisation_id="A", limit_fen=10_00)
        assert rig.station.gun(GUARDED).state is GunState.IDLE
        await rig.journal.discard(rig.journal.next_mid() - 1)
        await rig.pass_time(30)
        assert len(rig.told("delivery.ended")) == 1
        await rig.stop()
