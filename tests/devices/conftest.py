"""A station with a nozzle, and the keys of the registry."""

from dataclasses import dataclass

import pytest

from forecourt.core.actor import Actor, Operator, OperatorId
from forecourt.core.db import Database
from forecourt.core.vault import Vault
from forecourt.devices import service
from forecourt.devices.types import DeviceId, DeviceKind, InboxMessage, NewDevice
from forecourt.sites import service as sites
from forecourt.sites.types import Energy, Nozzle, Station
from forecourt_kit.quantity import Unit
from forecourt_kit.random import SeededRandom

OURS = Actor(scope=Operator(OperatorId(11)), subject="ours")
THEIRS = Actor(scope=Operator(OperatorId(22)), subject="theirs")


@pytest.fixture
def vault() -> Vault:
    return Vault({1: b"m" * 32}, 1, SeededRandom("vault"))


@dataclass
class Place:
    db: Database
    vault: Vault
    station: Station
    nozzle: Nozzle

    async def register(self, kind: DeviceKind, code: str | None = None, actor: Actor = OURS) -> NewDevice:
        return await self.db.transact(
            service.register_device,
            actor,
            self.vault,
            self.db.random,
            station_id=self.station.id,
            kind=kind,
            name=kind.value,
            code=code,
        )


async def make_place(db: Database, vault: Vault) -> Place:
    station = await db.transact(sites.create_station, OURS, name="Lingang")
    nozzle = await db.transact(
        sites.create_nozzle, OURS, station_id=station.id, number=1, energy=Energy.PETROL, unit=Unit.L
    )
    return Place(db, vault, station, nozzle)


@pytest.fixture
async def place(database: Database, vault: Vault) -> Place:
    return await make_place(database, vault)


@pytest.fixture
async def sqlite_place(sqlite_database: Database, vault: Vault) -> Place:
    return await make_place(sqlite_database, vault)


def message(
    db: Database, mid: int, *, device_id: int = 7, body: bytes = b"\x00\xff' \\", epoch: bytes = b"abcd"
) -> InboxMessage:
    return InboxMessage(
        device_id=DeviceId(device_id),
        operator_id=OperatorId(11),
        station_id=5,
        incarnation=epoch,
        mid=mid,
        record_class=1,
        channel=2,
        format=3,
        body=body,
        received_at=db.clock.now(),
    )
