"""Which way live values take between processes."""

from forecourt.core.live.types import Transport


def open_transport(bus_url: str, cache_url: str, *, prefix: str = "forecourt") -> Transport | None:
    """Redis where there is one, else the broker; None for one process alone. Connects at first use."""
    if cache_url.startswith(("redis://", "rediss://")):
        from forecourt.core.live.redis import RedisTransport  # noqa: PLC0415  (An extra.)

        return RedisTransport(cache_url, prefix=prefix)
    if bus_url.startswith(("amqp://", "amqps://")):
        from forecourt.core.live.amqp import AmqpTransport  # noqa: PLC0415  (An extra.)

        return AmqpTransport(bus_url, prefix=prefix)
    return None
