"""What a subscription means, on every adapter."""

import asyncio
from datetime import timedelta

import pytest
from tests.core.bus.transport import Heard, ShopClosed, ToyBroke, ToyHappened, Transport, until

from forecourt.core import outbox
from forecourt.core.bus import Delivery, Subscription, parking
from forecourt_kit.clock import ManualClock


def toy(number: int, **other: str) -> ToyHappened:
    return ToyHappened(operator_id=1, number=number, **other)


class TestTopics:
    @pytest.mark.parametrize(
        ("topics", "heard"),
        [
            (("toys.toy.happened",), [1]),
            (("toys.toy.*",), [1, 2]),
            (("toys.#",), [1, 2]),
            (("*.*.closed", "toys.toy.broke"), [2, 3]),
            (("#",), [1, 2, 3]),
            (("#.closed",), [3]),
            (("toys.*",), []),
        ],
    )
    async def test_patterns(self, transport: Transport, topics: tuple[str, ...], heard: list[int]) -> None:
        subscription = Subscription(name="s", topics=topics)
        everything = Subscription(name="everything", topics=("#",))
        got, all_of_them = Heard(), Heard()
        await transport.declare(subscription, everything)
        transport.consume(subscription, got)
        transport.consume(everything, all_of_them)
        await transport.publish(
            toy(1), ToyBroke(operator_id=1, number=2), ShopClosed(operator_id=1, number=3)
        )
        await all_of_them.wait_for(3)
        await got.wait_for(len(heard))
        assert got.numbers == heard

    async def test_what_was_committed_arrives_whole(self, transport: Transport) -> None:
        subscription = Subscription(name="s", topics=("toys.#",))
        got = Heard()
        await transport.declare(subscription)
        transport.consume(subscription, got)
        await transport.publish(toy(7, thing="粤B·12345D", colour="绿"))
        await got.wait_for(1)
        message = got.deliveries[0].message
        assert got.deliveries[0].count == 1
        assert (message.topic, message.operator_id, message.key) == ("toys.toy.happened", 1, "粤B·12345D")
        assert message.headers == {"operator": "1", "colour": "绿"}
        assert message.body == {"operator_id": 1, "number": 7, "thing": "粤B·12345D", "colour": "绿"}
        assert message.created_at == transport.database.clock.now()
        assert message.sequence == 1

    async def test_a_late_consumer_hears_everything_since_the_declaration(self, transport: Transport) -> None:
        subscription = Subscription(name="s", topics=("toys.#",))
        other = Subscription(name="t", topics=("toys.#",))
        await transport.declare(other)
        await transport.publish(toy(1))
        await transport.declare(subscription)
        await transport.publish(toy(2), toy(3))
        got = Heard()
        transport.consume(subscription, got)
        assert await got.wait_for(2) == [2, 3]

    async def test_an_event_that_nobody_wants_is_no_fault(self, transport: Transport) -> None:
        await transport.declare(Subscription(name="s", topics=("nothing.#",)))
        await transport.publish(toy(1))


class TestHeaders:
    @pytest.mark.parametrize(
        ("match", "heard"), [("all", [2]), ("any", [1, 2])], ids=["all must match", "any must match"]
    )
    async def test_content_based_routing(self, transport: Transport, match: str, heard: list[int]) -> None:
        subscription = Subscription(
            name="s",
            topics=("toys.#",),
            headers={"operator": "1", "colour": "blue"},
            headers_match="all" if match == "all" else "any",
        )
        got = Heard()
        await transport.declare(subscription)
        transport.consume(subscription, got)
        await transport.publish(
            toy(1),
            toy(2, colour="blue"),
            ToyHappened(operator_id=2, number=3),
            ShopClosed(operator_id=1, number=4, colour="blue"),
            toy(99, colour="blue"),
        )
        await until(lambda: 99 in got.numbers)
        assert got.numbers == [*heard, 99]


