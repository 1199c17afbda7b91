import importlib
import sys
from enum import StrEnum
from pathlib import Path

import pytest

import drawings


class State(StrEnum):
    OPEN = "open"
    PAID = "paid"
    VOID = "void"


class Event(StrEnum):
    PAY = "pay"
    CODE_PAY = "code-pay"
    VOID = "void"
    LOOK = "look"


TABLE = {
    (State.OPEN, Event.PAY): State.PAID,
    (State.OPEN, Event.CODE_PAY): State.PAID,
    (State.OPEN, Event.VOID): State.VOID,
    (State.OPEN, Event.LOOK): State.OPEN,
}


def test_a_table_is_drawn_with_its_first_and_last_states() -> None:
    assert drawings.drawing(TABLE).splitlines() == [
        "stateDiagram-v2",
        "    [*] --> open",
        "    open --> paid: pay, code_pay",
        "    open --> void: void",
        "    open --> open: look",
        "    paid --> [*]",
        "    void --> [*]",
    ]


def test_a_machine_that_goes_round_starts_at_the_tables_first_state() -> None:
    circle = {(State.OPEN, Event.PAY): State.PAID, (State.PAID, Event.VOID): State.OPEN}
    assert drawings.drawing(circle).splitlines()[1] == "    [*] --> open"
    assert "--> [*]" not in drawings.drawing(circle)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("NOZZLE_TRANSITIONS", "Nozzle"), ("TRANSITIONS", "Sale"), ("REFUND_TRY_TRANSITIONS", "Refund try")],
)
def test_a_table_is_titled_by_its_noun(name: str, expected: str) -> None:
    assert drawings.title("forecourt.sales.rules", name) == expected


def test_a_module_may_be_missing_only_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawings, "MODULES", ("planted_trade.sales.rules",))
    monkeypatch.syspath_prepend(str(tmp_path / "src"))
    assert list(drawings.tables(tmp_path)) == []
    folder = tmp_path / "src/planted_trade/sales"
    folder.mkdir(parents=True)
    importlib.invalidate_caches()
    with pytest.raises(ModuleNotFoundError):
        list(drawings.tables(tmp_path))
    (folder / "rules.py").write_text("STATES = {}\n")
    importlib.invalidate_caches()
    with pytest.raises(LookupError, match="TRANSITIONS"):
        list(drawings.tables(tmp_path))
    for name in [name for name in sys.modules if name.startswith("planted_trade")]:
        del sys.modules[name]


def test_a_stale_page_is_reported_and_redrawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(drawings, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["drawings.py", "--check"])
    assert drawings.main() == 1
    assert "stale" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["drawings.py"])
    assert drawings.main() == 0
    monkeypatch.setattr(sys, "argv", ["drawings.py", "--check"])
    assert drawings.main() == 0
