"""What charge points tell, on each engine: told once or often, in order or not, it counts once."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Update, update
from tests.charging.world import ChargingWorld, open_world

from forecourt.charging import queries, service
from forecourt.charging.errors import (
    StopElsewhere,
    StrayStopNotFound,
    TokenNotFound,
    TokenTaken,
    TransactionEnded,
    TransactionNotFound,
)
from forecourt.charging.models import TransactionRow
from forecourt.charging.types import (
    Boot,
    ConnectorStatus,
    Permit,
    Readings,
    Registration,
    Sample,
    Start,
    Status,
    StrayReason,
    TokenState,
    Transaction,
    TransactionState,
    Verdict,
)
from forecourt.core.db import Database
from forecourt.customers.errors import MemberNotFound
from forecourt.deliveries import queries as deliveries
from forecourt.deliveries.types import DeliveryState, LiveNozzle, Mark, NozzleState
from forecourt.devices import queries as devices
from forecourt.devices.types import CommandKind
from forecourt.pricing import service as pricing
from forecourt_kit.clock import ManualClock
from forecourt_kit.ids import to_public


@pytest.fixture
async def world(database: Database) -> ChargingWorld:
    return await open_world(database)


async def sessions(world: ChargingWorld) -> list[Transaction]:
    async with world.database.read() as session:
        return await queries.list_transactions(session, world.actor.scope, None, 100, None)


async def live(world: ChargingWorld, nozzle: int = 0) -> tuple[NozzleState, int]:
    async with world.database.read() as session:
        found = await deliveries.live_by_station(session, world.actor.scope, world.station_id)
    return found[world.nozzles[nozzle].id].state, found[world.nozzles[nozzle].id].quantity_e4


def readings(world: ChargingWorld, transaction_id: int, *wh: int) -> Readings:
    now = world.database.clock.now()
    return Readings(
        connector_number=1,
        transaction_id=transaction_id,
        samples=tuple(
            Sample(at=now + timedelta(seconds=at), context="Sample.Periodic", energy_wh=each)
            for at, each in enumerate(wh)
        ),
    )


class TestStartAndStop:
    async def test_a_session_ends_as_one_delivery(self, world: ChargingWorld, clock: ManualClock) -> None:
        member_id = await world.member()
        await world.card(member_id=member_id)
        started = await world.start(meter_wh=1_000)
        assert started.permit.verdict is Verdict.ACCEPTED
        clock.advance(2_000)
        told = readings(world, started.transaction_id, 5_000)
        await world.database.transact(service.read, world.ref, world.frame(), told)
        assert await live(world) == (NozzleState.FUELLING, 40_000)
        clock.advance(2_000)
        await world.stop(started.transaction_id, 13_345)
        (ended,) = await sessions(world)
        assert (ended.state, ended.member_id) == (TransactionState.ENDED, member_id)
        delivery = await world.delivery(ended.delivery_id)
        assert (delivery.quantity_e4, delivery.state, delivery.marks) == (123_450, DeliveryState.RECORDED, ())
        assert (delivery.totalizer_before_e4, delivery.totalizer_after_e4) == (10_000, 133_450)
        assert delivery.detail["stop_reason"] == "Local"
        assert delivery.detail["member"] == to_public(member_id)
        assert await live(world) == (NozzleState.ENDED, 123_450)

    async def test_the_same_start_gets_the_same_number(
        self, world: ChargingWorld, clock: ManualClock
    ) -> None:
        await world.card()
        at = clock.now()
        first = await world.start(at=at)
        again = await world.start(at=at)
        other = await world.start(connector=2, at=at)
        assert first.transaction_id == again.transaction_id != other.transaction_id
        assert len(await sessions(world)) == 2

    async def test_the_same_end_counts_once(self, world: ChargingWorld, clock: ManualClock) -> None:
        await world.card()
        started = await world.start()
        clock.advance(60)
        at = clock.now()
        for _ in range(3):
            await world.stop(started.transaction_id, 2_000, at)
        async with world.database.read() as session:
            assert not await queries.list_stray_stops(session, world.actor.scope, 10)
            assert not await queries.check_ended_are_delivered(session)
            assert not await queries.check_one_session_a_connector(session)

    async def test_another_end_of_an_ended_session_waits_for_a_person(
        self, world: ChargingWorld, clock: ManualClock
    ) -> None:
        started = await world.start()
        await world.stop(started.transaction_id, 2_000)
        clock.advance(5)
        await world.stop(started.transaction_id, 3_000)
        async with world.database.read() as session:
            (stray,) = await queries.list_stray_stops(session, world.actor.scope, 10)
        assert (stray.reason, stray.meter_stop_wh) == (StrayReason.CONTRADICTS, 3_000)
        assert (await sessions(world))[0].meter_stop_wh == 2_000

    async def test_an_end_of_no_session_is_kept_once(self, world: ChargingWorld, clock: ManualClock) -> None:
        at = clock.now()
        await world.stop(-1, 2_000, at)
        await world.stop(-1, 2_000, at)
        async with world.database.read() as session:
            (stray,) = await queries.list_stray_stops(session, world.actor.scope, 10)
            assert not await queries.list_stray_stops(session, world.stranger.scope, 10)
        assert stray.reason is StrayReason.UNKNOWN_TRANSACTION

    async def test_a_meter_that_ran_back_is_held(self, world: ChargingWorld, clock: ManualClock) -> None:
        started = await world.start(meter_wh=5_000)
        clock.advance(60)
        await world.stop(started.transaction_id, 4_000)
        delivery = await world.delivery((await sessions(world))[0].delivery_id)
        assert delivery.state is DeliveryState.HELD
        assert Mark.TOTALIZER_BACKWARDS in delivery.marks
        assert delivery.quantity_e4 == 0

    @pytest.mark.parametrize("meter_wh", [10**15, -(10**15)])
    async def test_a_meter_gone_mad_is_held(self, world: ChargingWorld, meter_wh: int) -> None:
        started = await world.start(meter_wh=5_000)
        await world.stop(started.transaction_id, meter_wh)
        delivery = await world.delivery((await sessions(world))[0].delivery_id)
        assert delivery.state is DeliveryState.HELD

    async def test_a_connector_nobody_registered_is_held_and_put_to_no_other_nozzle(
        self, world: ChargingWorld, clock: ManualClock
    ) -> None:
        await world.card()
        started = await world.start(connector=21)  # A nozzle has this number; a connector has not.
        clock.advance(60)
        await world.stop(started.transaction_id, 2_000)
        delivery = await world.delivery((await sessions(world))[0].delivery_id)
        assert delivery.nozzle_id is None
        assert Mark.UNKNOWN_NOZZLE in delivery.marks

    async def test_a_start_on_a_busy_connector_ends_nothing_and_loses_nothing(
        self, world: ChargingWorld, clock: ManualClock
    ) -> None:
        await world.card()
        first = await world.start(meter_wh=1_000)
        clock.advance(600)
        second = await world.start(meter_wh=4_000)
        assert [each.state for each in await sessions(world)] == [
            TransactionState.OPEN,
            TransactionState.LOST,
        ]
        await world.stop(second.transaction_id, 6_000)
        await world.stop(first.transaction_id, 3_500, clock.now() - timedelta(seconds=30))
        assert {each.state for each in await sessions(world)} == {TransactionState.ENDED}
        assert await live(world) == (NozzleState.ENDED, 20_000)

    async def test_one_charge_points_number_says_nothing_at_another(self, world: ChargingWorld) -> None:
        started = await world.start()
        elsewhere = replace(world.ref, device_id=world.ref.device_id + 1)
        other = await world.start(ref=elsewhere)
        assert other.transaction_id == started.transaction_id == 1
        assert len(await sessions(world)) == 2


class TestReadings:
    async def test_a_session_keeps_so_many_and_shows_the_last(
        self, world: ChargingWorld, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("forecourt.charging.service.sessions.SAMPLES_MAX", 5)
        started = await world.start(meter_wh=0)
        for turn in range(3):
            told = readings(world, started.transaction_id, turn * 100, turn * 100 + 1, turn * 100 + 2)
            for _ in range(2):
                await world.database.transact(service.read, world.ref, world.frame(), told)
            clock.advance(60)
        (row,) = await sessions(world)
        async with world.database.read() as session:
            kept = await queries.samples_of(session, row.operator_id, row.id)
        assert len(kept) == 5
        assert await live(world) == (NozzleState.FUELLING, 2_020)

    async def test_at_its_limit_the_charge_point_is_stopped_once(self, world: ChargingWorld) -> None:
        async def paid_ahead(session: object, ask: object) -> Permit:
            del session, ask
            return Permit(verdict=Verdict.ACCEPTED, authorisation_id=99, limit_e4=50_000)

        told = service_start(world)
        started = await world.database.transact(service.start, world.ref, world.frame(), told, paid_ahead)
        for wh in (4_999, 5_000, 5_100):
            reading = readings(world, started.transaction_id, wh)
            await world.database.transact(service.read, world.ref, world.frame(), reading)
        async with world.database.read() as session:
            due = await devices.commands_due_many(session, limit=10)
        assert [(each.kind, each.body) for each in due] == [
            (CommandKind.REMOTE_STOP, {"transaction_id": started.transaction_id})
        ]
        await world.stop(started.transaction_id, 5_200)
        assert (await world.delivery((await sessions(world))[0].delivery_id)).authorisation_id == 99

    async def test_readings_of_no_session_change_nothing(self, world: ChargingWorld) -> None:
        for transaction_id in (None, 5):
            told = Readings(connector_number=1, transaction_id=transaction_id, samples=())
            await world.database.transact(service.read, world.ref, world.frame(), told)
        assert not await sessions(world)


def service_start(world: ChargingWorld) -> Start:
    return Start(
        connector_number=1, id_tag="PREPAID", meter_start_wh=0, started_at=world.database.clock.now()
    )


class TestLive:
    async def test_the_amount_so_far_is_the_books(self, world: ChargingWorld) -> None:
        await world.database.transact(
            pricing.set_price,
            world.actor,
            station_id=world.station_id,
            product_id=world.product_id,
            unit_price_e4=12_000,
            valid_from=world.database.clock.now(),
        )
        seen: list[tuple[int, list[LiveNozzle]]] = []

        def watch(operator_id: int, nozzles: Sequence[LiveNozzle]) -> None:
            seen.append((operator_id, list(nozzles)))

        started = await world.start(meter_wh=0)
        told = readings(world, started.transaction_id, 25_480)
        await world.database.transact(service.read, world.ref, world.frame(), told, watch)
        ((operator_id, (shown,)),) = seen
        assert operator_id == world.ref.operator_id
        assert (shown.quantity_e4, shown.unit_price_e4, shown.amount_fen) == (254_800, 12_000, 3_058)


class TestStatus:
    async def tell(self, world: ChargingWorld, status: ConnectorStatus, connector: int = 1) -> None:
        told = Status(
            connector_number=connector, status=status, error="NoError", at=world.database.clock.now()
        )
        await world.database.transact(service.status, world.ref, world.frame(), told)

    async def test_a_free_connector_has_lost_the_end_of_its_session(self, world: ChargingWorld) -> None:
        await world.start()
        await self.tell(world, ConnectorStatus.CHARGING)
        assert (await sessions(world))[0].state is TransactionState.OPEN
        await self.tell(world, ConnectorStatus.AVAILABLE, connector=2)
        assert (await sessions(world))[0].state is TransactionState.OPEN
        await self.tell(world, ConnectorStatus.AVAILABLE)
        assert (await sessions(world))[0].state is TransactionState.LOST

    async def test_nozzles_follow_and_go_dark_with_the_link(self, world: ChargingWorld) -> None:
        await world.database.transact(service.connected, world.ref, "a")
        await self.tell(world, ConnectorStatus.AVAILABLE)
        await self.tell(world, ConnectorStatus.FAULTED, connector=2)
        await self.tell(world, ConnectorStatus.AVAILABLE, connector=0)
        assert (await live(world))[0] is NozzleState.IDLE
        await world.database.transact(service.connected, world.ref, "b")
        await world.database.transact(service.disconnected, world.ref, "a")  # Taken over: it says nothing.
        assert (await live(world))[0] is NozzleState.IDLE
        await world.database.transact(service.disconnected, world.ref, "b")
        assert (await live(world))[0] is NozzleState.OFFLINE
        await world.database.transact(service.connected, world.ref, "c")
        assert [(await live(world, each))[0] for each in (0, 1)] == [NozzleState.IDLE, NozzleState.ERROR]


class TestBoot:
    async def test_accepted_with_nozzles_pending_without(self, world: ChargingWorld) -> None:
        told = Boot(vendor="V", model="M")
        assert (
            await world.database.transact(service.boot, world.ref, world.frame(), told)
            is Registration.ACCEPTED
        )
        bare = replace(world.ref, device_id=world.ref.device_id + 1)
        assert await world.database.transact(service.boot, bare, world.frame(), told) is Registration.PENDING


class TestSettling:
    async def stray(self, world: ChargingWorld) -> int:
        await world.stop(-1, 2_000)
        async with world.database.read() as session:
            return (await queries.list_stray_stops(session, world.actor.scope, 1))[0].id

    async def test_a_person_finds_the_session_of_a_stray_end(
        self, world: ChargingWorld, clock: ManualClock
    ) -> None:
        await world.start()
        clock.advance(60)
        stray_id = await self.stray(world)
        (row,) = await sessions(world)
        with pytest.raises(TransactionNotFound):
            await world.database.transact(service.match_stray_stop, world.stranger, stray_id, row.id)
        ended = await world.database.transact(service.match_stray_stop, world.actor, stray_id, row.id)
        assert (await world.delivery(ended.delivery_id)).quantity_e4 == 10_000
        with pytest.raises(TransactionEnded):
            await world.database.transact(service.match_stray_stop, world.actor, stray_id, row.id)
        with pytest.raises(StrayStopNotFound):
            await world.database.transact(service.dismiss_stray_stop, world.actor, stray_id)

    async def test_an_end_of_another_charge_point_does_not_fit(self, world: ChargingWorld) -> None:
        await world.start(ref=replace(world.ref, device_id=world.ref.device_id + 1))
        stray_id = await self.stray(world)
        (row,) = await sessions(world)
        with pytest.raises(StopElsewhere):
            await world.database.transact(service.match_stray_stop, world.actor, stray_id, row.id)
        with pytest.raises(StrayStopNotFound):
            await world.database.transact(service.dismiss_stray_stop, world.stranger, stray_id)
        await world.database.transact(service.dismiss_stray_stop, world.actor, stray_id)

    async def test_a_person_reads_the_meter(self, world: ChargingWorld, clock: ManualClock) -> None:
        await world.start()
        (row,) = await sessions(world)
        clock.advance(60)
        ended = await world.database.transact(service.end_by_hand, world.actor, row.id, 1_500, clock.now())
        assert (await world.delivery(ended.delivery_id)).quantity_e4 == 5_000


class TestTokens:
    async def test_unknown_blocked_and_strange_tags(self, world: ChargingWorld) -> None:
        token = await world.card()
        assert (await world.start(tag="card-1")).permit.verdict is Verdict.INVALID
        await world.database.transact(service.set_token_state, world.actor, token.id, TokenState.BLOCKED)
        assert (await world.start(tag="CARD-1")).permit.verdict is Verdict.BLOCKED
        async with world.database.read() as session:
            assert not await queries.list_tokens(session, world.stranger.scope, 10, None)

    async def test_a_card_belongs_to_a_member_of_its_own_operator(self, world: ChargingWorld) -> None:
        member_id = await world.member()
        with pytest.raises(MemberNotFound):
            await world.database.transact(service.add_token, world.stranger, "X", member_id, None)
        token = await world.database.transact(service.add_token, world.actor, "X", member_id, None)
        with pytest.raises(TokenTaken):
            await world.database.transact(service.add_token, world.actor, "X", None, None)
        with pytest.raises(TokenNotFound):
            await world.database.transact(
                service.set_token_state, world.stranger, token.id, TokenState.BLOCKED
            )

    async def test_one_card_charges_at_one_connector(self, world: ChargingWorld, clock: ManualClock) -> None:
        await world.card()
        await world.start(connector=1)
        assert (await world.start(connector=2)).permit.verdict is Verdict.CONCURRENT
        clock.advance(60)
        assert (await world.start(connector=1)).permit.verdict is Verdict.ACCEPTED


class TestVerify:
    async def found(self, world: ChargingWorld) -> list[tuple[str, str]]:
        async with world.database.read() as session:
            told = [each for check in queries.CHECKS for each in await check(session)]
        return [(each.check, each.detail) for each in told]

    async def plant(self, world: ChargingWorld, statement: Update) -> None:
        async with world.database.write() as session:
            await session.run(statement)

    async def test_each_planted_violation_is_named(self, world: ChargingWorld) -> None:
        started = await world.start(meter_wh=0)
        await world.stop(started.transaction_id, 1_000)
        await world.start(connector=2)
        assert await self.found(world) == []
        await self.plant(world, update(TransactionRow).values(meter_start_wh=10))
        assert await self.found(world) == [("charging.delivered", "other meter readings than its delivery")]
        await self.plant(world, update(TransactionRow).values(meter_start_wh=0, delivery_id=None))
        assert await self.found(world) == [("charging.delivered", "no delivery")]
        await self.plant(world, update(TransactionRow).values(state="open", connector_number=1))
        assert await self.found(world) == [("charging.one_session", "2 open sessions")]
