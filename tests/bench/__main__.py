"""`python -m tests.bench [NAME…] [--json]`: measures hot paths beside their limits, engine by engine."""

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence

from _pytest.outcomes import Skipped
from tests.bench import checkout, ingest, push
from tests.bench.engines import ENGINES, Engine, running
from tests.bench.figures import Figure

Case = Callable[[Engine], Awaitable[list[Figure]]]
CASES: dict[str, Case] = {"ingest": ingest.measure, "checkout": checkout.measure, "push": push.measure}
EXIT_NOT_MEASURED = 1


async def _measure(names: Sequence[str], engines: Sequence[str], *, as_json: bool) -> int:
    status = 0
    for engine_name in engines:
        for name in names:
            try:
                async with running(engine_name) as engine:
                    figures = await CASES[name](engine)
            except Skipped as missing:
                sys.stderr.write(f"NOT MEASURED: {name} on {engine_name}: {missing}\n")
                status = EXIT_NOT_MEASURED
                continue
            for figure in figures:
                told = json.dumps(figure.as_json()) if as_json else figure.line()
                sys.stdout.write(told + "\n")
                sys.stdout.flush()
    return status


def main() -> int:
    parser = argparse.ArgumentParser(prog="forecourt bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CASES)}; all by default")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--engine", action="append", choices=ENGINES, help="only this one; may be repeated")
    args = parser.parse_args()
    logging.getLogger("asyncmy").setLevel(logging.ERROR)  # It repeats what MariaDB remarks on the schema.
    if unknown := set(args.names) - set(CASES):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # Servers of this run end with it.
    return asyncio.run(_measure(args.names or list(CASES), args.engine or ENGINES, as_json=args.json))


if __name__ == "__main__":
    sys.exit(main())
