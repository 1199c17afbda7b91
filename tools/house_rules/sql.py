"""Bans of SQL that three engines would read in three ways, and of queries that forget the tenant."""

import ast
import re
from collections.abc import Iterator

from house_rules.base import Source, rule

STATEMENTS = {
    "select",
    "insert",
    "update",
    "delete",
    "text",
    "union",
    "union_all",
    "exists",
    "values",
    "literal_column",
}
WRITERS = {"insert", "update", "delete"}
READING_VERBS = {"all", "first", "scalar", "scalars"}
WRITING_VERBS = {"execute", "run"}
SCOPE_ARGUMENTS = {"scope", "actor", "operator_id", "items"}

SQL_CLOCK = {
    "now", "current_timestamp", "current_date", "current_time", "localtime", "localtimestamp", "sysdate",
    "utc_timestamp", "unix_timestamp", "clock_timestamp", "statement_timestamp", "strftime", "julianday",
    "random", "rand", "uuid", "gen_random_uuid", "last_insert_id",
}  # fmt: skip
SQL_CLOCK_TEXT = re.compile(
    r"\b(now|sysdate|current_timestamp|unix_timestamp|utc_timestamp|clock_timestamp|random|rand|uuid)\s*\(\s*\)"
    r"|\bCURRENT_TIMESTAMP\b"
)
IGNORE_TEXT = re.compile(r"\bINSERT\s+(OR\s+)?IGNORE\b", re.IGNORECASE)
DIALECT_TEXT = re.compile(r"\bON\s+(DUPLICATE\s+KEY|CONFLICT)\b|\bREPLACE\s+INTO\b", re.IGNORECASE)
FREE_TYPES = {
    "String", "Text", "Unicode", "UnicodeText", "VARCHAR", "DateTime", "Date", "Time", "TIMESTAMP", "Enum",
    "Float", "Double", "Numeric", "DECIMAL", "REAL", "JSON", "BigInteger", "Uuid", "LargeBinary",
    "PickleType", "Interval",
}  # fmt: skip


def in_store(source: Source) -> bool:
    return source.matches("src/forecourt/core/db/*")


def calls(source: Source) -> Iterator[tuple[ast.Call, str]]:
    for node in source.nodes:
        if isinstance(node, ast.Call):
            yield node, source.dotted(node.func) or ""


