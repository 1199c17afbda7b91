"""Check the documentation: every relative link and anchor leads somewhere, every page has one title."""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parents[1]
SKIPPED = {"node_modules", ".venv", ".git", "dist", ".data"}
LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?(?P<target>[^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
HEADING = re.compile(r"^(?P<level>#{1,6})\s+(?P<text>.+?)\s*#*\s*$")
FENCE = re.compile(r"^\s*(```|~~~)")
CODE = re.compile(r"`[^`]*`")
DECISION = re.compile(r"^(\d{4}-[a-z0-9-]+|README|index|template)\.md$")


def pages(root: Path) -> list[Path]:
    found = [*root.glob("*.md"), *(root / "docs").rglob("*.md"), *(root / "apps").glob("*.md")]
    return sorted(page for page in found if not SKIPPED & set(page.relative_to(root).parts))


def prose(text: str) -> Iterator[tuple[int, str]]:
    """Numbered lines outside fenced code."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            yield number, line


def anchors(text: str) -> set[str]:
    """The anchors of a page, made from its headings as GitHub makes them."""
    seen: dict[str, int] = {}
    found = set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))
    for _, line in prose(text):
        if match := HEADING.match(line):
            plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", match["text"]).replace("`", "")
            slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
            count = seen[slug] = seen.get(slug, -1) + 1
            found.add(f"{slug}-{count}" if count else slug)
    return found


def findings(root: Path) -> Iterator[str]:
    texts = {page: page.read_text(encoding="utf-8") for page in pages(root)}
    for page, text in texts.items():
        name = page.relative_to(root).as_posix()
        titles = [line for _, line in prose(text) if line.startswith("# ")]
        if len(titles) != 1:
            yield f"{name}:1: {len(titles)} titles; a page has one line that starts with `# `"
        if page.parent == root / "docs/decisions" and not DECISION.match(page.name):
            yield f"{name}:1: a decision record is named 0001-what-was-decided.md"
        for number, line in prose(text):
            for match in LINK.finditer(CODE.sub("", line)):
                if problem := broken(root, page, match["target"], texts):
                    yield f"{name}:{number}: {problem}"


def broken(root: Path, page: Path, target: str, texts: dict[Path, str]) -> str | None:
    """What is wrong with a link; links to other sites are not followed."""
    if re.match(r"^[a-z][a-z0-9+.-]*:", target) or target.startswith("//"):
        return None
    path, _, anchor = unquote(target).partition("#")
    file = page if not path else (page.parent / path).resolve()
    if not file.is_relative_to(root.resolve()):
        return f"link to {target}: it leads out of the repository"
    if not file.exists():
        return f"link to {target}: there is no such file"
    if anchor and file.suffix == ".md":
        text = texts.get(file)
        known = anchors(file.read_text(encoding="utf-8") if text is None else text)
        if anchor not in known:
            return f"link to {target}: the page has no such heading"
    return None


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--root", type=Path, default=ROOT)
    found = list(findings(arguments.parse_args().root))
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
