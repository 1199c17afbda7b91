"""`checkout`: a member's wallet pays a sale over HTTP, all rules on, against the least it can cost here."""

from dataclasses import dataclass
from typing import Any

from tests.bench import station
from tests.bench.children import Child, child
from tests.bench.engines import Engine
from tests.bench.figures import Figure
from tests.bench.meter import Meter
from tests.bench.station import Bench

from forecourt.core.verify import Violation
from forecourt.ledger import queries as ledger
from forecourt.payments import queries as payments
from forecourt.sales import queries as sales
from forecourt_kit.ids import to_public

IN_FLIGHT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How many checkouts each part makes; a fifth more before it, to warm up."""

    members: int = 500
    product: int = 4_000
    limit: int = 6_000
    baseline: int = 400
    alone: int = 100


@dataclass(frozen=True, slots=True)
class Part:
    """One way to write checkouts, as measured."""

    cpu_us: float
    service_us: float
    database_us: float
    client_us: float
    per_s: float
    p50_ms: float
    p99_ms: float
    foreign: float


async def measure(engine: Engine, sizes: Sizes | None = None) -> list[Figure]:
    sizes = sizes or Sizes()
    bench = await station.build(engine.url, members=sizes.members)
    try:
        async with child("http_client") as client:
            await client.answer()
            parts = {
                kind: await _measure(engine, bench, client, kind, count, sizes)
                for kind, count in (
                    ("product", sizes.product),
                    ("limit", sizes.limit),
                    ("baseline", sizes.baseline),
                )
            }
        assert await violations(bench) == []
    finally:
        await bench.world.database.close()
    return _figures(engine, parts)


async def violations(bench: Bench) -> list[Violation]:
    """The books after all parts wrote into them: every one must have kept them."""
    async with bench.world.database.read() as session:
        checks = (*ledger.CHECKS, *payments.CHECKS, *sales.CHECKS)
        return [violation for check in checks for violation in await check(session)]


async def _measure(
    engine: Engine, bench: Bench, client: Child, kind: str, count: int, sizes: Sizes
) -> tuple[Part, Part]:
    """With 64 requests in flight, and with one."""
    told = {
        "kind": kind,
        "url": engine.url,
        "token": bench.token,
        "operator_id": bench.world.actor.operator_id,
        "station_id": bench.world.station.id,
    }
    async with child("checkout_server", **told) as server:
        port = (await server.answer())["port"]
        await _load(engine, bench, client, server, port, count // 5, IN_FLIGHT)
        busy = await _load(engine, bench, client, server, port, count, IN_FLIGHT)
        alone = await _load(engine, bench, client, server, port, sizes.alone, 1)
    return busy, alone


async def _load(
    engine: Engine, bench: Bench, client: Child, server: Child, port: int, count: int, connections: int
) -> Part:
    opened = await station.open_sales(bench, count)
    members = bench.members
    checkouts = [
        (to_public(sale), to_public(members[at % len(members)]), f"bench-{sale}")
        for at, sale in enumerate(opened)
    ]
    await client.ask(token=bench.token, checkouts=checkouts)
    with Meter(service=server.pid, database=engine.pid, client=client.pid) as meter:
        told: dict[str, Any] = await client.ask(port=port, connections=connections)
    assert told["statuses"] == {"201": count}, told
    return Part(
        cpu_us=meter.cpu_us(count, "service", "database"),
        service_us=meter.cpu_us(count, "service"),
        database_us=meter.cpu_us(count, "database"),
        client_us=meter.cpu_us(count, "client"),
        per_s=count / meter.wall_s,
        p50_ms=told["p50_ms"],
        p99_ms=told["p99_ms"],
        foreign=meter.foreign_cores,
    )


def _figures(engine: Engine, parts: dict[str, tuple[Part, Part]]) -> list[Figure]:
    busy = {kind: pair[0] for kind, pair in parts.items()}
    alone = {kind: pair[1] for kind, pair in parts.items()}
    conditions = {"engine": engine.name, "judged": engine.judged}
    return [
        Figure(
            name=f"checkout.{engine.name}",
            value=busy["product"].cpu_us,
            unit="CPU us/checkout",
            limit=busy["limit"].cpu_us,
            baseline=busy["baseline"].cpu_us,
            conditions={**conditions, "in_flight": IN_FLIGHT, **_told(busy)},
        ),
        Figure(
            name=f"checkout.alone.{engine.name}",
            value=alone["product"].p50_ms,
            unit="ms p50",
            limit=alone["limit"].p50_ms,
            baseline=alone["baseline"].p50_ms,
            conditions={**conditions, "in_flight": 1, **_told(alone)},
        ),
    ]


def _told(parts: dict[str, Part]) -> dict[str, Any]:
    return {
        kind: {
            "service_us": round(part.service_us),
            "database_us": round(part.database_us),
            "client_us": round(part.client_us),
            "per_s": round(part.per_s),
            "p50_ms": round(part.p50_ms, 2),
            "p99_ms": round(part.p99_ms, 2),
            "foreign_cores": round(part.foreign, 2),
        }
        for kind, part in parts.items()
    }
