# mypy: disable-error-code="untyped-decorator, misc"
"""Charge points that this project did not write: the `ocpp` package's client, and `test-ocpp`."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import test_ocpp
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call, call_result
from tests.charging.world import CODE, ChargingWorld, open_world
from tests.gateway.ocpp_server import DevicePort, device_port
from websockets.asyncio.client import connect

from forecourt.charging import queries
from forecourt.charging.types import Transaction, TransactionState
from forecourt.core.db import Database
from forecourt.deliveries import queries as deliveries
from forecourt.deliveries.types import DeliveryState, NozzleState
from forecourt.ledger import queries as ledger
from forecourt.payments import service as payments
from forecourt.pricing import service as pricing
from forecourt.sales import queries as sale_queries
from forecourt.sales import service as sales
from forecourt.sales.doors import authorise_charge
from forecourt.sales.types import AuthorisationKind, SaleState
from forecourt_kit.clock import ManualClock
from forecourt_kit.ids import to_public
from forecourt_kit.price import Preset, PresetKind

BEGUN = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)  # When the tests' clock begins.


@pytest.fixture
async def world(database: Database) -> ChargingWorld:
    return await open_world(database)


@pytest.fixture
async def port(world: ChargingWorld) -> AsyncIterator[DevicePort]:
    async with device_port(world) as opened:
        yield opened


class Foreign(ChargePoint):
    """The package's client; it starts and stops when the platform says so."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.asked: list[Any] = []

    @on("RemoteStartTransaction")
    def remote_start(self, **asked: Any) -> Any:
        self.asked.append(asked)
        return call_result.RemoteStartTransaction(status="Accepted")

    @on("RemoteStopTransaction")
    def remote_stop(self, **asked: Any) -> Any:
        self.asked.append(asked)
        return call_result.RemoteStopTransaction(status="Accepted")


@contextlib.asynccontextmanager
async def foreign(port: DevicePort, world: ChargingWorld) -> AsyncIterator[Foreign]:
    pair = base64.b64encode(f"{CODE}:{world.password}".encode()).decode()
    async with connect(
        f"{port.url}/{CODE}",
        subprotocols=["ocpp1.6"],  # type: ignore[list-item]
        additional_headers={"Authorization": f"Basic {pair}"},
        proxy=None,
    ) as socket:
        point = Foreign(CODE, socket)
        listening = asyncio.create_task(point.start())
        try:
            yield point
        finally:
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening


