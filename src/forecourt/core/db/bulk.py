"""Sets of rows straight to the driver: the statement is made once per table, a row costs its values only.

SQLAlchemy's own executemany costs several times as much on every engine: it looks at each value of each row,
and PostgreSQL gets one message a row. Here PostgreSQL gets one array a column (`unnest`), MariaDB one
statement with many VALUES, SQLite a prepared statement for each row.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal, Protocol

from forecourt.core.db.model import Model
from forecourt.core.db.types import Big, Bytes, Code, Json, Key, Text, UtcTime, dump_json, to_micros

Dialect = Literal["sqlite", "mysql", "postgresql"]
Row = Mapping[str, Any]
Stored = tuple[Any, ...]
Convert = Callable[[Any], Any]


class Driver(Protocol):
    """What a session is here."""

    dialect: Dialect

    async def driver(self, statement: str, params: Any) -> Any: ...


_ARRAYS: dict[type[Any], str] = {
    Big: "bigint",
    UtcTime: "bigint",
    Bytes: "bytea",
    Code: "varchar",
    Json: "text",
    Key: "varchar",
    Text: "varchar",
}


async def insert_rows(session: Driver, model: type[Model], rows: Sequence[Row]) -> None:
    """Insert rows of one shape; one that breaks a constraint fails them all."""
    names = tuple(rows[0])
    if session.dialect == "postgresql":
        fixed, values = _columns(model, names, rows)
        await session.driver(_insert_arrays(model, names, fixed), values)
    else:
        await session.driver(_insert(session.dialect, model, names), stored(model, names, rows))


async def insert_missing(
    session: Driver, model: type[Model], rows: Sequence[Row], key: Sequence[str]
) -> list[Stored] | None:
    """Insert rows whose `key` is new. PostgreSQL says at once which were; elsewhere None: read the claim."""
    names = tuple(rows[0])
    otherwise = _otherwise_nothing(session.dialect, tuple(key))
    if session.dialect == "postgresql":
        fixed, values = _columns(model, names, rows)
        told = await session.driver(_insert_arrays(model, names, fixed) + otherwise, values)
        return told.all()  # type: ignore[no-any-return]
    await session.driver(_insert(session.dialect, model, names) + otherwise, stored(model, names, rows))
    return None


async def set_rows(session: Driver, model: type[Model], rows: Sequence[Row], key: str) -> None:
    """Set the other columns of the rows whose `key` is in `rows`; each has the same columns."""
    names = (key, *(name for name in rows[0] if name != key))
    if session.dialect == "postgresql":
        fixed, arrays = _columns(model, names, rows)
        await session.driver(_set_arrays(model, names, fixed), arrays)
        return
    values = stored(model, names, rows)
    if session.dialect == "sqlite":
        await session.driver(_set(model, names), [(*row[1:], row[0]) for row in values])
        return
    columns = list(zip(*values, strict=True))
    given: list[Any] = []
    for column in columns[1:]:
        given += [value for pair in zip(columns[0], column, strict=True) for value in pair]
    await session.driver(_set_cases(model, names, len(rows)), (*given, *columns[0]))


def stored(model: type[Model], names: tuple[str, ...], rows: Sequence[Row]) -> list[Stored]:
    """Rows as the database keeps them: microseconds, codes, JSON text."""
    converters = _converters(model, names)
    if not converters:
        return [tuple([row[name] for name in names]) for row in rows]
    values = [[row[name] for name in names] for row in rows]
    for row in values:
        for at, convert in converters:
            if row[at] is not None:
                row[at] = convert(row[at])
    return list(map(tuple, values))


def _columns(
    model: type[Model], names: tuple[str, ...], rows: Sequence[Row]
) -> tuple[tuple[bool, ...], tuple[Any, ...]]:
    """A column's values as one array; or, where all rows have the same one, that: most columns of a set."""
    columns: list[Any] = [[row[name] for row in rows] for name in names]
    fixed = tuple(at > 0 and column.count(column[0]) == len(column) for at, column in enumerate(columns))
    converters = dict(_converters(model, names))
    for at, column in enumerate(columns):
        convert = converters.get(at)
        some = column[:1] if fixed[at] else column
        if convert is not None:
            some = [None if value is None else convert(value) for value in some]
        columns[at] = some[0] if fixed[at] else some
    return fixed, tuple(columns)


