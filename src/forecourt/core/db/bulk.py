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
    await _run(session, _insert(session.dialect, model, names), stored(model, names, rows))


async def insert_missing(
    session: Driver, model: type[Model], rows: Sequence[Row], key: Sequence[str]
) -> list[Stored] | None:
    """Insert rows whose `key` is new. PostgreSQL says at once which were; elsewhere None: read the claim."""
    names = tuple(rows[0])
    statement = _insert(session.dialect, model, names) + _otherwise_nothing(session.dialect, tuple(key))
    told = await _run(session, statement, stored(model, names, rows))
    return told.all() if session.dialect == "postgresql" else None


async def set_rows(session: Driver, model: type[Model], rows: Sequence[Row], key: str) -> None:
    """Set the other columns of the rows whose `key` is in `rows`; each has the same columns."""
    names = (key, *(name for name in rows[0] if name != key))
    values = stored(model, names, rows)
    if session.dialect != "mysql":
        if session.dialect == "sqlite":
            values = [(*row[1:], row[0]) for row in values]
        await _run(session, _set(session.dialect, model, names), values)
        return
    columns = list(zip(*values, strict=True))
    given: list[Any] = []
    for column in columns[1:]:
        given += [value for pair in zip(columns[0], column, strict=True) for value in pair]
    await session.driver(_set_cases(model, names, len(rows)), (*given, *columns[0]))


async def _run(session: Driver, statement: str, rows: list[Stored]) -> Any:
    if session.dialect == "postgresql":
        return await session.driver(statement, tuple(map(list, zip(*rows, strict=True))))
    return await session.driver(statement, rows)


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


def _arrays(model: type[Model], names: tuple[str, ...]) -> str:
    kinds = [_ARRAYS[type(model.__table__.c[name].type)] for name in names]
    return ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(kinds, 1))


@lru_cache(maxsize=512)
def _insert(dialect: Dialect, model: type[Model], names: tuple[str, ...]) -> str:
    quote = _quote(dialect)
    into = f"INSERT INTO {quote(model.__tablename__)} ({', '.join(map(quote, names))})"
    if dialect == "postgresql":  # Names come from table declarations, never from outside.
        return f"{into} SELECT * FROM unnest({_arrays(model, names)})"  # noqa: S608
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
def _set(dialect: Dialect, model: type[Model], names: tuple[str, ...]) -> str:
    quote = _quote(dialect)
    table, quoted = quote(model.__tablename__), list(map(quote, names))
    if dialect == "sqlite":
        values = ", ".join(f"{name} = ?" for name in quoted[1:])
        return f"UPDATE {table} SET {values} WHERE {quoted[0]} = ?"  # noqa: S608
    values = ", ".join(f"{name} = given.{name}" for name in quoted[1:])
    given = f"unnest({_arrays(model, names)}) AS given({', '.join(quoted)})"
    return f"UPDATE {table} SET {values} FROM {given} WHERE {table}.{quoted[0]} = given.{quoted[0]}"  # noqa: S608


@lru_cache(maxsize=1024)
def _set_cases(model: type[Model], names: tuple[str, ...], rows: int) -> str:
    """MariaDB sends an UPDATE row by row, so there the values go in one CASE a column."""
    quoted = list(map(_quote("mysql"), names))
    cases = " ".join(["WHEN %s THEN %s"] * rows)
    values = ", ".join(f"{name} = CASE {quoted[0]} {cases} END" for name in quoted[1:])
    marks = ",".join(["%s"] * rows)
    return f"UPDATE `{model.__tablename__}` SET {values} WHERE {quoted[0]} IN ({marks})"  # noqa: S608
