"""Over any weather and any crash: every message once, money in order, nothing lost that was journalled."""

from functools import partial

import pytest
from tests.protocols.slp.network import CALM, STORM, Centre, Journal, Station, Store, Weather, World, bodies

from forecourt_protocols.slp.events import (
    Command,
    CommandHandled,
    DeviceConnected,
    Disconnected,
    EpochJump,
    JournalBehind,
    JournalRolledBack,
    MessagesMissing,
)
from forecourt_protocols.slp.limits import CREDIT_MAX, UNSTORED_MESSAGES_MAX
from forecourt_protocols.slp.server_session import OutgoingCommand
from forecourt_protocols.slp.state import DeviceState


def world_with_station(seed: int = 1, weather: Weather = CALM) -> tuple[World, Centre, Station]:
    world = World(seed, weather)
    centre = Centre(world, {}, Store())
    return world, centre, Station(world, centre, 7)


def sell(station: Station, number: int) -> None:
    station.append(b"sale %d" % number)


def drained(station: Station) -> bool:
    return not station.journal.records


def assert_each_once_in_order(store: Store, device_id: int, count: int) -> None:
    assert bodies(store, device_id) == [b"sale %d" % number for number in range(1, count + 1)]


class TestInOrder:
    def test_a_message_is_committed_and_forgotten_within_two_round_trips(self) -> None:
        world, centre, station = world_with_station()
        world.run(1)
        sent_at_s = world.now_s
        station.append(b"sale 1")

        assert world.run(5, lambda: drained(station))
        assert bodies(centre.store, 7) == [b"sale 1"]
        assert world.now_s - sent_at_s < 0.15

    def test_a_backlog_travels_many_records_a_datagram(self) -> None:
        world, centre, station = world_with_station()
        for number in range(1, 1001):
            station.journal.append(b"sale %d" % number)

        assert world.run(60, lambda: drained(station))
        assert_each_once_in_order(centre.store, 7, 1000)
        assert station.datagrams_sent < 100

    @pytest.mark.parametrize("seed", range(12))
    def test_exactly_once_and_in_order_at_30_percent_loss(self, seed: int) -> None:
        world, centre, station = world_with_station(seed, STORM)
        for number in range(1, 201):
            world.at(number * 0.2, partial(sell, station, number))

        assert world.run(600, lambda: station.journal.last_mid == 200 and drained(station))
        assert_each_once_in_order(centre.store, 7, 200)

    @pytest.mark.parametrize("seed", range(4))
    def test_three_stations_at_60_percent_loss(self, seed: int) -> None:
        world = World(seed, Weather(loss=0.6, double=0.1, delay_s=(0.01, 0.4)))
        centre = Centre(world, {}, Store())
        stations = [Station(world, centre, device_id) for device_id in (1, 2, 3)]
        for station in stations:
            for number in range(1, 41):
                station.append(b"sale %d" % number)

        assert world.run(3600, lambda: all(map(drained, stations)))
        for station in stations:
            assert_each_once_in_order(centre.store, station.device_id, 40)

    def test_reliable_news_does_not_wait_behind_a_hole_but_money_does(self) -> None:
        world, centre, station = world_with_station()
        world.run(1)
        lost = station.centre
        dropped: list[bytes] = []
        receive, lost.receive = lost.receive, lambda data, address: dropped.append(data)  # type: ignore[method-assign]
        station.append(b"sale 1")
        world.run(0.05)
        lost.receive = receive  # type: ignore[method-assign]
        station.append(b"news", record_class=1)
        station.append(b"sale 2")
        world.run(0.05)
        assert dropped
        assert bodies(centre.store, 7) == [b"news"]

        assert world.run(10, lambda: drained(station))
        assert bodies(centre.store, 7) == [b"news", b"sale 1", b"sale 2"]

    def test_ids_that_the_journal_dropped_leave_no_hole(self) -> None:
        world, centre, station = world_with_station()
        for number in range(1, 301):
            station.journal.append(b"sale %d" % number)
        for mid in [*range(5, 100), 200]:
            del station.journal.records[mid]

        assert world.run(60, lambda: drained(station))
        assert len(centre.store.order) == 300 - 96
        assert centre.server.com_base(7) == 300

    @pytest.mark.parametrize("seed", range(4))
    def test_long_messages_travel_in_fragments_and_only_lost_ones_again(self, seed: int) -> None:
        world, centre, station = world_with_station(seed, Weather(loss=0.3, delay_s=(0.01, 0.05)))
        long = world.chance.randbytes(60_000)
        for body in (b"before", long, b"between", long[::-1], b"after"):
            station.append(body)

        assert world.run(120, lambda: drained(station))
        assert bodies(centre.store, 7) == [b"before", long, b"between", long[::-1], b"after"]
        assert station.datagrams_sent < 2.5 * (2 * 54 + 3)

    def test_telemetry_is_sent_once_and_never_journalled(self) -> None:
        world, centre, station = world_with_station()
        world.run(1)
        station.session.push_live(9, 0, b"12.5 L")
        station.turn()
        world.run(1)

        assert [(m.mid, m.record_class, m.channel, m.body) for m in centre.live] == [(0, 0, 9, b"12.5 L")]
        assert not centre.store.order


