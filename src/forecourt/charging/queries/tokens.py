"""Every statement about id tags."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select, update

from forecourt.charging.errors import TokenNotFound
from forecourt.charging.models import (
    IdTokenRow,
)
from forecourt.charging.queries.bounds import mine
from forecourt.charging.types import (
    Token,
)
from forecourt.core.actor import Scope, operator_of
from forecourt.core.db import ReadSession, WriteSession, insert_new

TOKEN = (
    IdTokenRow.id,
    IdTokenRow.operator_id,
    IdTokenRow.tag,
    IdTokenRow.member_id,
    IdTokenRow.state,
    IdTokenRow.expires_at,
    IdTokenRow.parent_tag,
)


def _token(row: Any) -> Token:
    return Token(**row._mapping)  # noqa: SLF001


async def token_by_tag(session: ReadSession, operator_id: int, tag: str) -> Token | None:
    row = await session.first(
        select(*TOKEN).where(IdTokenRow.operator_id == operator_id, IdTokenRow.tag == tag)
    )
    return _token(row) if row else None


async def get_token(session: ReadSession, scope: Scope, token_id: int) -> Token:
    """Raises `TokenNotFound`."""
    wanted = select(*TOKEN).where(IdTokenRow.id == token_id)
    row = await session.first(mine(wanted, IdTokenRow.operator_id, scope))
    if row is None:
        raise TokenNotFound(token_id=token_id)
    return _token(row)


async def list_tokens(session: ReadSession, scope: Scope, limit: int, after: int | None) -> list[Token]:
    """Newest first."""
    wanted = select(*TOKEN)
    if after is not None:
        wanted = wanted.where(IdTokenRow.id < after)
    wanted = mine(wanted, IdTokenRow.operator_id, scope).order_by(IdTokenRow.id.desc()).limit(limit)
    return [_token(row) for row in await session.all(wanted)]


async def insert_token(session: WriteSession, row: Mapping[str, Any]) -> bool:
    """Whether it was new."""
    return bool(await insert_new(session, IdTokenRow, [row], key=("operator_id", "tag")))


async def update_token(session: WriteSession, scope: Scope, token_id: int, values: Mapping[str, Any]) -> bool:
    statement = update(IdTokenRow).where(IdTokenRow.id == token_id)
    if (mine := operator_of(scope)) is not None:
        statement = statement.where(IdTokenRow.operator_id == mine)
    return await session.run(statement.values(**values)) == 1