class TestPartitions:
    async def test_order_holds_within_a_key(self, transport: Transport) -> None:
        subscription = Subscription(name="s", topics=("toys.#",), partitions=4)
        got = Heard()
        await transport.declare(subscription)
        transport.consume(subscription, got)
        await transport.publish(*(toy(n, thing=f"thing {n % 11}") for n in range(110)))
        assert sorted(await got.wait_for(110)) == list(range(110))
        for key in range(11):
            of_key = [n for n in got.numbers if n % 11 == key]
            assert of_key == sorted(of_key)

    async def test_a_slow_key_holds_only_its_own_partition_up(self, transport: Transport) -> None:
        subscription = Subscription(name="s", topics=("toys.#",), partitions=4)
        release = asyncio.Event()
        done: list[int] = []

        async def handle(delivery: Delivery) -> None:
            if delivery.message.key == "slow":
                await release.wait()
            done.append(delivery.message.body["number"])

        await transport.declare(subscription)
        transport.consume(subscription, handle)
        await transport.publish(toy(0, thing="slow"), *(toy(n, thing=f"k{n}") for n in range(1, 21)))
        await until(lambda: len(done) >= 10)
        assert 0 not in done
        release.set()
        await until(lambda: len(done) == 21)


class TestConsumers:
    async def test_competing_consumers_share_and_nothing_is_doubled(self, transport: Transport) -> None:
        subscription = Subscription(name="s", topics=("toys.#",))
        got = Heard()
        await transport.declare(subscription)
        first = transport.consume(subscription, got)
        transport.consume(subscription, got)
        await transport.publish(*(toy(n) for n in range(20)))
        await got.wait_for(20)
        await transport.stop(first)
        await transport.publish(*(toy(n) for n in range(20, 40)))
        assert sorted(await got.wait_for(40)) == list(range(40))

    async def test_each_subscription_gets_its_own_copy(self, transport: Transport) -> None:
        subscriptions = [Subscription(name=f"s{n}", topics=("toys.#",)) for n in range(3)]
        heard = [Heard() for _ in subscriptions]
        await transport.declare(*subscriptions)
        for subscription, got in zip(subscriptions, heard, strict=True):
            transport.consume(subscription, got)
        await transport.publish(toy(1), toy(2))
        for got in heard:
            assert await got.wait_for(2) == [1, 2]

    async def test_what_was_in_hand_when_the_consumer_went_is_delivered_again(
        self, transport: Transport
    ) -> None:
        subscription = Subscription(name="s", topics=("toys.#",))
        started = asyncio.Event()

        async def never_ends(_: Delivery) -> None:
            started.set()
            await asyncio.Event().wait()

        await transport.declare(subscription)
        task = transport.consume(subscription, never_ends)
        await transport.publish(toy(1), toy(2))
        await started.wait()
        await transport.stop(task)
        got = Heard()
        transport.consume(subscription, got)
        assert sorted(await got.wait_for(2)) == [1, 2]

    async def test_a_place_survives_the_process(self, transport: Transport) -> None:
        subscription = Subscription(name="s", topics=("toys.#",))
        got = Heard()
        await transport.declare(subscription)
        task = transport.consume(subscription, got)
        await transport.publish(toy(1))
        await got.wait_for(1)
        await asyncio.sleep(0.05)
        await transport.stop(task)
        await transport.bus.close()
        await transport.declare(subscription)
        await transport.publish(toy(2))
        transport.consume(subscription, got)
        assert await got.wait_for(2) == [1, 2]