class TestCrashes:
    @pytest.mark.parametrize("seed", range(12))
    def test_servers_and_stations_that_die_at_any_time_lose_and_double_nothing(self, seed: int) -> None:
        world = World(seed, Weather(loss=0.15, double=0.05, delay_s=(0.01, 0.08)))
        centre = Centre(world, {}, Store())
        stations = [Station(world, centre, device_id) for device_id in (1, 2, 3)]

        def kill_centre() -> None:
            centre.kill()
            world.at(world.chance.uniform(0.1, 3), centre.start)

        def kill_station(station: Station) -> None:
            station.kill()
            world.at(world.chance.uniform(0.1, 3), station.start)

        for station in stations:
            for number in range(1, 151):
                world.at(number * 0.4, partial(sell, station, number))
        for _ in range(6):
            world.at(world.chance.uniform(1, 60), kill_centre)
            dying = world.chance.choice(stations)
            world.at(world.chance.uniform(1, 60), partial(kill_station, dying))

        done = lambda: all(s.journal.last_mid == 150 and drained(s) for s in stations)  # noqa: E731
        assert world.run(3600, done)
        for station in stations:
            assert sorted(bodies(centre.store, station.device_id)) == sorted(
                b"sale %d" % number for number in range(1, 151)
            )

    def test_a_server_that_dies_between_receipt_and_commit_gets_the_message_again(self) -> None:
        world, centre, station = world_with_station()
        world.run(1)
        centre.store_works = False
        station.append(b"sale 1")
        world.run(2)
        assert station.session.com_base == 0, "nothing is committed, so nothing is forgotten"
        assert not drained(station)
        centre.kill()
        centre.store_works = True
        centre.start()

        assert world.run(400, lambda: drained(station))
        assert_each_once_in_order(centre.store, 7, 1)

    def test_a_restarted_server_resets_a_station_that_speaks_within_seconds(self) -> None:
        world, centre, station = world_with_station()
        world.run(1)
        centre.kill()
        centre.start()
        station.append(b"sale 1")

        assert world.run(3, lambda: drained(station))
        assert any(isinstance(event, Disconnected) and event.reason == "reset" for event in station.events)

    def test_a_restarted_station_continues_its_journal_under_a_higher_epoch(self) -> None:
        world, centre, station = world_with_station()
        station.append(b"sale 1")
        world.run(1)
        station.kill()
        station.journal.append(b"sale 2")
        station.start()

        assert world.run(5, lambda: drained(station))
        assert_each_once_in_order(centre.store, 7, 2)
        epochs = [event.epoch for event in centre.events if isinstance(event, DeviceConnected)]
        assert epochs == [1, 2]

    def test_a_new_journal_counts_anew_and_is_not_taken_for_the_old_one(self) -> None:
        world, centre, station = world_with_station()
        station.append(b"sale 1")
        world.run(1)
        station.kill()
        station.journal = Journal(incarnation=b"inc2", epoch=station.journal.epoch)
        station.journal.append(b"sale 2")
        station.start()

        assert world.run(5, lambda: drained(station))
        assert_each_once_in_order(centre.store, 7, 2)

    def test_a_store_that_went_back_in_time_is_told(self) -> None:
        world, centre, station = world_with_station()
        for number in range(1, 11):
            station.append(b"sale %d" % number)
        world.run(2)
        centre.kill()
        for mid in (8, 9, 10):
            del centre.store.rows[7, b"inc1", mid]
        centre.start()
        station.append(b"sale 11")

        assert world.run(5, lambda: drained(station))
        assert MessagesMissing(7, 8, 10) in centre.events

    def test_a_silent_server_is_given_up_and_asked_again(self) -> None:
        world, centre, station = world_with_station()
        world.run(1)
        centre.kill()
        world.run(2000)
        reasons = [event.reason for event in station.events if isinstance(event, Disconnected)]
        assert reasons[0] == "silence"
        assert set(reasons[1:]) == {"no answer"}
        waits = [event.retry_in_s for event in station.events if isinstance(event, Disconnected)]
        assert max(waits) <= 600
        centre.start()
        station.append(b"sale 1")

        assert world.run(700, lambda: drained(station))

    def test_a_session_of_a_day_is_renewed_with_fresh_keys(self) -> None:
        world, _, station = world_with_station()
        world.run(86_500)
        station.append(b"sale 1")

        assert world.run(5, lambda: drained(station))
        assert station.journal.epoch == 2


