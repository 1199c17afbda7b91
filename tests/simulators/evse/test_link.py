# mypy: disable-error-code="untyped-decorator, misc"
"""Our virtual charge point at a central system that this project did not write: the `ocpp` package's."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from ocpp.exceptions import OCPPError
from ocpp.routing import on
from ocpp.v16 import ChargePoint as Peer
from ocpp.v16 import call, call_result
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from forecourt_kit.clock import SystemClock
from forecourt_simulators.evse.main import EvseOptions, RunningFleet, running
from forecourt_simulators.evse.setup import ChargePointSetup, ConnectorSetup, Faults

FAST = ConnectorSetup(power_w=720_000, register_wh=5_000)  # With speed 100: 20 Wh a millisecond.


class Central(Peer):
    """Notes everything, accepts all tags but `BAD`."""

    def __init__(self, code: str, socket: ServerConnection, seen: list[tuple[str, dict[str, Any]]]) -> None:
        super().__init__(code, socket)
        self.seen = seen

    def _now(self) -> str:
        return datetime.now(UTC).isoformat()

    @on("BootNotification")
    def boot(self, **told: Any) -> Any:
        self.seen.append(("BootNotification", told))
        return call_result.BootNotification(current_time=self._now(), interval=60, status="Accepted")

    @on("StatusNotification")
    def status(self, **told: Any) -> Any:
        self.seen.append(("StatusNotification", told))
        return call_result.StatusNotification()

    @on("Authorize")
    def authorize(self, id_tag: str) -> Any:
        self.seen.append(("Authorize", {"id_tag": id_tag}))
        return call_result.Authorize(id_tag_info={"status": "Invalid" if id_tag == "BAD" else "Accepted"})

    @on("StartTransaction")
    def start_transaction(self, **told: Any) -> Any:
        self.seen.append(("StartTransaction", told))
        return call_result.StartTransaction(transaction_id=41, id_tag_info={"status": "Accepted"})

    @on("MeterValues")
    def meter_values(self, **told: Any) -> Any:
        self.seen.append(("MeterValues", told))
        return call_result.MeterValues()

    @on("StopTransaction")
    def stop_transaction(self, **told: Any) -> Any:
        self.seen.append(("StopTransaction", told))
        return call_result.StopTransaction()

    @on("Heartbeat")
    def heartbeat(self) -> Any:
        return call_result.Heartbeat(current_time=self._now())


@dataclass
class World:
    url: str
    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    peers: list[Central] = field(default_factory=list)

    def told(self, action: str) -> list[dict[str, Any]]:
        return [payload for name, payload in self.seen if name == action]


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World("")

    async def talk(socket: ServerConnection) -> None:
        assert socket.request is not None
        peer = Central(socket.request.path.rsplit("/", 1)[1], socket, made.seen)
        made.peers.append(peer)
        with contextlib.suppress(ConnectionClosed):
            await peer.start()

    async with serve(talk, "127.0.0.1", 0, subprotocols=["ocpp1.6"]) as server:  # type: ignore[list-item]
        made.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ocpp"
        yield made


@contextlib.asynccontextmanager
async def fleet(world: World, faults: Faults | None = None) -> AsyncIterator[RunningFleet]:
    setup = ChargePointSetup(code="CP-1", connectors=(FAST, FAST), sample_s=1, faults=faults or Faults())
    async with running(EvseOptions(setups=(setup,), url=world.url, speed=100), SystemClock()) as up:
        yield up


class TestAtAForeignCentralSystem:
    async def test_a_whole_story(self, world: World) -> None:
        async with fleet(world) as up:
            await until(lambda: len(world.told("StatusNotification")) == 3)
            up.fleet.act({"do": "charge", "connector": 1, "energy_wh": 12_345, "id_tag": "CARD-1"})
            await until(lambda: up.fleet.ends.get(("CP-1", 1)) == "full" and not len(world_queue(up)))
        (start,) = world.told("StartTransaction")
        (stop,) = world.told("StopTransaction")
        assert start["id_tag"] == "CARD-1"
        assert stop["transaction_id"] == 41
        assert stop["meter_stop"] - start["meter_start"] == 12_345
        assert stop["reason"] == "EVDisconnected"
        statuses = [each["status"] for each in world.told("StatusNotification") if each["connector_id"] == 1]
        assert statuses == ["Available", "Preparing", "Charging", "SuspendedEV", "Finishing", "Available"]

    async def test_a_card_that_is_refused_charges_nothing(self, world: World) -> None:
        async with fleet(world) as up:
            await until(lambda: len(world.told("StatusNotification")) == 3)
            up.fleet.act({"do": "plug_in", "connector": 1})
            up.fleet.act({"do": "show_tag", "connector": 1, "id_tag": "BAD"})
            await until(lambda: world.told("Authorize") and not len(world_queue(up)))
        assert not world.told("StartTransaction")

    async def test_remote_start_and_stop(self, world: World) -> None:
        async with fleet(world) as up:
            await until(lambda: len(world.told("StatusNotification")) == 3)
            up.fleet.act({"do": "plug_in", "connector": 2})
            (peer,) = world.peers
            started = await peer.call(call.RemoteStartTransaction(id_tag="REMOTE", connector_id=2))
            assert started.status == "Accepted"
            await until(lambda: world.told("StartTransaction") and up.fleet.points["CP-1"].outbox.kept == 0)
            stopped = await peer.call(call.RemoteStopTransaction(transaction_id=41))
            assert stopped.status == "Accepted"
            await until(lambda: world.told("StopTransaction"))
            again = await peer.call(call.RemoteStopTransaction(transaction_id=41))
            assert again.status == "Rejected"
        assert world.told("StopTransaction")[0]["reason"] == "Remote"

    async def test_it_obeys_what_the_platform_may_ask(self, world: World) -> None:
        async with fleet(world) as up:
            await until(lambda: len(world.told("StatusNotification")) == 3)
            (peer,) = world.peers
            asked = await peer.call(call.GetConfiguration(key=["HeartbeatInterval", "Nonsense"]))
            assert asked.unknown_key == ["Nonsense"]
            assert asked.configuration_key[0]["value"] == "60"
            changed = await peer.call(call.ChangeConfiguration(key="HeartbeatInterval", value="30"))
            assert changed.status == "Accepted"
            refused = await peer.call(call.ChangeConfiguration(key="HeartbeatInterval", value="-1"))
            assert refused.status == "Rejected"
            off = await peer.call(call.ChangeAvailability(connector_id=1, type="Inoperative"))
            assert off.status == "Accepted"
            triggered = await peer.call(call.TriggerMessage(requested_message="MeterValues", connector_id=1))
            assert triggered.status == "Accepted"
            await until(lambda: world.told("MeterValues"))
            assert (await peer.call(call.UnlockConnector(connector_id=9))).status == "NotSupported"
            assert (await peer.call(call.ClearCache())).status == "Accepted"
            with pytest.raises(OCPPError):
                await peer.call(call.GetLocalListVersion(), suppress=False)
            assert (await peer.call(call.Reset(type="Soft"))).status == "Accepted"
            await until(lambda: len(world.told("BootNotification")) == 2)
            assert up.fleet.points["CP-1"].connectors[1].status == "Unavailable"

    async def test_what_happened_without_a_link_is_told_later_in_order(self, world: World) -> None:
        async with fleet(world) as up:
            await until(lambda: len(world.told("StatusNotification")) == 3)
            up.fleet.act({"do": "offline", "seconds": 3_000})
            await until(lambda: not up.fleet.points["CP-1"].online)
            up.fleet.act({"do": "charge", "connector": 1, "energy_wh": 500, "id_tag": "CARD-1"})
            await until(lambda: up.fleet.ends.get(("CP-1", 1)) == "full")
            assert not world.told("StartTransaction")
            up.fleet.act({"do": "offline", "seconds": 0})
            await until(lambda: world.told("StopTransaction"))
        story = [name for name, _ in world.seen if name.endswith("Transaction")]
        assert story == ["StartTransaction", "StopTransaction"]
        assert world.told("StopTransaction")[0]["transaction_id"] == 41
        assert world.told("StartTransaction")[0]["timestamp"] < world.told("StopTransaction")[0]["timestamp"]

    async def test_faults_on_request(self, world: World) -> None:
        faults = Faults(
            duplicate_stop_percent=100,
            meter_backwards_percent=100,
            lost_answer_percent=40,
            clock_off_s=86_400,
            reconnect_storm=3,
        )
        async with fleet(world, faults) as up:
            await until(lambda: up.fleet.points["CP-1"].accepted)
            up.fleet.act({"do": "charge", "connector": 1, "energy_wh": 500, "id_tag": "CARD-1"})
            await until(lambda: len(world.told("StopTransaction")) >= 2 and not len(world_queue(up)))
        start, stop = world.told("StartTransaction")[0], world.told("StopTransaction")[0]
        assert stop["meter_stop"] < start["meter_start"]
        assert datetime.fromisoformat(start["timestamp"]) > datetime.now(UTC)
        assert up.links["CP-1"].dropped == 3


def world_queue(up: RunningFleet) -> Any:
    return up.fleet.points["CP-1"].outbox


class TestControl:
    async def test_one_json_line_is_answered_by_one(self, world: World) -> None:
        async with fleet(world) as up:
            reader, writer = await asyncio.open_connection("127.0.0.1", up.control_port)
            answers = []
            for line in (
                b'{"do":"charge_points"}',
                b"nonsense",
                b"[]",
                b'{"do":"fly"}',
                b'{"do":"unplug","connector":1}',
                b'{"do":"charge","connector":1,"energy_wh":-1}',
                b'{"do":"charge","connector":7,"energy_wh":1}',
                b'{"do":"faults","no_such":1}',
            ):
                writer.write(line + b"\n")
                answers.append(json.loads(await reader.readline()))
            writer.close()
            await writer.wait_closed()
        assert [each["ok"] for each in answers] == [True, *[False] * 7]
        assert answers[0]["charge_points"][0]["connectors"][0]["register_wh"] == 5_000
