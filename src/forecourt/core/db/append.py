"""The quickest insert each engine has, for rows that may be there already: one statement a set.

For the few tables that take a stream. Rows are tuples of *stored* values (microseconds, enum values, bytes),
so that nothing converts them on the way; everything else uses `insert_many` or `insert_new`.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from forecourt.core.db.model import Model
from forecourt.core.db.session import WriteSession
from forecourt.core.db.types import Big, Bytes, UtcTime


async def append_many(
    session: WriteSession,
    model: type[Model],
    columns: tuple[str, ...],
    rows: Sequence[tuple[Any, ...]],
    *,
    key: tuple[str, ...],
) -> None:
    """Insert rows; where `key` (a unique constraint) exists, the row that is there stays as it is.

    The caller orders the rows by `key`, so that two sets with the same rows take their locks in one order.
    """
    if not rows:
        return
    text = statement(session.dialect, model, columns, key)
    if session.dialect == "postgresql":
        await session.connection.exec_driver_sql(text, tuple(map(list, zip(*rows, strict=True))))
    else:
        await session.connection.exec_driver_sql(text, list(rows))


@lru_cache(maxsize=64)
def statement(dialect: str, model: type[Model], columns: tuple[str, ...], key: tuple[str, ...]) -> str:
    mark = "`" if dialect == "mysql" else '"'
    names = ", ".join(f"{mark}{name}{mark}" for name in columns)
    keys = ", ".join(f"{mark}{name}{mark}" for name in key)
    into = f"INSERT INTO {mark}{model.__tablename__}{mark} ({names})"
    if dialect == "postgresql":  # Names come from table declarations, never from outside.
        types = [_array_type(model, name) for name in columns]
        arrays = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(types, 1))
        return f"{into} SELECT * FROM unnest({arrays}) ON CONFLICT ({keys}) DO NOTHING"  # noqa: S608
    if dialect == "mysql":
        # The driver sends many rows in one statement only where VALUES holds nothing but placeholders.
        values = ",".join(["%s"] * len(columns))
        return f"{into} VALUES ({values}) ON DUPLICATE KEY UPDATE `{key[-1]}` = `{key[-1]}`"
    values = ",".join("?" * len(columns))
    return f"{into} VALUES ({values}) ON CONFLICT ({keys}) DO NOTHING"


def _array_type(model: type[Model], name: str) -> str:
    kind = model.__table__.c[name].type
    if isinstance(kind, Big | UtcTime):
        return "bigint"
    return "bytea" if isinstance(kind, Bytes) else "varchar"
