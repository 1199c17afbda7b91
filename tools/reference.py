"""Write errors.md, events.md and settings.md of docs/reference from the code: `reference.py [--check]`.

Every setting has its documentation, every `Refusal` a status, a stable code and a docstring, every `Event` a
topic and typed fields. The pages and the code cannot say different things.
"""

import argparse
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

from forecourt.core.bus import Subscription
from forecourt.core.errors import Refusal
from forecourt.core.event import Event
from forecourt.core.settings import Settings
from forecourt_kit.settings import describe

ROOT = Path(__file__).resolve().parents[1]
ERRORS = Path("docs/reference/errors.md")
EVENTS = Path("docs/reference/events.md")
SETTINGS = Path("docs/reference/settings.md")
Kind = TypeVar("Kind")
DECLARES = re.compile(
    r'^    code = "\w+\.\w+"$|^    topic: ClassVar\[str\] = |= Subscription\(', re.MULTILINE
)
KEY = re.compile(r'return f"([^"]+)"')

ERRORS_HEAD = """# Errors

Written from the code by `tools/reference.py`; `make check` fails when this page is stale.

Every refusal is `application/problem+json` (RFC 9457) with `code`, which is part of the API and never
changes its meaning, `detail` for people, `facts` (values that explain it) and `request_id` (also in the
log). What is not on this page is a bug, and is answered with 500 and nothing else.
"""

EVENTS_HEAD = """# Events

Written from the code by `tools/reference.py`; `make check` fails when this page is stale.

An event is a row of the outbox, written in the transaction that caused it, numbered and sent by the relay.
It may be told more than once: handlers are idempotent by its id. Events with the same key stay in order. Ids
are numbers here, money is fen, and `operator_id` (the tenant) is in every event. Subscriptions match topics
with `*` for one word and `#` for any number of words.
"""

SETTINGS_HEAD = """# Settings

Written from the code by `tools/reference.py`; `make check` fails when this page is stale.

Settings are read once, at start: from the environment, then from `forecourt.toml` (there the name is without
the prefix and in lower case), then these defaults. A secret may also come from a file whose path is in
`<NAME>_FILE`.

| name | kind | default | what it is |
|---|---|---|---|
"""


def modules(root: Path) -> Iterator[str]:
    """Every module of the centre that declares a refusal, an event or a subscription."""
    for file in sorted((root / "src/forecourt").rglob("*.py")):
        if DECLARES.search(file.read_text(encoding="utf-8")):
            parts = file.relative_to(root / "src").with_suffix("").parts
            yield ".".join(part for part in parts if part != "__init__")


def subclasses(kind: type[Kind]) -> Iterator[type[Kind]]:
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


def first_line(thing: type[object]) -> str:
    """The first paragraph of its own docstring, else its name in words. Dataclasses put a signature there."""
    text = (thing.__dict__.get("__doc__") or "").strip()
    if not text or text.startswith(f"{thing.__name__}("):
        return re.sub(r"(?<!^)(?=[A-Z])", " ", thing.__name__).capitalize() + "."
    return " ".join(text.partition("\n\n")[0].split())


def errors_page() -> str:
    kinds: list[type[Refusal]] = [Refusal, *subclasses(Refusal)]
    found = {kind.code: kind for kind in kinds if "code" in kind.__dict__}
    lines = [ERRORS_HEAD]
    for module in sorted({code.partition(".")[0] for code in found}):
        lines += [f"\n## {module}\n", "| code | status | means |", "|---|---|---|"]
        for code in sorted(code for code in found if code.startswith(f"{module}.")):
            kind = found[code]
            retry = f" Retry after {kind.retry_after_s} s." if kind.retry_after_s else ""
            status = HTTPStatus(kind.status)
            lines.append(f"| `{code}` | {status.value} {status.phrase} | {first_line(kind)}{retry} |")
    return "\n".join(lines) + "\n"


def events_page() -> str:
    found = {kind.topic: kind for kind in subclasses(Event) if "topic" in kind.__dict__}
    lines = [EVENTS_HEAD, "\n## Topics\n", "| topic | key | fields | says |", "|---|---|---|---|"]
    for topic in sorted(found):
        kind = found[topic]
        told = " · ".join(
            f"`{each.name}` {_type_name(each.type)}" for each in fields(kind) if each.name != "operator_id"
        )
        lines.append(f"| `{topic}` | `{key_of(kind)}` | {told} | {first_line(kind)} |")
    lines += ["\n## Who listens\n", "| subscription | topics | partitions |", "|---|---|---|"]
    for heard in sorted(subscriptions(), key=lambda each: each.name):
        topics = " ".join(f"`{topic}`" for topic in heard.topics)
        lines.append(f"| `{heard.name}` | {topics} | {heard.partitions} |")
    return "\n".join(lines) + "\n"


def settings_page() -> str:
    rows = [
        f"| `{each.env}` | {each.type_name} | {f'`{each.default}`' if each.default else ''} | {each.doc} |"
        for each in describe(Settings)
    ]
    return SETTINGS_HEAD + "\n".join(rows) + "\n"


def _type_name(kind: object) -> str:
    text = kind.__name__ if type(kind) is type else str(kind)
    return text.replace("typing.", "").replace(" | ", " or ")


def key_of(kind: type[Event]) -> str:
    """The key's form, read from the f-string that makes it: `sale:{sale_id}`."""
    getter = inspect.getattr_static(kind, "key").fget
    match = KEY.search(inspect.getsource(getter))
    if match is None:
        raise LookupError(f'{kind.__name__}.key does not return an f"…" in one line')
    return match[1].replace("self.", "")


def subscriptions() -> list[Subscription]:
    """Every subscription that a module of the centre declares at its top."""
    return [
        value
        for module in modules(ROOT)
        for value in vars(importlib.import_module(module)).values()
        if isinstance(value, Subscription)
    ]


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--check", action="store_true", help="only say whether the pages are up to date")
    check = arguments.parse_args().check
    for module in modules(ROOT):
        importlib.import_module(module)
    stale = 0
    for page, text in ((ERRORS, errors_page()), (EVENTS, events_page()), (SETTINGS, settings_page())):
        file = ROOT / page
        if file.exists() and file.read_text(encoding="utf-8") == text:
            continue
        stale = 1
        if check:
            print(f"{page}: stale. Run `python tools/reference.py`")
        else:
            file.write_text(text, encoding="utf-8")
            print(f"{page}: written")
    return stale if check else 0


if __name__ == "__main__":
    sys.exit(main())
