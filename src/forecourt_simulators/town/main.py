"""`forecourt-sim town station … -- evse … -- traffic …`: several sides in one process."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence

from forecourt_kit import log
from forecourt_kit.clock import SystemClock
from forecourt_kit.disk import OsDisk
from forecourt_simulators.evse import main as evse
from forecourt_simulators.station import main as station
from forecourt_simulators.traffic import main as traffic

SEPARATOR = "--"
SIDES_MAX = 64

Facts = dict[str, object]
Enter = Callable[[contextlib.AsyncExitStack, Sequence[str]], Awaitable[Facts]]
"""Brings one side up inside the stack; tells where it is."""


async def _station(stack: contextlib.AsyncExitStack, argv: Sequence[str]) -> Facts:
    options, faults = station.options_of(argv)
    up = await stack.enter_async_context(station.running(options, SystemClock(), OsDisk()))
    for name in up.line_urls:
        up.station.act({"do": "line_fault", "line": name, **faults})
    return {"control": f"{options.control_host}:{up.control_port}", "lines": up.line_urls}


async def _evse(stack: contextlib.AsyncExitStack, argv: Sequence[str]) -> Facts:
    options = evse.options_of(argv)
    up = await stack.enter_async_context(evse.running(options, SystemClock()))
    return {"control": f"{options.control_host}:{up.control_port}", "charge_points": sorted(up.fleet.points)}


async def _traffic(stack: contextlib.AsyncExitStack, argv: Sequence[str]) -> Facts:
    await stack.enter_async_context(traffic.running(traffic.options_of(argv)))
    return {}


SIDES: dict[str, Enter] = {"station": _station, "evse": _evse, "traffic": _traffic}


def parts_of(argv: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Cut the command line at `--`. Raises ValueError."""
    parts: list[list[str]] = [[]]
    for word in argv:
        if word == SEPARATOR:
            parts.append([])
        else:
            parts[-1].append(word)
    named = [(part[0], part[1:]) for part in parts if part]
    unknown = [name for name, _ in named if name not in SIDES]
    if unknown or not 1 <= len(named) <= SIDES_MAX:
        raise ValueError(f"expected {' | '.join(SIDES)} … {SEPARATOR} …, got {unknown or len(named)}")
    return named


def run(argv: Sequence[str]) -> int:
    """The subcommand: runs until a signal; prints one JSON line: the facts of each side, in order."""
    log.configure(sys.stderr)
    try:
        parts = parts_of(argv)
    except ValueError as why:
        sys.stderr.write(f"forecourt-sim town: {why}\n")
        return 2
    asyncio.run(_run(parts))
    return 0


async def _run(parts: list[tuple[str, list[str]]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        facts = [{"side": name, **await SIDES[name](stack, words)} for name, words in parts]
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()
        await stop.wait()
