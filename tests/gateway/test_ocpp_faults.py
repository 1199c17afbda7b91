"""Virtual charge points with every fault: each session counts once, or waits for a person."""

import asyncio
from typing import Any

import pytest
from tests.charging.world import CODE, open_world
from tests.gateway.ocpp_server import device_port

from forecourt.charging import queries
from forecourt.charging.types import TransactionState
from forecourt.core.db import Database
from forecourt_kit.clock import SystemClock
from forecourt_simulators.evse.main import EvseOptions, RunningFleet, running
from forecourt_simulators.evse.setup import ChargePointSetup, ConnectorSetup, Faults

ROUNDS = 6
FAST = ConnectorSetup(power_w=1_000_000, register_wh=10_000)


async def until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


async def charge(up: RunningFleet, connector: int, energy_wh: int) -> None:
    place = (CODE, connector)
    up.fleet.act({"do": "charge", "connector": connector, "energy_wh": energy_wh, "id_tag": f"C-{connector}"})
    await until(lambda: place in up.fleet.ends and place not in up.fleet.visits)


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_session_is_delivered_once_or_waits_for_a_person(
    sqlite_database: Database, seed: int
) -> None:
    world = await open_world(sqlite_database)
    for connector in (1, 2):
        await world.card(f"C-{connector}")
    faults = Faults(
        offline_percent=30,
        offline_s=1,
        unknown_ids_percent=50,
        duplicate_stop_percent=40,
        lost_answer_percent=30,
        meter_backwards_percent=20,
        reconnect_storm=2,
    )
    setup = ChargePointSetup(
        code=CODE, password=world.password, connectors=(FAST, FAST), sample_s=1, faults=faults
    )
    async with device_port(world) as port:
        options = EvseOptions(setups=(setup,), url=port.url, seed=seed, speed=1_000)
        async with running(options, SystemClock()) as up:
            point = up.fleet.points[CODE]
            await until(lambda: point.accepted)
            for turn in range(ROUNDS):
                await asyncio.gather(charge(up, 1, 1_000 + turn), charge(up, 2, 2_000 + turn))
            await until(lambda: point.accepted and not len(point.outbox))
    async with world.database.read() as session:
        rows = await queries.list_transactions(session, world.actor.scope, None, 200, None)
        strays = await queries.list_stray_stops(session, world.actor.scope, 200)
        assert await queries.check_ended_are_delivered(session) == []
        assert await queries.check_one_session_a_connector(session) == []
    ended = [each for each in rows if each.state is TransactionState.ENDED]
    left = [each for each in rows if each.state is not TransactionState.ENDED]
    assert len(rows) == len({each.start_key for each in rows}) == 2 * ROUNDS
    assert all(each.state is TransactionState.LOST for each in left)
    # Each session without an end has its end among those that fit no session.
    assert len([each for each in strays if each.transaction_id == -1]) == len(left)
    for each in ended:
        delivery = await world.delivery(each.delivery_id)
        drawn_e4 = ((each.meter_stop_wh or 0) - each.meter_start_wh) * 10
        assert delivery.quantity_e4 == max(0, drawn_e4)
