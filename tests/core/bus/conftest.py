"""One suite, two buses: each test of `transport` runs on the outbox table and on RabbitMQ."""

import os
from collections.abc import AsyncIterator

import pytest
from tests import services
from tests.core.bus.transport import Transport

from forecourt.core.bus import Bus
from forecourt.core.bus.amqp import AmqpBus
from forecourt.core.bus.embedded import EmbeddedBus
from forecourt.core.db import Database
from forecourt.core.relay import Relay

POLL_S = 0.02


@pytest.fixture(params=[pytest.param("embedded"), pytest.param("amqp", marks=pytest.mark.amqp)])
async def transport(request: pytest.FixtureRequest, sqlite_database: Database) -> AsyncIterator[Transport]:
    prefix = f"test-{os.getpid()}-{os.urandom(4).hex()}"
    bus: Bus
    if request.param == "embedded":
        bus = EmbeddedBus(sqlite_database, retry_poll_s=POLL_S)
    else:
        await services.require_port("rabbitmq", services.AMQP_URL)
        bus = AmqpBus(services.AMQP_URL, sqlite_database, prefix=prefix, retry_poll_s=POLL_S)
    made = Transport(sqlite_database, bus, Relay(sqlite_database, bus), prefix)
    yield made
    await made.close()
