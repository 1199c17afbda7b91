"""Which bus a URL names."""

from forecourt.core.bus.embedded import EmbeddedBus
from forecourt.core.bus.types import Bus
from forecourt.core.db import Database

EMBEDDED = "embedded"


def open_bus(url: str, database: Database, *, prefix: str = "forecourt") -> Bus:
    """`embedded` for one process, `amqp://…` or `amqps://…` for RabbitMQ; connects at first use."""
    if url == EMBEDDED:
        return EmbeddedBus(database)
    if url.startswith(("amqp://", "amqps://")):
        from forecourt.core.bus.amqp import AmqpBus  # noqa: PLC0415  (An extra: only who uses it needs it.)

        return AmqpBus(url, database, prefix=prefix)
    raise ValueError("BUS_URL must be `embedded`, amqp://… or amqps://…")
