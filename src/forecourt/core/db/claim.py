"""Set-based inserts that lose races quietly, upserts, and leases: the statements that differ by engine.

MariaDB has no UPDATE … RETURNING, and INSERT IGNORE hides real errors; so a batch inserts with its own
claim number, does nothing on a conflict, and reads back which rows carry that number.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, Table, UnaryExpression, select, update
from sqlalchemy.dialects import mysql, postgresql, sqlite

from forecourt.core.db.bulk import insert_missing
from forecourt.core.db.model import Model
from forecourt.core.db.session import INSERT_ROWS_MAX, WriteSession
from forecourt.core.db.types import Code, UtcTime


async def insert_new(
    session: WriteSession, model: type[Model], rows: Sequence[Mapping[str, Any]], *, key: Sequence[str]
) -> set[tuple[Any, ...]]:
    """Insert the rows whose `key` is new; gives the keys that this call inserted.

    `model` has a `claim` column and a unique constraint over `key`. Two callers racing for one key: exactly
    one is told that it is new. Rows with equal keys inside one call count once.
    """
    if not rows:
        return set()
    claim = session.new_id()
    distinct = {tuple(row[name] for name in key): {**row, "claim": claim} for row in reversed(rows)}
    # One lock order for all callers: no deadlock between batches.
    ordered = [distinct[each] for each in sorted(distinct)]
    columns = model.__table__.c
    said: set[tuple[Any, ...]] = set()
    for start in range(0, len(ordered), INSERT_ROWS_MAX):
        told = await insert_missing(session, model, ordered[start : start + INSERT_ROWS_MAX], key)
        if told is not None:
            said.update(map(tuple, told))
    plain = not any(isinstance(columns[name].type, UtcTime | Code) for name in key)
    if session.dialect == "postgresql" and plain:
        return said
    found = await session.all(select(*(columns[name] for name in key)).where(columns["claim"] == claim))
    return {tuple(row) for row in found}


async def upsert_many(
    session: WriteSession,
    model: type[Model],
    rows: Sequence[Mapping[str, Any]],
    *,
    key: Sequence[str],
    update: Sequence[str],
) -> None:
    """Insert, or overwrite the `update` columns where `key` exists. Later rows of one call win."""
    distinct = {tuple(row[name] for name in key): dict(row) for row in rows}
    ordered = [distinct[each] for each in sorted(distinct)]
    for start in range(0, len(ordered), INSERT_ROWS_MAX):
        await session.execute(_upsert(session, model, key, update), ordered[start : start + INSERT_ROWS_MAX])


def _upsert(session: WriteSession, model: type[Model], key: Sequence[str], update: Sequence[str]) -> Any:
    table = cast("Table", model.__table__)
    if session.dialect == "mysql":
        statement = mysql.insert(table)
        return statement.on_duplicate_key_update({name: statement.inserted[name] for name in update})
    dialect = postgresql if session.dialect == "postgresql" else sqlite
    insert = dialect.insert(table)
    return insert.on_conflict_do_update(
        index_elements=list(key), set_={name: insert.excluded[name] for name in update}
    )


async def lease(
    session: WriteSession,
    model: type[Model],
    *,
    ready: ColumnElement[bool],
    order_by: ColumnElement[Any] | UnaryExpression[Any],
    limit: int,
    owner: str,
    until: datetime,
) -> list[int]:
    """Take up to `limit` ready rows for `owner` until `until`; rows another worker holds are passed over.

    `model` has `id`, `lease_owner`, `lease_until` and `tries`; `ready` says which rows may be taken at all
    (an expired lease is free again).
    """
    columns = model.__table__.c
    free = (columns["lease_until"].is_(None)) | (columns["lease_until"] < session.now())
    chosen = select(columns["id"]).where(ready, free).order_by(order_by).limit(limit)
    if session.dialect != "sqlite":
        chosen = chosen.with_for_update(skip_locked=True)
    taken = [row[0] for row in await session.all(chosen)]
    if taken:
        await session.run(
            update(model.__table__)  # type: ignore[arg-type]
            .where(columns["id"].in_(taken))
            .values(lease_owner=owner, lease_until=until, tries=columns["tries"] + 1)
        )
    return taken