def register(at: datetime, wh: int) -> dict[str, Any]:
    return {
        "timestamp": at.isoformat(),
        "sampled_value": [
            {"value": str(wh), "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
            {"value": "7.2", "measurand": "Power.Active.Import", "unit": "kW"},
            {"value": "41", "measurand": "SoC", "unit": "Percent"},
        ],
    }


async def sessions(world: ChargingWorld) -> list[Transaction]:
    async with world.database.read() as session:
        return await queries.list_transactions(session, world.actor.scope, None, 10, None)


async def nozzle_state(world: ChargingWorld) -> NozzleState:
    async with world.database.read() as session:
        live = await deliveries.live_by_station(session, world.actor.scope, world.station_id)
    return live[world.nozzles[0].id].state


class TestTheOcppPackagesClient:
    async def test_boot_authorise_start_meter_stop(
        self, port: DevicePort, world: ChargingWorld, clock: ManualClock
    ) -> None:
        member_id = await world.member()
        await world.card("TAG-77", member_id)
        async with foreign(port, world) as point:
            booted = await point.call(
                call.BootNotification(charge_point_model="Wallbox", charge_point_vendor="Others")
            )
            assert booted.status == "Accepted"
            await point.call(
                call.StatusNotification(connector_id=1, error_code="NoError", status="Preparing")
            )
            assert await nozzle_state(world) is NozzleState.CALLING
            refused = await point.call(call.Authorize(id_tag="NOBODY"))
            assert refused.id_tag_info["status"] == "Invalid"
            allowed = await point.call(call.Authorize(id_tag="TAG-77"))
            assert allowed.id_tag_info["status"] == "Accepted"
            begun = await point.call(
                call.StartTransaction(
                    connector_id=1, id_tag="TAG-77", meter_start=120_000, timestamp=BEGUN.isoformat()
                )
            )
            assert begun.id_tag_info["status"] == "Accepted"
            for minutes, wh in ((10, 121_000), (40, 124_500)):
                await point.call(
                    call.MeterValues(
                        connector_id=1,
                        transaction_id=begun.transaction_id,
                        meter_value=[register(BEGUN + timedelta(minutes=minutes), wh)],
                    )
                )
            assert await nozzle_state(world) is NozzleState.FUELLING
            ended_at = BEGUN + timedelta(minutes=55)
            clock.advance(3_600)
            await point.call(
                call.StopTransaction(
                    meter_stop=126_789,
                    timestamp=ended_at.isoformat(),
                    transaction_id=begun.transaction_id,
                    reason="EVDisconnected",
                    id_tag="TAG-77",
                    transaction_data=[register(ended_at, 126_789)],
                )
            )
        (ended,) = await sessions(world)
        assert (ended.state, ended.member_id) == (TransactionState.ENDED, member_id)
        delivery = await world.delivery(ended.delivery_id)
        assert (delivery.quantity_e4, delivery.unit) == (67_890, "kWh")
        assert (delivery.state, delivery.marks) == (DeliveryState.RECORDED, ())
        assert delivery.product_id == world.product_id
        assert delivery.detail["stop_reason"] == "EVDisconnected"
        async with asyncio.timeout(10):
            while await nozzle_state(world) is not NozzleState.OFFLINE:
                await asyncio.sleep(0.01)


class TestPaidLikeALitre:
    """A payer is bound to the connector; the charge point is started, stopped at the limit, and paid for."""

    async def test_started_from_afar_stopped_at_the_limit_paid_from_the_wallet(
        self, world: ChargingWorld, clock: ManualClock
    ) -> None:
        member_id = await funded_member(world, 100_00)
        await priced(world, 12_000)
        wish = sales.Wish(
            nozzle_id=world.nozzles[0].id,
            kind=AuthorisationKind.BOUND,
            preset=Preset(PresetKind.FULL),
            limit_fen=30_00,
        )
        granted = await world.database.transact(sales.authorise_wallet, world.actor, wish, member_id)
        async with device_port(world, authorise=authorise_charge) as port, foreign(port, world) as point:
            await point.call(
                call.BootNotification(charge_point_model="Wallbox", charge_point_vendor="Others")
            )
            await until(port, lambda: bool(point.asked))
            (started,) = point.asked
            assert started == {"id_tag": to_public(granted.id), "connector_id": 1}
            begun = await point.call(
                call.StartTransaction(
                    connector_id=1, id_tag=started["id_tag"], meter_start=0, timestamp=BEGUN.isoformat()
                )
            )
            assert begun.id_tag_info["status"] == "Accepted"
            for minutes, wh in ((10, 20_000), (20, 25_000)):
                assert len(point.asked) == 1
                await point.call(
                    call.MeterValues(
                        connector_id=1,
                        transaction_id=begun.transaction_id,
                        meter_value=[register(BEGUN + timedelta(minutes=minutes), wh)],
                    )
                )
            await until(port, lambda: len(point.asked) == 2)
            assert point.asked[1] == {"transaction_id": begun.transaction_id}
            clock.advance(1_800)
            await point.call(
                call.StopTransaction(
                    meter_stop=25_000,
                    timestamp=(BEGUN + timedelta(minutes=21)).isoformat(),
                    transaction_id=begun.transaction_id,
                    reason="Remote",
                )
            )
        (ended,) = await sessions(world)
        assert ended.authorisation_id == granted.id
        (sale_id,) = await world.database.transact(sales.open_many, world.actor, [ended.delivery_id or 0])
        async with world.database.read() as session:
            sale = await sale_queries.get_sale(session, world.actor.scope, sale_id)
            wallet = await ledger.wallet(session, world.actor.scope, world.ref.operator_id, member_id)
            checks = (*ledger.CHECKS, *deliveries.CHECKS, *queries.CHECKS, *sale_queries.CHECKS)
            violations = [each for check in checks for each in await check(session)]
        assert (sale.unit, sale.due_fen, sale.state, sale.tenders) == (
            "kWh",
            30_00,
            SaleState.PAID,
            ("wallet",),
        )
        assert (wallet.principal_fen, wallet.held_fen) == (70_00, 0)
        assert violations == []


async def funded_member(world: ChargingWorld, principal_fen: int) -> int:
    member_id = await world.member()
    await world.database.transact(
        payments.top_up_cash,
        world.actor,
        operator_id=world.ref.operator_id,
        station_id=world.station_id,
        member_id=member_id,
        amount_fen=principal_fen,
        bonus_fen=0,
    )
    return member_id


async def priced(world: ChargingWorld, unit_price_e4: int) -> None:
    await world.database.transact(
        pricing.set_price,
        world.actor,
        station_id=world.station_id,
        product_id=world.product_id,
        unit_price_e4=unit_price_e4,
        valid_from=None,
    )


async def until(port: DevicePort, condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            port.commands.wake()
            await asyncio.sleep(0.01)


class TestTestOcpp:
    async def test_it_boots_and_beats(self, port: DevicePort, world: ChargingWorld) -> None:
        found = await test_ocpp.check_connection(port.url, CODE, password=world.password)
        assert found.subprotocol == "ocpp1.6"
        assert found.boot_notification["status"] == "Accepted"
        assert datetime.fromisoformat(found.heartbeat["currentTime"]).tzinfo is not None
