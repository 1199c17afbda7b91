"""Money and quantity are whole numbers: no float comes near them. Times carry their zone."""

import ast
import re
from collections.abc import Iterator

from house_rules.base import Source, rule

MONEY = re.compile(r"(^|_)(fen|e4)(_|$)")
FLOATS = {"float", "Decimal", "decimal.Decimal", "Real", "numbers.Real", "Fraction", "fractions.Fraction"}
ROUNDERS = {
    "float",
    "round",
    "math.floor",
    "math.ceil",
    "math.trunc",
    "decimal.Decimal",
    "fractions.Fraction",
}


def money_names(node: ast.AST) -> Iterator[str]:
    """Names of money that this expression is made of, calls of functions so named included."""
    for inner in ast.walk(node):
        name = (
            inner.id
            if isinstance(inner, ast.Name)
            else inner.attr
            if isinstance(inner, ast.Attribute)
            else ""
        )
        if MONEY.search(name):
            yield name


def has_float(node: ast.AST) -> bool:
    return any(isinstance(inner, ast.Constant) and isinstance(inner.value, float) for inner in ast.walk(node))


def says_float(source: Source, annotation: ast.AST | None) -> bool:
    return annotation is not None and any(source.dotted(inner) in FLOATS for inner in ast.walk(annotation))


@rule(
    "float-near-money",
    "Money is int fen, quantity and unit price are int 1e-4 (`_fen`, `_e4`); multiply with "
    "forecourt_kit.price.amount_fen, share with money.split_fen, write with yuan_text, divide with //",
)
def float_near_money(source: Source) -> Iterator[tuple[int, str]]:
    if not source.in_src:
        return
    for node in source.nodes:
        yield from _annotated(source, node)
        yield from _computed(source, node)


def _annotated(source: Source, node: ast.AST) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.arg) and MONEY.search(node.arg) and says_float(source, node.annotation):
        yield node.lineno, f"argument `{node.arg}` is declared as a float"
    if isinstance(node, ast.AnnAssign) and says_float(source, node.annotation):
        for name in money_names(node.target):
            yield node.lineno, f"`{name}` is declared as a float"
    match node:
        case ast.FunctionDef(name=name, returns=given) | ast.AsyncFunctionDef(name=name, returns=given):
            if MONEY.search(name) and says_float(source, given):
                yield node.lineno, f"`{name}` gives back a float"


def _computed(source: Source, node: ast.AST) -> Iterator[tuple[int, str]]:
    match node:
        case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
            for name in list(money_names(node))[:1]:
                yield node.lineno, f"`/` makes a float of `{name}`"
        case ast.BinOp(left=left, right=right) | ast.Assign(targets=[left, *_], value=right):
            yield from _mixed(node.lineno, left, right)
        case ast.AugAssign(target=left, value=right) | ast.AnnAssign(target=left, value=ast.expr() as right):
            yield from _mixed(node.lineno, left, right)
        case ast.Compare(left=left, comparators=[right, *_]):
            yield from _mixed(node.lineno, left, right)
        case ast.keyword(arg=str(name), value=ast.Constant(value=float())) if MONEY.search(name):
            yield node.value.lineno, f"`{name}` is given a float"
        case ast.Call(func=func, args=[first, *_]) if source.dotted(func) in ROUNDERS:
            for name in list(money_names(first))[:1]:
                yield node.lineno, f"`{source.dotted(func)}` is applied to `{name}`"


def _mixed(line: int, left: ast.AST, right: ast.AST) -> Iterator[tuple[int, str]]:
    for one, other in ((left, right), (right, left)):
        names = list(money_names(one))
        if names and has_float(other) and not _is_call(other):
            yield line, f"a float meets `{names[0]}`"
            return


def _is_call(node: ast.AST) -> bool:
    """A call may take a float for something else, such as a share of chance, and still give an int."""
    return isinstance(node, ast.Call | ast.Await)


@rule(
    "naive-datetime",
    "Times are timezone-aware UTC: ask the Clock you were given, and read text with clock.parse_rfc3339",
)
def naive_datetime(source: Source) -> Iterator[tuple[int, str]]:
    if not source.in_src:
        return
    for node in source.nodes:
        if not isinstance(node, ast.Call):
            continue
        name = source.dotted(node.func) or ""
        given = {one.arg for one in node.keywords}
        nones = {
            one.arg
            for one in node.keywords
            if isinstance(one.value, ast.Constant) and one.value.value is None
        }
        if name == "datetime.datetime" and len(node.args) < 8 and "tzinfo" not in given:
            yield node.lineno, "datetime(...) without tzinfo is naive"
        if name == "datetime.datetime.combine" and len(node.args) < 3 and "tzinfo" not in given:
            yield node.lineno, "datetime.combine without tzinfo may be naive"
        if name in {
            "datetime.datetime.utcnow",
            "datetime.datetime.utcfromtimestamp",
            "datetime.datetime.strptime",
        }:
            yield node.lineno, f"{name.removeprefix('datetime.')} gives a naive time"
        if name == "datetime.datetime.fromtimestamp" and len(node.args) < 2 and "tz" not in given:
            yield node.lineno, "fromtimestamp without a zone is naive"
        if name.endswith(".replace") and "tzinfo" in nones:
            yield node.lineno, "replace(tzinfo=None) makes a naive time"
