"""Draw the state machines of the code into docs/reference/state-machines.md: `drawings.py [--check]`.

A state machine is a table `<NOUN>_TRANSITIONS: dict[tuple[State, Event], State]` in a module's rules; the
page and the code cannot say different things.
"""

import argparse
import importlib
import sys
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = Path("docs/reference/state-machines.md")
MODULES = (
    "forecourt.deliveries.rules",
    "forecourt.sales.rules",
    "forecourt.payments.rules",
    "forecourt.charging.rules",
)
SUFFIX = "TRANSITIONS"
HEAD = """# State machines

Drawn from the tables in the code by `tools/drawings.py`; `make check` fails when this page is stale. A pair
of state and event that has no arrow is refused.
"""

Table = Mapping[Any, Enum]  # (State, Event) -> State; Mapping is not covariant in its key.


def tables(root: Path) -> Iterator[tuple[str, str, Table]]:
    """(module, name, table) of every state machine. A module may be missing only as a whole."""
    for module in MODULES:
        if not (root / "src" / Path(*module.split(".")[:-1])).exists():
            continue
        found = importlib.import_module(module)
        names = [name for name in vars(found) if name.endswith(SUFFIX)]
        if not names:
            raise LookupError(f"{module} declares no table that ends in {SUFFIX}")
        for name in names:
            yield module, name, getattr(found, name)


def title(module: str, name: str) -> str:
    noun = name.removesuffix(SUFFIX).strip("_").replace("_", " ").lower()
    return (noun or module.split(".")[1].removesuffix("s")).capitalize()


def drawing(table: Table) -> str:
    """One mermaid diagram. Events between the same two states share an arrow; stays are drawn too."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (state, event), after in table.items():
        arrows.setdefault((word(state), word(after)), []).append(word(event))
    entered = [after for state, after in arrows if state != after]
    left = [state for state, after in arrows if state != after]
    states = list(dict.fromkeys([*(word(state) for state, _ in table), *entered]))
    firsts = [state for state in states if state not in entered] or states[:1]
    lasts = [state for state in states if state not in left]
    lines = ["stateDiagram-v2"]
    lines += [f"    [*] --> {state}" for state in firsts]
    lines += [f"    {state} --> {after}: {', '.join(events)}" for (state, after), events in arrows.items()]
    lines += [f"    {state} --> [*]" for state in lasts]
    return "\n".join(lines)


def word(member: Any) -> str:
    return str(member.value).replace("-", "_").replace(" ", "_").replace(".", "_")


def page(root: Path) -> str:
    parts = [HEAD]
    for module, name, table in tables(root):
        where = f"`{name}` in `src/{module.replace('.', '/')}.py`"
        parts.append(f"## {title(module, name)}\n\n{where}\n\n```mermaid\n{drawing(table)}\n```\n")
    return "\n".join(parts)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--check", action="store_true", help="fail when the page is stale; write nothing")
    given = arguments.parse_args()
    drawn, file = page(ROOT), ROOT / PAGE
    stale = not file.exists() or file.read_text(encoding="utf-8") != drawn
    if stale and given.check:
        print(f"{PAGE} is stale: run .venv/bin/python tools/drawings.py", file=sys.stderr)
        return 1
    if stale:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(drawn, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
