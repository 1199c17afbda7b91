"""`forecourt-sim station`: a virtual station on pseudo-terminals or TCP, with its control API."""

import argparse
import asyncio
import contextlib
import json
import logging
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from forecourt_kit import log
from forecourt_kit.clock import Clock, SystemClock
from forecourt_kit.disk import Disk, OsDisk
from forecourt_kit.net import Stream
from forecourt_kit.random import SeededRandom
from forecourt_simulators.station import control, setup
from forecourt_simulators.station.line import Line
from forecourt_simulators.station.ports import READ_BYTES_MAX, PtyPort, TcpPort
from forecourt_simulators.station.station import Station

TICK_S = 0.05
US_PER_S = 1_000_000
SAVE_EVERY_TICKS = 20
SPEED_MAX = 1_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StationOptions:
    """How a virtual station is run. `tcp` empty: each line is `pty_directory/<line name>`."""

    setup: setup.StationSetup
    pty_directory: Path
    control_host: str = "127.0.0.1"
    control_port: int = 0
    tcp_host: str = "127.0.0.1"
    tcp_ports: tuple[int, ...] = ()
    seed: int = 0
    speed: int = 1
    state_path: Path | None = None


@dataclass(frozen=True, slots=True)
class RunningStation:
    station: Station
    control_port: int
    line_urls: dict[str, str]


@contextlib.asynccontextmanager
async def running(options: StationOptions, clock: Clock, disk: Disk) -> AsyncIterator[RunningStation]:
    """A virtual station that answers on its lines and its control API until the context ends."""
    station = Station.installed(options.setup, SeededRandom(options.seed))
    if options.state_path is not None:
        station.load(disk, options.state_path)
    server = await control.serve(station, options.control_host, options.control_port)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(server.close)
        urls = {}
        tasks = [asyncio.create_task(_tick(station, options, clock, disk))]
        for at, (name, line) in enumerate(station.lines.items()):
            if options.tcp_ports:
                listening = await _listen(line, options.tcp_host, options.tcp_ports[at])
                stack.callback(listening.close)
                host, port = listening.sockets[0].getsockname()[:2]
                urls[name] = f"tcp://{host}:{port}"
            else:
                port_ = PtyPort(options.pty_directory / name)
                stack.push_async_callback(port_.close)
                tasks.append(asyncio.create_task(_speak(line, port_)))
                urls[name] = str(port_.link)
        stack.push_async_callback(_stop, tasks)
        yield RunningStation(station, server.sockets[0].getsockname()[1], urls)
        if options.state_path is not None:
            station.save(disk, options.state_path)


async def _stop(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _speak(line: Line, port: Stream) -> None:
    while data := await port.read(READ_BYTES_MAX):
        if answer := line.receive(data):
            await port.write(answer)


async def _listen(line: Line, host: str, port: int) -> asyncio.Server:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stream = TcpPort(reader, writer)
        with contextlib.suppress(ConnectionError):
            await _speak(line, stream)
        await stream.close()

    return await asyncio.start_server(talk, host, port)


async def _tick(station: Station, options: StationOptions, clock: Clock, disk: Disk) -> None:
    """Let the station's time follow the clock, `speed` times as fast."""
    before_s = clock.monotonic_s()
    ticks, saved = 0, ""
    while True:
        await asyncio.sleep(TICK_S)
        now_s = clock.monotonic_s()
        station.advance(int((now_s - before_s) * US_PER_S) * options.speed)
        before_s, ticks = now_s, ticks + 1
        if options.state_path is not None and ticks % SAVE_EVERY_TICKS == 0:
            state = json.dumps([gun.kept() for line in station.lines.values() for gun in line.guns.values()])
            if state != saved:
                station.save(disk, options.state_path)
                saved = state


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="forecourt-sim station", description=__doc__)
    made.add_argument("--config", type=Path, help="TOML file that describes lines and guns")
    made.add_argument("--kind", choices=sorted(setup.KINDS), default="mixed", help="a ready-made station")
    made.add_argument("--pty-dir", type=Path, default=Path("station-lines"), help="where lines get names")
    made.add_argument("--tcp", action="append", default=[], metavar="HOST:PORT", help="one a line")
    made.add_argument("--control", default="127.0.0.1:7301", metavar="HOST:PORT")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--speed", type=int, default=1, help="how much faster than the clock")
    made.add_argument("--state", type=Path, help="file that keeps totalizers over restarts")
    made.add_argument(
        "--faults",
        default="",
        metavar="lost=2,flipped=1,noise=1",
        help="per cent of answers that are lost, get a flipped bit, have noise before them",
    )
    return made


def options_of(argv: Sequence[str]) -> tuple[StationOptions, dict[str, int]]:
    """Read the command line; the second value is the faults of every line, in per cent."""
    made = parser()
    args = made.parse_args(argv)
    host, port = _host_port(args.control)
    tcp = [_host_port(each) for each in args.tcp]
    if not 1 <= args.speed <= SPEED_MAX:
        made.error(f"--speed must be within 1..{SPEED_MAX}")
    station = setup.parse(args.config.read_text("utf-8")) if args.config else setup.of_kind(args.kind)
    if tcp and len(tcp) != len(station.lines):
        made.error(f"--tcp must be given once for each of {len(station.lines)} lines")
    faults = {f"{name}_percent": int(value) for name, _, value in _pairs(args.faults)}
    options = StationOptions(
        setup=station,
        pty_directory=args.pty_dir,
        control_host=host,
        control_port=port,
        tcp_host=tcp[0][0] if tcp else "127.0.0.1",
        tcp_ports=tuple(each[1] for each in tcp),
        seed=args.seed,
        speed=args.speed,
        state_path=args.state,
    )
    return options, faults


def run(argv: Sequence[str]) -> int:
    """The subcommand: runs until a signal; prints one JSON line that says where everything is."""
    log.configure(sys.stderr)
    options, faults = options_of(argv)
    asyncio.run(_run(options, faults))
    return 0


async def _run(options: StationOptions, faults: dict[str, int]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with running(options, SystemClock(), OsDisk()) as up:
        for name in up.line_urls:
            up.station.act({"do": "line_fault", "line": name, **faults})
        facts = {"control": f"{options.control_host}:{up.control_port}", "lines": up.line_urls}
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()
        await stop.wait()


def _pairs(text: str) -> list[tuple[str, str, str]]:
    return [each.partition("=") for each in text.split(",") if each]


def _host_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)
