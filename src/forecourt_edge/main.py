"""`forecourt-edge run --config FILE`: the station agent as a process."""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from forecourt_edge.agent import Ports, running
from forecourt_edge.config import ConfigError, EdgeConfig, parse
from forecourt_edge.crash import CrashPoints
from forecourt_edge.drivers.ports import open_line
from forecourt_edge.journal.sqlite import SqliteJournal
from forecourt_edge.uplink.config import UplinkConfig, parse_uplink
from forecourt_edge.uplink.links import open_link
from forecourt_edge.uplink.uplink import OnCommand, Uplink
from forecourt_kit import log
from forecourt_kit.clock import SystemClock
from forecourt_kit.disk import OsDisk
from forecourt_kit.random import SystemRandom

EXIT_CONFIG = 78  # sysexits' EX_CONFIG: a restart will not help.


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="forecourt-edge", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", help="run the agent until it is told to stop")
    run.add_argument(
        "--config", type=Path, required=True, action="append", help="TOML file of a station; may be repeated"
    )
    args = parser.parse_args(argv)
    log.configure(sys.stderr)
    stations = []
    for path in args.config:
        try:
            config = parse(path.read_text("utf-8"))
            stations.append((config, parse_uplink(config.uplink) if config.uplink else None))
        except (ConfigError, OSError) as why:
            sys.stderr.write(f"forecourt-edge: {path}: {why}\n")
            return EXIT_CONFIG
    asyncio.run(_run(stations))
    return 0


async def _run(stations: Sequence[tuple[EdgeConfig, UplinkConfig | None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    ports = Ports(
        clock=SystemClock(),
        random=SystemRandom(),
        disk=OsDisk(),
        open_line=open_line,
        crash=CrashPoints.of(os.environ),
    )
    async with contextlib.AsyncExitStack() as stack:
        for config, uplink in stations:
            await stack.enter_async_context(running(config, ports, partial(_make_uplink, uplink, ports)))
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await stop.wait()


def _make_uplink(
    config: UplinkConfig | None, ports: Ports, journal: SqliteJournal, receive: OnCommand
) -> Uplink | None:
    if config is None:
        return None
    return Uplink(
        config,
        journal,
        receive,
        open_link=open_link,
        clock=ports.clock,
        random=ports.random,
        held=journal.hold,
    )


if __name__ == "__main__":
    sys.exit(main())
