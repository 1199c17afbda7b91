"""One application on one database, two operators with people of every role, and a terminal of each."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

from forecourt.access import flows
from forecourt.access import service as access
from forecourt.access.types import PLATFORM_ID, Role
from forecourt.api.app import build_api
from forecourt.api.services import Services
from forecourt.core.actor import Actor, Operator, OperatorId, system
from forecourt.core.db import Database
from forecourt.core.passwords import Cost, Passwords
from forecourt.core.vault import Vault
from forecourt.devices import service as devices
from forecourt.devices.types import DeviceKind
from forecourt.sites import service as sites
from forecourt.sites.types import Energy, Nozzle, Station
from forecourt_kit.quantity import Unit
from forecourt_kit.random import SeededRandom

PASSWORD = "correct horse battery"
CHEAP = Cost(time=1, memory_kib=64)


@dataclass
class Tenant:
    """One operator, its station, and the tokens of everybody who is logged in there."""

    operator_id: OperatorId
    station: Station
    nozzle: Nozzle
    device_id: int
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def admin(self) -> Actor:
        return Actor(scope=Operator(self.operator_id), subject="admin")


@dataclass
class World:
    app: FastAPI
    db: Database
    vault: Vault
    passwords: Passwords
    ours: Tenant
    theirs: Tenant
    platform_token: str

    def client(self, token: str | None = None, ip: str = "203.0.113.7") -> AsyncClient:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        transport = ASGITransport(self.app, client=(ip, 5000))
        return AsyncClient(transport=transport, base_url="http://t", headers=headers)


async def _log_in(db: Database, passwords: Passwords, login: str) -> str:
    opened = await flows.log_in(
        db, passwords, login=login, password=PASSWORD, ip="203.0.113.7", agent="tests", replaces=None
    )
    return opened.token


async def _tenant(db: Database, vault: Vault, passwords: Passwords, code: str) -> Tenant:
    by = system("tests")
    made = await passwords.hash(PASSWORD)
    operator, _ = await db.transact(
        access.open_operator,
        by,
        code=code,
        name=f"Operator {code}",
        admin_login=f"operator_admin@{code}",
        admin_name="Admin",
        admin_password_hash=made,
    )
    for role in (Role.CASHIER, Role.AUDITOR):
        await db.transact(
            access.create_staff,
            by,
            operator_id=operator.id,
            login=f"{role}@{code}",
            name=role.value,
            role=role,
            password_hash=made,
        )
    actor = Actor(scope=Operator(operator.id), subject="admin")
    station = await db.transact(sites.create_station, actor, name=f"Station {code}")
    nozzle = await db.transact(
        sites.create_nozzle, actor, station_id=station.id, number=1, energy=Energy.PETROL, unit=Unit.L
    )
    new = await db.transact(
        devices.register_device,
        actor,
        vault,
        db.random,
        station_id=station.id,
        kind=DeviceKind.TERMINAL,
        name=f"Pillar {code}",
    )
    assert new.enrolment is not None
    terminal: Any = await db.transact(
        devices.enrol, new.enrolment.code, token=db.random.token(24), ip="203.0.113.7", agent="tests"
    )
    tenant = Tenant(operator.id, station, nozzle, new.device.id, {"terminal": terminal.token})
    for role in (Role.OPERATOR_ADMIN, Role.CASHIER, Role.AUDITOR):
        tenant.tokens[role.value] = await _log_in(db, passwords, f"{role}@{code}")
    return tenant


@pytest.fixture
async def world(sqlite_database: Database, tmp_path: Path) -> World:
    db = sqlite_database
    random = SeededRandom("world")
    vault = Vault({1: b"m" * 32}, 1, random)
    passwords = Passwords(random, cost=CHEAP, inline=True)
    await db.transact(
        access.create_staff,
        system("tests"),
        operator_id=PLATFORM_ID,
        login="platform_admin",
        name="Platform",
        role=Role.PLATFORM_ADMIN,
        password_hash=await passwords.hash(PASSWORD),
    )
    services = Services(db=db, vault=vault, passwords=passwords, version="1.2.3", web=tmp_path / "web")
    ours = await _tenant(db, vault, passwords, "ours")
    theirs = await _tenant(db, vault, passwords, "theirs")
    token = await _log_in(db, passwords, "platform_admin")
    return World(build_api(services), db, vault, passwords, ours, theirs, token)
