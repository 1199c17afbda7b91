"""The gateway and the station's uplink over real sockets: nothing is acknowledged before it is stored."""

import asyncio
import contextlib
import socket
from datetime import UTC, datetime, timedelta

import pytest
from tests.gateway.rig import STATION, Centre, MemoryJournal, running, station, until

from forecourt.devices.types import CommandEvent
from forecourt.gateway.limits import GatewayLimits
from forecourt_edge.uplink.config import Endpoint
from forecourt_protocols.slp.events import DeviceConnected, JournalRolledBack


def udp(port: int) -> Endpoint:
    return Endpoint("udp", "127.0.0.1", port)


def tcp(port: int) -> Endpoint:
    return Endpoint("tcp", "127.0.0.1", port)


def later(seconds: float = 60) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


class TestStore:
    async def test_a_sale_is_stored_with_its_owner_and_then_forgotten_by_the_station(self) -> None:
        centre, journal = Centre(devices={7}), MemoryJournal()
        async with running(centre) as gateway, station(7, (udp(gateway.port),), journal):
            journal.append(b"sale", channel=3)
            await journal.drained()

        (message,) = centre.order
        assert (message.device_id, message.operator_id, message.station_id) == (7, 5, STATION)
        assert (message.incarnation, message.mid, message.record_class) == (b"inc1", 1, 2)
        assert (message.channel, message.format, message.body) == (3, 2, b"sale")

    async def test_many_stations_share_a_commit(self) -> None:
        centre = Centre(devices=set(range(1, 21)), gate=asyncio.Event())
        journals = {device_id: MemoryJournal() for device_id in centre.devices}
        assert centre.gate is not None
        async with running(centre) as gateway, asyncio.TaskGroup() as group:
            stations = [
                group.create_task(self.sell(device_id, gateway.port, journal))
                for device_id, journal in journals.items()
            ]
            await until(lambda: len(gateway.gateway.queue) >= 300)
            centre.gate.set()
            await asyncio.gather(*stations)

        assert len(centre.order) == 20 * 20
        assert len(centre.sets) <= 6
        for device_id in centre.devices:
            assert centre.bodies(device_id) == [b"sale %d" % number for number in range(20)]

    async def sell(self, device_id: int, port: int, journal: MemoryJournal) -> None:
        for number in range(20):
            journal.append(b"sale %d" % number)
        async with station(device_id, (udp(port),), journal):
            await journal.drained()

    async def test_nothing_is_acknowledged_while_the_store_is_away_and_all_of_it_after(self) -> None:
        centre, journal = Centre(devices={7}), MemoryJournal()
        async with running(centre) as gateway, station(7, (udp(gateway.port),), journal):
            await until(lambda: gateway.gateway.connected(7))
            centre.away = True
            for number in range(300):
                journal.append(b"sale %d" % number)
            await until(lambda: len(gateway.gateway.queue) > 50)
            await asyncio.sleep(0.3)
            assert len(journal.records) == 300
            centre.away = False
            await journal.drained()

        assert centre.bodies(7) == [b"sale %d" % number for number in range(300)]

    async def test_a_full_queue_stops_the_stations_and_loses_nothing(self) -> None:
        limits = GatewayLimits(queue_messages_max=40, queue_messages_stop=20, queue_messages_resume=5)
        centre, journal = Centre(devices={7}, gate=asyncio.Event()), MemoryJournal()
        assert centre.gate is not None
        async with running(centre, limits=limits) as gateway, station(7, (udp(gateway.port),), journal):
            for number in range(400):
                journal.append(b"sale %d" % number)
            await until(lambda: len(gateway.gateway.queue) >= 20)
            await asyncio.sleep(0.2)
            assert len(gateway.gateway.queue) <= 40 + 64
            centre.gate.set()
            async with asyncio.timeout(30):
                await journal.drained()

        assert centre.bodies(7) == [b"sale %d" % number for number in range(400)]

    async def test_a_message_that_cannot_be_stored_holds_up_its_own_station_only(self) -> None:
        centre = Centre(devices={7, 8}, poison=b"bad")
        bad, good = MemoryJournal(), MemoryJournal()
        limits = GatewayLimits(store_retry_s_max=0.01, parked_retry_s=0.3)
        async with (
            running(centre, limits=limits) as gateway,
            station(7, (udp(gateway.port),), bad),
            station(8, (udp(gateway.port),), good),
        ):
            bad.append(b"bad")
            for number in range(30):
                bad.append(b"after it %d" % number)
                good.append(b"sale %d" % number)
            await good.drained()
            assert centre.bodies(8) == [b"sale %d" % number for number in range(30)]
            assert len(bad.records) == 31
            centre.poison = None
            async with asyncio.timeout(20):
                await bad.drained()

        assert centre.bodies(7) == [b"bad", *(b"after it %d" % number for number in range(30))]

    async def test_telemetry_goes_past_the_store(self) -> None:
        centre, journal = Centre(devices={7}), MemoryJournal()
        async with running(centre) as gateway, station(7, (udp(gateway.port),), journal) as uplink:
            await until(lambda: uplink.connected)
            uplink.send_live(4, 2, b"12.50 L")
            await until(lambda: centre.live)

        assert [(m.mid, m.channel, m.body) for m in centre.live] == [(0, 4, b"12.50 L")]
        assert not centre.order


