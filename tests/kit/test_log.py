import asyncio
import io
import json
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecourt_kit.clock import ManualClock
from forecourt_kit.limits import LOG_VALUE_CHARS_MAX
from forecourt_kit.log import JsonLines, bound, configure, fields, redact_text, redacted
from forecourt_kit.secret import Secret

log = logging.getLogger("forecourt.test")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure(stream, clock=ManualClock(datetime(2026, 11, 22, tzinfo=UTC)))
    yield stream
    root.handlers[:] = kept
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def formatted(message: str, **extra: object) -> str:
    record = log.makeRecord("n", logging.INFO, "f", 1, message, (), None, extra=extra)
    return JsonLines(ManualClock()).format(record)


def test_a_line_is_one_json_object(stream: io.StringIO) -> None:
    log.info("sale opened: %s", "№7", extra={"sale_id": 17, "amount_fen": 200_00})
    assert lines(stream) == [
        {
            "time": "2026-11-22T00:00:00.000000Z",
            "level": "info",
            "logger": "forecourt.test",
            "message": "sale opened: №7",
            "sale_id": 17,
            "amount_fen": 20000,
        }
    ]


async def test_fields_follow_the_task_and_not_its_neighbours(stream: io.StringIO) -> None:
    async def request(name: str) -> None:
        with bound(request_id=name):
            await asyncio.sleep(0)
            log.info("answered")

    await asyncio.gather(request("a"), request("b"))
    log.info("idle")
    assert [line.get("request_id") for line in lines(stream)] == ["a", "b", None]
    assert fields() == {}


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "Authorization",
        "api_key",
        "apikey",
        "session_token",
        "set-cookie",
        "client_secret",
        "card_pin",
        "pin",
        "private_pem",
        "device_key",
        "apiv3_key",
        "wechatpay_signature",
    ],
)
def test_keys_that_look_secret_are_masked_at_any_depth(key: str) -> None:
    assert "hush" not in formatted("x", **{key: "hush", "body": {"a": [{key: ["hush"]}]}})


@pytest.mark.parametrize("key", ["idempotency_key", "partition_key", "opinion", "amount_fen", "spin"])
def test_keys_that_only_sound_so_are_kept(key: str) -> None:
    assert redacted(key, "seen") == "seen"


@pytest.mark.parametrize(
    "text",
    [
        "postgresql+asyncpg://forecourt:hush@db/forecourt",
        "password=hush&x=1",
        '{"password": "hush"}',
        "Authorization: Bearer hush",
        "token: hush",
    ],
)
def test_secrets_in_free_text_are_masked(text: str) -> None:
    assert "hush" not in redact_text(text)
    assert "hush" not in formatted(text)


def test_a_secret_is_masked_as_argument_field_and_in_a_traceback(stream: io.StringIO) -> None:
    secret = Secret("hush")
    try:
        raise RuntimeError(f"cannot use {secret} at amqp://u:hush@mq/")
    except RuntimeError:
        log.exception("failed with %s", secret, extra={"value": secret})
    assert "hush" not in stream.getvalue()
    (line,) = lines(stream)
    assert line["error"] == "RuntimeError"
    assert line["level"] == "error"
    assert "cannot use ***" in line["traceback"]


@given(st.text(), st.dictionaries(st.text(min_size=1, max_size=8), st.text(), max_size=3))
def test_no_input_can_end_or_forge_a_line(message: str, body: dict[str, str]) -> None:
    line = formatted(message, body=body)
    assert len(line.splitlines()) == 1
    assert all(sign.isprintable() or sign == " " or ord(sign) > 0x7F for sign in line)
    assert json.loads(line)["logger"] == "n"


@pytest.mark.parametrize(
    "sign", ["\n", "\r", "\x1b[31m", "\x85", "\u2028", "\u202e", "\x00", "\ud800", "\x9b"]
)
def test_signs_that_move_a_terminal_are_escaped(sign: str) -> None:
    line = formatted(f"a{sign}b")
    assert sign[0] not in line
    line.encode("utf-8")


def test_a_field_cannot_stand_for_the_lines_own() -> None:
    line = json.loads(formatted("true", level="critical", time="never", logger="other"))
    assert (line["level"], line["logger"], line["message"]) == ("info", "n", "true")
    assert line["level_"] == "critical"


def test_long_deep_and_odd_values_are_bounded() -> None:
    deep: list[object] = []
    deep.append(deep)
    line = formatted(
        "x" * 100_000, deep=deep, many=list(range(10_000)), raw=b"\x00" * 9, huge=10**5000, ratio=float("nan")
    )
    assert len(line) < 4 * LOG_VALUE_CHARS_MAX
    read = json.loads(line)
    assert read["raw"] == "9 bytes"
    assert read["ratio"] == "nan"
    assert len(read["many"]) == 100


def test_a_long_traceback_keeps_its_end() -> None:
    try:
        raise ValueError("y" * 10_000 + " the end")
    except ValueError:
        record = log.makeRecord("n", logging.ERROR, "f", 1, "m", (), sys.exc_info())
    assert json.loads(JsonLines().format(record))["traceback"].endswith("the end")
