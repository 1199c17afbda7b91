"""People of two operators on each engine."""

import pytest

from forecourt.access import service
from forecourt.access.types import PLATFORM_ID, Role, Staff
from forecourt.core.actor import Actor, Operator, OperatorId, system
from forecourt.core.db import Database
from forecourt.core.passwords import Cost, Passwords
from forecourt_kit.random import SeededRandom

OURS, THEIRS = OperatorId(11), OperatorId(22)
PASSWORD = "correct horse battery"
IP = "203.0.113.7"


@pytest.fixture
def passwords() -> Passwords:
    return Passwords(SeededRandom("passwords"), cost=Cost(memory_kib=64), inline=True)


async def take_on(
    db: Database, passwords: Passwords, login: str, role: Role, operator_id: OperatorId = OURS
) -> Staff:
    return await db.transact(
        service.create_staff,
        system("tests"),
        operator_id=PLATFORM_ID if role is Role.PLATFORM_ADMIN else operator_id,
        login=login,
        name=login.title(),
        role=role,
        password_hash=await passwords.hash(PASSWORD),
    )


def of(operator_id: OperatorId) -> Actor:
    return Actor(scope=Operator(operator_id), subject="somebody")
