"""The WebSocket of charge points: who gets in, what junk gets, and no answer before its commit."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text
from tests.charging.world import CODE, ChargingWorld, open_world
from tests.gateway.ocpp_server import DevicePort, device_port
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from forecourt.charging import queries
from forecourt.charging.types import TransactionState
from forecourt.core.db import Database
from forecourt.core.errors import Unavailable
from forecourt.core.http.server import CONNECTIONS_PER_IP_MAX
from forecourt.devices import queries as device_queries
from forecourt.devices import service as devices
from forecourt.devices.types import CommandKind, CommandState
from forecourt.gateway.ocpp import Bucket, CallFailed, NotConnected, OcppLimits
from forecourt_kit.clock import ManualClock
from forecourt_protocols.ocpp.v16 import messages as m
from forecourt_protocols.ocpp.v16.types import ResetType

BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}


@pytest.fixture
async def world(sqlite_database: Database) -> ChargingWorld:
    return await open_world(sqlite_database)


@pytest.fixture
async def port(world: ChargingWorld) -> AsyncIterator[DevicePort]:
    async with device_port(world) as opened:
        yield opened


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@asynccontextmanager
async def charge_point(
    port: DevicePort, world: ChargingWorld, **changed: Any
) -> AsyncIterator[ClientConnection]:
    arguments: dict[str, Any] = {
        "uri": f"{port.url}/{CODE}",
        "subprotocols": ["ocpp1.6"],
        "additional_headers": basic(CODE, world.password),
        "max_size": None,
        "proxy": None,
        **changed,
    }
    async with connect(**arguments) as socket:
        yield socket


async def ask(socket: ClientConnection, action: str, payload: dict[str, Any], unique_id: str = "1") -> Any:
    await socket.send(json.dumps([2, unique_id, action, payload]))
    return json.loads(await asyncio.wait_for(socket.recv(), 10))


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def start(wh: int = 100) -> dict[str, Any]:
    return {
        "connectorId": 1,
        "idTag": "CARD-1",
        "meterStart": wh,
        "timestamp": "2026-11-22T02:00:00Z",
    }


class TestHandshake:
    @pytest.mark.parametrize(
        ("path", "headers", "status"),
        [
            ("/CP-9999", None, 404),
            ("/" + "x" * 200, None, 404),
            ("/a/b", None, 404),
            ("/%00", None, 404),
            (f"/{CODE}", {}, 401),
            (f"/{CODE}", basic(CODE, "wrong"), 401),
            (f"/{CODE}", {"Authorization": "Basic !!!"}, 401),
            (f"/{CODE}", {"Authorization": "Bearer abc"}, 401),
            (f"/{CODE}", "other user", 401),
        ],
    )
    async def test_who_is_not_known_gets_a_bare_status(
        self, port: DevicePort, world: ChargingWorld, path: str, headers: Any, status: int
    ) -> None:
        given = basic(CODE, world.password) if headers is None else headers
        if headers == "other user":
            given = basic("CP-0002", world.password)
        with pytest.raises(InvalidStatus) as refused:
            async with charge_point(port, world, uri=port.url + path, additional_headers=given):
                pass
        assert refused.value.response.status_code == status
        assert not refused.value.response.body

    async def test_a_revoked_charge_point_is_unknown(self, port: DevicePort, world: ChargingWorld) -> None:
        await world.database.transact(devices.revoke, world.actor, world.ref.device_id)
        with pytest.raises(InvalidStatus) as refused:
            async with charge_point(port, world):
                pass
        assert refused.value.response.status_code == 404

    @pytest.mark.parametrize("offered", [None, ["ocpp2.0.1"], ["ocpp1.5", "soap"]])
    async def test_another_subprotocol_is_shaken_hands_with_and_closed(
        self, port: DevicePort, world: ChargingWorld, offered: Any
    ) -> None:
        async with charge_point(port, world, subprotocols=offered) as socket:
            assert socket.subprotocol is None
            with pytest.raises(ConnectionClosed):
                await socket.recv()

    async def test_ours_is_picked_from_several_and_a_slash_at_the_end_is_no_matter(
        self, port: DevicePort, world: ChargingWorld
    ) -> None:
        uri = f"{port.url}/{CODE}/"
        async with charge_point(port, world, uri=uri, subprotocols=["ocpp2.0.1", "ocpp1.6"]) as socket:
            assert socket.subprotocol == "ocpp1.6"
            assert (await ask(socket, "BootNotification", BOOT))[2]["status"] == "Accepted"

    async def test_a_charge_point_that_comes_back_for_ever_is_let_in_every_time(
        self, port: DevicePort, world: ChargingWorld
    ) -> None:
        for _ in range(CONNECTIONS_PER_IP_MAX + 5):
            async with charge_point(port, world) as socket:
                assert socket.subprotocol == "ocpp1.6"

    async def test_above_the_limit_of_connections_it_is_503(self, world: ChargingWorld) -> None:
        async with device_port(world, OcppLimits(connections_max=0)) as port:
            with pytest.raises(InvalidStatus) as refused:
                async with charge_point(port, world):
                    pass
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["retry-after"]

    async def test_a_newer_connection_takes_over(self, port: DevicePort, world: ChargingWorld) -> None:
        async with charge_point(port, world) as older:
            await ask(older, "BootNotification", BOOT)
            async with charge_point(port, world) as newer:
                with pytest.raises(ConnectionClosed):
                    await older.recv()
                await until(lambda: port.count("taken_over") == 1)
                assert (await ask(newer, "Heartbeat", {}))[0] == 3
                assert len(port.gateway.held) == 1
                async with world.database.read() as session:
                    (known,) = await queries.list_charge_points(session, world.actor.scope, world.station_id)
                assert known.connected


class TestCalls:
    async def test_junk_is_answered_as_the_protocol_says_and_nothing_dies(
        self, port: DevicePort, world: ChargingWorld
    ) -> None:
        async with charge_point(port, world) as socket:
            for junk in ("", "hello", "[]", '[2,"1","Heartbeat"]', "[" * 30_000, '[2,"1","Heartbeat",[]]'):
                await socket.send(junk)
                answer = json.loads(await socket.recv())
                assert (answer[0], answer[2]) == (4, "FormationViolation"), junk
            await socket.send(b"\xff\xfe")
            assert json.loads(await socket.recv())[2] == "FormationViolation"
            assert (await ask(socket, "Fly", {}))[2] == "NotImplemented"
            assert (await ask(socket, "ReserveNow", {}))[2] == "NotSupported"
            assert (await ask(socket, "Authorize", {}))[2] == "OccurenceConstraintViolation"
            assert (await ask(socket, "Authorize", {"idTag": 5}))[2] == "TypeConstraintViolation"
            assert (await ask(socket, "Heartbeat", {}))[0] == 3

    async def test_answers_to_nothing_are_dropped(self, port: DevicePort, world: ChargingWorld) -> None:
        async with charge_point(port, world) as socket:
            for unasked in ('[3,"7",{}]', '[4,"7","GenericError","",{}]', '[3,"7"]', "[4]"):
                await socket.send(unasked)
            assert (await ask(socket, "Heartbeat", {}))[:2] == [3, "1"]

    async def test_a_frame_beyond_the_limit_ends_the_connection(
        self, port: DevicePort, world: ChargingWorld
    ) -> None:
        async with charge_point(port, world) as socket:
            await socket.send('[2,"1","Heartbeat",{"a":"' + "x" * 70_000 + '"}]')
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1009

    async def test_what_nobody_can_read_about_money_is_kept(
        self, port: DevicePort, world: ChargingWorld
    ) -> None:
        async with charge_point(port, world) as socket:
            answer = await ask(socket, "StopTransaction", {"transactionId": "seven"})
            assert answer[0] == 4
        async with world.database.read() as session:
            (parked,) = await device_queries.list_parked(session, world.actor.scope, limit=10)
        assert b"seven" in parked.message.body

    async def test_nothing_is_answered_that_is_not_committed(
        self, port: DevicePort, world: ChargingWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with charge_point(port, world) as socket:
            await ask(socket, "BootNotification", BOOT)
            with monkeypatch.context() as broken:
                broken.setattr(Database, "write", _gone)
                await socket.send(json.dumps([2, "9", "StartTransaction", start()]))
                with pytest.raises(ConnectionClosed) as closed:
                    await asyncio.wait_for(socket.recv(), 10)
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1013
                with pytest.raises(InvalidStatus) as refused:
                    async with charge_point(port, world):
                        pass
                assert refused.value.response.status_code == 503
        async with charge_point(port, world) as socket:  # It is back: the charge point tells it again.
            first = await ask(socket, "StartTransaction", start())
            again = await ask(socket, "StartTransaction", start(), "2")
            assert first[2]["transactionId"] == again[2]["transactionId"]

    async def test_a_bug_in_one_answer_does_not_cut_off_the_charge_point(
        self, port: DevicePort, world: ChargingWorld, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with charge_point(port, world) as socket:
            async with world.database.write() as session:
                await session.execute(text("DROP TABLE charging_connector"))
            told = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
            assert (await ask(socket, "StatusNotification", told))[2] == "InternalError"
            assert (await ask(socket, "Heartbeat", {}))[0] == 3
        assert "a call failed" in caplog.text


@asynccontextmanager
async def _gone(_: Database) -> AsyncIterator[None]:
    raise Unavailable
    yield  # Unreachable, but it makes this a generator.


class TestCommands:
    async def test_a_queued_command_reaches_the_charge_point_and_its_answer_the_command(
        self, port: DevicePort, world: ChargingWorld
    ) -> None:
        async with charge_point(port, world) as socket:
            await ask(socket, "BootNotification", BOOT)
            told: list[tuple[CommandKind, dict[str, Any], dict[str, str], CommandState]] = [
                (
                    CommandKind.REMOTE_START,
                    {"connector_number": 1, "authorisation_id": "01jd3x5c8mqr7"},
                    {"status": "Accepted"},
                    CommandState.ACKNOWLEDGED,
                ),
                (CommandKind.REMOTE_STOP, {"transaction_id": 5}, {"status": "Rejected"}, CommandState.FAILED),
                (
                    CommandKind.CHARGE_POINT_CALL,
                    {"action": "ChangeAvailability", "payload": {"connectorId": 0, "type": "Inoperative"}},
                    {"status": "Scheduled"},
                    CommandState.ACKNOWLEDGED,
                ),
            ]
            for kind, body, answer, state in told:
                command_id = await self.queue(world, kind, body)
                port.commands.wake()
                asked = json.loads(await asyncio.wait_for(socket.recv(), 10))
                assert asked[0] == 2
                await socket.send(json.dumps([3, asked[1], answer]))
                await until(lambda: not port.commands._in_flight)
                assert await self.state(world, command_id) is state

    async def test_a_command_that_makes_no_request_fails(
        self, port: DevicePort, world: ChargingWorld
    ) -> None:
        async with charge_point(port, world) as socket:
            await ask(socket, "BootNotification", BOOT)
            bad = {"action": "Reset", "payload": {"type": "Sideways"}}
            command_id = await self.queue(world, CommandKind.CHARGE_POINT_CALL, bad)
            await port.commands.send_due()
            await port.commands.settle()
            assert await self.state(world, command_id) is CommandState.FAILED

    async def test_the_configuration_is_kept(self, port: DevicePort, world: ChargingWorld) -> None:
        async with charge_point(port, world) as socket:
            await ask(socket, "BootNotification", BOOT)
            asking = asyncio.create_task(port.gateway.ask(world.ref.device_id, m.GetConfiguration()))
            asked = json.loads(await socket.recv())
            told = {"configurationKey": [{"key": "HeartbeatInterval", "readonly": False, "value": "60"}]}
            await socket.send(json.dumps([3, asked[1], told]))
            await asking
        async with world.database.read() as session:
            kept = await queries.settings_of(session, world.actor.scope, world.ref.device_id)
            assert not await queries.settings_of(session, world.stranger.scope, world.ref.device_id)
        assert kept == {"HeartbeatInterval": "60"}

    async def test_one_call_at_a_time_and_errors_come_back(
        self, port: DevicePort, world: ChargingWorld
    ) -> None:
        reset = m.Reset(type=ResetType.SOFT)
        async with charge_point(port, world) as socket:
            await ask(socket, "BootNotification", BOOT)
            first = asyncio.create_task(port.gateway.ask(world.ref.device_id, reset))
            second = asyncio.create_task(port.gateway.ask(world.ref.device_id, reset))
            third = asyncio.create_task(port.gateway.ask(world.ref.device_id, reset))
            asked = json.loads(await socket.recv())
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(socket.recv(), 0.2)
            await socket.send(json.dumps([4, asked[1], "NotSupported", "no", {}]))
            with pytest.raises(CallFailed, match="NotSupported"):
                await first
            asked = json.loads(await socket.recv())
            await socket.send(json.dumps([3, asked[1], {"status": "Perhaps"}]))
            with pytest.raises(CallFailed, match="PropertyConstraintViolation"):
                await second
            await socket.recv()
        with pytest.raises(NotConnected):
            await third
        with pytest.raises(NotConnected):
            await port.gateway.ask(world.ref.device_id, reset)

    async def queue(self, world: ChargingWorld, kind: CommandKind, body: dict[str, Any]) -> int:
        command = await world.database.transact(
            devices.queue_command,
            device_id=world.ref.device_id,
            kind=kind,
            subject=kind.value,
            body=body,
            expires_at=datetime(2026, 12, 1, tzinfo=UTC),
        )
        return command.id

    async def state(self, world: ChargingWorld, command_id: int) -> CommandState:
        async with world.database.read() as session:
            found = await device_queries.list_commands(
                session, world.actor.scope, world.ref.device_id, limit=50
            )
        return next(each.state for each in found if each.id == command_id)


class TestDoubledAndLate:
    async def test_an_offline_queue_told_twice_counts_once(
        self, port: DevicePort, world: ChargingWorld
    ) -> None:
        async with charge_point(port, world) as socket:
            for _ in range(2):
                begun = await ask(socket, "StartTransaction", start())
                stop = {
                    "transactionId": begun[2]["transactionId"],
                    "meterStop": 5_100,
                    "timestamp": "2026-11-22T02:30:00Z",
                    "reason": "EVDisconnected",
                }
                assert (await ask(socket, "StopTransaction", stop))[0] == 3
            stray = {**stop, "transactionId": -1}
            assert (await ask(socket, "StopTransaction", stray))[0] == 3
        async with world.database.read() as session:
            rows = await queries.list_transactions(session, world.actor.scope, None, 10, None)
            strays = await queries.list_stray_stops(session, world.actor.scope, 10)
        assert [(each.state, each.meter_stop_wh) for each in rows] == [(TransactionState.ENDED, 5_100)]
        assert len(strays) == 1


class TestBucket:
    def test_a_burst_passes_then_so_many_a_second(self) -> None:
        clock = ManualClock()
        bucket = Bucket(10.0, 3, clock.monotonic_s)
        assert [bucket.wait_s() for _ in range(5)] == pytest.approx([0, 0, 0, 0.1, 0.2])
        clock.advance(60)
        assert [bucket.wait_s() for _ in range(4)] == pytest.approx([0, 0, 0, 0.1])
