"""Column types that mean the same on SQLite, MariaDB and PostgreSQL (see docs/decisions/0002)."""

import json
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Dialect,
    Integer,
    LargeBinary,
    String,
    Table,
    UnicodeText,
    event,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def to_micros(moment: datetime) -> int:
    """UTC microseconds since 1970; a naive datetime is a bug and raises TypeError."""
    return (moment - EPOCH) // MICROSECOND


def from_micros(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


class Big(TypeDecorator[int]):
    """64-bit integer. SQLite numbers rows only in INTEGER columns."""

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        return dialect.type_descriptor(Integer() if dialect.name == "sqlite" else BigInteger())


class Text(TypeDecorator[str]):
    """Words for people, at most `length` characters; compared as the engine likes."""

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        if dialect.name in {"mysql", "mariadb"}:  # Whatever the database's own default is.
            return dialect.type_descriptor(mysql.VARCHAR(self.length, charset="utf8mb4"))
        return dialect.type_descriptor(String(self.length))


class Key(TypeDecorator[str]):
    """A key, number, plate or hash: equal only when every character is (case and trailing blanks too)."""

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        if dialect.name in {"mysql", "mariadb"}:
            return dialect.type_descriptor(
                mysql.VARCHAR(self.length, charset="utf8mb4", collation="utf8mb4_nopad_bin")
            )
        return dialect.type_descriptor(String(self.length))


class Code(TypeDecorator[StrEnum]):
    """A `StrEnum`, stored as its value. Unknown values are refused on the way in and out, and by a CHECK."""

    impl = String
    cache_ok = True

    def __init__(self, kind: type[StrEnum]) -> None:
        length = max(24, *(len(member.value) for member in kind))
        super().__init__(length)
        self.length = length
        self.kind = kind

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        if dialect.name in {"mysql", "mariadb"}:
            return dialect.type_descriptor(
                mysql.VARCHAR(self.length, charset="ascii", collation="ascii_nopad_bin")
            )
        return dialect.type_descriptor(String(self.length))

    def process_bind_param(self, value: StrEnum | str | None, dialect: Dialect) -> str | None:
        del dialect
        return None if value is None else self.kind(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:
        del dialect
        return None if value is None else self.kind(value)


@event.listens_for(Column, "after_parent_attach")
def _check_code(column: Column[Any], table: Any) -> None:
    """The second wall: a statement written by hand cannot store a code that the house does not know."""
    if isinstance(column.type, Code) and isinstance(table, Table):
        table.append_constraint(CheckConstraint(_one_of(column, column.type), name=column.name))


def _one_of(column: Column[Any], code: Code) -> str:
    values = ", ".join(f"'{member.value}'" for member in code.kind)
    return f"{column.name} IN ({values})"


class Bytes(TypeDecorator[bytes]):
    """At most `length` bytes, compared byte by byte. Up to 255 may be part of a key on every engine."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        if dialect.name in {"mysql", "mariadb"} and self.length <= 255:
            return dialect.type_descriptor(mysql.VARBINARY(self.length))
        return dialect.type_descriptor(LargeBinary(self.length))


class UtcTime(TypeDecorator[datetime]):
    """An instant, stored as UTC microseconds: MariaDB's DATETIME drops the fraction, BIGINT does not."""

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        return dialect.type_descriptor(Integer() if dialect.name == "sqlite" else BigInteger())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        del dialect
        return None if value is None else to_micros(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        del dialect
        return None if value is None else from_micros(value)


class Json(TypeDecorator[Any]):
    """A small JSON document, canonical (sorted keys, no blanks). NaN and infinity are refused."""

    impl = UnicodeText
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        if dialect.name in {"mysql", "mariadb"}:
            return dialect.type_descriptor(mysql.MEDIUMTEXT(charset="utf8mb4"))
        return dialect.type_descriptor(UnicodeText())

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        del dialect
        return None if value is None else dump_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        del dialect
        return None if value is None else json.loads(value)


_encode = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
).encode  # `json.dumps` would make an encoder for each value.


def dump_json(value: Any) -> str:
    return _encode(value)
