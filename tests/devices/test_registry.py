"""Devices and their secrets: shown once, sealed, changed with an overlap, revoked at once."""

from typing import Any

import pytest
from sqlalchemy import Update, update
from tests.devices.conftest import OURS, THEIRS, Place

from forecourt.access.flows import Authenticator
from forecourt.access.types import TooManyTries
from forecourt.core.actor import Device
from forecourt.core.db import WriteSession
from forecourt.core.errors import Invalid, Unauthenticated
from forecourt.core.http import Credentials
from forecourt.devices import flows, queries, rules, service
from forecourt.devices.errors import (
    DeviceCodeTaken,
    DeviceNotFound,
    DeviceRevoked,
    HasNoKey,
    NotATerminal,
    NozzleElsewhere,
)
from forecourt.devices.models import DeviceRow
from forecourt.devices.types import DeviceKind, DeviceState, EnrolledTerminal
from forecourt.sites import service as sites
from forecourt.sites.errors import StationNotFound
from forecourt.sites.types import Energy
from forecourt_kit.clock import ManualClock
from forecourt_kit.quantity import Unit

AGENT, CHARGER, TERMINAL = DeviceKind.STATION_AGENT, DeviceKind.CHARGE_POINT, DeviceKind.TERMINAL


async def enrol(place: Place, code: str, ip: str = "198.51.100.1") -> EnrolledTerminal | TooManyTries | None:
    return await place.db.transact(service.enrol, code, token=place.db.random.token(24), ip=ip, agent="tests")


class TestKeys:
    async def test_a_key_is_shown_once_and_stored_sealed(self, place: Place) -> None:
        made = await place.register(AGENT)
        assert made.psk is not None
        assert len(made.psk) == rules.PSK_BYTES
        assert made.psk.hex() not in repr(made)
        ring = await flows.find_key_ring(place.db, place.vault, made.device.id)
        assert ring is not None
        assert [(key.key_id, key.psk) for key in ring.keys] == [(1, made.psk)]
        assert made.psk not in repr(ring).encode()
        async with place.db.read() as session:
            row = await session.first(DeviceRow.__table__.select())
        assert row is not None
        assert made.psk not in row.psk_sealed

    async def test_after_a_change_both_keys_work_for_a_day(self, place: Place, clock: ManualClock) -> None:
        made = await place.register(AGENT)
        new = await place.db.transact(service.rotate_key, OURS, place.vault, place.db.random, made.device.id)
        ring = await flows.find_key_ring(place.db, place.vault, made.device.id)
        assert ring is not None
        assert [(key.key_id, key.psk) for key in ring.keys] == [(2, new.psk), (1, made.psk)]
        clock.advance(24 * 3600)
        ring = await flows.find_key_ring(place.db, place.vault, made.device.id)
        assert ring is not None
        assert [(key.key_id, key.psk) for key in ring.keys] == [(2, new.psk)]

    async def test_a_charge_point_has_a_password_for_its_code(self, place: Place) -> None:
        made = await place.register(CHARGER, "CP-0001")
        assert made.password is not None
        assert len(made.password) == 20
        assert await flows.check_charge_point(place.db, "CP-0001", made.password) == (made.device, True)
        assert await flows.check_charge_point(place.db, "CP-0001", "wrong") == (made.device, False)
        assert await flows.check_charge_point(place.db, "CP-0001", None) == (made.device, False)
        assert await flows.check_charge_point(place.db, "cp-0001", made.password) == (None, False)
        changed = await place.db.transact(
            service.rotate_key, OURS, place.vault, place.db.random, made.device.id
        )
        assert (await flows.check_charge_point(place.db, "CP-0001", made.password))[1] is False
        assert (await flows.check_charge_point(place.db, "CP-0001", changed.password))[1] is True

    async def test_a_code_is_unique_and_for_charge_points_only(self, place: Place) -> None:
        await place.register(CHARGER, "CP-0001")
        with pytest.raises(DeviceCodeTaken):
            await place.register(CHARGER, "CP-0001")
        for kind, code in ((CHARGER, None), (AGENT, "X1"), (TERMINAL, "X2")):
            with pytest.raises(Invalid):
                await place.register(kind, code)

    async def test_a_revoked_device_opens_nothing(self, place: Place) -> None:
        agent, charger = await place.register(AGENT), await place.register(CHARGER, "CP-0001")
        for made in (agent, charger):
            ended = await place.db.transact(service.revoke, OURS, made.device.id)
            assert ended.state is DeviceState.REVOKED
            with pytest.raises(DeviceRevoked):
                await place.db.transact(
                    service.rotate_key, OURS, place.vault, place.db.random, made.device.id
                )
        ring = await flows.find_key_ring(place.db, place.vault, agent.device.id)
        assert ring is not None
        assert ring.keys == ()
        assert await flows.check_charge_point(place.db, "CP-0001", charger.password) == (None, False)

    async def test_an_unknown_device_has_no_ring_and_a_terminal_no_key(self, sqlite_place: Place) -> None:
        place = sqlite_place
        assert await flows.find_key_ring(place.db, place.vault, 404) is None
        terminal = await place.register(TERMINAL)
        with pytest.raises(HasNoKey):
            await place.db.transact(
                service.rotate_key, OURS, place.vault, place.db.random, terminal.device.id
            )


