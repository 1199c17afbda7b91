"""`forecourt-sim traffic`: drivers and attendants at virtual stations and chargers."""

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from forecourt_kit import log
from forecourt_kit.random import SeededRandom
from forecourt_simulators.station.control import StationControl
from forecourt_simulators.traffic.attendant import Attendant
from forecourt_simulators.traffic.centre import Ask, Centre, CentreAway, LogIn, Payers, Reply
from forecourt_simulators.traffic.vehicles import Vehicles
from forecourt_simulators.traffic.wishes import TenderMix

TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficOptions:
    """Who comes where, and who pays how. `token`: a bearer of the attendants' terminal; else log in."""

    api_url: str = ""
    token: str = field(default="", repr=False)
    login: str = ""
    password: str = field(default="", repr=False)
    channels_url: str = ""
    stations: tuple[tuple[str, int], ...] = ()
    chargers: tuple[tuple[str, int], ...] = ()
    members: tuple[str, ...] = ()
    mix: TenderMix = field(default_factory=TenderMix)
    per_minute_e2: int = 50
    seed: int = 0


@dataclass(slots=True)
class Traffic:
    vehicles: Vehicles
    attendant: Attendant | None


@contextlib.asynccontextmanager
async def running(options: TrafficOptions) -> AsyncIterator[Traffic]:
    """Vehicles that come and attendants that take money until the context ends."""
    chance = SeededRandom(options.seed)
    vehicles = Vehicles(chance.branch("vehicles"), options.per_minute_e2)
    tasks: list[asyncio.Task[None]] = []
    async with contextlib.AsyncExitStack() as stack:
        attendant = None
        if options.api_url:
            attendant = await _hire(options, chance, stack)
            tasks.append(asyncio.create_task(attendant.work()))
            stack.push_async_callback(attendant.go_home)
        for places, come in (
            (options.stations, vehicles.come_to_station),
            (options.chargers, vehicles.come_to_chargers),
        ):
            for place in places:
                control = StationControl(*place)
                stack.push_async_callback(control.close)
                tasks.append(asyncio.create_task(come(control)))
        stack.push_async_callback(_stop, tasks)
        yield Traffic(vehicles, attendant)


async def _hire(options: TrafficOptions, chance: SeededRandom, stack: contextlib.AsyncExitStack) -> Attendant:
    headers = {"Authorization": f"Bearer {options.token}"} if options.token else {}
    client = await stack.enter_async_context(
        httpx.AsyncClient(base_url=options.api_url, headers=headers, timeout=TIMEOUT_S)
    )
    centre = Centre(over(client), LogIn(options.login, options.password) if options.login else None)
    payers = None
    if options.channels_url:
        phones = await stack.enter_async_context(
            httpx.AsyncClient(base_url=options.channels_url, timeout=TIMEOUT_S)
        )
        payers = Payers(over(phones))
    return Attendant(centre, payers, chance.branch("attendant"), options.mix, options.members)


def over(client: httpx.AsyncClient) -> Ask:
    """Ask by this client, which knows the server and keeps its cookies."""

    async def ask(method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]) -> Reply:
        try:
            answer = await client.request(method, path, json=body, headers=headers)
        except httpx.TransportError as why:
            raise CentreAway(str(why)) from why
        try:
            content = answer.json()
        except ValueError:
            content = None
        return Reply(answer.status_code, content if isinstance(content, dict) else {})

    return ask


async def _stop(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="forecourt-sim traffic", description=__doc__)
    made.add_argument("--api", default="", metavar="URL", help="the centre; without it nobody pays")
    made.add_argument("--token-file", type=Path, help="a terminal's bearer token")
    made.add_argument("--login", default="")
    made.add_argument("--password-file", type=Path)
    made.add_argument("--channels", default="", metavar="URL", help="the channel simulator")
    made.add_argument("--station", action="append", default=[], metavar="HOST:PORT", help="its control API")
    made.add_argument(
        "--chargers", action="append", default=[], metavar="HOST:PORT", help="their control API"
    )
    made.add_argument("--member", action="append", default=[], metavar="ID", help="its wallet may pay")
    made.add_argument("--tenders", default="wechat=55,wallet=20,cash=25", help="shares in per cent")
    made.add_argument("--per-minute", default="0.50", help="vehicles a minute at each free nozzle")
    made.add_argument("--seed", type=int, default=0)
    return made


def options_of(argv: Sequence[str]) -> TrafficOptions:
    """Read the command line."""
    made = parser()
    args = made.parse_args(argv)
    whole, _, part = args.per_minute.partition(".")
    try:
        shares = dict(each.split("=") for each in args.tenders.split(",") if each)
        given = {f"{name}_percent": int(share) for name, share in shares.items()}
        mix = TenderMix(**{"wechat_percent": 0, "wallet_percent": 0, "cash_percent": 0} | given)
        per_minute_e2 = int(whole or "0") * 100 + int(part.ljust(2, "0")[:2])
    except (TypeError, ValueError) as why:
        made.error(str(why))
    return TrafficOptions(
        api_url=args.api,
        token=args.token_file.read_text("utf-8").strip() if args.token_file else "",
        login=args.login,
        password=args.password_file.read_text("utf-8").strip() if args.password_file else "",
        channels_url=args.channels,
        stations=tuple(_host_port(each) for each in args.station),
        chargers=tuple(_host_port(each) for each in args.chargers),
        members=tuple(args.member),
        mix=mix,
        per_minute_e2=per_minute_e2,
        seed=args.seed,
    )


def run(argv: Sequence[str]) -> int:
    """The subcommand: runs until a signal."""
    log.configure(sys.stderr)
    asyncio.run(_run(options_of(argv)))
    return 0


async def _run(options: TrafficOptions) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with running(options):
        await stop.wait()


def _host_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)
