"""Run every static check and say clearly what failed: `python tools/check.py [STEP ...] [--fix]`.

It goes on after a failure, so that one run shows everything, and ends with 1 when anything failed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
PYTHON = sys.executable
CODE = ("src", "tools", "tests", "hatch_build.py")

STEPS: dict[str, list[str]] = {
    "ruff": [str(BIN / "ruff"), "check", *CODE],
    "format": [str(BIN / "ruff"), "format", "--check", *CODE],
    "mypy": [str(BIN / "mypy"), "src", "tools", "tests"],
    "contracts": [str(BIN / "lint-imports"), "--no-logo"],
    "house": [PYTHON, "tools/house.py"],
    "drawings": [PYTHON, "tools/drawings.py", "--check"],
    "reference": [PYTHON, "tools/reference.py", "--check"],
    "openapi": [PYTHON, "tools/openapi.py", "--check"],
    "docs": [PYTHON, "tools/docs.py"],
}
FIXES: dict[str, list[str]] = {
    "ruff": [str(BIN / "ruff"), "check", "--fix", *CODE],
    "format": [str(BIN / "ruff"), "format", *CODE],
    "drawings": [PYTHON, "tools/drawings.py"],
    "reference": [PYTHON, "tools/reference.py"],
    "openapi": [PYTHON, "tools/openapi.py"],
}


def run(name: str, command: list[str]) -> tuple[bool, float]:
    """Run one step with its output in full; gives (passed, seconds)."""
    print(
        f"── {name}: {' '.join(Path(word).name if word == command[0] else word for word in command)}",
        flush=True,
    )
    path = os.pathsep.join(filter(None, ["tools", os.environ.get("PYTHONPATH")]))
    started_s = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, check=False)
    return done.returncode == 0, time.monotonic() - started_s


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("steps", nargs="*", choices=[*STEPS, []], metavar="STEP", help=", ".join(STEPS))
    arguments.add_argument("--fix", action="store_true", help="repair first what a tool can repair by itself")
    given = arguments.parse_args()
    chosen = given.steps or list(STEPS)
    missing = [name for name in chosen if shutil.which(STEPS[name][0]) is None]
    if missing:
        print(f"not installed: {', '.join(missing)}. Run `make install` first.", file=sys.stderr)
        return 1
    for name in chosen:
        if given.fix and name in FIXES:
            run(f"{name} (fix)", FIXES[name])
    results = {name: run(name, STEPS[name]) for name in chosen}
    print("\n── summary")
    for name, (passed, seconds) in results.items():
        print(f"   {'ok    ' if passed else 'FAILED'} {name:<10} {seconds:5.1f} s")
    return 0 if all(passed for passed, _ in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
