"""Fixtures that every test may use: a clock that stands still, seeded chance, a database on each engine."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import settings
from tests import services
from tests.services import Engine

from forecourt.core.db import Database, Model
from forecourt_kit.clock import ManualClock
from forecourt_kit.ids import TimeOrderedIds
from forecourt_kit.random import SeededRandom

START = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)  # 10:00 in Shanghai, a Sunday.
# How long an example takes says how busy the machine is, not whether the rule holds.
settings.register_profile("forecourt", deadline=None)
settings.register_profile("soak", deadline=None, max_examples=3_000)
settings.load_profile("forecourt")
ON_EACH_ENGINE = [
    pytest.param("sqlite"),
    pytest.param("mariadb", marks=pytest.mark.mariadb),
    pytest.param("postgresql", marks=pytest.mark.postgresql),
]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def chance() -> SeededRandom:
    return SeededRandom("tests")


@pytest.fixture
def ids(clock: ManualClock, chance: SeededRandom) -> TimeOrderedIds:
    return TimeOrderedIds(clock, chance.branch("ids"))


@pytest.fixture(scope="session", autouse=True)
def _nothing_left_on_the_servers() -> Iterator[None]:
    yield
    asyncio.run(services.drop_all())


@pytest.fixture(params=ON_EACH_ENGINE)
def engine(request: pytest.FixtureRequest) -> Engine:
    """The engines in turn; a test that takes `database` runs once on each."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
async def database(
    engine: Engine, clock: ManualClock, ids: TimeOrderedIds, chance: SeededRandom
) -> AsyncIterator[Database]:
    """An empty database with the tables of every imported module, on SQLite, MariaDB and PostgreSQL."""
    if engine == "sqlite":
        opened = await _sqlite(clock, ids, chance)
    else:
        url = await services.process_database(engine)
        opened = Database.open(url, clock, ids, chance)
        await services.create_schema(opened)
        await services.clear(opened)
    yield opened
    await opened.close()


@pytest.fixture
async def sqlite_database(
    clock: ManualClock, ids: TimeOrderedIds, chance: SeededRandom
) -> AsyncIterator[Database]:
    """The same on SQLite only: for rules that no engine changes."""
    opened = await _sqlite(clock, ids, chance)
    yield opened
    await opened.close()


@pytest.fixture
async def empty_database_url(engine: Engine) -> AsyncIterator[str]:
    """A database of this test alone, without tables: for migrations and for processes started by a test."""
    url = await services.create_database(engine, f"forecourt_test_{os.getpid()}_{os.urandom(4).hex()}")
    yield url
    await services.drop_database(engine, url)


@pytest.fixture
async def amqp_url() -> str:
    await services.require_port("rabbitmq", services.AMQP_URL)
    return services.AMQP_URL


@pytest.fixture
async def redis_url() -> str:
    await services.require_port("redis", services.REDIS_URL)
    return services.REDIS_URL


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for service, why in services.missing_services().items():
        terminalreporter.write_line(f"NOT TESTED: {service} does not answer ({why})", red=True, bold=True)


async def _sqlite(clock: ManualClock, ids: TimeOrderedIds, chance: SeededRandom) -> Database:
    template = await _sqlite_template(clock, ids, chance)
    path = services.folder() / f"{os.urandom(6).hex()}.db"
    services.sqlite_copy(template, path)
    return Database.open(f"sqlite:///{path}", clock, ids, chance)


async def _sqlite_template(clock: ManualClock, ids: TimeOrderedIds, chance: SeededRandom) -> Path:
    """The schema, made once for each set of imported tables."""
    path = services.folder() / f"template-{len(Model.metadata.tables)}.db"
    if not path.exists():
        template = Database.open(f"sqlite:///{path}", clock, ids, chance)
        await services.create_schema(template)
        await template.close()
        path.touch()  # There is no file yet when there are no tables.
    return path
