"""Check the house's own rules: `python tools/house.py [--root ROOT] [--list] [PATH ...]`."""

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from house_rules import money, purity, shape, sql, testing
from house_rules.base import RULES, Finding, Source, unused_excuses
from house_rules.tree import tree_findings

PLACES = ("src", "tools", "tests")
RULE_FILES = (money, purity, shape, sql, testing)  # Imported, so that their rules are registered.


def check_text(path: str, text: str) -> list[Finding]:
    """Findings of one Python file, given as text; what a rule's test calls."""
    source = Source(path, text)
    found = [finding for rule in RULES for finding in rule.findings(source)]
    return sorted({*found, *unused_excuses(source)})


def python_files(root: Path, chosen: Iterable[str] = ()) -> Iterator[Path]:
    for place in chosen or PLACES:
        start = root / place
        yield from [start] if start.is_file() else sorted(start.rglob("*.py"))


def check(root: Path, chosen: Iterable[str] = ()) -> list[Finding]:
    found: list[Finding] = []
    for file in python_files(root, chosen):
        path = file.relative_to(root).as_posix()
        found += check_text(path, file.read_text(encoding="utf-8"))
    if not chosen:
        found += tree_findings(root)
    return sorted(found)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[1])
    arguments.add_argument("--list", action="store_true", help="print every rule and what it teaches")
    arguments.add_argument("paths", nargs="*")
    given = arguments.parse_args()
    if given.list:
        for rule in RULES:
            print(f"{rule.name}: {rule.teaching}")
        return 0
    found = check(given.root, given.paths)
    for finding in found:
        print(finding)
    print(f"house: {len(found)} finding{'s' * (len(found) != 1)} under {len(RULES)} rules", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
