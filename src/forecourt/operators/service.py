"""Verbs of operators."""

from forecourt.core.actor import Actor, OperatorId, System
from forecourt.core.db import WriteSession
from forecourt.operators import queries
from forecourt.operators.errors import OperatorCodeTaken
from forecourt.operators.types import OperatorInfo


async def create_operator(session: WriteSession, actor: Actor, *, code: str, name: str) -> OperatorInfo:
    """Take on a tenant. `access.service.open_operator` also gives it its first administrator."""
    operator = OperatorInfo(id=OperatorId(session.new_id()), code=code, name=name, created_at=session.now())
    if not await queries.insert_operator(session, actor.scope, operator):
        raise OperatorCodeTaken(operator_code=code)
    return operator


async def only_operator_id(session: WriteSession) -> int | None:
    """The operator of an installation that serves exactly one; None where there are none or several."""
    found = await queries.list_operators(session, System(), limit=2)
    return found[0].id if len(found) == 1 else None
