"""Structured logging on the standard library: a JSON object a line, with request fields, without secrets.

log = logging.getLogger(__name__)
with bound(request_id="..."):
    log.info("sale opened", extra={"sale_id": 17})
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TextIO

from forecourt_kit.clock import Clock, rfc3339
from forecourt_kit.limits import LOG_DEPTH_MAX, LOG_ITEMS_MAX, LOG_VALUE_CHARS_MAX
from forecourt_kit.secret import MASK, Secret

SECRET_KEY = re.compile(
    r"passw|secret|token|authori[sz]ation$|cookie|credential|signature|private|api_?key|(^|_)(pin|pwd|psk|nonce)($|_)"
    r"|(device|session|master|signing|encryption|aes|apiv3|mch)_?key",
    re.IGNORECASE,
)
SECRET_TEXT = re.compile(
    r"""(?P<before>(?:passw(?:or)?d|pwd|secret|token|api_?key|authori[sz]ation)["']?\s*[=:]\s*["']?(?:bearer\s+|basic\s+)?)"""
    r"""(?P<value>[^\s"'&,;]+)""",
    re.IGNORECASE,
)
URL_PASSWORD = re.compile(r"(?P<before>\b[a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s@/]+(?=@)", re.IGNORECASE)

UNSAFE = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
"""What could end a line, hide or turn text round in a terminal; JSON escapes only what is below a blank."""

STANDARD = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime", "taskName"}
RESERVED = ("time", "level", "logger", "message", "error", "traceback")

_fields: ContextVar[Mapping[str, object]] = ContextVar("log_fields", default=MappingProxyType({}))


@contextmanager
def bound(**more: object) -> Iterator[None]:
    """Every line written inside, by this task and those it starts, carries these fields."""
    token = _fields.set({**_fields.get(), **more})
    try:
        yield
    finally:
        _fields.reset(token)


def fields() -> Mapping[str, object]:
    """The fields in force here, such as `request_id`."""
    return _fields.get()


def configure(stream: TextIO, level: int | str = logging.INFO, clock: Clock | None = None) -> None:
    """Send every logger's lines to the stream, and to nothing else. Called once, by a process's main.

    Under a given clock the lines are the same on each run of a simulation.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines(clock))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(capture=True)


class JsonLines(logging.Formatter):
    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__()
        self._clock = clock

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC) if self._clock is None else self._clock.now()
        line: dict[str, object] = {
            "time": rfc3339(at),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact_text(record.getMessage()),
        }
        given = {key: value for key, value in vars(record).items() if key not in STANDARD}
        for key, value in {**_fields.get(), **given}.items():
            name = f"{key}_" if key in RESERVED else key
            line[redact_text(name)] = redacted(name, value)
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            line["traceback"] = redact_text(self.formatException(record.exc_info), keep_end=True)
        return UNSAFE.sub(_escape, json.dumps(line, ensure_ascii=False))


def redacted(key: str, value: object, depth: int = 0) -> object:
    """The value as JSON carries it, without what looks like a secret, and not longer than the limits."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Secret) or SECRET_KEY.search(key):
        return MASK
    if isinstance(value, int):
        return int(value) if abs(value) < 2**63 else hex(value)[:LOG_VALUE_CHARS_MAX]
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, datetime) and value.tzinfo is not None:
        return rfc3339(value)
    if depth >= LOG_DEPTH_MAX:
        return "…"
    if isinstance(value, Mapping):
        pairs = list(value.items())[:LOG_ITEMS_MAX]
        return {redact_text(str(name)): redacted(str(name), inner, depth + 1) for name, inner in pairs}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        return [redacted("", inner, depth + 1) for inner in list(items)[:LOG_ITEMS_MAX]]
    return redact_text(f"{len(value)} bytes" if isinstance(value, bytes) else str(value))


def redact_text(text: str, *, keep_end: bool = False) -> str:
    """Mask passwords in URLs and `password=…` in free text; cut to the limit (`keep_end`: cut the front)."""
    over = len(text) - LOG_VALUE_CHARS_MAX
    if over > 0:
        text = f"[{over} cut] {text[over:]}" if keep_end else f"{text[:LOG_VALUE_CHARS_MAX]} [{over} cut]"
    text = URL_PASSWORD.sub(rf"\g<before>{MASK}", text)
    return SECRET_TEXT.sub(rf"\g<before>{MASK}", text)


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match.group()):04x}"
