"""Every benchmark runs to its end, says what it promises, and leaves books that add up. Never a time."""

import json
from typing import Any

import pytest
from tests.bench import checkout, ingest, push
from tests.bench.engines import running
from tests.bench.figures import Figure

from forecourt.cli.bench import EXIT_UNAVAILABLE, run_benches

KEYS = {"name", "value", "unit", "limit", "ratio", "baseline", "speedup", "conditions"}

pytestmark = [pytest.mark.bench, pytest.mark.timeout(300)]


def check(figures: list[Figure], *names: str) -> None:
    assert [figure.name for figure in figures] == list(names)
    for figure in figures:
        told: dict[str, Any] = json.loads(json.dumps(figure.as_json()))
        assert told.keys() == KEYS
        assert told["conditions"].keys() >= {"engine", "judged", "machine", "product", "limit"}
        assert figure.line().startswith(figure.name)


async def test_checkout_pays_every_sale_once_in_all_three_ways() -> None:
    """`measure` itself checks that each request was answered 201 and that `verify` finds nothing."""
    async with running("sqlite") as engine:
        sizes = checkout.Sizes(members=20, product=100, limit=100, baseline=40, alone=5)
        figures = await checkout.measure(engine, sizes)
    check(figures, "checkout.sqlite", "checkout.alone.sqlite")


async def test_ingest_stores_every_message_once() -> None:
    async with running("sqlite") as engine:
        sizes = ingest.Sizes(devices=8, in_flight=4, product=20, limit=20)
        check(await ingest.measure(engine, sizes), "ingest.sqlite")


async def test_push_shows_every_sale_once_at_its_terminal() -> None:
    async with running("sqlite") as engine:
        check(await push.measure(engine, push.Sizes(terminals=3, sales=10)), "push.sqlite")


def test_ratio_and_speedup_are_of_the_same_run() -> None:
    told = Figure(name="x", value=200.0, unit="CPU us", limit=50.0, baseline=1000.0).as_json()
    assert (told["ratio"], told["speedup"]) == (0.25, 5.0)


def test_a_package_without_its_source_tree_says_where_benchmarks_are(
    tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_benches([], as_json=True, root=tmp_path) == EXIT_UNAVAILABLE
    assert "source tree" in capsys.readouterr().err
