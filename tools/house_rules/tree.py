"""What a single file cannot show: folders without a face or a contract, features that import each other."""

import re
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

from house_rules.base import Finding
from house_rules.shape import MARKER

TEXT_KINDS = {".md", ".ts", ".vue", ".js", ".css", ".html", ".yml", ".yaml", ".toml", ".sh", ".service"}
SKIPPED = {"node_modules", "dist", ".venv", ".git", ".data", "__pycache__", "vectors"}
COMMENT = re.compile(r"(//|/\*|#|<!--|^\s*\*).*")
FEATURE_IMPORT = re.compile(r"""(?:from|import)\s*\(?\s*["'](?P<target>[^"']+)["']""")


def tree_findings(root: Path) -> Iterator[Finding]:
    yield from _packages(root)
    yield from _features(root)
    yield from _leftovers(root)


def _packages(root: Path) -> Iterator[Finding]:
    """Import-linter sees only packages, so a folder without `__init__.py` would pass every contract."""
    src = root / "src"
    contracts = ConfigParser()
    contracts.read(root / ".importlinter")
    declared = set(contracts.get("importlinter", "root_packages", fallback="").split())
    for folder in sorted({file.parent for file in src.rglob("*.py")} if src.exists() else ()):
        path = folder.relative_to(root).as_posix()
        if folder != src and not (folder / "__init__.py").exists() and "migrations" not in folder.parts:
            yield Finding(
                path, 1, "package", "this folder has no __init__.py, so no contract sees it. Add one"
            )
        if folder.parent == src and folder.name not in declared:
            yield Finding(
                path, 1, "package", "this package is not declared in .importlinter. Declare its place"
            )


def _features(root: Path) -> Iterator[Finding]:
    """In apps/, features do not import each other: what two share moves up, to the app or packages/."""
    for file in sorted(root.glob("apps/*/src/features/*/**/*")):
        if file.suffix not in {".ts", ".vue", ".js"} or SKIPPED & set(file.parts):
            continue
        features = next(parent for parent in file.parents if parent.name == "features")
        own = file.relative_to(features).parts[0]
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            for match in FEATURE_IMPORT.finditer(line):
                other = _feature_of(match["target"], file, features)
                if other not in (None, own):
                    yield Finding(
                        file.relative_to(root).as_posix(),
                        number,
                        "feature",
                        f"feature `{own}` imports feature `{other}`. Move what both need up to packages/",
                    )


def _feature_of(target: str, file: Path, features: Path) -> str | None:
    if target.startswith("."):
        resolved = Path(file.parent, target).resolve()
        return resolved.relative_to(features).parts[0] if resolved.is_relative_to(features) else None
    found = re.match(r"^[@~]/features/([^/]+)", target)
    return found.group(1) if found else None


def _leftovers(root: Path) -> Iterator[Finding]:
    for folder in ("apps", "docs", "deploy", ".ci"):
        for file in sorted((root / folder).rglob("*")):
            if (
                file.suffix not in TEXT_KINDS
                or not file.is_file()
                or SKIPPED & set(file.relative_to(root).parts)
            ):
                continue
            is_prose = file.suffix == ".md"
            for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
                looked_at = line if is_prose else "".join(m.group() for m in COMMENT.finditer(line))
                if match := MARKER.search(looked_at):
                    yield Finding(
                        file.relative_to(root).as_posix(),
                        number,
                        "leftover",
                        f"`{match.group()}`. Finish it or leave it out",
                    )
