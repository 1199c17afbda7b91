"""Events between modules and processes: one protocol, two adapters (the outbox table itself, RabbitMQ)."""

from forecourt.core.bus.types import Bus, Delivery, Handler, Message, Subscription

__all__ = ["Bus", "Delivery", "Handler", "Message", "Subscription"]
