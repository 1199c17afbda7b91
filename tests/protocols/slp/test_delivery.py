"""Over any weather and any crash: every message once, money in order, nothing lost that was journalled."""

import pytest
from tests.protocols.slp.network import CALM, STORM, Centre, Journal, Station, Store, Weather, World, bodies


def world_with_station(seed: int = 1, weather: Weather = CALM) -> tuple[World, Centre, Station]:
    world = World(seed, weather)
    centre = Centre(world, {}, Store())
    return world, centre, Station(world, centre, 7)


def drained(station: Station) -> bool:
    return not station.journal.records


def test_a_message_is_committed_and_forgotten_within_two_round_trips() -> None:
    world, centre, station = world_with_station()
    world.run(1)
    sent_at_s = world.now_s
    station.append(b"sale")

    assert world.run(5, lambda: drained(station))
    assert bodies(centre.store, 7) == [b"sale"]
    assert world.now_s - sent_at_s < 0.15