def texts(source: Source) -> Iterator[tuple[int, str]]:
    """String constants that are not docstrings."""
    documents = {
        id(node.body[0].value)
        for node in source.nodes
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in source.nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents:
            yield node.lineno, node.value


@rule(
    "scope",
    "Each query bounds what it touches: take `scope`, `actor` or `operator_id` and filter by it; set-based "
    "verbs take `items` that carry the operator and are named *_many; `check_*` serves verify; the "
    "platform's own jobs take a System-typed argument",
)
def scope(source: Source) -> Iterator[tuple[int, str]]:
    if not source.is_file("queries"):
        return
    for function in source.functions():
        if function.name.endswith("_many") or function.name.startswith("check_"):
            continue
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        if SCOPE_ARGUMENTS & {one.arg for one in arguments} or any(
            _is_system(one.annotation) for one in arguments
        ):
            continue
        if _asks_the_store(source, function):
            yield function.lineno, f"`{function.name}` asks the database without saying for whom"


def _is_system(annotation: ast.AST | None) -> bool:
    return annotation is not None and any(
        isinstance(inner, ast.Name) and inner.id == "System" for inner in ast.walk(annotation)
    )


def _asks_the_store(source: Source, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether it runs a statement that could reach another tenant's rows.

    A helper that only builds a part of a statement holds no session: who runs it is looked at. An inserted
    row names its own operator.
    """
    used = {source.dotted(node.func) or "" for node in ast.walk(function) if isinstance(node, ast.Call)}
    verbs = {name.rpartition(".")[2] for name in used if name.rpartition(".")[0].endswith("session")}
    only_inserts = any(name.endswith("insert") for name in used) and not used & {
        "sqlalchemy.select",
        "sqlalchemy.update",
        "sqlalchemy.delete",
    }
    return bool(verbs & READING_VERBS) or (bool(verbs & WRITING_VERBS) and not only_inserts)


@rule(
    "bare-column",
    "Name the column's type: mapped_column(Key(64)), Text(n), Code(Enum), UtcTime(), Big(), Json() of core "
    "mean the same on three engines; a bare Mapped[str] or Mapped[datetime] does not",
)
def bare_column(source: Source) -> Iterator[tuple[int, str]]:
    if not source.in_src or in_store(source):
        return
    for node in source.nodes:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.annotation, ast.Subscript):
            continue
        if (source.dotted(node.annotation.value) or "").rpartition(".")[2] != "Mapped":
            continue
        column = node.value
        typed = (
            isinstance(column, ast.Call)
            and (source.dotted(column.func) or "").endswith("mapped_column")
            and bool(column.args)
            and not isinstance(column.args[0], ast.Constant)
            and not (source.dotted(getattr(column.args[0], "func", column.args[0])) or "").endswith(
                "ForeignKey"
            )
        )
        if not typed:
            yield node.lineno, f"`{ast.unparse(node.target)}` has no explicit type"


@rule(
    "free-type",
    "Use Text, Key, Code, UtcTime, Big, Json of core.db: sqlalchemy's own types differ between engines "
    "(case, fractions of a second, native enums), and there is no float in a table",
)
def free_type(source: Source) -> Iterator[tuple[int, str]]:
    if source.module is None and not source.matches("src/forecourt/core/*", "src/forecourt/reports/*"):
        return
    if in_store(source):
        return
    for node in source.nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "sqlalchemy":
            for one in node.names:
                if one.name in FREE_TYPES:
                    yield node.lineno, f"`{one.name}` of sqlalchemy is imported"
        elif isinstance(node, ast.Attribute) and node.attr in FREE_TYPES:
            library = (source.dotted(node) or "").partition(".")[0]
            yield from [(node.lineno, f"`{source.dotted(node)}` is used")] * (library == "sqlalchemy")


@rule(
    "relationship",
    "Tables only declare: ask for what you need in queries.py; a relationship loads behind the reader's back",
)
def relationship(source: Source) -> Iterator[tuple[int, str]]:
    if not source.in_src:
        return
    for node, name in calls(source):
        if name.rpartition(".")[2] in {"relationship", "backref", "column_property", "hybrid_property"}:
            yield node.lineno, f"`{name.rpartition('.')[2]}(...)`"


@rule(
    "sql-clock",
    "The clock and chance are ports, in SQL too: pass session.now() and ids as parameters",
)
def sql_clock(source: Source) -> Iterator[tuple[int, str]]:
    if not source.in_src:
        return
    for node, name in calls(source):
        if re.search(r"(^|\.)func\.\w+$", name) and name.rpartition(".")[2].lower() in SQL_CLOCK:
            yield node.lineno, f"`{name}()`"
        if name.rpartition(".")[2] in {"mapped_column", "Column"}:
            for given in node.keywords:
                if given.arg in {"server_default", "server_onupdate", "onupdate"}:
                    yield node.lineno, f"`{given.arg}=` lets the engine choose a value"
    for line, value in texts(source):
        if source.path.startswith("src/forecourt/") and SQL_CLOCK_TEXT.search(value):
            yield line, "SQL text asks the engine's clock or chance"


@rule(
    "insert-ignore", "IGNORE turns errors into warnings and wrong rows: use core.db.insert_new or upsert_many"
)
def insert_ignore(source: Source) -> Iterator[tuple[int, str]]:
    if not source.in_src:
        return
    for line, value in texts(source):
        if IGNORE_TEXT.search(value):
            yield line, "INSERT IGNORE"
    for node, _ in calls(source):
        prefixes = isinstance(node.func, ast.Attribute) and node.func.attr == "prefix_with"
        if prefixes and any(
            isinstance(one, ast.Constant) and "IGNORE" in str(one.value) for one in node.args
        ):
            yield node.lineno, "a prefix of IGNORE"


@rule(
    "dialect",
    "What differs between engines lives in core/db (insert_new, upsert_many, update_many, lease): MariaDB "
    "has no UPDATE ... RETURNING, MySQL has no RETURNING at all",
)
def dialect(source: Source) -> Iterator[tuple[int, str]]:
    if not source.in_src or in_store(source) or not source.path.startswith("src/forecourt/"):
        return
    for node in source.nodes:
        if isinstance(node, ast.Attribute) and node.attr in {
            "returning",
            "on_conflict_do_nothing",
            "on_conflict_do_update",
            "on_duplicate_key_update",
        }:
            yield node.lineno, f"`.{node.attr}`"
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy.dialects"):
            yield node.lineno, f"`{node.module}` is imported"
    for line, value in texts(source):
        if DIALECT_TEXT.search(value):
            yield line, "SQL text of one engine"


@rule(
    "sql-place",
    "Every SQL statement of a module lives in its queries.py, with raw text there at most; commits belong to "
    "db.transact and the unit of work",
)
def sql_place(source: Source) -> Iterator[tuple[int, str]]:
    if not source.path.startswith("src/forecourt/") or source.matches(
        "src/forecourt/core/*", "src/forecourt/reports/*"
    ):
        return
    for node, name in calls(source):
        library, _, function = name.rpartition(".")
        if (
            library.partition(".")[0] == "sqlalchemy"
            and function in STATEMENTS
            and not source.is_file("queries")
        ):
            yield node.lineno, f"`{function}(...)` outside queries.py"
        if name in {"session.commit", "session.rollback", "session.begin", "session.flush"}:
            yield node.lineno, f"`{name}()`"
