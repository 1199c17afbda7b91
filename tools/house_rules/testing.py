"""What a test may not do: judge by the stopwatch, be skipped quietly, or put a stand-in for our own code."""

import ast
import re
from collections.abc import Iterator

from house_rules.base import Source, rule

STOPWATCH = re.compile(r"^(elapsed|duration|took|latency|wall|spent)(_(s|ms|us|ns|seconds))?$")
TIMERS = {
    f"time.{name}"
    for name in ("time", "monotonic", "perf_counter", "process_time", "time_ns", "perf_counter_ns")
}
ORDERINGS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
SERVICES = "tests/services.py"
SKIPS = {
    "pytest.skip", "pytest.importorskip", "pytest.xfail", "pytest.mark.skip", "pytest.mark.skipif",
    "pytest.mark.xfail", "unittest.skip", "unittest.skipIf", "unittest.SkipTest",
}  # fmt: skip


@rule(
    "timed-assert",
    "A machine under load fails it for no reason: assert an order of events, a count, or time on a "
    "ManualClock; figures belong to `forecourt bench`",
)
def timed_assert(source: Source) -> Iterator[tuple[int, str]]:
    if not source.in_tests:
        return
    for node in source.nodes:
        if not isinstance(node, ast.Assert):
            continue
        for compare in ast.walk(node.test):
            if isinstance(compare, ast.Compare) and any(isinstance(op, ORDERINGS) for op in compare.ops):
                timed = [inner for inner in ast.walk(compare) if _is_stopwatch(source, inner)]
                yield from [(node.lineno, "an assertion on elapsed time")] * bool(timed)


def _is_stopwatch(source: Source, node: ast.AST) -> bool:
    if isinstance(node, ast.Name):
        return bool(STOPWATCH.match(node.id))
    if isinstance(node, ast.Call):
        return source.dotted(node.func) in TIMERS
    return False


@rule(
    "quiet-skip",
    "A test runs or fails; only a missing external service skips, by tests/services.py",
)
def quiet_skip(source: Source) -> Iterator[tuple[int, str]]:
    if not source.in_tests or source.path == SERVICES:
        return
    for node in source.nodes:
        if isinstance(node, ast.Attribute) and source.dotted(node) in SKIPS:
            yield node.lineno, f"`{source.dotted(node)}`"


@rule(
    "mock",
    "Use the real part: an in-memory adapter that ships, the simulator, or a database of the test's own",
)
def mock(source: Source) -> Iterator[tuple[int, str]]:
    if not source.in_tests:
        return
    for node in source.nodes:
        names = (
            [one.name for one in node.names]
            if isinstance(node, ast.Import)
            else [f"{node.module}.{one.name}" for one in node.names]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        if any(name.startswith(("unittest.mock", "mock.")) or name == "mock" for name in names):
            yield node.lineno, "unittest.mock is imported"  # type: ignore[attr-defined]