class TestFailures:
    async def test_a_failed_message_blocks_no_other_and_comes_again(
        self, transport: Transport, clock: ManualClock
    ) -> None:
        subscription = Subscription(name="s", topics=("toys.#",))
        tries: list[tuple[int, int]] = []

        async def handle(delivery: Delivery) -> None:
            number = delivery.message.body["number"]
            tries.append((number, delivery.count))
            if number == 1 and delivery.count < 3:
                raise ValueError("not yet")

        await transport.declare(subscription)
        transport.consume(subscription, handle)
        await transport.publish(toy(1), toy(2), toy(3))
        await until(lambda: (3, 1) in tries)
        assert tries == [(1, 1), (2, 1), (3, 1)]
        clock.advance(1)
        await until(lambda: (1, 2) in tries)
        clock.advance(0.5)
        await asyncio.sleep(0.1)
        assert (1, 3) not in tries  # The pause doubles.
        clock.advance(0.5)
        await until(lambda: (1, 3) in tries)
        await until_empty(transport)

    async def test_a_poison_message_ends_as_a_dead_letter_with_its_reason_and_can_be_replayed(
        self, transport: Transport, clock: ManualClock
    ) -> None:
        subscription = Subscription(name="s", topics=("toys.#",), deliveries_max=3)
        broken = True
        counts: list[int] = []

        async def handle(delivery: Delivery) -> None:
            counts.append(delivery.count)
            if broken:
                raise ValueError(f"cannot read {delivery.message.body['number']}")

        await transport.declare(subscription)
        transport.consume(subscription, handle)
        await transport.publish(toy(13))
        for tried in range(1, 4):
            await until(lambda tried=tried: len(counts) == tried)  # type: ignore[misc]
            clock.advance(60)
        dead: list[parking.DeadLetter] = []
        while not dead:
            async with transport.database.read() as session:
                dead = await parking.list_dead(session)
            await asyncio.sleep(0.01)
        assert [(each.subscription, each.reason, each.tries) for each in dead] == [
            ("s", "ValueError: cannot read 13", 3)
        ]
        assert dead[0].message.body["number"] == 13
        async with transport.database.read() as session:
            assert await parking.list_dead(session, operator_id=2) == []  # A stranger sees nothing.
        broken = False
        await transport.database.transact(parking.replay, dead[0].id, operator_id=1)
        await until(lambda: len(counts) == 4)
        assert counts == [1, 2, 3, 1]
        await until_empty(transport)
        with pytest.raises(parking.DeadLetterNotFound):
            await transport.database.transact(parking.replay, dead[0].id)

    async def test_a_stale_message_goes_nowhere(self, transport: Transport, clock: ManualClock) -> None:
        subscription = Subscription(name="s", topics=("toys.#",), expires_after=timedelta(seconds=30))
        await transport.declare(subscription)
        await transport.publish(toy(1))
        clock.advance(31)
        await transport.publish(toy(2))
        got = Heard()
        transport.consume(subscription, got)
        assert await got.wait_for(1) == [2]

    async def test_a_stranger_cannot_replay(self, transport: Transport) -> None:
        with pytest.raises(parking.DeadLetterNotFound):
            await transport.database.transact(parking.replay, 1, operator_id=1)


async def test_from_a_commit_to_every_handler(transport: Transport) -> None:
    """The whole way, with the relay running by itself."""
    subscriptions = [Subscription(name=f"s{n}", topics=("toys.#",), partitions=n) for n in (1, 3)]
    heard = [Heard(), Heard()]
    await transport.declare(*subscriptions)
    for subscription, got in zip(subscriptions, heard, strict=True):
        transport.consume(subscription, got)
    transport.tasks.append(asyncio.create_task(transport.relay.run()))
    for number in range(50):
        await transport.database.transact(outbox.add, toy(number))
    for got in heard:
        assert sorted(await got.wait_for(50)) == list(range(50))


async def test_it_answers(transport: Transport) -> None:
    await transport.bus.ping()


async def until_empty(transport: Transport) -> None:
    """Nothing is parked any more."""
    async with asyncio.timeout(5):
        while True:
            async with transport.database.read() as session:
                if await parking.count_parked(session) == 0:
                    return
            await asyncio.sleep(0.01)
