import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecourt_edge.collectors.orders import Authorise, BadOrder, limit_of, parse
from forecourt_edge.crash import POINTS
from forecourt_kit.price import Preset, PresetKind, amount_fen

LATER = datetime(2026, 1, 1, tzinfo=UTC)
DOCS = Path(__file__).parents[2] / "docs" / "reference"


def order(**facts: Any) -> Authorise:
    return Authorise(command_id="c", nozzle=1, authorisation_id="A", expires_at=LATER, **facts)


@given(
    st.none() | st.integers(1, 999_999),
    st.none() | st.integers(1, 99_999_900),
    st.none()
    | st.builds(Preset, st.just(PresetKind.AMOUNT), st.integers(1, 999_999))
    | st.builds(Preset, st.just(PresetKind.QUANTITY), st.integers(1, 99_999_900))
    | st.just(Preset(PresetKind.FULL)),
    st.integers(1, 9_999).map(lambda price: price * 100),
)
def test_no_limit_is_ever_passed(
    limit_fen: int | None, limit_quantity_e4: int | None, preset: Preset | None, price_e4: int
) -> None:
    limit = limit_of(order(limit_fen=limit_fen, limit_quantity_e4=limit_quantity_e4, preset=preset), price_e4)
    if limit is None:
        assert limit_fen is None
        assert limit_quantity_e4 is None
        assert preset is None or preset.kind is PresetKind.FULL
        return
    worth = limit.value if limit.kind is PresetKind.AMOUNT else amount_fen(limit.value, price_e4)
    if limit_fen is not None:
        assert worth <= limit_fen
    if limit_quantity_e4 is not None and limit.kind is PresetKind.QUANTITY:
        assert limit.value <= limit_quantity_e4
    if preset is not None and preset.kind is PresetKind.AMOUNT:
        assert worth <= preset.value


@pytest.mark.parametrize(
    "change",
    [
        {"nozzle": 0},
        {"nozzle": "1"},
        {"nozzle": True},
        {"authorisation_id": ""},
        {"authorisation_id": "x" * 65},
        {"expires_at": "tomorrow"},
        {"expires_at": "2026-01-01T00:00:00"},
        {"limit_fen": 0},
        {"limit_fen": 1.5},
        {"limit_fen": 10**30},
        {"preset": {"kind": "amount", "value": -1}},
        {"preset": {"kind": "joy"}},
        {"preset": 7},
    ],
)
def test_a_bad_value_is_refused_under_its_command_id(change: dict[str, Any]) -> None:
    body = {
        "command": "authorise",
        "command_id": "c1",
        "nozzle": 1,
        "authorisation_id": "A",
        "expires_at": "2026-01-01T00:00:00Z",
    }
    parse(json.dumps(body).encode())
    with pytest.raises(BadOrder) as refused:
        parse(json.dumps(body | change).encode())
    assert refused.value.command_id == "c1"


@given(st.binary(max_size=200))
def test_junk_is_a_bad_order_and_nothing_else(body: bytes) -> None:
    with pytest.raises(BadOrder):
        parse(body)


def test_every_crash_point_is_documented() -> None:
    page = (DOCS / "edge.md").read_text("utf-8")
    assert all(f"`{point}`" in page for point in POINTS)


def test_every_record_kind_and_key_is_documented() -> None:
    page = (DOCS / "station-records.md").read_text("utf-8")
    source = (DOCS.parents[1] / "src/forecourt_edge/collectors/records.py").read_text("utf-8")
    keys = {
        line.split('"')[1] for line in source.splitlines() if line.strip().startswith('"') and '":' in line
    }
    assert [key for key in sorted(keys) if f"`{key}`" not in page] == ["kind"]
