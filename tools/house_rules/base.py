"""What a rule is given (a Source) and what it gives back (Findings)."""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cached_property

EXCUSE = re.compile(r"#\s*house:\s*(?P<rule>[a-z-]+):\s*(?P<reason>\S.*)$")
REASON_WORDS_MIN = 3
EXCUSE_RULE = "excuse"

PROCESSES = ("api", "gateway", "worker", "cli")
OTHER_NAMES = (*PROCESSES, "channels", "reports", "core")


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    path: str
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {self.message}"


@dataclass(frozen=True)
class Source:
    """One Python file. `path` is relative to the repository's root, with slashes."""

    path: str
    text: str
    used_excuses: set[int] = field(default_factory=set)

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @cached_property
    def parts(self) -> list[str]:
        """Of `src/forecourt/sales/service.py`: forecourt, sales, service."""
        return self.path.removeprefix("src/").removesuffix(".py").split("/")

    @property
    def in_src(self) -> bool:
        return self.path.startswith("src/")

    @property
    def in_tests(self) -> bool:
        return self.path.startswith("tests/")

    @property
    def module(self) -> str | None:
        """The name of the centre's module this file belongs to: `sales`; None elsewhere."""
        parts = self.parts
        if not self.in_src or parts[0] != "forecourt" or len(parts) < 3 or parts[1] in OTHER_NAMES:
            return None
        return parts[1]

    def is_file(self, name: str) -> bool:
        """Whether this is the module's file of that name, or lies in its folder of that name."""
        return self.module is not None and self.parts[2] == name

    def matches(self, *globs: str) -> bool:
        return any(fnmatch(self.path, glob) for glob in globs)

    @cached_property
    def imported(self) -> dict[str, str]:
        """Name in this file -> what it stands for: `now` -> `datetime.datetime` and so on."""
        names: dict[str, str] = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for one in node.names:
                    names[one.asname or one.name.partition(".")[0]] = (
                        one.name if one.asname else one.name.partition(".")[0]
                    )
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for one in node.names:
                    names[one.asname or one.name] = f"{node.module}.{one.name}"
        return names

    def dotted(self, node: ast.AST) -> str | None:
        """The full name of an expression such as `datetime.now`; None when it is not a plain name."""
        if isinstance(node, ast.Name):
            return self.imported.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            owner = self.dotted(node.value)
            return None if owner is None else f"{owner}.{node.attr}"
        return None

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        for node in self.nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node

    def excused(self, line: int, rule: str) -> bool:
        """Whether the line carries `# house: <rule>: <why>`."""
        if not 0 < line <= len(self.lines):
            return False
        match = EXCUSE.search(self.lines[line - 1])
        if match is None or match["rule"] != rule or len(match["reason"].split()) < REASON_WORDS_MIN:
            return False
        self.used_excuses.add(line)
        return True


Check = Callable[[Source], Iterator[tuple[int, str]]]


@dataclass(frozen=True, slots=True)
class Rule:
    """`check` yields (line, what it saw); `teaching` says what to do instead."""

    name: str
    teaching: str
    check: Check

    def findings(self, source: Source) -> Iterator[Finding]:
        told: set[int] = set()  # One line, one finding: the rest follows from it.
        for line, seen in self.check(source):
            if line not in told and not source.excused(line, self.name):
                told.add(line)
                yield Finding(source.path, line, self.name, f"{seen}. {self.teaching}")


RULES: list[Rule] = []


def rule(name: str, teaching: str) -> Callable[[Check], Check]:
    """Register a rule."""

    def register(check: Check) -> Check:
        RULES.append(Rule(name, teaching, check))
        return check

    return register


def unused_excuses(source: Source) -> Iterator[Finding]:
    """After all rules have run: excuses that excuse nothing, or give no reason."""
    for number, line in enumerate(source.lines, 1):
        if (
            EXCUSE.search(line)
            and number not in source.used_excuses
            and not source.path.startswith("tests/tools/")
        ):
            yield Finding(
                source.path,
                number,
                EXCUSE_RULE,
                "this excuse excuses nothing, or its reason is too short. Remove it, or say why",
            )