class TestRollback:
    def test_a_station_that_lost_its_epoch_is_told_where_to_go_on(self) -> None:
        world, _, station = world_with_station()
        for _ in range(5):
            station.kill()
            station.start()
            world.run(1)
        station.kill()
        station.journal.epoch = 0
        station.start()
        world.run(5)

        assert EpochJump(7) in station.events
        assert station.session.state is DeviceState.CONNECTED
        assert station.journal.epoch == 7

    def test_a_journal_restored_from_an_old_copy_is_held(self) -> None:
        world, centre, station = world_with_station()
        for number in range(1, 6):
            station.append(b"sale %d" % number)
        world.run(2)
        station.kill()
        station.journal.last_mid = 2
        station.start()
        world.run(2)
        station.append(b"another sale under an old number")
        world.run(60)

        assert JournalBehind(5, 3) in station.events
        assert JournalRolledBack(7, 3, 5) in centre.events
        assert station.session.state is DeviceState.HELD
        assert len(centre.store.order) == 5
        assert not drained(station), "the sale stays in the journal until a person decides"


class TestBackPressure:
    def test_credit_0_stops_a_station_and_its_return_starts_it(self) -> None:
        world, centre, station = world_with_station()
        world.run(1)
        centre.server.set_credit(0, accepting=True)
        station.append(b"sale 1")
        world.run(1)
        before = station.datagrams_sent
        station.append(b"sale 2")
        world.run(30)
        assert bodies(centre.store, 7) == [b"sale 1"]
        assert station.datagrams_sent - before < 15, "it asks now and then, and sends nothing"
        centre.server.set_credit(CREDIT_MAX, accepting=True)
        centre.turn()

        assert world.run(1, lambda: drained(station))

    def test_a_server_that_takes_nothing_acknowledges_nothing(self) -> None:
        world, centre, station = world_with_station()
        world.run(1)
        centre.server.set_credit(0, accepting=False)
        station.append(b"sale 1")
        world.run(20)
        assert not centre.store.order
        assert not drained(station)
        centre.server.set_credit(CREDIT_MAX, accepting=True)

        assert world.run(6, lambda: drained(station))
        assert_each_once_in_order(centre.store, 7, 1)

    def test_a_database_that_is_away_costs_bounded_memory_and_no_message(self) -> None:
        world, centre, station = world_with_station()
        centre.store_works = False
        for number in range(1, 2001):
            station.journal.append(b"sale %d" % number)
        world.run(120)
        assert len(centre._waiting) <= UNSTORED_MESSAGES_MAX + CREDIT_MAX * 30
        assert len(station.journal.records) == 2000
        centre.resume_store()

        assert world.run(240, lambda: drained(station))
        assert_each_once_in_order(centre.store, 7, 2000)


class TestCommands:
    def command(self, command_id: int = 900, body: bytes = b"price 7.85") -> OutgoingCommand:
        return OutgoingCommand(command_id, 0, 4, 2, body)

    @pytest.mark.parametrize("weather", [CALM, STORM])
    def test_each_command_is_handed_up_once_and_confirmed(self, weather: Weather) -> None:
        world, centre, station = world_with_station(3, weather)
        for command_id in range(1, 41):
            assert centre.server.send_command(7, self.command(command_id))
        centre.turn()
        world.run(120)

        assert sorted(command.command_id for command in station.commands) == list(range(1, 41))
        handled = [e.command_id for e in centre.events if isinstance(e, CommandHandled)]
        assert sorted(handled) == list(range(1, 41))

    def test_a_command_survives_the_session_and_is_not_repeated_to_the_application(self) -> None:
        world, centre, station = world_with_station()
        world.run(1)
        station.auto_handle = False
        centre.server.send_command(7, self.command())
        centre.turn()
        world.run(1)
        assert station.commands == [Command(900, 0, 4, 2, b"price 7.85")]
        station.session.close()
        station.turn()
        station.connect()
        world.run(1)
        assert len(station.commands) == 1
        station.session.handled(900)
        station.turn()
        world.run(1)

        assert CommandHandled(7, 900) in centre.events

    def test_a_sleeping_station_gets_its_commands_when_it_next_speaks(self) -> None:
        world, centre, station = world_with_station()
        world.run(1)
        station.move(("192.0.2.1", 55_555))  # Its NAT mapping is gone, and nobody told the server.
        centre.server.send_command(7, self.command())
        centre.turn()
        world.run(20)
        assert not station.commands
        station.append(b"sale 1")
        world.run(1)

        assert [command.command_id for command in station.commands] == [900]

    def test_a_long_command_travels_in_fragments(self) -> None:
        world, centre, station = world_with_station(5, Weather(loss=0.3, delay_s=(0.01, 0.05)))
        script = world.chance.randbytes(9_000)
        centre.server.send_command(7, self.command(body=script))
        centre.turn()
        world.run(30)

        assert [command.body for command in station.commands] == [script]

    def test_a_full_mailbox_says_so(self) -> None:
        _, centre, _ = world_with_station()
        sent = [centre.server.send_command(8, self.command(number)) for number in range(1, 70)]
        assert sent.count(True) == 64
