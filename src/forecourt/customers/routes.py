"""HTTP of customers."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from forecourt.core.actor import Actor
from forecourt.core.http import Db, Page, PublicId, part, refusals, require
from forecourt.core.vault import Vault
from forecourt.customers import queries, service
from forecourt.customers.errors import MemberNotFound, PhoneTaken
from forecourt.customers.schemas import MemberIn, MemberOut, MembersOut, Phone, Plate
from forecourt.customers.types import CUSTOMERS_READ, CUSTOMERS_WRITE

router = APIRouter(prefix="/members", tags=["customers"])

Reader = Annotated[Actor, Depends(require(CUSTOMERS_READ))]
Writer = Annotated[Actor, Depends(require(CUSTOMERS_WRITE))]
Keys = Annotated[Vault, Depends(part(Vault))]


@router.get("")
async def list_members(
    actor: Reader,
    db: Db,
    vault: Keys,
    page: Page,
    phone: Annotated[Phone | None, Query()] = None,
    plate: Annotated[Plate | None, Query()] = None,
) -> MembersOut:
    """Newest first; by exact telephone number or plate where given."""
    index = None if phone is None else service.phone_index(vault, actor.operator_id, phone)
    async with db.read() as session:
        found = await queries.list_members(
            session, actor.scope, limit=page.limit, after=page.after, phone_index=index, plate=plate
        )
    return MembersOut(
        items=[MemberOut.model_validate(each) for each in found], next_cursor=page.next_cursor(found)
    )


@router.get("/{member_id}", responses=refusals(MemberNotFound))
async def get_member(member_id: PublicId, actor: Reader, db: Db) -> MemberOut:
    async with db.read() as session:
        return MemberOut.model_validate(await queries.get_member(session, actor.scope, member_id))


@router.post("", status_code=201, responses=refusals(PhoneTaken))
async def create_member(body: MemberIn, actor: Writer, db: Db, vault: Keys) -> MemberOut:
    member = await db.transact(
        service.create_member, actor, vault, name=body.name, phone=body.phone, plate=body.plate
    )
    return MemberOut.model_validate(member)
