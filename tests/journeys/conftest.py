"""One running world a backend for all gentle journeys; a world of its own for those that kill."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import services
from tests.journeys.rig import Backend, Rig, running

TIMEOUT_S = 3_600 if os.environ.get("FORECOURT_SOAK") == "1" else 600  # A world starts within it, too.


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))


BACKENDS = [
    pytest.param("embedded"),
    pytest.param("mariadb", marks=[pytest.mark.mariadb, pytest.mark.amqp, pytest.mark.redis]),
    pytest.param("postgresql", marks=[pytest.mark.postgresql, pytest.mark.amqp, pytest.mark.redis]),
]


def backend_of(name: str) -> Backend:
    """Databases of their own; the broker and the cache are shared under a namespace."""
    if name == "embedded":
        return Backend(name)
    asyncio.run(_need_services())
    engine: services.Engine = "mariadb" if name == "mariadb" else "postgresql"
    own = f"forecourt_journey_{os.getpid()}_{os.urandom(2).hex()}"
    database = asyncio.run(services.create_database(engine, own))
    return Backend(name, database, services.AMQP_URL, services.REDIS_URL)


async def _need_services() -> None:
    await services.require_port("rabbitmq", services.AMQP_URL)
    await services.require_port("redis", services.REDIS_URL)


@pytest.fixture(scope="session", params=BACKENDS)
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    backend = backend_of(request.param)
    with running(tmp_path_factory.mktemp(f"journey-{backend.name}"), backend) as world:
        yield world
    if backend.database_url:
        asyncio.run(services.drop_database(request.param, backend.database_url))