class TestEnrolment:
    async def test_a_code_opens_one_session_once(self, place: Place) -> None:
        made = await place.register(TERMINAL)
        assert made.enrolment is not None
        assert made.device.state is DeviceState.WAITING
        typed = f" {made.enrolment.code.lower().replace('-', ' ').replace('0', 'o')} "
        enrolled = await enrol(place, typed)
        assert isinstance(enrolled, EnrolledTerminal)
        authenticator = Authenticator(place.db)
        caller = await authenticator.caller(Credentials(enrolled.token, by_cookie=True))
        assert caller.actor.scope == Device(made.device.operator_id, made.device.id, made.device.station_id)
        assert await enrol(place, typed) is None

    async def test_a_code_is_good_for_ten_minutes(self, place: Place, clock: ManualClock) -> None:
        made = await place.register(TERMINAL)
        assert made.enrolment is not None
        clock.advance(600)
        assert await enrol(place, made.enrolment.code) is None

    async def test_a_new_code_voids_the_one_before(self, place: Place) -> None:
        made = await place.register(TERMINAL)
        assert made.enrolment is not None
        new = await place.db.transact(service.new_enrolment, OURS, place.db.random, made.device.id)
        assert await enrol(place, made.enrolment.code) is None
        assert isinstance(await enrol(place, new.code), EnrolledTerminal)

    async def test_guessing_is_stopped_by_address(self, sqlite_place: Place) -> None:
        made = await sqlite_place.register(TERMINAL)
        assert made.enrolment is not None
        outcomes = [await enrol(sqlite_place, f"AAAAA-{number:05d}") for number in range(21)]
        assert outcomes[:20] == [None] * 20
        assert isinstance(outcomes[20], TooManyTries)
        assert isinstance(await enrol(sqlite_place, made.enrolment.code), TooManyTries)
        assert isinstance(await enrol(sqlite_place, made.enrolment.code, "192.0.2.9"), EnrolledTerminal)

    async def test_a_revoked_terminal_is_out_at_once_and_cannot_come_back(self, place: Place) -> None:
        made = await place.register(TERMINAL)
        assert made.enrolment is not None
        enrolled = await enrol(place, made.enrolment.code)
        assert isinstance(enrolled, EnrolledTerminal)
        await place.db.transact(service.revoke, OURS, made.device.id)
        with pytest.raises(Unauthenticated):
            await Authenticator(place.db).caller(Credentials(enrolled.token, by_cookie=True))
        with pytest.raises(DeviceRevoked):
            await place.db.transact(service.new_enrolment, OURS, place.db.random, made.device.id)

    async def test_only_terminals_are_enrolled(self, sqlite_place: Place) -> None:
        agent = await sqlite_place.register(AGENT)
        with pytest.raises(NotATerminal):
            await sqlite_place.db.transact(
                service.new_enrolment, OURS, sqlite_place.db.random, agent.device.id
            )


class TestNozzles:
    async def test_a_terminal_shows_nozzles_of_its_own_station(self, place: Place) -> None:
        made = await place.register(TERMINAL)
        other = await place.db.transact(sites.create_station, OURS, name="Other")
        far = await place.db.transact(
            sites.create_nozzle, OURS, station_id=other.id, number=1, energy=Energy.LNG, unit=Unit.KG
        )
        bound = await place.db.transact(
            service.bind_nozzles, OURS, made.device.id, [place.nozzle.id, place.nozzle.id]
        )
        assert bound == [place.nozzle.id]
        with pytest.raises(NozzleElsewhere):
            await place.db.transact(service.bind_nozzles, OURS, made.device.id, [far.id])
        assert await place.db.transact(service.bind_nozzles, OURS, made.device.id, []) == []


class TestStrangers:
    async def test_see_and_change_nothing(self, place: Place) -> None:
        made = await place.register(AGENT)
        terminal = await place.register(TERMINAL)
        async with place.db.read() as session:
            assert await queries.list_devices(session, THEIRS.scope, limit=5) == []
            assert len(await queries.list_devices(session, OURS.scope, limit=5)) == 2
            with pytest.raises(DeviceNotFound):
                await queries.get_device(session, THEIRS.scope, made.device.id)
            itself = Device(made.device.operator_id, terminal.device.id, place.station.id)
            with pytest.raises(DeviceNotFound):
                await queries.get_device(session, itself, made.device.id)
            assert await queries.list_commands(session, THEIRS.scope, made.device.id, limit=5) == []
        for verb, more in (
            (service.revoke, ()),
            (service.bind_nozzles, ([],)),
        ):
            with pytest.raises(DeviceNotFound):
                await place.db.transact(verb, THEIRS, made.device.id, *more)
        with pytest.raises(DeviceNotFound):
            await place.db.transact(service.rotate_key, THEIRS, place.vault, place.db.random, made.device.id)
        with pytest.raises(StationNotFound):
            await place.register(AGENT, actor=THEIRS)


async def _plant(session: WriteSession, statement: Update) -> None:
    await session.run(statement)


async def test_verify_names_each_planted_violation(place: Place) -> None:
    made = await place.register(TERMINAL)
    other = await place.db.transact(sites.create_station, OURS, name="Other")
    await place.db.transact(service.bind_nozzles, OURS, made.device.id, [place.nozzle.id])

    async def details() -> set[str]:
        async with place.db.read() as session:
            return {each.detail for check in queries.CHECKS for each in await check(session)}

    assert await details() == set()
    plants: list[tuple[dict[str, Any], set[str]]] = [
        ({"station_id": other.id}, {"bound to a nozzle elsewhere"}),
        ({"station_id": 404}, {"no station of its operator"}),
        (
            {"state": DeviceState.REVOKED, "password_hash": "x"},
            {"no station of its operator", "revoked, and still has a secret"},
        ),
    ]
    for values, told in plants:
        await place.db.transact(_plant, update(DeviceRow).values(**values))
        assert await details() == told
