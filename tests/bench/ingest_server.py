"""The process that is measured: the product's gateway on its own store, or the bare loop."""

import asyncio
import gc
from datetime import UTC, datetime
from typing import Any

import uvloop
from tests.bench.children import questions, say, settings
from tests.bench.limits import ingest as bare
from tests.bench.slp_client import psk_of
from tests.bench.station import open_database

from forecourt.core.actor import OperatorId
from forecourt.core.db import Database
from forecourt.devices import queries, service
from forecourt.devices.types import (
    DeviceId,
    DeviceInfo,
    DeviceKey,
    DeviceKind,
    DeviceState,
    InboxMessage,
    KeyRing,
)
from forecourt.gateway.directory import DeviceDirectory
from forecourt.gateway.limits import GatewayLimits
from forecourt.gateway.slp import SlpGateway, SlpPorts
from forecourt.gateway.udp import UdpReceiver
from forecourt_kit.clock import SystemClock
from forecourt_kit.random import SystemRandom
from forecourt_protocols.slp.server_session import ServerConfig

FREELY = 1e9  # The benchmark's stations speak faster than any real one may, all from one address.


def product(told: dict[str, Any]) -> int:
    """Start the gateway as its process wires it; gives the port."""
    database, clock, limits = open_database(told["url"]), SystemClock(), GatewayLimits()

    async def find(device_id: int) -> KeyRing | None:
        return _ring(device_id, told)

    async def store(messages: list[InboxMessage]) -> None:
        await database.transact(service.store_messages, messages)

    async def highest(wanted: list[tuple[int, bytes]]) -> dict[tuple[int, bytes], int]:
        return await _highest(database, wanted)

    directory = DeviceDirectory(find, clock, limits)
    for device_id in told["devices"]:
        directory.put(_ring(device_id, told))
    ports = SlpPorts(
        store=store,
        highest_mids=highest,
        live=lambda _: None,
        command_ended=lambda *_: None,
        news=lambda _: None,
    )
    config = ServerConfig(
        reset_secret=b"s" * 32,
        frames_per_s_max=FREELY,
        hello_load_per_s=1_000_000,
        hellos_per_s=FREELY,
    )
    gateway = SlpGateway(config, directory, ports, clock=clock, random=SystemRandom(), limits=limits)
    receiver = UdpReceiver(gateway, "127.0.0.1", 0, datagrams_per_turn_max=limits.datagrams_per_turn_max)
    _running.append(asyncio.create_task(gateway.run()))
    return int(str(receiver.address[1]))


_running: list[asyncio.Task[None]] = []


async def _highest(db: Database, wanted: list[tuple[int, bytes]]) -> dict[tuple[int, bytes], int]:
    async with db.read() as session:
        return await queries.highest_mids_many(session, wanted)


def _ring(device_id: int, told: dict[str, Any]) -> KeyRing:
    device = DeviceInfo(
        id=DeviceId(device_id),
        operator_id=OperatorId(told["operator_id"]),
        station_id=told["station_id"],
        kind=DeviceKind.STATION_AGENT,
        name="station",
        state=DeviceState.ACTIVE,
        code=None,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return KeyRing(device, (DeviceKey(1, psk_of(device_id)),))


async def main() -> None:
    told = settings()
    port = product(told) if told["kind"] == "product" else await bare.serve(told)
    gc.collect()
    gc.freeze()
    say(port=port)
    async for _ in questions():
        pass
    for task in _running:
        task.cancel()


if __name__ == "__main__":
    uvloop.run(main())
