from pathlib import Path

import pytest

import docs


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "docs/decisions").mkdir(parents=True)
    (tmp_path / "README.md").write_text("# Top\n\n## What it is: a `thing`\n\n## Again\n\n## Again\n")
    return tmp_path


def found(root: Path, text: str) -> list[str]:
    (root / "docs/page.md").write_text(text)
    return list(docs.findings(root))


@pytest.mark.parametrize(
    "link",
    [
        "[a](../README.md)",
        "[a](../README.md#what-it-is-a-thing)",
        "[a](../README.md#again-1)",
        "[a](#page)",
        "[a](https://example.com/x)",
        "[a](mailto:a@example.com)",
        "`[a](absent.md)`",
        "[a](decisions)",
        "```\n[a](absent.md)\n```",
    ],
)
def test_links_that_lead_somewhere_are_fine(root: Path, link: str) -> None:
    assert found(root, f"# Page\n\n{link}\n") == []


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("[a](absent.md)", "no such file"),
        ("![a](picture.png)", "no such file"),
        ("[a](../README.md#absent)", "no such heading"),
        ("[a](#absent)", "no such heading"),
        ("[a](../../outside.md)", "out of the repository"),
    ],
)
def test_links_that_lead_nowhere_are_found(root: Path, link: str, said: str) -> None:
    (line,) = found(root, f"# Page\n\n{link}\n")
    assert line.startswith("docs/page.md:3: ")
    assert said in line


@pytest.mark.parametrize("text", ["", "## Part\n", "# One\n\n# Two\n"])
def test_a_page_has_one_title(root: Path, text: str) -> None:
    (line,) = found(root, text)
    assert "titles" in line


def test_decision_records_are_numbered(root: Path) -> None:
    (root / "docs/decisions/engine.md").write_text("# Engine\n")
    (root / "docs/decisions/0002-engine.md").write_text("# Engine\n")
    (line,) = docs.findings(root)
    assert "docs/decisions/engine.md" in line