class TestRestarts:
    async def test_a_gateway_that_dies_uncommitted_gets_everything_again(self) -> None:
        centre, journal = Centre(devices={7}, gate=asyncio.Event()), MemoryJournal()
        assert centre.gate is not None
        async with running(centre) as first:
            port, endpoints = first.port, (udp(first.port),)
            async with station(7, endpoints, journal):
                await until(lambda: first.gateway.connected(7))
        async with station(7, endpoints, journal):
            async with running(centre, port=port) as second:
                await until(lambda: second.gateway.connected(7))
                for number in range(50):
                    journal.append(b"a sale of some length %d" % number)
                await until(lambda: len(second.gateway.queue) > 0)
            assert not centre.order
            centre.gate.set()
            async with running(centre, port=port):
                journal.append(b"the last")
                async with asyncio.timeout(20):
                    await journal.drained()

        assert len(centre.bodies(7)) == 51

    async def test_a_station_agent_that_restarts_goes_on_where_its_journal_is(self) -> None:
        centre, journal = Centre(devices={7}), MemoryJournal()
        async with running(centre) as gateway:
            for number in range(3):
                async with station(7, (udp(gateway.port),), journal):
                    journal.append(b"sale %d" % number)
                    await journal.drained()

        assert centre.bodies(7) == [b"sale 0", b"sale 1", b"sale 2"]
        assert journal.epoch == 3

    async def test_a_journal_restored_from_an_old_copy_is_held_after_a_restart_of_the_gateway(self) -> None:
        centre, journal = Centre(devices={7}), MemoryJournal()
        async with running(centre) as gateway, station(7, (udp(gateway.port),), journal):
            for number in range(5):
                journal.append(b"sale %d" % number)
            await journal.drained()
        old = MemoryJournal()
        old.epoch = journal.epoch
        old.append(b"another sale under an old number")
        async with running(centre) as gateway, station(7, (udp(gateway.port),), old):
            await until(lambda: any(isinstance(event, JournalRolledBack) for event in centre.news))
            await asyncio.sleep(0.2)

        assert len(old.records) == 1
        assert len(centre.order) == 5


