"""Commands: sent again until answered or expired, superseded by a later one about the same subject."""

from datetime import timedelta
from itertools import product

from tests.devices.conftest import OURS, Place

from forecourt.core.actor import System
from forecourt.core.outbox import OutboxRow
from forecourt.devices import jobs, queries, rules, service
from forecourt.devices.types import Command, CommandEvent, CommandKind, CommandState, DeviceKind
from forecourt.sites import service as sites
from forecourt.sites.types import Energy
from forecourt_kit.clock import ManualClock
from forecourt_kit.quantity import Unit

ENDED = {CommandState.ACKNOWLEDGED, CommandState.EXPIRED, CommandState.FAILED}


def test_what_has_ended_does_not_change_any_more() -> None:
    for state, event in product(CommandState, CommandEvent):
        assert ((state, event) in rules.COMMAND_TRANSITIONS) == (state not in ENDED)
    for event in CommandEvent:
        rules.ended_by(event)


async def set_price(place: Place, price_e4: int) -> Command | None:
    return await place.db.transact(
        service.queue_for_nozzle,
        nozzle_id=place.nozzle.id,
        kind=CommandKind.SET_PRICE,
        body={"unit_price_e4": price_e4},
        expires_at=place.db.clock.now() + timedelta(hours=1),
    )


async def due(place: Place, device_ids: list[int] | None = None) -> list[Command]:
    async with place.db.read() as session:
        return await queries.commands_due_many(session, limit=50, device_ids=device_ids)


async def topics(place: Place) -> list[tuple[str, str | None]]:
    async with place.db.read() as session:
        rows = await session.all(OutboxRow.__table__.select().order_by(OutboxRow.id))
    return [(row.topic, row.body.get("state")) for row in rows]


class TestQueue:
    async def test_a_nozzles_command_goes_to_what_drives_it(self, place: Place) -> None:
        assert await set_price(place, 78_500) is None  # Nothing drives it yet.
        first, second = [await place.register(DeviceKind.STATION_AGENT) for _ in range(2)]
        queued = await set_price(place, 78_500)
        assert queued is not None
        assert queued.device_id == first.device.id
        assert queued.body == {"nozzle_id": place.nozzle.id, "nozzle_number": 1, "unit_price_e4": 78_500}
        await place.db.transact(service.bind_nozzles, OURS, second.device.id, [place.nozzle.id])
        moved = await set_price(place, 78_600)
        assert moved is not None
        assert moved.device_id == second.device.id

    async def test_a_connectors_command_goes_to_its_charge_point(self, place: Place) -> None:
        charger = await place.register(DeviceKind.CHARGE_POINT, "CP-1")
        connector = await place.db.transact(
            sites.create_nozzle,
            OURS,
            station_id=place.station.id,
            number=21,
            energy=Energy.EV,
            unit=Unit.KWH,
            charge_point_device_id=charger.device.id,
            connector_number=2,
        )
        queued = await place.db.transact(
            service.queue_for_nozzle,
            nozzle_id=connector.id,
            kind=CommandKind.AUTHORISE,
            body={},
            expires_at=place.db.clock.now() + timedelta(minutes=5),
        )
        assert queued is not None
        assert (queued.device_id, queued.body["connector_number"]) == (charger.device.id, 2)

    async def test_a_later_command_takes_the_place_of_an_earlier_one(self, place: Place) -> None:
        agent = await place.register(DeviceKind.STATION_AGENT)
        await set_price(place, 78_500)
        newer = await set_price(place, 78_600)
        assert newer is not None
        assert await due(place) == [newer]
        assert await due(place, [agent.device.id]) == [newer]
        assert await due(place, [agent.device.id + 1]) == []
        assert await due(place, []) == []
        assert await topics(place) == [
            ("devices.command.queued", None),
            ("devices.command.ended", "expired"),
            ("devices.command.queued", None),
        ]


class TestAnswer:
    async def test_a_command_is_due_again_until_it_is_answered(
        self, place: Place, clock: ManualClock
    ) -> None:
        agent = (await place.register(DeviceKind.STATION_AGENT)).device
        queued = await set_price(place, 78_500)
        assert queued is not None
        await place.db.transact(service.mark_sent_many, [queued.id])
        assert await due(place) == []
        clock.advance(16)
        assert [(each.id, each.tries, each.state) for each in await due(place)] == [
            (queued.id, 1, CommandState.SENT)
        ]
        answer = await place.db.transact(service.answer_command, agent.id, queued.id, done=True)
        assert answer is CommandState.ACKNOWLEDGED
        assert await due(place) == []
        again = await place.db.transact(service.answer_command, agent.id, queued.id, done=False)
        assert again is CommandState.ACKNOWLEDGED
        assert (await topics(place))[1:] == [("devices.command.ended", "acknowledged")]

    async def test_an_answer_may_overtake_the_note_that_it_was_sent(self, sqlite_place: Place) -> None:
        place = sqlite_place
        agent = (await place.register(DeviceKind.STATION_AGENT)).device
        queued = await set_price(place, 78_500)
        assert queued is not None
        await place.db.transact(service.answer_command, agent.id, queued.id, done=False, error="locked")
        await place.db.transact(service.mark_sent_many, [queued.id])
        async with place.db.read() as session:
            told = (await queries.list_commands(session, OURS.scope, agent.id, limit=5))[0]
        assert (told.state, told.error, told.tries) == (CommandState.FAILED, "locked", 0)

    async def test_another_device_cannot_answer(self, place: Place) -> None:
        await place.register(DeviceKind.STATION_AGENT)
        other = (await place.register(DeviceKind.STATION_AGENT)).device
        queued = await set_price(place, 78_500)
        assert queued is not None
        assert await place.db.transact(service.answer_command, other.id, queued.id, done=True) is None
        assert len(await due(place)) == 1

    async def test_what_nobody_answers_expires_and_is_told(self, place: Place, clock: ManualClock) -> None:
        await place.register(DeviceKind.STATION_AGENT)
        await set_price(place, 78_500)
        async with place.db.read() as session:
            later = clock.now() + timedelta(minutes=1)
            assert len(await queries.stale_commands(session, System(), "price:", later)) == 1
            assert await queries.stale_commands(session, System(), "price:", clock.now()) == []
            assert await queries.stale_commands(session, System(), "pric_:", later) == []
        assert await jobs.expire_commands(place.db) == 0
        clock.advance(3600)
        assert await due(place) == []
        assert await jobs.expire_commands(place.db) == 1
        assert await jobs.expire_commands(place.db) == 0
        assert (await topics(place))[1:] == [("devices.command.ended", "expired")]


def test_every_kind_that_is_about_a_nozzle_has_a_subject() -> None:
    assert service.commands.SUBJECTS.keys() == set(CommandKind) - {CommandKind.CHARGE_POINT_CALL}
