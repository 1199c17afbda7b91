"""Processes die in the middle of traffic, at random moments; what was acknowledged stays, once."""

import asyncio
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest
from tests import services
from tests.journeys.rig import Backend, Rig, running, until
from tests.journeys.traffic import MARKS, SEED, SOAKING, on, patiently, traffic
from tests.private_servers import PrivateMariaDB, PrivatePostgreSQL, PrivateRabbitMQ, PrivateServer

from forecourt.core import outbox
from forecourt.core.db import Database
from forecourt_kit.clock import SystemClock
from forecourt_kit.ids import TimeOrderedIds
from forecourt_kit.random import SystemRandom

S = TypeVar("S", bound=PrivateServer)

KILLS_EACH = 12 if SOAKING else 2  # Of every process that may be killed.
DATABASE_KILLS = 10 if SOAKING else 2
CODE = "134567890123456789"


@on("embedded", "mariadb")
def test_processes_killed_in_the_middle_of_traffic(rig: Rig) -> None:
    """The station agent, and each process of the centre; now and then while it still starts."""
    victims = ["edge", "centre"] if rig.backend.is_embedded else ["edge", "gateway1", "worker1", "api"]
    chance = random.Random(f"{SEED} victims")
    order = [name for name in victims for _ in range(KILLS_EACH)]
    chance.shuffle(order)
    with traffic(rig, "kill") as run:
        for name in order:
            time.sleep(0.5 + 2 * chance.random())
            rig.kill(name)
            time.sleep(1.5 * chance.random())
            rig.start(name)
            if chance.random() < 0.8:
                patiently(lambda: rig.get("/sales", limit=1), "the API answers")
    assert run.attendant.acknowledged


@on("embedded")
class TestTheChannelIsKilled:
    """An order whose answer never came is UNKNOWN, and asked about until the channel says what it was."""

    def test_after_it_took_the_money(self, rig: Rig) -> None:
        sale, net_fen = rig.fill(1, quantity_e4=2_0000), _net_fen(rig)
        rig.channel("POST", "faults", {"kind": "hang_after", "operation": "code", "ms": 20_000})
        asking = _Asking(rig, sale["id"], f"channel-acted-{sale['id']}", CODE)
        until(lambda: _net_fen(rig) == net_fen + sale["due_fen"], "the channel has the money")
        rig.kill("channels")
        time.sleep(2)
        rig.start("channels")

        # Back in time it is found paid; later than the platform waits for a code, it is reversed.
        ended = patiently(lambda: _in_state(rig, sale["id"], "paid", "open"), "the payment has ended")

        asking.end()
        assert ended["paid_fen"] == (ended["due_fen"] if ended["state"] == "paid" else 0)
        until(lambda: _net_fen(rig) == net_fen + ended["paid_fen"], "both books say the same")
        rig.verify()

    def test_before_it_heard_of_it(self, rig: Rig) -> None:
        sale, net_fen = rig.fill(1, quantity_e4=2_0000), _net_fen(rig)
        rig.kill("channels")
        asking = _Asking(rig, sale["id"], f"channel-deaf-{sale['id']}", CODE[:-1] + "0")
        until(lambda: _in_state(rig, sale["id"], "paying"), "the channel is being asked")
        rig.start("channels")

        open_again = patiently(lambda: _in_state(rig, sale["id"], "open"), "nothing was taken")

        assert open_again["paid_fen"] == 0
        asking.end()
        assert _net_fen(rig) == net_fen
        rig.pay(sale["id"], f"channel-cash-{sale['id']}", tender="cash")
        rig.verify()


@pytest.mark.parametrize("rig", [pytest.param("mariadb", marks=MARKS["mariadb"])], indirect=True)
def test_a_dead_gateway_is_left_for_the_other_over_tcp(rig: Rig) -> None:
    """UDP stays silent, so the station agent comes in by TCP, to the second gateway."""
    rig.kill("gateway1")
    rig.kill("edge")
    with traffic(rig, "fallback"):
        rig.start("edge")
        time.sleep(3)
    rig.start("gateway1")
    patiently(lambda: _listens(rig.ports["devices1"]), "the gateway is back")
    rig.kill("edge")
    rig.start("edge")


