"""What a newcomer meets agrees with itself: README, Makefile, reference pages, lock files, deploy files."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from forecourt.core.settings import Settings
from forecourt_kit.settings import describe

ROOT = Path(__file__).resolve().parents[2]
TARGET = re.compile(r"^([a-z-]+):.*? ## \S", re.MULTILINE)
MAKE = re.compile(r"(?:^|`|&& )(?:[A-Z_]+=\S+ )?make ([a-z-]+)", re.MULTILINE)
PIN = re.compile(r"^([A-Za-z0-9_.\[\]-]+)==(\S+)", re.MULTILINE)
PROGRAM = re.compile(r"^\| `(forecourt(?:-\w+)?) ([a-z]+)", re.MULTILINE)
# Of the tools around the product; a misspelt name of a setting would be read by nobody.
OTHER_NAMES = {"FORECOURT_CHROMIUM", "FORECOURT_EDGE_CRASH_AT", "FORECOURT_REQUIRE_SERVICES", "FORECOURT_URL"}
LOCKS = ("requirements.lock", "requirements-dev.lock")


def text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    return [path for path in listed.stdout.split("\0") if path and (ROOT / path).is_file()]


def pages() -> list[str]:
    return [path for path in tracked() if path.endswith(".md")]


def targets() -> set[str]:
    return set(TARGET.findall(text("Makefile")))


def headings(path: str) -> list[str]:
    """The levels of a page's headings, in order."""
    outside_code = re.sub(r"^```.*?^```", "", text(path), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"^(#+) ", outside_code, re.MULTILINE)


def test_every_make_command_that_a_page_names_exists() -> None:
    told = {(page, word) for page in pages() for word in MAKE.findall(text(page))}
    assert {"run", "test"} <= {word for page, word in told if page == "README.md"}
    assert sorted((page, word) for page, word in told if word not in targets()) == []


def test_every_target_explains_itself_and_stands_in_the_reference() -> None:
    phony = set(re.findall(r"^\.PHONY: (\S+)$", text("Makefile"), re.MULTILINE))
    assert phony == targets()
    listed = set(re.findall(r"^\| `make ([a-z-]+)`", text("docs/reference/commands.md"), re.MULTILINE))
    assert listed == targets()


def test_make_help_lists_every_target_in_groups() -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert {line.split()[1] for line in shown.splitlines() if line.startswith("  make ")} == targets()
    assert len(re.findall(r"^\x1b\[1m", shown, re.MULTILINE)) >= 3


def test_the_programs_of_the_reference_are_installed() -> None:
    declared = set(tomllib.loads(text("pyproject.toml"))["project"]["scripts"])
    told = {program for program, _ in PROGRAM.findall(text("docs/reference/commands.md"))}
    assert told | {"forecourt-edge"} == declared


@pytest.mark.parametrize("page", [page for page in pages() if page.endswith(".zh-CN.md")])
def test_a_page_in_two_languages_has_the_same_parts(page: str) -> None:
    assert headings(page) == headings(page.replace(".zh-CN.md", ".md"))


def test_both_readmes_promise_the_same() -> None:
    """Rows of tables, commands and links are the same in number, so that neither language lags."""
    for mark in (r"^\|", r"^(make|forecourt|export) ", r"\]\("):
        counts = [
            len(re.findall(mark, text(page), re.MULTILINE)) for page in ("README.md", "README.zh-CN.md")
        ]
        assert counts[0] == counts[1] > 0, mark


def test_every_setting_that_pages_and_deploy_files_name_exists() -> None:
    known = {each.env for each in describe(Settings)} | OTHER_NAMES
    top = [path for path in pages() if "/" not in path]
    told_in = [
        path for path in tracked() if path.startswith(("docs/", "deploy/")) and not path.endswith(".png")
    ]
    places = [*top, *told_in]
    told = {(path, name) for path in places for name in re.findall(r"FORECOURT_[A-Z_]*[A-Z]", text(path))}
    wrong = {
        (path, name)
        for path, name in told
        if name.removesuffix("_FILE") not in known
        and name not in known
        and not name.startswith("FORECOURT_TEST")
    }
    assert sorted(wrong) == []


def test_no_file_carries_a_path_of_the_machine_it_was_written_on() -> None:
    home = re.compile(r"(?<![\w.$])/(?:root|Users|w[o]rk|home/\w+)/\w")
    found = [
        path
        for path in tracked()
        if Path(path).suffix not in {".png", ".ico", ".woff2"} and home.search(text(path))
    ]
    assert found == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_versions_and_hashes_and_no_address(lock: str) -> None:
    held = text(lock)
    assert "http" not in held.replace("httpcore", "").replace("httptools", "").replace("httpx", "")
    assert not re.search(r"^(-i|--(extra-)?index-url|--find-links|-f) ", held, re.MULTILINE)
    blocks = re.split(r"^(?=[A-Za-z0-9])", held, flags=re.MULTILINE)[1:]
    assert blocks
    assert all(PIN.match(block) and "--hash=sha256:" in block for block in blocks)


def test_the_development_lock_holds_the_other_in_the_same_versions() -> None:
    run, development = (dict(PIN.findall(text(lock))) for lock in LOCKS)
    assert run.items() <= development.items()


def test_the_front_ends_lock_records_no_download_address() -> None:
    assert not re.search(r'"resolved":\s*"(https?|git)', text("apps/package-lock.json"))
    assert "omit-lockfile-registry-resolved=true" in text("apps/.npmrc")


@pytest.mark.parametrize("script", [".ci/run", "tools/services.sh", "tools/needs.sh"])
def test_scripts_are_strict_runnable_and_parse(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    assert "\nset -euo pipefail\n" in text(script)
    subprocess.run(["bash", "-n", script], cwd=ROOT, check=True)


def test_every_decision_is_listed() -> None:
    records = {path.name for path in (ROOT / "docs/decisions").glob("[0-9]*.md")}
    assert set(re.findall(r"\((\d{4}-[a-z0-9-]+\.md)\)", text("docs/decisions/README.md"))) == records


def test_no_secret_stands_in_the_deploy_files() -> None:
    assert re.findall(r"^\w*PASSWORD=(.*)$", text("deploy/env.example"), re.MULTILINE) == ["", ""]
    given = re.findall(r"PASS(?:WORD)?: (.*)$", text("deploy/compose.yaml"), re.MULTILINE)
    assert given
    assert all(value.startswith("${") or value == '"1"' for value in given)
