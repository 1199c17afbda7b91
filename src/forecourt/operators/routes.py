"""HTTP of operators. An operator's staff see their own; the platform sees all."""

from typing import Annotated

from fastapi import APIRouter, Depends

from forecourt.core.actor import Actor
from forecourt.core.http import Db, Page, PublicId, refusals, require
from forecourt.operators import queries
from forecourt.operators.errors import OperatorNotFound
from forecourt.operators.schemas import OperatorOut, OperatorsOut
from forecourt.operators.types import OPERATORS_READ

router = APIRouter(prefix="/operators", tags=["operators"])

Reader = Annotated[Actor, Depends(require(OPERATORS_READ))]


@router.get("")
async def list_operators(actor: Reader, db: Db, page: Page) -> OperatorsOut:
    """The operators that the caller sees, newest first."""
    async with db.read() as session:
        found = await queries.list_operators(session, actor.scope, limit=page.limit, after=page.after)
    return OperatorsOut(
        items=[OperatorOut.model_validate(each) for each in found], next_cursor=page.next_cursor(found)
    )


@router.get("/{operator_id}", responses=refusals(OperatorNotFound))
async def get_operator(operator_id: PublicId, actor: Reader, db: Db) -> OperatorOut:
    async with db.read() as session:
        return OperatorOut.model_validate(await queries.get_operator(session, actor.scope, operator_id))
