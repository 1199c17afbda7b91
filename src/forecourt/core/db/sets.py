"""One UPDATE for many rows. MariaDB sends an UPDATE row by row, so there the values go in one CASE."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, case, update

from forecourt.core.db.model import Model
from forecourt.core.db.session import WriteSession

CASE_ROWS_MAX = 128  # A CASE is searched row by row: longer ones cost more than a second statement.


async def update_many(
    session: WriteSession, model: type[Model], rows: Sequence[Mapping[str, Any]], *, key: str
) -> None:
    """Set the other columns of each row where `key` matches; keys are distinct, columns the same."""
    if not rows:
        return
    table: Any = model.__table__
    names = [name for name in rows[0] if name != key]
    if session.dialect != "mysql":
        statement = update(table).where(table.c[key] == bindparam(f"{key}_"))
        statement = statement.values(
            {name: bindparam(f"{name}_", type_=table.c[name].type) for name in names}
        )
        await session.execute(statement, [{f"{name}_": value for name, value in row.items()} for row in rows])
        return
    for start in range(0, len(rows), CASE_ROWS_MAX):
        part = rows[start : start + CASE_ROWS_MAX]
        values = {
            name: case(
                *(
                    (table.c[key] == row[key], bindparam(None, row[name], type_=table.c[name].type))
                    for row in part
                )
            )
            for name in names
        }
        await session.execute(
            update(table).where(table.c[key].in_([row[key] for row in part])).values(values)
        )
