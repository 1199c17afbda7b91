"""`forecourt bench`: runs the benchmarks of the source tree, which a wheel does not carry."""

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[3]
EXIT_UNAVAILABLE = 69  # sysexits' EX_UNAVAILABLE: a part that this needs is not here.


def run_benches(names: Sequence[str], *, as_json: bool, root: Path = ROOT) -> int:
    """Measure `names`, or everything, and print the figures; see docs/reference/benchmarks.md.

    They stand on the tests' own world and servers, so they need a checkout with its development libraries.
    """
    if not (root / "tests" / "bench" / "__main__.py").is_file():
        sys.stderr.write(
            "forecourt: benchmarks live in the source tree and are not part of an installed package; "
            "clone the repository and run `make bench` there\n"
        )
        return EXIT_UNAVAILABLE
    sys.path.insert(0, str(root))
    sys.argv = ["forecourt bench", *names, *(["--json"] if as_json else [])]
    try:
        runpy.run_module("tests.bench", run_name="__main__")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.path.remove(str(root))
    return 0
