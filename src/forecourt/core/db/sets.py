"""Many rows in one statement: to change them, and to find them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, any_, bindparam
from sqlalchemy.dialects.postgresql import ARRAY

from forecourt.core.db.bulk import set_rows
from forecourt.core.db.model import Model
from forecourt.core.db.session import INSERT_ROWS_MAX, ReadSession, WriteSession

CASE_ROWS_MAX = 128  # MariaDB's CASE is searched row by row: longer ones cost more than a second statement.


async def update_many(
    session: WriteSession, model: type[Model], rows: Sequence[Mapping[str, Any]], *, key: str
) -> None:
    """Set the other columns of each row where `key` matches. Same columns in each row, keys are distinct."""
    size = CASE_ROWS_MAX if session.dialect == "mysql" else INSERT_ROWS_MAX
    for start in range(0, len(rows), size):
        await set_rows(session, model, rows[start : start + size], key)


def one_of(session: ReadSession, column: Any, values: Collection[Any]) -> ColumnElement[bool]:
    """`column IN values`, for hot statements.

    PostgreSQL gets one array, so that the statement is the same for any number of values and prepared once.
    """
    if session.dialect == "postgresql":
        array = bindparam(None, list(values), type_=ARRAY(column.type))
        return column == any_(array)  # type: ignore[no-any-return]
    return column.in_(values)  # type: ignore[no-any-return]
