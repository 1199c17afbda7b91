"""The process that is measured: API, relay and live hub of the product, or a registry of open answers."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop
from starlette.types import ASGIApp
from tests.bench.children import questions, say, settings
from tests.bench.limits.push import BarePush
from tests.bench.station import open_database

from forecourt.api.app import build_api
from forecourt.api.services import Services
from forecourt.core.actor import Actor, Operator, OperatorId
from forecourt.core.bus.embedded import EmbeddedBus
from forecourt.core.http.server import HttpServer
from forecourt.core.live import LiveHub
from forecourt.core.passwords import Passwords
from forecourt.core.relay import Relay
from forecourt.core.vault import Vault
from forecourt.sales import service
from forecourt_kit.random import SystemRandom

Open = Callable[[int], Awaitable[float]]
"""Opens the sale of a delivery; gives when that was durable, by the monotonic clock of the machine."""


async def product(told: dict[str, Any], tasks: asyncio.TaskGroup) -> tuple[ASGIApp, Open]:
    database, random = open_database(told["url"]), SystemRandom()
    hub = LiveHub(database)
    relay = Relay(database, EmbeddedBus(database), on_numbered=hub.offer)
    services = Services(
        db=database,
        vault=Vault({1: b"k" * 32}, 1, random),
        passwords=Passwords(random),
        version="bench",
        parts=(hub,),
    )
    actor = Actor(scope=Operator(OperatorId(told["operator_id"])), subject="bench")
    await relay.step()  # What building the station left in the outbox is nobody's news.
    tasks.create_task(hub.run())
    tasks.create_task(relay.run())

    async def open_sale(delivery_id: int) -> float:
        await database.transact(service.open_many, actor, [delivery_id])
        return time.monotonic()

    return build_api(services), open_sale


async def main() -> None:
    told = settings()
    async with asyncio.TaskGroup() as tasks:
        if told["kind"] == "product":
            app, open_sale = await product(told, tasks)
        else:
            bare = await BarePush.open(told)
            app, open_sale = bare.app(), bare.open_sale
        server = HttpServer(app, host="127.0.0.1", port=0)
        serving = tasks.create_task(server.run())
        while not server.started:
            await asyncio.sleep(0.01)
        gc.collect()
        gc.freeze()
        say(port=server.port)
        async for asked in questions():
            started_s = time.monotonic()
            say(started_s=started_s, committed_s=await open_sale(asked["delivery_id"]))
        server.stop()
        await serving
        raise SystemExit(0)


if __name__ == "__main__":
    uvloop.run(main())