class TestCommands:
    async def test_a_command_is_handled_once_and_told(self) -> None:
        centre, journal, commands = Centre(devices={7}), MemoryJournal(), list[bytes]()
        async with running(centre) as gateway, station(7, (udp(gateway.port),), journal, commands):
            await until(lambda: gateway.gateway.connected(7))
            assert gateway.gateway.send_command(7, 900, 4, 2, b"price 7.85", expires_at=later())
            await until(lambda: centre.ended)

        assert commands == [b"price 7.85"]
        assert centre.ended == [(7, 900, CommandEvent.ACKNOWLEDGE)]

    async def test_a_command_for_an_absent_station_waits_or_expires(self) -> None:
        centre, journal, commands = Centre(devices={7}), MemoryJournal(), list[bytes]()
        async with running(centre) as gateway:
            gateway.gateway.send_command(7, 1, 4, 2, b"too late", expires_at=later(0.1))
            gateway.gateway.send_command(7, 2, 4, 2, b"in time", expires_at=later())
            gateway.gateway.send_command(7, 3, 4, 2, b"past", expires_at=later(-1))
            await until(lambda: len(centre.ended) == 2)
            async with station(7, (udp(gateway.port),), journal, commands):
                await until(lambda: len(centre.ended) == 3)

        assert commands == [b"in time"]
        assert sorted(centre.ended) == [
            (7, 1, CommandEvent.EXPIRE),
            (7, 2, CommandEvent.ACKNOWLEDGE),
            (7, 3, CommandEvent.EXPIRE),
        ]


class TestStreams:
    async def test_where_no_udp_passes_tcp_does(self) -> None:
        centre, journal = Centre(devices={7}), MemoryJournal()
        async with (
            running(centre, udp=False) as gateway,
            station(7, (tcp(gateway.tcp_port),), journal),
        ):
            for number in range(200):
                journal.append(b"sale %d" % number)
            await journal.drained()

        assert centre.bodies(7) == [b"sale %d" % number for number in range(200)]

    async def test_a_broken_connection_is_made_again(self) -> None:
        centre, journal = Centre(devices={7}), MemoryJournal()
        async with running(centre, udp=False) as first:
            port = first.tcp_port
            uplink = station(7, (tcp(port),), journal)
            await uplink.__aenter__()
            journal.append(b"one")
            await journal.drained()
        journal.append(b"two")
        await uplink.__aexit__(None, None, None)
        async with running(centre, tcp_port=port, udp=False), station(7, (tcp(port),), journal):
            await journal.drained()

        assert centre.bodies(7) == [b"one", b"two"]

    async def test_a_connection_that_speaks_something_else_is_closed(self) -> None:
        centre = Centre()
        async with running(centre) as gateway:
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.tcp_port)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()

    async def test_a_connection_that_proves_nothing_is_closed(self) -> None:
        centre = Centre()
        limits = GatewayLimits(connection_silent_s=0.1)
        async with running(centre, limits=limits) as gateway:
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.tcp_port)
            await until(lambda: gateway.tcp.connections == 1)
            await until(lambda: gateway.tcp.connections == 0)
            writer.close()
            del reader


class TestJunk:
    async def test_unknown_devices_cost_one_look_up_and_get_no_answer(self) -> None:
        centre, journal = Centre(), MemoryJournal()
        async with running(centre) as gateway, station(9, (udp(gateway.port),), journal) as uplink:
            await until(lambda: gateway.gateway.counters.get("unknown device", 0) >= 2)
            assert not uplink.connected

        assert centre.lookups == [9]

    async def test_junk_is_counted_and_nothing_comes_back(self) -> None:
        centre, journal = Centre(devices={7}), MemoryJournal()
        async with running(centre) as gateway, station(7, (udp(gateway.port),), journal):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                for number in range(2000):
                    sender.sendto(bytes([number % 256]) * (number % 1400), ("127.0.0.1", gateway.port))
                    if number % 50 == 0:
                        await asyncio.sleep(0)
                journal.append(b"sale")
                await journal.drained()
                await until(lambda: gateway.gateway.counters.get("no frame", 0) > 1000)
                with pytest.raises(BlockingIOError):
                    sender.recv(2000)
        assert centre.bodies(7) == [b"sale"]

    async def test_a_revoked_device_is_gone_at_once(self) -> None:
        centre, journal = Centre(devices={7}), MemoryJournal()
        async with running(centre) as gateway, station(7, (udp(gateway.port),), journal):
            await until(lambda: gateway.gateway.connected(7))
            centre.devices.clear()
            gateway.gateway.revoke(7)
            assert not gateway.gateway.connected(7)
            journal.append(b"sale")
            await asyncio.sleep(0.3)

        assert not centre.order
        assert [event.device_id for event in centre.news if isinstance(event, DeviceConnected)] == [7]
