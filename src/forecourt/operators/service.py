"""Verbs of operators."""

from forecourt.core.actor import Actor, OperatorId
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
