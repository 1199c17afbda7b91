"""From the outbox to the bus: in order, never lost, on three engines and two buses."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from tests.core.bus.transport import Heard, ToyHappened

from forecourt.core import outbox
from forecourt.core.bus import Message, Subscription
from forecourt.core.bus.embedded import EmbeddedBus
from forecourt.core.db import Database
from forecourt.core.errors import Forbidden, Unavailable
from forecourt.core.outbox import OutboxRow
from forecourt.core.relay import SENDER_LEASE, Relay
from forecourt_kit.clock import ManualClock


class Broker(EmbeddedBus):
    """A bus that is elsewhere: keeps what it confirmed, and may be away or die before it answers."""

    reads_outbox = False

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.stored: list[Message] = []
        self.away = False
        self.dies_after_storing = False

    async def publish_many(self, messages: Sequence[Message]) -> None:
        if self.away:
            raise Unavailable
        self.stored += messages
        if self.dies_after_storing:
            raise Unavailable

    @property
    def numbers(self) -> list[int]:
        return [message.body["number"] for message in self.stored]


async def add(database: Database, *numbers: int) -> None:
    await database.transact(outbox.add, *(ToyHappened(operator_id=1, number=number) for number in numbers))


async def drain(relay: Relay) -> None:
    while await relay.step():
        pass


async def sequences(database: Database) -> list[int]:
    async with database.read() as session:
        rows = await session.all(select(OutboxRow.sequence).order_by(OutboxRow.sequence))
    return [row[0] for row in rows]


async def backlog(database: Database) -> int:
    async with database.read() as session:
        return await outbox.backlog(session)


class TestNumbering:
    async def test_numbers_are_without_a_gap_in_the_order_of_commits(self, database: Database) -> None:
        broker = Broker(database)
        relay = Relay(database, broker)
        for number in range(5):
            await add(database, number)
            await drain(relay)
        await add(database, 5, 6, 7)
        await drain(relay)
        assert [message.sequence for message in broker.stored] == list(range(1, 9))
        assert broker.numbers == list(range(8))

    async def test_what_was_rolled_back_never_goes_out(self, database: Database) -> None:
        broker = Broker(database)
        with pytest.raises(Forbidden):
            async with database.write() as session:
                await outbox.add(session, ToyHappened(operator_id=1, number=1))
                raise Forbidden
        await drain(Relay(database, broker))
        assert broker.stored == []

    async def test_relays_at_once_double_no_number_and_send_once(self, database: Database) -> None:
        broker = Broker(database)
        relays = [Relay(database, broker) for _ in range(4)]
        rounds = 10
        for each in range(rounds):
            await asyncio.gather(
                add(database, each), add(database, 100 + each), *(relay.step() for relay in relays)
            )
        while any(await asyncio.gather(*(relay.step() for relay in relays))):
            pass
        assert await sequences(database) == list(range(1, 2 * rounds + 1))
        assert sorted(broker.numbers) == sorted([*range(rounds), *range(100, 100 + rounds)])
        assert [message.sequence for message in broker.stored] == list(range(1, 2 * rounds + 1))

    async def test_each_set_is_told_in_this_process(self, database: Database) -> None:
        told: list[int] = []
        relay = Relay(
            database,
            Broker(database),
            on_numbered=lambda messages: told.extend(message.sequence for message in messages),
        )
        await add(database, 1, 2)
        await add(database, 3)
        await drain(relay)
        assert told == [1, 2, 3]


class TestSending:
    async def test_a_broker_that_is_away_loses_nothing(self, database: Database) -> None:
        broker = Broker(database)
        relay = Relay(database, broker)
        broker.away = True
        for number in range(3):
            await add(database, number)
            with pytest.raises(Unavailable):
                await relay.step()
        async with database.read() as session:
            assert await outbox.backlog(session) == 3
        broker.away = False
        await drain(relay)
        assert broker.numbers == [0, 1, 2]
        async with database.read() as session:
            assert await outbox.backlog(session) == 0

    async def test_dying_between_publishing_and_marking_sends_again(self, database: Database) -> None:
        broker = Broker(database)
        relay = Relay(database, broker)
        await add(database, 1, 2)
        broker.dies_after_storing = True
        with pytest.raises(Unavailable):
            await relay.step()
        broker.dies_after_storing = False
        await add(database, 3)
        await drain(relay)
        assert broker.numbers == [1, 2, 1, 2, 3]

    async def test_another_relay_takes_over_when_the_sender_falls_silent(
        self, database: Database, clock: ManualClock
    ) -> None:
        broker = Broker(database)
        silent, other = Relay(database, broker), Relay(database, broker)
        await add(database, 1)
        await drain(silent)
        await add(database, 2)
        await other.step()
        assert broker.numbers == [1]
        clock.advance(SENDER_LEASE.total_seconds() + 1)
        await drain(other)
        assert broker.numbers == [1, 2]

    async def test_one_that_stops_lets_another_send_at_once(self, database: Database) -> None:
        broker = Broker(database)
        stopped, other = Relay(database, broker), Relay(database, broker)
        task = asyncio.create_task(stopped.run())
        await add(database, 1)
        async with asyncio.timeout(10):
            while broker.numbers != [1] or await backlog(database):
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        await add(database, 2)
        await drain(other)
        assert broker.numbers == [1, 2]

    async def test_a_lost_queue_is_rebuilt_from_the_table(
        self, database: Database, clock: ManualClock
    ) -> None:
        broker = Broker(database)
        relay = Relay(database, broker)
        await add(database, 1)
        clock.advance(3600)
        await add(database, 2, 3)
        await drain(relay)
        broker.stored.clear()
        since = clock.now() - timedelta(minutes=1)
        assert await database.transact(outbox.send_again_since, since) == 2
        await drain(relay)
        assert broker.numbers == [2, 3]
        assert await database.transact(outbox.send_again_since, clock.now() + timedelta(days=1)) == 0

    async def test_more_than_one_set(self, sqlite_database: Database) -> None:
        broker = Broker(sqlite_database)
        await add(sqlite_database, *range(1_234))
        await drain(Relay(sqlite_database, broker))
        assert broker.numbers == list(range(1_234))


class TestForgetOld:
    async def test_only_what_was_sent_and_heard_and_is_old(
        self, database: Database, clock: ManualClock
    ) -> None:
        broker = Broker(database)
        relay = Relay(database, broker)
        await add(database, 1, 2, 3)
        await drain(relay)
        clock.advance(15 * 86_400)
        await add(database, 4)
        await drain(relay)
        await add(database, 5)
        assert await database.transact(outbox.forget_old, up_to=2) == 2
        assert await database.transact(outbox.forget_old) == 1
        async with database.read() as session:
            assert await session.scalar(select(func.count()).select_from(OutboxRow)) == 2

    async def test_the_slowest_subscription_holds_events_back(
        self, sqlite_database: Database, clock: ManualClock
    ) -> None:
        bus = EmbeddedBus(sqlite_database)
        relay = Relay(sqlite_database, bus)
        early = Subscription(name="early", topics=("#",))
        await bus.declare([early])
        await add(sqlite_database, 1, 2)
        await drain(relay)
        await bus.declare([Subscription(name="late", topics=("#",), partitions=2)])
        clock.advance(15 * 86_400)
        assert await bus.forget_old() == 0
        got = Heard()
        task = asyncio.create_task(bus.consume(early, got))
        await got.wait_for(2)
        task.cancel()
        await asyncio.wait([task])
        await bus.close()
        assert await bus.forget_old() == 2