@lru_cache(maxsize=512)
def _converters(model: type[Model], names: tuple[str, ...]) -> tuple[tuple[int, Convert], ...]:
    found: list[tuple[int, Convert]] = []
    for at, name in enumerate(names):
        kind = model.__table__.c[name].type
        assert type(kind) in _ARRAYS, f"{model.__tablename__}.{name} is of no type of this house"
        if isinstance(kind, UtcTime):
            found.append((at, _micros))
        elif isinstance(kind, Code):
            found.append((at, _code(kind)))
        elif isinstance(kind, Json):
            found.append((at, dump_json))
    return tuple(found)


def _micros(moment: datetime) -> int:
    return to_micros(moment)


def _code(kind: Code) -> Convert:
    values = {member.value: member.value for member in kind.kind}

    def convert(member: Any) -> str:
        known = values.get(member)
        return kind.kind(member).value if known is None else known  # Raises for what is no code.

    return convert


def _quote(dialect: Dialect) -> Callable[[str], str]:
    mark = "`" if dialect == "mysql" else '"'
    return lambda name: f"{mark}{name}{mark}"


@lru_cache(maxsize=512)
def _given(model: type[Model], names: tuple[str, ...], fixed: tuple[bool, ...]) -> tuple[list[str], str]:
    """Each column's expression, and the source of those that are arrays. The first always is one."""
    values, arrays, aliases = [], [], []
    for number, (name, same) in enumerate(zip(names, fixed, strict=True), 1):
        kind = _ARRAYS[type(model.__table__.c[name].type)]
        if same:
            values.append(f"${number}::{kind}")
        else:
            values.append(f"given.c{number}")
            arrays.append(f"${number}::{kind}[]")
            aliases.append(f"c{number}")
    return values, f"unnest({', '.join(arrays)}) AS given({', '.join(aliases)})"


@lru_cache(maxsize=512)
def _insert_arrays(model: type[Model], names: tuple[str, ...], fixed: tuple[bool, ...]) -> str:
    quote = _quote("postgresql")
    values, source = _given(model, names, fixed)
    into = f"INSERT INTO {quote(model.__tablename__)} ({', '.join(map(quote, names))})"
    return f"{into} SELECT {', '.join(values)} FROM {source}"  # noqa: S608 - names are the tables' own


@lru_cache(maxsize=512)
def _set_arrays(model: type[Model], names: tuple[str, ...], fixed: tuple[bool, ...]) -> str:
    quote = _quote("postgresql")
    table = quote(model.__tablename__)
    (key, *values), source = _given(model, names, fixed)
    pairs = ", ".join(f"{quote(name)} = {value}" for name, value in zip(names[1:], values, strict=True))
    return f"UPDATE {table} SET {pairs} FROM {source} WHERE {table}.{quote(names[0])} = {key}"  # noqa: S608


@lru_cache(maxsize=512)
def _insert(dialect: Dialect, model: type[Model], names: tuple[str, ...]) -> str:
    quote = _quote(dialect)
    into = f"INSERT INTO {quote(model.__tablename__)} ({', '.join(map(quote, names))})"
    # MariaDB's driver sends many rows in one statement only where VALUES holds nothing but placeholders.
    mark = "%s" if dialect == "mysql" else "?"
    return f"{into} VALUES ({','.join([mark] * len(names))})"


@lru_cache(maxsize=512)
def _otherwise_nothing(dialect: Dialect, key: tuple[str, ...]) -> str:
    quoted = [_quote(dialect)(name) for name in key]
    if dialect == "mysql":
        return f" ON DUPLICATE KEY UPDATE {quoted[0]} = {quoted[0]}"
    names = ", ".join(quoted)
    returning = f" RETURNING {names}" if dialect == "postgresql" else ""
    return f" ON CONFLICT ({names}) DO NOTHING{returning}"


@lru_cache(maxsize=512)
def _set(model: type[Model], names: tuple[str, ...]) -> str:
    key, *quoted = map(_quote("sqlite"), names)
    values = ", ".join(f"{name} = ?" for name in quoted)
    return f'UPDATE "{model.__tablename__}" SET {values} WHERE {key} = ?'  # noqa: S608


@lru_cache(maxsize=1024)
def _set_cases(model: type[Model], names: tuple[str, ...], rows: int) -> str:
    """MariaDB sends an UPDATE row by row, so there the values go in one CASE a column."""
    quoted = list(map(_quote("mysql"), names))
    cases = " ".join(["WHEN %s THEN %s"] * rows)
    values = ", ".join(f"{name} = CASE {quoted[0]} {cases} END" for name in quoted[1:])
    marks = ",".join(["%s"] * rows)
    return f"UPDATE `{model.__tablename__}` SET {values} WHERE {quoted[0]} IN ({marks})"  # noqa: S608
