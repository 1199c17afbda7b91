"""`forecourt-sim channels`: WeChat Pay in a process of its own, with its own keys and its own books."""

import argparse
import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import uvicorn

from forecourt_kit import log
from forecourt_kit.clock import SystemClock
from forecourt_kit.disk import OsDisk
from forecourt_kit.random import Random, SeededRandom, SystemRandom
from forecourt_simulators.channels.wechat import SignsWith, SimulatorSettings, WeChatPaySimulator, make_keys
from forecourt_simulators.channels.wechat.keys import PLATFORM_FILE, read_platform, write_keys

MERCHANTS_MAX = 100
JOURNAL_FILE = "books.jsonl"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="forecourt-sim channels", description=__doc__)
    made.add_argument("--listen", default="127.0.0.1:7303", metavar="HOST:PORT")
    made.add_argument("--allow-remote", action="store_true", help="listen beyond loopback; it has no log-in")
    made.add_argument("--keys", type=Path, default=Path("channel-keys"), metavar="DIR")
    made.add_argument("--write-keys", type=Path, metavar="DIR", help="make keys there, print paths, end")
    made.add_argument("--base-url", default="", help="written into merchant.json (default: http://LISTEN)")
    made.add_argument("--merchants", type=int, default=1, help="how many merchants --write-keys makes")
    made.add_argument("--signs-with", type=SignsWith, choices=list(SignsWith), default=SignsWith.PUBLIC_KEY)
    made.add_argument("--books", type=Path, metavar="DIR", help="keep orders over restarts in DIR")
    made.add_argument("--seed", help="chance from this seed; without it, from the machine")
    made.add_argument("--notify-delay-scale", type=float, default=1.0, help="1: WeChat Pay's own schedule")
    made.add_argument("--refund-delay-ms", type=int, default=500)
    made.add_argument("--reverse-age-min-s", type=int, default=0, help="15: refuse an earlier reverse")
    return made


def run(argv: Sequence[str]) -> int:
    """The subcommand: makes keys, or serves until a signal after one JSON line that says where."""
    made = parser()
    args = made.parse_args(argv)
    log.configure(sys.stderr)
    host, _, port = args.listen.rpartition(":")
    if not args.allow_remote and not _is_loopback(host):
        made.error("--listen: the control API has no log-in; listen on 127.0.0.1 or say --allow-remote")
    if not 1 <= args.merchants <= MERCHANTS_MAX:
        made.error(f"--merchants must be within 1..{MERCHANTS_MAX}")
    random: Random = SystemRandom() if args.seed is None else SeededRandom(args.seed)
    if args.write_keys is not None:
        keys = make_keys(
            random,
            SystemClock().now(),
            base_url=args.base_url or f"http://{args.listen}",
            merchants=args.merchants,
            signs_with=args.signs_with,
        )
        paths = write_keys(OsDisk(), args.write_keys, keys)
        sys.stdout.write(json.dumps({"written": [str(path) for path in paths]}) + "\n")
        return 0
    if not OsDisk().exists(args.keys / PLATFORM_FILE):
        made.error(f"no {PLATFORM_FILE} in {args.keys}; make keys with --write-keys {args.keys}")
    asyncio.run(_serve(args, host, int(port), random))
    return 0


async def _serve(args: argparse.Namespace, host: str, port: int, random: Random) -> None:
    disk = OsDisk()
    if args.books is not None:
        disk.make_directory(args.books, 0o700)
    simulator = WeChatPaySimulator(
        read_platform(disk, args.keys),
        SystemClock(),
        random,
        SimulatorSettings(
            notify_delay_scale=args.notify_delay_scale,
            refund_delay_ms=args.refund_delay_ms,
            reverse_age_min_s=args.reverse_age_min_s,
        ),
        disk=disk,
        journal=None if args.books is None else args.books / JOURNAL_FILE,
    )
    config = uvicorn.Config(
        simulator.app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    async with simulator:
        await _Server(config).serve()


class _Server(uvicorn.Server):
    """Says where it listens, once it does, and ends on a signal without raising it again."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        yield

    async def startup(self, sockets: list[Any] | None = None) -> None:
        await super().startup(sockets)
        bound = self.servers[0].sockets[0].getsockname()
        sys.stdout.write(json.dumps({"listening": f"http://{bound[0]}:{bound[1]}"}) + "\n")
        sys.stdout.flush()

    def _stop(self) -> None:
        self.should_exit = True


def _is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ip_address(host.strip("[]")).is_loopback
    return host == "localhost"
