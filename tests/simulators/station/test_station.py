import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from forecourt_kit.clock import SystemClock
from forecourt_kit.disk import OsDisk
from forecourt_kit.random import SeededRandom
from forecourt_protocols.lanfeng.commands import Command, GunState
from forecourt_protocols.lanfeng.framing import Frame, FrameReader
from forecourt_protocols.lanfeng.messages import Order, StateAnswer, decode_answer, encode_request
from forecourt_simulators.station import setup
from forecourt_simulators.station.control import StationControl
from forecourt_simulators.station.main import RunningStation, StationOptions, options_of, running
from forecourt_simulators.station.station import Refused, Station

SECOND_US = 1_000_000


def petrol_station() -> Station:
    return Station.installed(setup.of_kind("petrol"), SeededRandom(1))


def pass_time(station: Station, seconds: int) -> None:
    for _ in range(seconds * 10):
        station.advance(SECOND_US // 10)


def release(station: Station, gun: int) -> None:
    station.line_of(gun).receive(encode_request(gun, Order(Command.RELEASE)))


class TestVisit:
    def test_a_driver_who_wants_200_yuan_lets_go_there_and_hangs_up(self) -> None:
        station = petrol_station()
        station.act({"do": "fill", "gun": 3, "amount_fen": 200_00})
        release(station, 3)
        pass_time(station, 90)
        (sale,) = station.gun(3).waiting
        assert 200_00 <= sale.amount_fen < 202_00
        assert station.ends[3] == "served"

    def test_a_wish_keyed_in_is_met_to_the_fen(self) -> None:
        station = petrol_station()
        station.act({"do": "fill", "gun": 3, "amount_fen": 200_00, "keypad": True})
        release(station, 3)
        pass_time(station, 120)
        assert station.gun(3).waiting[0].amount_fen == 200_00

    def test_a_full_vessel_ends_the_visit(self) -> None:
        station = petrol_station()
        station.act({"do": "fill", "gun": 1, "room_e4": 100_000})
        release(station, 1)
        pass_time(station, 60)
        assert station.gun(1).waiting[0].quantity_e2 == 10_00

    def test_a_driver_who_is_not_released_leaves_after_two_minutes(self) -> None:
        station = petrol_station()
        station.act({"do": "fill", "gun": 1, "amount_fen": 100_00})
        pass_time(station, 121)
        assert station.ends[1] == "not_released"
        assert station.gun(1).state is GunState.IDLE
        assert station.gun(1).last_sequence == 0

    def test_a_taken_gun_is_refused(self) -> None:
        station = petrol_station()
        station.act({"do": "fill", "gun": 1, "amount_fen": 100_00})
        with pytest.raises(Refused, match="taken"):
            station.act({"do": "fill", "gun": 1, "amount_fen": 100_00})

    def test_power_lost_interrupts_the_visit_and_the_gun_is_dark_for_a_while(self) -> None:
        station = petrol_station()
        station.act({"do": "fill", "gun": 1, "amount_fen": 500_00})
        release(station, 1)
        pass_time(station, 10)
        station.act({"do": "fault", "gun": 1, "kind": "power_loss", "for_ms": 3000})
        line, ask = station.line_of(1), encode_request(1, Order(Command.QUERY_STATE))
        assert line.receive(ask) == b""
        pass_time(station, 4)
        assert line.receive(ask) != b""
        assert station.ends[1] == "interrupted"


class TestFaults:
    def test_a_silent_gun_answers_nothing_and_its_neighbour_does(self) -> None:
        station = petrol_station()
        station.act({"do": "fault", "gun": 1, "kind": "no_answer"})
        line = station.line_of(1)
        assert line.receive(encode_request(1, Order(Command.QUERY_STATE))) == b""
        assert line.receive(encode_request(2, Order(Command.QUERY_STATE))) != b""

    def test_a_jumping_totalizer_jumps_by_what_was_said_and_backwards_too(self) -> None:
        station = petrol_station()
        station.act({"do": "fault", "gun": 1, "kind": "totalizer_jump", "by_e4": 1_000_000})
        station.act({"do": "fault", "gun": 1, "kind": "totalizer_jump", "by_e4": -2_000_000})
        assert station.gun(1).register_e2 == 10**8 - 100_00

    def test_a_noisy_line_is_the_same_noise_for_the_same_seed(self) -> None:
        heard = []
        for _ in range(2):
            station = petrol_station()
            station.act(
                {"do": "line_fault", "line": "line1", "lost_percent": 20, "flipped_percent": 30}
                | {"noise_percent": 30}
            )
            ask = encode_request(1, Order(Command.QUERY_STATE))
            heard.append([station.line_of(1).receive(ask) for _ in range(50)])
        assert heard[0] == heard[1]
        assert len(set(heard[0])) > 3

    @pytest.mark.parametrize(
        "command",
        [
            {"do": "sing"},
            {},
            {"do": "fill", "gun": 99},
            {"do": "fill", "gun": "x"},
            {"do": "fill"},
            {"do": "fill", "gun": 1, "amount_fen": -5},
            {"do": "fill", "gun": 1, "amount_fen": 1.5},
            {"do": "fault", "gun": 1, "kind": "joy"},
            {"do": "line_fault", "line": "nowhere"},
            {"do": "line_fault", "line": "line1", "lost_percent": 101},
            {"do": "hang_up", "gun": 1},
        ],
    )
    def test_nonsense_is_refused_with_a_reason(self, command: dict[str, object]) -> None:
        with pytest.raises(Refused):
            petrol_station().act(command)


class TestSetup:
    def test_a_station_is_read_from_toml(self) -> None:
        text = """
        name = "north"
        [[line]]
        name = "a"
        [[line.gun]]
        gun = 7
        product = "lng"
        unit_price_e4 = 60000
        """
        (line,) = setup.parse(text).lines
        assert (line.guns[0].gun, line.guns[0].unit, line.guns[0].unit_price_e4) == (7, "kg", 60_000)

    def test_a_misspelt_key_is_named(self) -> None:
        with pytest.raises(ValueError, match="colour"):
            setup.parse('[[line]]\nname = "a"\n[[line.gun]]\ngun = 1\nproduct = "lng"\ncolour = "red"')

    @pytest.mark.parametrize("kind", sorted(setup.KINDS))
    def test_every_ready_made_station_installs(self, kind: str) -> None:
        assert Station.installed(setup.of_kind(kind), SeededRandom(0)).act({"do": "guns"})["guns"]

    def test_totalizers_outlive_the_process(self, tmp_path: Path) -> None:
        station, again = petrol_station(), petrol_station()
        station.act({"do": "fill", "gun": 1, "room_e4": 50_000})
        release(station, 1)
        pass_time(station, 60)
        station.save(OsDisk(), tmp_path / "state.json")
        again.load(OsDisk(), tmp_path / "state.json")
        assert again.gun(1).register_e2 == 5_00
        assert again.gun(1).waiting == station.gun(1).waiting


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[RunningStation]:
    options = StationOptions(setup=setup.of_kind("petrol"), pty_directory=tmp_path, speed=50)
    async with running(options, SystemClock(), OsDisk()) as made:
        yield made


async def heard_on(path: str, question: bytes) -> bytes:
    terminal = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        os.write(terminal, question)
        for _ in range(200):
            await asyncio.sleep(0.01)
            try:
                return os.read(terminal, 100)
            except BlockingIOError:
                continue
        raise AssertionError("the line stayed silent")
    finally:
        os.close(terminal)


class TestRunning:
    async def test_a_pseudo_terminal_answers_and_can_be_opened_again(self, up: RunningStation) -> None:
        for _ in range(3):
            line = await heard_on(up.line_urls["line1"], encode_request(2, Order(Command.QUERY_STATE)))
            (frame,) = FrameReader().receive(line)
            assert isinstance(frame, Frame)
            answer = decode_answer(frame)
            assert isinstance(answer, StateAnswer)
            assert answer.state is GunState.IDLE

    async def test_the_control_api_answers_and_refuses(self, up: RunningStation) -> None:
        control = StationControl("127.0.0.1", up.control_port)
        assert len((await control.act("guns"))["guns"]) == 4
        with pytest.raises(Refused, match="no gun 9"):
            await control.act("lift", gun=9)
        await control.close()

    async def test_a_line_that_is_no_json_is_answered_and_the_next_one_works(
        self, up: RunningStation
    ) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", up.control_port)
        for sent in (b"{\n", b"[1]\n", b'{"do": "guns"}\n'):
            writer.write(sent)
        answers = [json.loads(await reader.readline())["ok"] for _ in range(3)]
        writer.close()
        assert answers == [False, False, True]

    async def test_tcp_carries_the_same_bytes(self, tmp_path: Path) -> None:
        options = StationOptions(setup=setup.of_kind("petrol"), pty_directory=tmp_path, tcp_ports=(0,))
        async with running(options, SystemClock(), OsDisk()) as made:
            host, port = made.line_urls["line1"].removeprefix("tcp://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(encode_request(1, Order(Command.QUERY_STATE)))
            assert len(await reader.readexactly(12)) == 12
            writer.close()


def test_the_command_line_is_read() -> None:
    options, faults = options_of(
        ["--kind", "gas", "--control", "127.0.0.1:7400", "--faults", "lost=2,noise=1", "--speed", "4"]
    )
    assert (options.control_port, options.speed, options.setup.name) == (7400, 4, "gas")
    assert faults == {"lost_percent": 2, "noise_percent": 1}
