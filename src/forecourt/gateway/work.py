"""The gateway's parts in one task group: SLP/1 over UDP and TCP, OCPP over WebSocket, commands to devices."""

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from functools import partial

from starlette.applications import Starlette

from forecourt.charging.doors import Ocpp16Door
from forecourt.core.errors import Unavailable
from forecourt.core.host import Host
from forecourt.core.http.server import HttpServer
from forecourt.core.settings import address_of
from forecourt.deliveries.doors import StationDoor, shown_live
from forecourt.devices import flows as device_flows
from forecourt.devices import queries as devices
from forecourt.devices import service as device_service
from forecourt.devices.types import CommandEvent, InboxMessage
from forecourt.gateway.agents import AgentCommands
from forecourt.gateway.directory import DeviceDirectory
from forecourt.gateway.limits import GatewayLimits
from forecourt.gateway.ocpp import OcppGateway, registry
from forecourt.gateway.ocpp_commands import OcppCommands
from forecourt.gateway.slp import SlpGateway, SlpPorts
from forecourt.gateway.tcp import TcpReceiver
from forecourt.gateway.udp import UdpReceiver
from forecourt.sales.doors import authorise_charge
from forecourt_protocols.slp.server_session import ServerConfig

LIVE_EVERY_S = 0.3  # Latest states reach the store and the screens this often, in sets.
LIVE_WAITING_MAX = 20_000
REFUSED_EVERY_S = 5.0

log = logging.getLogger(__name__)


class LiveReadings:
    """Telemetry on its way: never journalled, latest wins, stored and shown in sets."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.show = shown_live(host.hub)
        self._door = StationDoor(self.show)
        self._waiting: list[InboxMessage] = []

    def take(self, messages: Sequence[InboxMessage]) -> None:
        if len(self._waiting) + len(messages) <= LIVE_WAITING_MAX:
            self._waiting.extend(messages)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(LIVE_EVERY_S)
            messages, self._waiting = self._waiting, []
            if not messages:
                continue
            try:
                await self._host.database.transact(self._door.deliver_many, messages)
            except Unavailable as away:
                log.warning("live readings dropped", extra={"why": away.detail, "readings": len(messages)})


async def work(host: Host) -> None:
    """Until cancelled: receive, store, acknowledge; send commands."""
    limits = GatewayLimits()
    live = LiveReadings(host)
    slp, commands = _slp(host, limits, live)
    slp_host, slp_port = address_of(host.settings.slp)
    udp = UdpReceiver(slp, slp_host, slp_port, datagrams_per_turn_max=limits.datagrams_per_turn_max)
    tcp = TcpReceiver(slp, limits)
    door = Ocpp16Door(host.database, authorise_charge, live.show)
    ocpp = OcppGateway(door, registry(host.database), host.ports.clock, host.ports.random)
    ocpp_host, ocpp_port = address_of(host.settings.devices)
    server = HttpServer(Starlette(routes=ocpp.routes), host=ocpp_host, port=ocpp_port, websockets=True)
    try:
        await tcp.listen(slp_host, slp_port)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(slp.run())
            tasks.create_task(live.run())
            tasks.create_task(_tell_refused(slp))
            tasks.create_task(commands.run())
            tasks.create_task(OcppCommands(host.database, ocpp, door).run())
            tasks.create_task(server.run())
    finally:
        server.stop()
        udp.close()
        await tcp.close()
        await ocpp.close()


def _slp(host: Host, limits: GatewayLimits, live: LiveReadings) -> tuple[SlpGateway, AgentCommands]:
    database = host.database
    commands = AgentCommands(database)

    async def store(messages: list[InboxMessage]) -> None:
        await database.transact(device_service.store_messages, messages)

    async def highest_mids(journals: list[tuple[int, bytes]]) -> dict[tuple[int, bytes], int]:
        async with database.read() as session:
            return await devices.highest_mids_many(session, journals)

    ports = SlpPorts(
        store=store,
        highest_mids=highest_mids,
        live=live.take,
        command_ended=_command_ended,
        news=commands.hear,
    )
    find = partial(device_flows.find_key_ring, database, host.vault)
    directory = DeviceDirectory(find, host.ports.clock, limits)
    # The same in every gateway and over restarts, and nobody outside can reckon it.
    reset_secret = hashlib.sha256(host.vault.blind_index("slp reset", "gateway").encode()).digest()
    slp = SlpGateway(
        ServerConfig(reset_secret=reset_secret),
        directory,
        ports,
        clock=host.ports.clock,
        random=host.ports.random,
        limits=limits,
    )
    commands.attach(slp)
    return slp, commands


async def _tell_refused(slp: SlpGateway) -> None:
    """Log how often frames were refused, by reason, when any were: their senders get no answer."""
    told: dict[str, int] = {}
    while True:
        await asyncio.sleep(REFUSED_EVERY_S)
        now = dict(slp.counters)
        grown = {reason: count - told.get(reason, 0) for reason, count in now.items()}
        if refused := {reason: count for reason, count in grown.items() if count}:
            log.info("refused at the link", extra={"frames": refused})
        told = now


def _command_ended(device_id: int, command_id: int, event: CommandEvent) -> None:
    """The link has done its part; what became of the command the device tells by a record of its own."""
    log.debug(
        "command left the link",
        extra={"device_id": device_id, "command_id": command_id, "event": event.value},
    )
