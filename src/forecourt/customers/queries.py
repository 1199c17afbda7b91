"""Every statement about members."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Row, select, true

from forecourt.core.actor import Scope, operator_of
from forecourt.core.db import ReadSession, WriteSession, insert_new
from forecourt.customers.errors import MemberNotFound
from forecourt.customers.models import MemberRow
from forecourt.customers.types import MemberInfo

MEMBER = MemberRow.__table__.c
COLUMNS = [MEMBER[name] for name in MemberInfo.__dataclass_fields__]


def _mine(scope: Scope) -> ColumnElement[bool]:
    own = operator_of(scope)
    return true() if own is None else MEMBER.operator_id == own


def _info(row: Row[Any]) -> MemberInfo:
    return MemberInfo(**{name: getattr(row, name) for name in MemberInfo.__dataclass_fields__})


async def get_member(session: ReadSession, scope: Scope, member_id: int) -> MemberInfo:
    row = await session.first(select(*COLUMNS).where(MEMBER.id == member_id, _mine(scope)))
    if row is None:
        raise MemberNotFound
    return _info(row)


async def members_many(session: ReadSession, member_ids: Iterable[int]) -> dict[int, MemberInfo]:
    """By id; the ids come from rows that carry their operator."""
    found = select(*COLUMNS).where(MEMBER.id.in_(set(member_ids)))
    return {row.id: _info(row) for row in await session.all(found)}


async def list_members(
    session: ReadSession,
    scope: Scope,
    *,
    limit: int,
    after: int | None = None,
    phone_index: str | None = None,
    plate: str | None = None,
) -> list[MemberInfo]:
    """Newest first; narrowed to one telephone number or plate where given."""
    found = select(*COLUMNS).where(_mine(scope))
    if after is not None:
        found = found.where(MEMBER.id < after)
    if phone_index is not None:
        found = found.where(MEMBER.phone_index == phone_index)
    if plate is not None:
        found = found.where(MEMBER.plate == plate)
    return [_info(row) for row in await session.all(found.order_by(MEMBER.id.desc()).limit(limit))]


async def insert_member(
    session: WriteSession, scope: Scope, member: MemberInfo, *, phone_sealed: bytes, phone_index: str
) -> bool:
    """Whether the telephone number was new with the operator."""
    own = operator_of(scope)
    assert own is None or own == member.operator_id
    row: dict[str, Any] = {name: getattr(member, name) for name in MemberInfo.__dataclass_fields__}
    row |= {"phone_sealed": phone_sealed, "phone_index": phone_index}
    return bool(await insert_new(session, MemberRow, [row], key=("operator_id", "phone_index")))
