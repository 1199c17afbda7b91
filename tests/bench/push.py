"""`push`: from the commit that opened a sale to its frame at the terminal of that nozzle."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from tests.bench import station
from tests.bench.children import child
from tests.bench.engines import Engine
from tests.bench.figures import Figure, percentile
from tests.bench.meter import Meter
from tests.bench.station import Bench
from tests.world import VAULT

from forecourt.core.db.bulk import stored
from forecourt.devices import service as devices
from forecourt.devices.types import DeviceKind
from forecourt.sales.models import SaleRow
from forecourt_kit.ids import to_public

FRAME_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    terminals: int = 20  # One at the nozzle that sells, the others at the nozzles beside it.
    sales: int = 100


@dataclass(slots=True)
class Terminal:
    """An open stream; `frames` are the moments at which a sale was seen."""

    reader: asyncio.StreamReader
    frames: asyncio.Queue[tuple[float, dict[str, Any]]] = field(default_factory=asyncio.Queue)

    async def read(self) -> None:
        while True:
            event = await self.reader.readuntil(b"\n\n")
            if b"event: sale" in event:
                data = next(line for line in event.split(b"\n") if line.startswith(b"data: "))
                self.frames.put_nowait((time.monotonic(), json.loads(data[len(b"data: ") :])))


@dataclass(frozen=True, slots=True)
class Part:
    p50_ms: float
    told: dict[str, Any]
    shown: dict[str, Any]


async def measure(engine: Engine, sizes: Sizes | None = None) -> list[Figure]:
    sizes = sizes or Sizes()
    bench = await station.build(engine.url, members=0)
    try:
        token = await _enrol(bench)
        product = await _measure(engine, bench, token, "product", sizes, {})
        bare = {
            "sale": await _stored_sale(bench),
            "shown": product.shown,
            "nozzle": to_public(bench.world.nozzles["LNG"].id),
        }
        limit = await _measure(engine, bench, token, "limit", sizes, bare)
    finally:
        await bench.world.database.close()
    conditions = {
        "engine": engine.name,
        "judged": engine.judged,
        "terminals": sizes.terminals,
        "product": product.told,
        "limit": limit.told,
    }
    return [
        Figure(
            name=f"push.{engine.name}",
            value=product.p50_ms,
            unit="ms p50",
            limit=limit.p50_ms,
            conditions=conditions,
        )
    ]


async def _enrol(bench: Bench) -> str:
    """A terminal's session."""
    here, random = bench.world, bench.world.database.random
    new = await here.database.transact(
        devices.register_device,
        here.actor,
        VAULT,
        random,
        station_id=here.station.id,
        kind=DeviceKind.TERMINAL,
        name="Pillar",
    )
    assert new.enrolment is not None
    opened: Any = await here.database.transact(
        devices.enrol, new.enrolment.code, token=random.token(24), ip="127.0.0.1", agent="bench"
    )
    return str(opened.token)


async def _stored_sale(bench: Bench) -> dict[str, Any]:
    """A sale's row as the database keeps it, for the loop that knows no models."""
    async with bench.world.database.read() as session:
        row = await session.first(select(SaleRow.__table__).limit(1))
    assert row is not None
    fields: dict[str, Any] = {str(name): value for name, value in row._mapping.items()}
    return dict(zip(fields, stored(SaleRow, tuple(fields), [fields])[0], strict=True))


async def _measure(
    engine: Engine, bench: Bench, token: str, kind: str, sizes: Sizes, more: dict[str, Any]
) -> Part:
    told = {"kind": kind, "url": engine.url, "operator_id": bench.world.actor.operator_id, **more}
    deliveries = await station.record_deliveries(bench, sizes.sales + sizes.sales // 5)
    nozzles = [bench.world.nozzles[code].id for code in ("LNG", "95", "CNG", "H2")]
    async with child("push_server", **told) as server, AsyncExitStack() as open_streams:
        port = (await server.answer())["port"]
        watching = await open_streams.enter_async_context(_terminal(port, token, nozzles[0]))
        for at in range(sizes.terminals - 1):
            await open_streams.enter_async_context(_terminal(port, token, nozzles[1 + at % 3]))
        pushes_ms, opens_ms = [], []
        shown: dict[str, Any] = {}
        warm = sizes.sales // 5
        for at, delivery_id in enumerate(deliveries):
            if at == warm:
                meter = Meter(service=server.pid, database=engine.pid)
                meter.__enter__()
            said = await server.ask(delivery_id=delivery_id)
            async with asyncio.timeout(FRAME_TIMEOUT_S):
                seen_s, shown = await watching.frames.get()
            if at >= warm:
                pushes_ms.append((seen_s - said["committed_s"]) * 1000)
                opens_ms.append((seen_s - said["started_s"]) * 1000)
        meter.__exit__(None, None, None)
    assert watching.frames.empty()
    return Part(
        percentile(pushes_ms, 0.5),
        {
            "p50_ms": round(percentile(pushes_ms, 0.5), 2),
            "p99_ms": round(percentile(pushes_ms, 0.99), 2),
            "p50_from_the_first_statement_ms": round(percentile(opens_ms, 0.5), 2),
            "service_us": round(meter.cpu_us(sizes.sales, "service")),
            "database_us": round(meter.cpu_us(sizes.sales, "database")),
            "foreign_cores": round(meter.foreign_cores, 2),
        },
        shown,
    )


@asynccontextmanager
async def _terminal(port: int, token: str, nozzle_id: int) -> AsyncIterator[Terminal]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    path = f"/api/v1/device/stream?nozzle_id={to_public(nozzle_id)}"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    await reader.readuntil(b"event: hello")
    terminal = Terminal(reader)
    reading = asyncio.create_task(terminal.read())
    try:
        yield terminal
    finally:
        reading.cancel()
        await asyncio.wait([reading])
        writer.close()
