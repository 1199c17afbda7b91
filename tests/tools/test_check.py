import sys

import pytest

import check

PASSES = [sys.executable, "-c", "print('fine')"]
FAILS = [sys.executable, "-c", "raise SystemExit(3)"]


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    steps = {"one": FAILS, "two": PASSES}
    monkeypatch.setattr(check, "STEPS", steps)
    monkeypatch.setattr(sys, "argv", ["check.py"])
    return steps


def test_it_goes_on_after_a_failure_and_fails_at_the_end(
    steps: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert check.main() == 1
    summary = capsys.readouterr().out.partition("summary")[2].split()
    assert [word for word in summary if word in {"ok", "FAILED", *steps}] == ["FAILED", "one", "ok", "two"]


def test_it_passes_when_all_pass(steps: dict[str, list[str]]) -> None:
    steps["one"] = PASSES
    assert check.main() == 0


def test_a_missing_tool_is_a_failure(steps: dict[str, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    steps["one"] = ["/absent/tool"]
    assert check.main() == 1
    assert "not installed: one" in capsys.readouterr().err


def test_one_step_can_be_chosen(steps: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["check.py", "two"])
    assert check.main() == 0
