"""The command as its user types it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from forecourt.cli.main import EXIT_CONFIG


def forecourt(folder: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FORECOURT_")}
    return subprocess.run(
        [sys.executable, "-m", "forecourt.cli.main", *words],
        cwd=folder,
        env={**clean, **{f"FORECOURT_{name}": value for name, value in settings.items()}},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_verify_of_an_empty_house_says_that_all_holds(tmp_path: Path) -> None:
    assert forecourt(tmp_path, "migrate").returncode == 0
    done = forecourt(tmp_path, "verify", "--json")

    assert done.returncode == 0
    report = json.loads(done.stdout)
    assert report["ok"]
    assert report["violations"] == []
    assert len(report["checks"]) >= 10


def test_an_administrator_begins_with_a_code_that_is_printed_once(tmp_path: Path) -> None:
    first, second = (forecourt(tmp_path, "admin", "create").stdout.strip() for _ in range(2))

    assert len(first) >= 12
    assert first != second


@pytest.mark.parametrize("process", ["api", "gateway", "worker"])
def test_separate_processes_refuse_the_bus_of_one_process(tmp_path: Path, process: str) -> None:
    done = forecourt(tmp_path, process)

    assert done.returncode == EXIT_CONFIG
    assert "FORECOURT_BUS_URL" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_demo_refuses_to_listen_beyond_this_machine(tmp_path: Path) -> None:
    done = forecourt(tmp_path, "up", "--demo", "--http", "0.0.0.0:0")

    assert done.returncode == EXIT_CONFIG
    assert "loopback" in done.stderr


def test_wrong_settings_are_named_all_at_once_and_never_shown(tmp_path: Path) -> None:
    done = forecourt(tmp_path, "verify", ASK_EVERY_S="often", NATIVE_EXPIRES_S="-1")

    assert done.returncode == EXIT_CONFIG
    assert "FORECOURT_ASK_EVERY_S" in done.stderr
    assert "FORECOURT_NATIVE_EXPIRES_S" in done.stderr
    assert "often" not in done.stderr
