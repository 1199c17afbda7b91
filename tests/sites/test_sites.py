"""Stations and what stands on them: numbers are unique, supplies never overlap, strangers see nothing."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Update, update

from forecourt.core.actor import Actor, Device, Operator, OperatorId, system
from forecourt.core.db import Database, WriteSession
from forecourt.core.errors import Forbidden, Invalid
from forecourt.sites import queries, rules, service
from forecourt.sites.errors import (
    NozzleNotFound,
    NumberTaken,
    ProductCodeTaken,
    ProductNotFound,
    StationNotFound,
    SupplyMismatch,
    SupplyOverlaps,
)
from forecourt.sites.models import NozzleRow, NozzleSupplyRow
from forecourt.sites.types import Energy, Nozzle, PaymentPolicy, Product, Station, StationId
from forecourt_kit.clock import ManualClock
from forecourt_kit.quantity import Unit

OURS = Actor(scope=Operator(OperatorId(11)), subject="ours")
THEIRS = Actor(scope=Operator(OperatorId(22)), subject="theirs")


async def station(db: Database, actor: Actor = OURS) -> Station:
    return await db.transact(service.create_station, actor, name="Lingang")


async def nozzle(db: Database, at: Station, number: int = 1, actor: Actor = OURS, **more: Any) -> Nozzle:
    kind: dict[str, Any] = {"energy": Energy.PETROL, "unit": Unit.L, **more}
    return await db.transact(service.create_nozzle, actor, station_id=at.id, number=number, **kind)


async def product(db: Database, code: str = "95", actor: Actor = OURS, **more: Any) -> Product:
    kind: dict[str, Any] = {"energy": Energy.PETROL, "unit": Unit.L, **more}
    return await db.transact(service.create_product, actor, code=code, name=f"No. {code}", **kind)


class TestBusinessDate:
    def of(self, day_cut_min: int, zone: str = "Asia/Shanghai") -> Station:
        return Station(
            id=StationId(1), operator_id=OperatorId(1), name="", timezone=zone, day_cut_min=day_cut_min
        )

    def test_the_day_begins_at_the_cut_in_local_time(self) -> None:
        eight = self.of(8 * 60)
        before, at = datetime(2026, 11, 21, 23, 59, 59, tzinfo=UTC), datetime(2026, 11, 22, tzinfo=UTC)
        assert eight.business_date(before) == date(2026, 11, 21)  # 07:59:59 in Shanghai.
        assert eight.business_date(at) == date(2026, 11, 22)
        assert self.of(0).business_date(before) == date(2026, 11, 22)

    @given(
        st.datetimes(timezones=st.just(UTC), min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1))
    )
    def test_every_instant_is_in_one_day_and_days_follow_each_other(self, at: datetime) -> None:
        for zone in ("Asia/Shanghai", "America/New_York", "UTC"):
            cut = self.of(8 * 60 + 30, zone)
            assert cut.business_date(at) in {
                cut.business_date(at + timedelta(days=1)) - timedelta(days=1),
                cut.business_date(at + timedelta(days=1)) - timedelta(days=2),
                cut.business_date(at + timedelta(days=1)),
            }
            assert cut.business_date(at) <= cut.business_date(at + timedelta(seconds=1))


class TestStations:
    async def test_a_station_is_made_changed_and_listed(self, database: Database) -> None:
        made = await station(database)
        await database.transact(service.change_station, OURS, made.id, name="Lingang 2", day_cut_min=480)
        async with database.read() as session:
            listed = await queries.list_stations(session, OURS.scope, limit=5)
        assert [(each.name, each.day_cut_min, each.timezone) for each in listed] == [
            ("Lingang 2", 480, "Asia/Shanghai")
        ]

    @pytest.mark.parametrize(
        ("timezone", "day_cut_min"), [("Mars/Base", 0), ("../etc/passwd", 0), ("UTC", 1440), ("UTC", -1)]
    )
    async def test_a_zone_or_cut_that_does_not_exist_is_refused(
        self, sqlite_database: Database, timezone: str, day_cut_min: int
    ) -> None:
        with pytest.raises(Invalid):
            await sqlite_database.transact(
                service.create_station, OURS, name="X", timezone=timezone, day_cut_min=day_cut_min
            )

    async def test_the_platforms_jobs_name_the_operator_and_staff_cannot_name_another(
        self, sqlite_database: Database
    ) -> None:
        made = await sqlite_database.transact(
            service.create_station, system("demo"), name="Demo", operator_id=11
        )
        assert made.operator_id == 11
        with pytest.raises(Invalid):
            await sqlite_database.transact(service.create_station, system("demo"), name="Demo")
        with pytest.raises(Forbidden):
            await sqlite_database.transact(service.create_station, OURS, name="X", operator_id=22)


class TestNozzles:
    async def test_a_number_is_unique_on_its_station_whoever_is_first(self, database: Database) -> None:
        first, second = await station(database), await station(database)
        outcomes = await asyncio.gather(
            *(nozzle(database, first, 3) for _ in range(4)), return_exceptions=True
        )
        assert sum(isinstance(each, Nozzle) for each in outcomes) == 1
        assert sum(isinstance(each, NumberTaken) for each in outcomes) == 3
        await nozzle(database, second, 3)

    @pytest.mark.parametrize(
        ("energy", "unit"),
        [(Energy.PETROL, Unit.KG), (Energy.LNG, Unit.L), (Energy.EV, Unit.L), (Energy.HYDROGEN, Unit.NM3)],
    )
    async def test_each_energy_is_sold_by_its_own_units(
        self, sqlite_database: Database, energy: Energy, unit: Unit
    ) -> None:
        at = await station(sqlite_database)
        with pytest.raises(Invalid):
            await nozzle(sqlite_database, at, energy=energy, unit=unit)

    async def test_a_connector_is_found_by_charge_point_and_number(self, database: Database) -> None:
        at = await station(database)
        connector: dict[str, Any] = {"energy": Energy.EV, "unit": Unit.KWH, "charge_point_device_id": 77}
        made = await nozzle(database, at, 21, connector_number=1, **connector)
        await nozzle(database, at, 22, connector_number=2, **connector)
        with pytest.raises(NumberTaken):
            await nozzle(database, at, 23, connector_number=2, **connector)
        async with database.read() as session:
            found = await queries.connectors_many(session, [(77, 1), (77, 9), (78, 1)])
        assert found == {(77, 1): made}

    async def test_a_connector_needs_both_and_only_chargers_have_them(
        self, sqlite_database: Database
    ) -> None:
        at = await station(sqlite_database)
        ev = {"energy": Energy.EV, "unit": Unit.KWH}
        for wrong in ({**ev, "connector_number": 1}, {"charge_point_device_id": 1, "connector_number": 1}):
            with pytest.raises(Invalid):
                await nozzle(sqlite_database, at, **wrong)

    async def test_agents_name_nozzles_by_station_and_number(self, database: Database) -> None:
        first, second = await station(database), await station(database, THEIRS)
        one, two = await nozzle(database, first, 1), await nozzle(database, first, 2)
        three = await nozzle(database, second, 1, THEIRS)
        async with database.read() as session:
            found = await queries.nozzles_by_number_many(
                session, [(first.id, 1), (second.id, 1), (second.id, 2), (first.id, 9)]
            )
        assert found == {(first.id, 1): one, (second.id, 1): three}
        assert two.display_step_e4 == 100

    async def test_the_payment_policy_can_be_changed(self, sqlite_database: Database) -> None:
        made = await nozzle(sqlite_database, await station(sqlite_database))
        changed = await sqlite_database.transact(
            service.change_nozzle, OURS, made.id, payment_policy=PaymentPolicy.PREPAY
        )
        async with sqlite_database.read() as session:
            assert await queries.get_nozzle(session, OURS.scope, made.id) == changed


class TestSupply:
    async def test_what_a_nozzle_sold_is_told_for_any_instant(
        self, database: Database, clock: ManualClock
    ) -> None:
        made = await nozzle(database, await station(database))
        ron92, ron95 = await product(database, "92"), await product(database, "95")
        start = clock.now()
        await database.transact(service.set_supply, OURS, made.id, product_id=ron92.id, tank_id=None)
        later = start + timedelta(hours=1)
        await database.transact(
            service.set_supply, OURS, made.id, product_id=ron95.id, tank_id=None, valid_from=later
        )
        moments = [start - timedelta(microseconds=1), start, later - timedelta(microseconds=1), later]
        async with database.read() as session:
            found = await queries.supplies_at_many(session, [(made.id, at) for at in moments])
        sold = [found[made.id, at].product_id if (made.id, at) in found else None for at in moments]
        assert sold == [None, ron92.id, ron92.id, ron95.id]

    async def test_the_past_is_not_rewritten(self, database: Database, clock: ManualClock) -> None:
        made = await nozzle(database, await station(database))
        sold = await product(database)
        await database.transact(service.set_supply, OURS, made.id, product_id=sold.id, tank_id=None)
        for back in (timedelta(), timedelta(hours=1)):
            with pytest.raises(SupplyOverlaps):
                await database.transact(
                    service.set_supply,
                    OURS,
                    made.id,
                    product_id=sold.id,
                    tank_id=None,
                    valid_from=clock.now() - back,
                )

    async def test_a_nozzle_sells_its_own_energy_from_a_tank_of_that_product(
        self, sqlite_database: Database
    ) -> None:
        db = sqlite_database
        at, elsewhere = await station(db), await station(db)
        made = await nozzle(db, at)
        ron92, ron95 = await product(db, "92"), await product(db, "95")
        lng = await product(db, "LNG", energy=Energy.LNG, unit=Unit.KG)
        tank = {"number": 1, "product_id": ron92.id, "capacity_e4": 10**9}
        here = await db.transact(service.create_tank, OURS, station_id=at.id, **tank)
        there = await db.transact(service.create_tank, OURS, station_id=elsewhere.id, **tank)
        for product_id, tank_id in (
            (lng.id, None),
            (ron95.id, here.id),
            (ron92.id, there.id),
            (ron92.id, 999),
        ):
            with pytest.raises(SupplyMismatch):
                await db.transact(service.set_supply, OURS, made.id, product_id=product_id, tank_id=tank_id)
        await db.transact(service.set_supply, OURS, made.id, product_id=ron92.id, tank_id=here.id)
        with pytest.raises(NumberTaken):
            await db.transact(service.create_tank, OURS, station_id=at.id, **tank)


class TestStrangers:
    async def test_see_and_change_nothing(self, database: Database) -> None:
        at = await station(database)
        made = await nozzle(database, at)
        sold = await product(database)
        scope = THEIRS.scope
        async with database.read() as session:
            assert await queries.list_stations(session, scope, limit=5) == []
            assert await queries.list_products(session, scope) == []
            assert await queries.nozzles_by_station(session, scope, [at.id]) == []
            assert await queries.tanks_of_station(session, scope, at.id) == []
            assert await queries.dispensers_of_station(session, scope, at.id) == []
            with pytest.raises(StationNotFound):
                await queries.get_station(session, scope, at.id)
            with pytest.raises(NozzleNotFound):
                await queries.get_nozzle(session, scope, made.id)
            with pytest.raises(ProductNotFound):
                await queries.get_product(session, scope, sold.id)
        with pytest.raises(StationNotFound):
            await database.transact(service.change_station, THEIRS, at.id, name="Mine")
        with pytest.raises(StationNotFound):
            await nozzle(database, at, 9, THEIRS)
        with pytest.raises(NozzleNotFound):
            await database.transact(service.set_supply, THEIRS, made.id, product_id=sold.id, tank_id=None)
        theirs = await nozzle(database, await station(database, THEIRS), 1, THEIRS)
        with pytest.raises(ProductNotFound):
            await database.transact(service.set_supply, THEIRS, theirs.id, product_id=sold.id, tank_id=None)

    async def test_a_terminal_sees_its_own_station_only(self, sqlite_database: Database) -> None:
        db = sqlite_database
        here, elsewhere = await station(db), await station(db)
        near, far = await nozzle(db, here), await nozzle(db, elsewhere)
        scope = Device(OperatorId(11), 5, here.id)
        async with db.read() as session:
            assert [each.id for each in await queries.list_stations(session, scope, limit=5)] == [here.id]
            assert (await queries.get_nozzle(session, scope, near.id)).id == near.id
            with pytest.raises(NozzleNotFound):
                await queries.get_nozzle(session, scope, far.id)
            with pytest.raises(StationNotFound):
                await queries.get_station(session, scope, elsewhere.id)

    async def test_product_codes_are_the_operators_own(self, database: Database) -> None:
        await product(database, "95")
        await product(database, "95", THEIRS)
        with pytest.raises(ProductCodeTaken):
            await product(database, "95")


def test_every_energy_has_a_unit() -> None:
    assert rules.UNITS.keys() == set(Energy)


class TestVerify:
    async def violations(self, db: Database) -> set[str]:
        async with db.read() as session:
            return {each.check for check in queries.CHECKS for each in await check(session)}

    async def test_names_each_planted_violation(self, database: Database, clock: ManualClock) -> None:
        at = await station(database)
        made, sold = await nozzle(database, at), await product(database)
        lng = await product(database, "LNG", energy=Energy.LNG, unit=Unit.KG)
        await database.transact(service.set_supply, OURS, made.id, product_id=sold.id, tank_id=None)
        later = clock.now() + timedelta(hours=1)
        await database.transact(
            service.set_supply, OURS, made.id, product_id=sold.id, tank_id=None, valid_from=later
        )
        assert await self.violations(database) == set()
        supplies = update(NozzleSupplyRow)
        plants = {
            "sites.one_supply": supplies.values(valid_to=None),
            "sites.supply_fits": supplies.values(product_id=lng.id),
            "sites.nozzle_station": update(NozzleRow).values(station_id=404),
        }
        seen = set()
        for check, plant in plants.items():
            await database.transact(_plant, plant)
            seen.add(check)
            assert await self.violations(database) == seen


async def _plant(session: WriteSession, statement: Update) -> None:
    await session.run(statement)
