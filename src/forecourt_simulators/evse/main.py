"""`forecourt-sim evse`: virtual OCPP 1.6 charge points, with their control API."""

import argparse
import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from forecourt_kit import log
from forecourt_kit.clock import Clock, SystemClock
from forecourt_kit.disk import Disk, OsDisk
from forecourt_kit.random import SeededRandom
from forecourt_simulators.evse import control
from forecourt_simulators.evse.charge_point import ChargePoint
from forecourt_simulators.evse.fleet import Fleet
from forecourt_simulators.evse.link import Link
from forecourt_simulators.evse.setup import ChargePointSetup, ConnectorSetup, parse_faults

TICK_S = 0.05
US_PER_S = 1_000_000
SPEED_MAX = 1_000
SAVE_EVERY_TICKS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseOptions:
    """How virtual charge points are run. `url` is the platform's OCPP base, without the code."""

    setups: tuple[ChargePointSetup, ...]
    url: str = "ws://127.0.0.1:7180/ocpp"
    control_host: str = "127.0.0.1"
    control_port: int = 0
    seed: int = 0
    speed: int = 1
    state_path: Path | None = None


@dataclass(frozen=True, slots=True)
class RunningFleet:
    fleet: Fleet
    control_port: int
    links: dict[str, Link] = field(default_factory=dict)


@contextlib.asynccontextmanager
async def running(
    options: EvseOptions, clock: Clock, disk: Disk | None = None
) -> AsyncIterator[RunningFleet]:
    """Charge points that stay connected, and their control API, until the context ends."""
    chance = SeededRandom(options.seed)
    points = {setup.code: ChargePoint(setup, clock, chance.branch(setup.code)) for setup in options.setups}
    fleet = Fleet(points)
    registers = Registers(fleet, disk or OsDisk(), options.state_path)
    registers.load()
    server = await control.serve(fleet, options.control_host, options.control_port)
    links = {code: Link(point, options.url) for code, point in points.items()}
    tasks = [asyncio.create_task(link.keep()) for link in links.values()]
    tasks.append(asyncio.create_task(_tick(fleet, options.speed, clock, registers)))
    try:
        yield RunningFleet(fleet, server.sockets[0].getsockname()[1], links)
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        registers.save()


class Registers:
    """The meters' registers in a file, so that a totalizer never starts anew; without a path, nowhere."""

    def __init__(self, fleet: Fleet, disk: Disk, path: Path | None) -> None:
        self._fleet, self._disk, self._path = fleet, disk, path
        self._saved = ""

    def load(self) -> None:
        if self._path is not None and self._disk.exists(self._path):
            self._fleet.restore(json.loads(self._disk.read(self._path)))

    def save(self) -> None:
        state = json.dumps(self._fleet.kept())
        if self._path is not None and state != self._saved:
            self._disk.replace(self._path, state.encode())
            self._saved = state


async def _tick(fleet: Fleet, speed: int, clock: Clock, registers: Registers) -> None:
    """Let the fleet's time follow the clock; energy flows `speed` times as fast."""
    before_s, ticks = clock.monotonic_s(), 0
    while True:
        await asyncio.sleep(TICK_S)
        now_s = clock.monotonic_s()
        fleet.advance(int((now_s - before_s) * US_PER_S), speed)
        before_s, ticks = now_s, ticks + 1
        if ticks % SAVE_EVERY_TICKS == 0:
            registers.save()


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="forecourt-sim evse", description=__doc__)
    made.add_argument("--url", default="ws://127.0.0.1:7180/ocpp", help="the platform's OCPP base")
    made.add_argument(
        "--charge-point",
        action="append",
        default=[],
        metavar="CODE[:PASSWORD]",
        help="one virtual charge point; may be given many times",
    )
    made.add_argument("--connectors", type=int, default=2, help="of each charge point")
    made.add_argument("--power-w", type=int, default=60_000, help="of each connector")
    made.add_argument("--sample-s", type=int, default=10, help="seconds between meter values")
    made.add_argument("--control", default="127.0.0.1:7302", metavar="HOST:PORT")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--speed", type=int, default=1, help="how much faster energy flows than it would")
    made.add_argument("--state", type=Path, help="file that keeps registers over restarts")
    made.add_argument(
        "--faults",
        default="",
        metavar="offline=20,duplicate_stop=10,clock_off_s=3600",
        help="per cent of sessions, unless a name says otherwise",
    )
    return made


def options_of(argv: Sequence[str]) -> EvseOptions:
    made = parser()
    args = made.parse_args(argv)
    host, _, port = args.control.rpartition(":")
    if not 1 <= args.speed <= SPEED_MAX:
        made.error(f"--speed must be within 1..{SPEED_MAX}")
    try:
        faults = parse_faults(args.faults)
        setups = tuple(
            ChargePointSetup(
                code=code,
                password=password,
                connectors=(ConnectorSetup(power_w=args.power_w),) * args.connectors,
                sample_s=args.sample_s,
                faults=faults,
            )
            for code, _, password in (each.partition(":") for each in args.charge_point or ["CP-1"])
        )
    except ValueError as wrong:
        made.error(str(wrong))
    return EvseOptions(
        setups=setups,
        url=args.url,
        control_host=host,
        control_port=int(port),
        seed=args.seed,
        speed=args.speed,
        state_path=args.state,
    )


def run(argv: Sequence[str]) -> int:
    """The subcommand: runs until a signal; prints one JSON line that says where the control API is."""
    log.configure(sys.stderr)
    asyncio.run(_run(options_of(argv)))
    return 0


async def _run(options: EvseOptions) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with running(options, SystemClock()) as up:
        facts = {
            "control": f"{options.control_host}:{up.control_port}",
            "charge_points": sorted(up.fleet.points),
        }
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()
        await stop.wait()
