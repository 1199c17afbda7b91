"""`ingest`: SLP/1 DATA of many stations until the row is durable and the station has been told."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from tests.bench import station
from tests.bench.children import child
from tests.bench.engines import Engine
from tests.bench.figures import Figure
from tests.bench.meter import Meter
from tests.bench.station import Bench

from forecourt.devices.models import InboxRow

FIRST_DEVICE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Messages of each station; a fifth more before it, to warm up."""

    devices: int = 128
    in_flight: int = 4  # Of each station.
    product: int = 300
    limit: int = 400


@dataclass(frozen=True, slots=True)
class Part:
    cpu_us: float
    told: dict[str, Any]


async def measure(engine: Engine, sizes: Sizes | None = None) -> list[Figure]:
    sizes = sizes or Sizes()
    bench = await station.build(engine.url, members=0)
    try:
        product = await _measure(engine, bench, "product", sizes.product, sizes)
        limit = await _measure(engine, bench, "limit", sizes.limit, sizes)
    finally:
        await bench.world.database.close()
    conditions = {
        "engine": engine.name,
        "judged": engine.judged,
        "devices": sizes.devices,
        "in_flight": sizes.devices * sizes.in_flight,
        "product": product.told,
        "limit": limit.told,
    }
    return [
        Figure(
            name=f"ingest.{engine.name}",
            value=product.cpu_us,
            unit="CPU us/message",
            limit=limit.cpu_us,
            conditions=conditions,
        )
    ]


async def _measure(engine: Engine, bench: Bench, kind: str, count: int, sizes: Sizes) -> Part:
    first = FIRST_DEVICE + (sizes.devices if kind == "limit" else 0)
    told = {
        "kind": kind,
        "url": engine.url,
        "devices": list(range(first, first + sizes.devices)),
        "operator_id": bench.world.actor.operator_id,
        "station_id": bench.world.station.id,
    }
    warm = max(1, count // 5)
    async with child("ingest_server", **told) as server:
        told["port"] = (await server.answer())["port"]
        async with child("slp_client", **told) as client:
            await client.answer()
            await client.ask(messages=warm)
            await client.ask(in_flight=sizes.in_flight)
            await client.ask(messages=count)
            with Meter(service=server.pid, database=engine.pid, client=client.pid) as meter:
                said = await client.ask(in_flight=sizes.in_flight)
    messages = count * sizes.devices
    assert said["stored"] == messages
    assert await stored(bench, first) == warm + count
    return Part(
        meter.cpu_us(messages, "service", "database"),
        {
            "service_us": round(meter.cpu_us(messages, "service"), 1),
            "database_us": round(meter.cpu_us(messages, "database"), 1),
            "client_us": round(meter.cpu_us(messages, "client"), 1),
            "per_s": round(messages / meter.wall_s),
            "p50_ms": round(said["p50_ms"], 2),
            "p99_ms": round(said["p99_ms"], 2),
            "sent_again": said["sent_again"],
            "foreign_cores": round(meter.foreign_cores, 2),
        },
    )


async def stored(bench: Bench, device_id: int) -> int:
    """What the inbox holds of one station."""
    async with bench.world.database.read() as session:
        found = select(func.count()).select_from(InboxRow).where(InboxRow.device_id == device_id)
        return int(await session.scalar(found))
