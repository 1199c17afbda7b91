"""Every statement about operators."""

from typing import Any

from sqlalchemy import Row, Select, select

from forecourt.core.actor import OperatorId, Scope, System, operator_of
from forecourt.core.db import ReadSession, WriteSession, insert_new
from forecourt.core.errors import Forbidden
from forecourt.operators.errors import OperatorNotFound
from forecourt.operators.models import OperatorRow
from forecourt.operators.types import OperatorInfo

COLUMNS = (OperatorRow.id, OperatorRow.code, OperatorRow.name, OperatorRow.created_at)


def _info(row: Row[Any]) -> OperatorInfo:
    return OperatorInfo(id=OperatorId(row.id), code=row.code, name=row.name, created_at=row.created_at)


def _seen_by(scope: Scope) -> Select[*tuple[Any, ...]]:
    own = operator_of(scope)
    found = select(*COLUMNS)
    return found if own is None else found.where(OperatorRow.id == own)


async def get_operator(session: ReadSession, scope: Scope, operator_id: int) -> OperatorInfo:
    """Raises `OperatorNotFound`, also for an operator that the scope does not see."""
    row = await session.first(_seen_by(scope).where(OperatorRow.id == operator_id))
    if row is None:
        raise OperatorNotFound
    return _info(row)


async def find_operator(session: ReadSession, scope: Scope, code: str) -> OperatorInfo | None:
    row = await session.first(_seen_by(scope).where(OperatorRow.code == code))
    return None if row is None else _info(row)


async def list_operators(
    session: ReadSession, scope: Scope, *, limit: int, after: int | None = None
) -> list[OperatorInfo]:
    """Newest first."""
    found = _seen_by(scope).order_by(OperatorRow.id.desc()).limit(limit)
    if after is not None:
        found = found.where(OperatorRow.id < after)
    return [_info(row) for row in await session.all(found)]


async def insert_operator(session: WriteSession, scope: Scope, operator: OperatorInfo) -> bool:
    """Whether the code was free. Only the platform makes operators."""
    if operator_of(scope) is not None and not isinstance(scope, System):
        raise Forbidden(need="platform scope")
    row = {
        "id": operator.id,
        "code": operator.code,
        "name": operator.name,
        "created_at": operator.created_at,
    }
    return bool(await insert_new(session, OperatorRow, [row], key=("code",)))