@pytest.mark.mariadb
@pytest.mark.amqp
@pytest.mark.redis
def test_mariadb_and_rabbitmq_killed_in_the_middle_of_traffic(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with _served(PrivateMariaDB()) as database, _served(PrivateRabbitMQ()) as broker:
        backend = Backend("mariadb", database.url, broker.url, services.REDIS_URL)
        with running(tmp_path_factory.mktemp("kills-mariadb"), backend) as rig:
            ours = {name: process.pid for name, process in rig.processes.items()}
            _database_away(rig, database)
            with traffic(rig, "broker"):
                asyncio.run(_broker_away(rig, broker))
            assert {name: process.pid for name, process in rig.processes.items()} == ours


@pytest.mark.postgresql
@pytest.mark.amqp
@pytest.mark.redis
def test_postgresql_killed_in_the_middle_of_traffic(tmp_path_factory: pytest.TempPathFactory) -> None:
    asyncio.run(services.require_port("rabbitmq", services.AMQP_URL))
    with _served(PrivatePostgreSQL()) as database:
        backend = Backend("postgresql", database.url, services.AMQP_URL, services.REDIS_URL)
        with running(tmp_path_factory.mktemp("kills-postgresql"), backend) as rig:
            ours = {name: process.pid for name, process in rig.processes.items()}
            _database_away(rig, database)
            assert {name: process.pid for name, process in rig.processes.items()} == ours


def _database_away(rig: Rig, database: PrivateServer) -> None:
    """503 and a hint meanwhile; no process of ours is started again; nothing acknowledged is lost."""
    chance = random.Random(f"{SEED} {rig.backend.name}")
    with traffic(rig, rig.backend.name) as run:
        for _ in range(DATABASE_KILLS):
            time.sleep(2 + 2 * chance.random())
            told = run.attendant.told_to_wait
            asyncio.run(database.kill())
            until(lambda: run.attendant.told_to_wait > told, "the API says 503")  # noqa: B023
            _assert_503(rig)
            asyncio.run(database.start())


async def _broker_away(rig: Rig, broker: PrivateServer) -> None:
    """Without a broker sales that are open are paid, fills are taken in, and events wait in the outbox."""
    clock, chance = SystemClock(), SystemRandom()
    database = Database.open(rig.backend.database_url, clock, TimeOrderedIds(clock, chance), chance)

    async def waiting() -> int:
        async with database.read() as session:
            return await outbox.backlog(session)

    try:
        await asyncio.sleep(3)
        await broker.kill()
        for _ in range(300):
            if await waiting() >= 10:
                break
            await asyncio.sleep(0.2)
        assert await waiting() >= 10, "fills go on, their events wait"
        assert (await asyncio.to_thread(rig.client.get, "/sales", params={"limit": 1})).status_code == 200
        await broker.start()
        for _ in range(500):
            if await waiting() < 5:
                break
            await asyncio.sleep(0.2)
        assert await waiting() < 5, "what waited is with the broker"
    finally:
        await database.close()


@contextmanager
def _served(server: S) -> Iterator[S]:
    asyncio.run(server.start())
    try:
        yield server
    finally:
        asyncio.run(server.stop())


def _listens(port: int) -> bool:
    socket.create_connection(("127.0.0.1", port), 1).close()
    return True


class _Asking:
    """A code payment at the till; the answer may take as long as the channel is silent."""

    def __init__(self, rig: Rig, sale_id: str, key: str, payer_code: str) -> None:
        self._answers: list[Any] = []
        body = {"tender": "wechat", "product": "code", "payer_code": payer_code}
        self._thread = threading.Thread(
            target=lambda: self._answers.append(rig.post(f"/sales/{sale_id}/payments", body, key)),
            daemon=True,
        )
        self._thread.start()

    def end(self) -> None:
        self._thread.join(60)
        (answer,) = self._answers
        assert answer.status_code in {201, 202}, answer.text


def _net_fen(rig: Rig) -> int:
    """What payers paid at the channel and did not get back."""
    totals = rig.channel("GET", "totals")["merchants"].values()
    return sum(each["paid_fen"] - each["refunded_fen"] - each["reversed_fen"] for each in totals)


def _in_state(rig: Rig, sale_id: str, *states: str) -> dict[str, Any] | None:
    sale = rig.sale(sale_id)
    return sale if sale["state"] in states else None


def _assert_503(rig: Rig) -> None:
    answer = rig.client.get("/sales")
    assert answer.status_code == 503, answer.text
    assert answer.json()["code"] == "core.unavailable"
    assert int(answer.headers["retry-after"]) > 0
