"""Shape of files and functions: sizes, names, faces, leftovers, broad handlers."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator

from house_rules.base import Source, rule

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 500
MODULE_FILES = {
    "__init__", "types", "rules", "errors", "models", "queries", "service", "flows", "schemas", "routes",
    "jobs", "doors",
}  # fmt: skip
VAGUE_NAMES = {
    "helpers",
    "helper",
    "utils",
    "util",
    "common",
    "misc",
    "shared",
    "base_utils",
    "functions",
    "tools",
}

MARKER_WORDS = ("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK", "WI" + "P")
MARKER = re.compile(rf"\b({'|'.join(MARKER_WORDS)})\b")

PROCESS_LOOPS: dict[str, str] = {
    "src/forecourt/core/http/envelope.py": "the last resort of a request: a bug must answer something",
    "src/forecourt/core/bus/consuming.py": "a handler's bug is parked with its message, and tried again",
    "src/forecourt/core/jobs/runner.py": "a job's failure is kept with the job, where people look",
    "src/forecourt/core/batch.py": "an error of a set goes to the caller of the one command that has it",
    "src/forecourt/devices/jobs.py": "whatever a message trips, it is parked and the others go on",
    "src/forecourt/gateway/ocpp.py": "a bug in one answer must not cut off a charge point",
    "src/forecourt/gateway/commit.py": "what cannot be stored is kept and tried again, whatever the reason",
    "src/forecourt/gateway/directory.py": "a look-up that fails must not end those of other devices",
    "src/forecourt/gateway/slp.py": "a greeting that fails must not cut off the devices that are connected",
}
"""File -> why its loop must outlive any error of one turn; the error is logged and counted."""


GENERATED = "src/forecourt/cli/migrations/versions/"
"""Revisions are written by tools/revision.py and never edited: their length is the schema's."""


@rule("function-size", f"A function is at most {FUNCTION_LINES_MAX} lines: give a step of it a name")
def function_size(source: Source) -> Iterator[tuple[int, str]]:
    if source.path.startswith(GENERATED):
        return
    for function in source.functions():
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        if lines > FUNCTION_LINES_MAX:
            yield function.lineno, f"`{function.name}` has {lines} lines"


@rule("file-size", f"A file is at most {FILE_LINES_MAX} lines: make it a folder of the same name with a face")
def file_size(source: Source) -> Iterator[tuple[int, str]]:
    if len(source.lines) > FILE_LINES_MAX and not source.path.startswith(GENERATED):
        yield 1, f"{len(source.lines)} lines"


@rule("module-file", f"A module's files are {', '.join(sorted(MODULE_FILES - {'__init__'}))}; no others")
def module_file(source: Source) -> Iterator[tuple[int, str]]:
    if source.module is not None and source.parts[2] not in MODULE_FILES:
        yield 1, f"`{source.parts[2]}` is not a name of the house"


@rule("vague-name", "Name a file for the noun it owns; what nobody can name belongs nowhere")
def vague_name(source: Source) -> Iterator[tuple[int, str]]:
    if source.in_src and source.parts[-1] in VAGUE_NAMES:
        yield 1, f"`{source.parts[-1]}.py`"


@rule(
    "face",
    "Each package says in one line what it owns; a module of the centre says nothing more in its __init__",
)
def face(source: Source) -> Iterator[tuple[int, str]]:
    if not source.in_src or source.parts[-1] != "__init__":
        return
    document = ast.get_docstring(source.tree, clean=False)
    if not document or not document.strip():
        yield 1, "no docstring"
    elif "\n" in document.strip() and source.module is not None:
        yield 1, "the docstring has more than one line"
    if source.module is not None and len(source.parts) == 3 and len(source.tree.body) > 1:
        yield source.tree.body[1].lineno, "there is code beside the docstring"


@rule("leftover", "Finish it, leave it out, or open an issue; the code holds no promises")
def leftover(source: Source) -> Iterator[tuple[int, str]]:
    # Reading tokens is slow, so only files that hold such a word at all are read.
    tokens = tokenize.generate_tokens(io.StringIO(source.text).readline) if MARKER.search(source.text) else ()
    for token in tokens:
        if token.type == tokenize.COMMENT and (match := MARKER.search(token.string)):
            yield token.start[0], f"`{match.group()}` in a comment"
    for node in source.nodes:
        if source.in_src and isinstance(node, ast.Raise) and node.exc is not None:
            raised = source.dotted(node.exc.func if isinstance(node.exc, ast.Call) else node.exc)
            if raised == "NotImplementedError":
                yield (
                    node.lineno,
                    "NotImplementedError stands for work not done; a Protocol or ABC says `...`",
                )


@rule(
    "broad-except",
    "Catch what you expect by name; bugs crash, and only a process loop named in tools/house_rules/shape.py "
    "outlives them. A handler that cleans up and ends with a bare `raise` is fine",
)
def broad_except(source: Source) -> Iterator[tuple[int, str]]:
    if not source.in_src or source.path in PROCESS_LOOPS:
        return
    for node in source.nodes:
        if isinstance(node, ast.ExceptHandler) and _is_broad(source, node.type) and not _raises_again(node):
            yield node.lineno, f"`except {ast.unparse(node.type) if node.type else ''}`".replace(" `", "`")
        if isinstance(node, ast.Call) and (source.dotted(node.func) or "").endswith("suppress"):
            broad = [one for one in node.args if _is_broad(source, one)]
            yield from [(node.lineno, "`suppress(Exception)`")] * bool(broad)


def _is_broad(source: Source, caught: ast.expr | None) -> bool:
    kinds = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(kind is None or source.dotted(kind) in {"Exception", "BaseException"} for kind in kinds)


def _raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None
