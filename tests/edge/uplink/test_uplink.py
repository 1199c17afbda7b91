"""The uplink's own decisions: which way to try, what to do with commands, what its table may say."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.gateway.rig import Centre, MemoryJournal, psk_of, running, station, until

from forecourt.devices.types import CommandEvent
from forecourt_edge.config import ConfigError
from forecourt_edge.crash import CrashPoints
from forecourt_edge.journal.sqlite import JournalLimits, open_journal
from forecourt_edge.journal.types import FORMAT_JSON, RecordClass
from forecourt_edge.uplink.config import Endpoint, parse_uplink
from forecourt_edge.uplink.links import Link, open_link
from forecourt_edge.uplink.uplink import Uplink
from forecourt_kit.clock import ManualClock, SystemClock
from forecourt_kit.disk import OsDisk
from forecourt_kit.random import SeededRandom, SystemRandom
from forecourt_protocols.slp import limits

TABLE = {"server": "centre.example:7100", "device": 7, "key_id": 1, "psk": "00" * 32}


async def test_where_udp_is_swallowed_tcp_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HELLO_TRIES_MAX", 1)
    centre, journal = Centre(devices={7}), MemoryJournal()
    journal.append(b"sale")
    async with running(centre, udp=False) as gateway:
        silent = Endpoint("udp", "127.0.0.1", gateway.tcp_port)  # Nobody reads UDP there.
        async with station(7, (silent, Endpoint("tcp", "127.0.0.1", gateway.tcp_port)), journal):
            async with asyncio.timeout(20):
                await journal.drained()

    assert centre.bodies(7) == [b"sale"]


async def test_a_lost_epoch_is_jumped_to_by_the_journal() -> None:
    centre, journal = Centre(devices={7}), MemoryJournal()
    async with running(centre) as gateway:
        way = (Endpoint("udp", "127.0.0.1", gateway.port),)
        journal.epoch = 40
        async with station(7, way, journal) as uplink:
            await until(lambda: uplink.connected)
        journal.epoch = 3
        async with station(7, way, journal) as uplink:
            await until(lambda: uplink.connected)

    assert journal.epoch == 42


async def test_a_command_that_comes_too_late_is_not_carried_out() -> None:
    centre, journal, commands = Centre(devices={7}), MemoryJournal(), list[bytes]()
    clock = ManualClock(datetime.now(UTC) + timedelta(days=1))

    async def obey(body: bytes) -> None:
        commands.append(body)

    async with running(centre) as gateway:
        table = {"server": f"127.0.0.1:{gateway.port}", "device": 7, "psk": psk_of(7).hex()}
        uplink = Uplink(
            parse_uplink(table), journal, obey, open_link=open_link, clock=clock, random=SystemRandom()
        )
        task = asyncio.create_task(uplink.run())
        beat = asyncio.create_task(_beat(clock))
        soon = datetime.now(UTC) + timedelta(minutes=1)
        gateway.gateway.send_command(7, 900, 4, 2, b"authorise", expires_at=soon)
        await until(lambda: centre.ended)
        for one in (task, beat):
            one.cancel()
        await asyncio.wait([task, beat])

    assert commands == []
    assert centre.ended == [(7, 900, CommandEvent.ACKNOWLEDGE)]


async def _beat(clock: ManualClock) -> None:
    while True:
        await asyncio.sleep(0.01)
        clock.advance(0.01)


async def test_an_old_copy_of_the_journal_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    centre, journal, told = Centre(devices={7}), MemoryJournal(), list[bool]()
    async with running(centre) as gateway:
        way = (Endpoint("udp", "127.0.0.1", gateway.port),)
        async with station(7, way, journal):
            journal.append(b"sale")
            await journal.drained()
        old = MemoryJournal()
        old.epoch = journal.epoch
        async with station(7, way, old) as uplink:
            monkeypatch.setattr(uplink, "_held", lambda: told.append(True))
            await until(lambda: told)
            assert not uplink.connected


async def test_the_real_journal_is_emptied_through_the_real_uplink(tmp_path: Path) -> None:
    centre = Centre(devices={7})
    journal = open_journal(
        tmp_path / "journal.db",
        random=SeededRandom(1),
        clock=SystemClock(),
        disk=OsDisk(),
        crash=CrashPoints.of({}),
        limits=JournalLimits(),
        commit_inline=True,
    )

    async def obey(_body: bytes) -> None:
        """No command comes here."""

    async with running(centre) as gateway:
        table = {"server": f"127.0.0.1:{gateway.port}", "device": 7, "psk": psk_of(7).hex()}
        uplink = Uplink(
            parse_uplink(table),
            journal,
            obey,
            open_link=open_link,
            clock=SystemClock(),
            random=SystemRandom(),
        )
        task = asyncio.create_task(uplink.run())
        for number in range(60):
            kind = RecordClass.TELEMETRY if number % 10 == 5 else RecordClass.MONEY
            await journal.append(kind, 3, FORMAT_JSON, b"sale %d" % number)
        await until(lambda: journal.oldest_mid() == journal.next_mid() == 61)
        task.cancel()
        await asyncio.wait([task])
    await journal.close()

    assert centre.bodies(7) == [b"sale %d" % number for number in range(60) if number % 10 != 5]
    assert all(message.mid == 0 for message in centre.live)


async def test_a_way_that_cannot_be_opened_is_tried_again() -> None:
    centre, journal = Centre(devices={7}), MemoryJournal()
    journal.append(b"sale")
    tries: list[Endpoint] = []

    async def opener(endpoint: Endpoint) -> Link:
        tries.append(endpoint)
        if len(tries) == 1:
            raise OSError("no route to host")
        return await open_link(endpoint)

    async def obey(_body: bytes) -> None:
        """No command comes here."""

    async with running(centre) as gateway:
        table = {"server": f"127.0.0.1:{gateway.port}", "device": 7, "psk": psk_of(7).hex()}
        table["tcp_server"] = f"127.0.0.1:{gateway.tcp_port}"
        uplink = Uplink(
            parse_uplink(table), journal, obey, open_link=opener, clock=SystemClock(), random=SystemRandom()
        )
        task = asyncio.create_task(uplink.run())
        async with asyncio.timeout(20):
            await journal.drained()
        task.cancel()
        await asyncio.wait([task])

    assert [endpoint.transport for endpoint in tries] == ["udp", "tcp"]


class TestTable:
    def test_tcp_is_the_same_place_unless_told(self) -> None:
        assert parse_uplink(TABLE).endpoints == (
            Endpoint("udp", "centre.example", 7100),
            Endpoint("tcp", "centre.example", 7100),
        )
        assert parse_uplink(TABLE | {"tcp_server": ""}).endpoints == (
            Endpoint("udp", "centre.example", 7100),
        )
        assert parse_uplink(TABLE | {"tcp_server": "[::1]:443"}).endpoints[1] == Endpoint("tcp", "::1", 443)

    def test_a_key_is_not_shown(self) -> None:
        assert "psk" not in repr(parse_uplink(TABLE))

    @pytest.mark.parametrize(
        "change",
        [
            {"server": "centre.example"},
            {"server": ":7100"},
            {"server": "centre.example:0"},
            {"server": "centre.example:70000"},
            {"psk": "00"},
            {"psk": "zz" * 32},
            {"device": "not an id"},
            {"key_id": 256},
            {"datagram_bytes_max": 100},
            {"unknown": 1},
        ],
    )
    def test_a_mistake_is_named(self, change: dict[str, object]) -> None:
        with pytest.raises(ConfigError, match=r"\[uplink\]"):
            parse_uplink(TABLE | change)

    def test_a_missing_key_is_named(self) -> None:
        with pytest.raises(ConfigError, match="psk"):
            parse_uplink({name: value for name, value in TABLE.items() if name != "psk"})
