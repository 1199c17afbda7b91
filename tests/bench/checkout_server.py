"""The process that is measured: the product's own API, the bare endpoint, or one ORM session per request."""

import asyncio
import gc
from typing import Any

import uvloop
from starlette.types import ASGIApp
from tests.bench import orm_checkout
from tests.bench.children import questions, say, settings
from tests.bench.limits import checkout as bare
from tests.bench.station import open_database

from forecourt.api.app import build_api
from forecourt.api.services import Services
from forecourt.core.http.server import HttpServer
from forecourt.core.passwords import Passwords
from forecourt.core.vault import Vault
from forecourt.sales.routes import Till
from forecourt_kit.random import SystemRandom


def product(told: dict[str, Any]) -> ASGIApp:
    database, random = open_database(told["url"]), SystemRandom()
    services = Services(
        db=database,
        vault=Vault({1: b"k" * 32}, 1, random),
        passwords=Passwords(random),
        version="bench",
        parts=(Till.open(database),),
    )
    return build_api(services)


APPS = {"product": product, "limit": bare.app, "baseline": orm_checkout.app}


async def main() -> None:
    told = settings()
    server = HttpServer(APPS[told["kind"]](told), host="127.0.0.1", port=0)
    serving = asyncio.create_task(server.run())
    while not server.started:
        await asyncio.sleep(0.01)
    gc.collect()
    gc.freeze()
    say(port=server.port)
    async for _ in questions():
        pass
    server.stop()
    await serving


if __name__ == "__main__":
    uvloop.run(main())
