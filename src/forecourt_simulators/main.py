"""`forecourt-sim station|evse|traffic|channels|town`: the other side of every wire, faults on request."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

SIDES = {
    "station": "dispensers on serial lines",
    "evse": "an OCPP charge point",
    "traffic": "drivers and attendants",
    "channels": "payment channels",
    "town": "several of the others in one process",
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="forecourt-sim", description=__doc__)
    parser.add_argument("side", choices=SIDES, help="; ".join(f"{k}: {v}" for k, v in SIDES.items()))
    parser.add_argument("rest", nargs=argparse.REMAINDER, help="options of that side; try --help there")
    args = parser.parse_args(sys.argv[1:] if argv is None else argv)
    # Imported only now: one side must not pay for the libraries of the others.
    code: int = import_module(f"forecourt_simulators.{args.side}.main").run(args.rest)
    return code


if __name__ == "__main__":
    sys.exit(main())
