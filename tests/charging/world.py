"""One operator's station with a charge point of two connectors, for every test that charges."""

from dataclasses import dataclass
from datetime import datetime

from forecourt.charging import service
from forecourt.charging.types import ChargePointRef, RawFrame, Start, Started, Stop, Token
from forecourt.core.actor import Actor, Operator, OperatorId
from forecourt.core.db import Database
from forecourt.core.vault import Vault
from forecourt.customers import service as customers
from forecourt.deliveries import queries as deliveries
from forecourt.deliveries.types import Delivery
from forecourt.devices import service as devices
from forecourt.devices.types import DeviceKind
from forecourt.sites import service as sites
from forecourt.sites.types import Energy, Nozzle, ProductId, StationId
from forecourt_kit.quantity import Unit
from forecourt_kit.random import SeededRandom

CODE = "CP-0001"
OPERATOR_ID, STRANGER_ID = OperatorId(7), OperatorId(8)
CONNECTION = bytes(8)
VAULT = Vault({1: bytes(32)}, 1, SeededRandom("charging vault"))


@dataclass
class ChargingWorld:
    database: Database
    actor: Actor
    stranger: Actor
    station_id: StationId
    product_id: ProductId
    ref: ChargePointRef
    password: str
    nozzles: tuple[Nozzle, Nozzle]
    frames: int = 0

    def frame(self) -> RawFrame:
        self.frames += 1
        return RawFrame(
            connection=CONNECTION, number=self.frames, body=b"[2]", received_at=self.database.clock.now()
        )

    async def card(self, tag: str = "CARD-1", member_id: int | None = None) -> Token:
        return await self.database.transact(service.add_token, self.actor, tag, member_id, None)

    async def member(self, phone: str = "13800138000") -> int:
        made = await self.database.transact(
            customers.create_member, self.actor, VAULT, name="王先生", phone=phone
        )
        return made.id

    async def start(
        self,
        connector: int = 1,
        tag: str = "CARD-1",
        meter_wh: int = 1_000,
        at: datetime | None = None,
        ref: ChargePointRef | None = None,
    ) -> Started:
        told = Start(
            connector_number=connector,
            id_tag=tag,
            meter_start_wh=meter_wh,
            started_at=at or self.database.clock.now(),
        )
        return await self.database.transact(
            service.start, ref or self.ref, self.frame(), told, service.authorise_by_token
        )

    async def stop(self, transaction_id: int, meter_wh: int, at: datetime | None = None) -> None:
        told = Stop(
            transaction_id=transaction_id,
            meter_stop_wh=meter_wh,
            ended_at=at or self.database.clock.now(),
            reason="Local",
        )
        await self.database.transact(service.stop, self.ref, self.frame(), told)

    async def delivery(self, delivery_id: int | None) -> Delivery:
        async with self.database.read() as session:
            return await deliveries.get_delivery(session, self.actor.scope, delivery_id or 0)


async def open_world(database: Database) -> ChargingWorld:
    actor = Actor(scope=Operator(OPERATOR_ID), subject="tester")
    random = SeededRandom("charging world")
    station = await database.transact(sites.create_station, actor, name="测试充电站")
    made = await database.transact(
        devices.register_device,
        actor,
        VAULT,
        random,
        station_id=station.id,
        kind=DeviceKind.CHARGE_POINT,
        name="桩 1",
        code=CODE,
    )
    product = await database.transact(
        sites.create_product, actor, code="EV", name="充电", energy=Energy.EV, unit=Unit.KWH
    )
    nozzles = []
    for connector in (1, 2):
        nozzle = await database.transact(
            sites.create_nozzle,
            actor,
            station_id=station.id,
            number=20 + connector,
            energy=Energy.EV,
            unit=Unit.KWH,
            charge_point_device_id=made.device.id,
            connector_number=connector,
        )
        await database.transact(sites.set_supply, actor, nozzle.id, product_id=product.id, tank_id=None)
        nozzles.append(nozzle)
    assert made.password
    return ChargingWorld(
        database=database,
        actor=actor,
        stranger=Actor(scope=Operator(STRANGER_ID), subject="stranger"),
        station_id=station.id,
        product_id=product.id,
        ref=ChargePointRef(operator_id=OPERATOR_ID, station_id=station.id, device_id=made.device.id),
        password=made.password,
        nozzles=(nozzles[0], nozzles[1]),
    )
