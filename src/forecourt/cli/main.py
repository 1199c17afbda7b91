"""`forecourt`: one command for everything that runs at the centre."""

import argparse
import asyncio
import importlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from forecourt.cli import up
from forecourt.cli.admin import make_code
from forecourt.cli.bench import run_benches
from forecourt.cli.migrate import migrate
from forecourt.cli.verify import verify
from forecourt.core.errors import Refusal
from forecourt.core.host import Ports, open_host
from forecourt.core.process import settings_from
from forecourt.core.settings import Settings
from forecourt_kit.clock import SystemClock
from forecourt_kit.disk import OsDisk
from forecourt_kit.random import SystemRandom
from forecourt_kit.settings import SettingsError

EXIT_VIOLATIONS = 1
EXIT_CONFIG = 78  # sysexits' EX_CONFIG: a restart will not help.
PROCESSES = ("api", "gateway", "worker")


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, run, give the exit status; a wrong setting is told in words and ends with 78."""
    args = _parser().parse_args(argv)
    ports = Ports(clock=SystemClock(), random=SystemRandom(), disk=OsDisk())
    try:
        return _run(args, ports)
    except SettingsError as wrong:
        sys.stderr.write(f"forecourt: {wrong}\n")
        return EXIT_CONFIG
    except Refusal as refusal:
        sys.stderr.write(f"forecourt: {refusal.detail}\n")
        return EXIT_VIOLATIONS


def _run(args: argparse.Namespace, ports: Ports) -> int:
    if args.verb in PROCESSES:
        importlib.import_module(f"forecourt.{args.verb}.main").main()  # Processes do not import each other.
        return 0
    if args.verb == "bench":
        return run_benches(args.names, as_json=args.json)
    overrides = {"data_dir": args.data} if getattr(args, "data", None) else {}
    if args.verb == "up":
        if args.http:
            overrides["http"] = args.http
        return up.up(os.environ, ports, demo=args.demo, **overrides)
    settings = settings_from(os.environ, ports, **overrides)
    if args.verb == "migrate":
        asyncio.run(_migrate(settings, ports))
        return 0
    if args.verb == "admin":
        sys.stdout.write(asyncio.run(make_code(settings, ports)) + "\n")
        return 0
    assert args.verb == "verify"
    return asyncio.run(_verify(settings, ports, as_json=args.json))


async def _migrate(settings: Settings, ports: Ports) -> None:
    async with open_host(settings, ports) as host:
        await migrate(host.database)


async def _verify(settings: Settings, ports: Ports, *, as_json: bool) -> int:
    async with open_host(settings, ports) as host:
        report = await verify(host.database)
    if as_json:
        sys.stdout.write(json.dumps(report.as_json(), ensure_ascii=False) + "\n")
    else:
        for line in report.lines():
            sys.stdout.write(line + "\n")
    return EXIT_VIOLATIONS if report.violations else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="forecourt", description="Vehicle filling stations of every energy."
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    start = verbs.add_parser("up", help="the whole centre in one process, on the embedded default")
    start.add_argument("--demo", action="store_true", help="with stations, vehicles and payment stand-ins")
    start.add_argument("--data", type=Path, metavar="DIR", help="folder of everything that is kept (.data)")
    start.add_argument("--http", metavar="HOST:PORT", help="where API and screens listen")
    for name in PROCESSES:
        verbs.add_parser(name, help=f"one {name} process, for real services; any number may run")
    verbs.add_parser("migrate", help="bring the database's schema to the newest revision").add_argument(
        "--data", type=Path, metavar="DIR"
    )
    admin = verbs.add_parser("admin", help="administrators").add_subparsers(dest="what", required=True)
    create = admin.add_parser("create", help="print a one-time code that makes the first administrator")
    create.add_argument("--data", type=Path, metavar="DIR")
    check = verbs.add_parser("verify", help="recompute every invariant; exit 1 and a list when one fails")
    check.add_argument("--json", action="store_true")
    check.add_argument("--data", type=Path, metavar="DIR")
    bench = verbs.add_parser("bench", help="measure hot paths beside their limits")
    bench.add_argument("names", nargs="*", metavar="NAME")
    bench.add_argument("--json", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
