"""Each seed draws its own weather and disasters; when they end, nothing is missing and nothing twice."""

import random
from functools import partial

import pytest
from tests.protocols.slp.network import Centre, Station, Store, Weather, World

from forecourt_protocols.slp.server_session import OutgoingCommand

SALES = 60
STORM_S = 40.0


class Swarm:
    """Some stations, some sales, and a random subset of everything that can go wrong."""

    def __init__(self, seed: int) -> None:
        self.chance = chance = random.Random(seed)
        weather = Weather(
            loss=chance.choice([0.0, 0.1, 0.3, 0.5]),
            double=chance.choice([0.0, 0.05, 0.2]),
            flip=chance.choice([0.0, 0.02]),
            delay_s=(0.005, chance.choice([0.02, 0.1, 0.6])),
        )
        self.world = World(seed, weather)
        commit_s = chance.choice([0.001, 0.01, 0.2])
        self.centre = Centre(self.world, {}, Store(), commit_s=commit_s, rate=chance.choice([20, 200]))
        self.stations = [
            Station(self.world, self.centre, number) for number in range(1, chance.choice([2, 4]))
        ]
        self.plan_disasters()
        for station in self.stations:
            for number in range(1, SALES + 1):
                self.world.at(number * chance.uniform(0.2, 0.7), partial(self.sell, station))

    def plan_disasters(self) -> None:
        self.some(6, self.kill_centre)
        self.some(4, self.lose_store)
        for station in self.stations:
            self.some(4, partial(self.kill_station, station))
            self.some(4, partial(self.move, station))
            for command_id in range(1, self.chance.randrange(1, 6)):
                self.some(2, partial(self.command, station, command_id))

    def some(self, below: int, what: object) -> None:
        assert callable(what)
        for _ in range(self.chance.randrange(below)):
            self.world.at(self.chance.uniform(0, STORM_S), what)

    def sell(self, station: Station) -> None:
        number = station.journal.last_mid + 1
        station.append(b"sale %d" % number, self.chance.choice([1, 2, 2, 2, 3]))

    def kill_centre(self) -> None:
        self.centre.kill()
        self.world.at(self.chance.uniform(0.05, 5), self.centre.start)

    def lose_store(self) -> None:
        self.centre.store_works = False
        self.world.at(self.chance.uniform(0.5, 30), self.centre.resume_store)

    def kill_station(self, station: Station) -> None:
        station.kill()
        self.world.at(self.chance.uniform(0.05, 5), station.start)

    def move(self, station: Station) -> None:
        port = self.chance.randrange(1_000, 6_000) * 10 + station.device_id
        station.move((f"192.0.2.{self.chance.randrange(2, 250)}", port))

    def command(self, station: Station, command_id: int) -> None:
        server = self.centre.server
        if self.centre.alive and not server.withdraw_command(station.device_id, command_id):
            body = bytes(self.chance.choice([5, 3_000]))
            server.send_command(station.device_id, OutgoingCommand(command_id, 0, 1, 2, body))
            self.centre.turn()

    def done(self) -> bool:
        return all(s.journal.last_mid == SALES and not s.journal.records for s in self.stations)


@pytest.mark.parametrize("seed", range(40))
def test_after_any_mixture_of_faults_every_sale_is_stored_once_and_money_in_order(seed: int) -> None:
    swarm = Swarm(seed)
    assert swarm.world.run(7200, swarm.done), "every journal drains"
    for station in swarm.stations:
        stored = [m for m in swarm.centre.store.order if m.device_id == station.device_id]
        assert sorted(message.mid for message in stored) == list(range(1, SALES + 1))
        assert all(message.body == b"sale %d" % message.mid for message in stored)
        money = [message.mid for message in stored if message.record_class == 2]
        assert money == sorted(money)
