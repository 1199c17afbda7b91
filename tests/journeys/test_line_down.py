"""The line to the centre is down for the length of fifty sales, then everything is caught up, once."""

import random
import time

from tests.journeys.rig import Rig, until
from tests.journeys.traffic import SEED, SOAKING, Reckoning, busy, drive, guns, patiently

FILLS = 500 if SOAKING else 50


def test_the_station_sells_on_and_is_caught_up_exactly_once(rig: Rig) -> None:
    reckoning = Reckoning.begin(rig)
    chance = random.Random(f"{SEED} line down")
    line = [name for name in rig.centre if name in {"centre", "gateway1", "gateway2"}]
    for name in line:
        rig.kill(name)

    end = time.monotonic() + 6 * FILLS
    while reckoning.fills() < FILLS and time.monotonic() < end:
        drive(rig, chance)
        time.sleep(0.1)
    until(lambda: not any(busy(gun) for gun in guns(rig)), "the station agent has taken every sale over")
    assert reckoning.fills() >= FILLS
    if not rig.backend.is_embedded:
        assert reckoning.sales() == [], "the line is down"

    for name in line:
        rig.start(name)
    patiently(lambda: rig.get("/sales", limit=1), "the centre answers")
    sales = reckoning.agree()

    assert {sale["state"] for sale in sales} == {"open"}
    # A price that an earlier journey left waiting may be told; what is missed or doubled must not be.
    assert {mark for sale in sales for mark in sale["marks"]} <= {"price_pending"}
    rig.verify()
