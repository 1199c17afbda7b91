"""Many rows in one statement: to change them, and to find them."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Select, any_, bindparam
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


class ByMany:
    """A hot read whose columns are each one of many values: made once, a call pays for its values only.

    PostgreSQL gets one array a column, so that its statement is the same for any number of values and stays
    prepared; the others get a list. Run it with `session.all(found.on(session), {"name": values})`, a list
    under each column's name.
    """

    def __init__(self, statement: Select[*tuple[Any, ...]], *columns: Any) -> None:
        listed = arrays = statement
        for column in columns:
            listed = listed.where(column.in_(bindparam(column.key, expanding=True)))
            arrays = arrays.where(column == any_(bindparam(column.key, type_=ARRAY(column.type))))
        self._listed = listed
        self._arrays = arrays

    def on(self, session: ReadSession) -> Select[*tuple[Any, ...]]:
        return self._arrays if session.dialect == "postgresql" else self._listed
