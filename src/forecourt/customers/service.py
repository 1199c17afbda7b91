"""Verbs of customers."""

from forecourt.access import service as access
from forecourt.core.actor import Actor, OperatorId, operator_of
from forecourt.core.db import WriteSession
from forecourt.core.errors import Invalid
from forecourt.core.vault import Vault
from forecourt.customers import queries, rules
from forecourt.customers.errors import PhoneTaken
from forecourt.customers.types import MemberId, MemberInfo
from forecourt_kit.ids import to_public


def phone_index(vault: Vault, operator_id: int, phone: str) -> str:
    """What finds a member by telephone number: equal only within one operator."""
    return vault.blind_index(phone, f"member-phone:{operator_id}")


async def create_member(
    session: WriteSession,
    actor: Actor,
    vault: Vault,
    *,
    name: str,
    phone: str,
    plate: str | None = None,
    operator_id: int | None = None,
) -> MemberInfo:
    """Take on a driver. `operator_id` is for the platform's own jobs. Raises `PhoneTaken`, `Invalid`."""
    own = operator_of(actor.scope)
    tenant = own if own is not None else operator_id
    if tenant is None:
        raise Invalid("Name the operator.")
    plain = None if plate is None else rules.plain_plate(plate)
    if not rules.PHONE.fullmatch(phone):
        raise Invalid("That is no mobile telephone number.")
    if plain is not None and not rules.PLATE.fullmatch(plain):
        raise Invalid("That is no number plate.")
    member = MemberInfo(
        id=MemberId(session.new_id()),
        operator_id=OperatorId(tenant),
        name=name,
        phone_masked=rules.masked(phone),
        plate=plain,
        created_at=session.now(),
    )
    sealed = vault.seal(phone.encode(), f"member:{member.id}:phone")
    index = phone_index(vault, member.operator_id, phone)
    if not await queries.insert_member(session, actor.scope, member, phone_sealed=sealed, phone_index=index):
        raise PhoneTaken
    await access.record(
        session,
        actor,
        "customers.create_member",
        f"member:{to_public(member.id)}",
        operator_id=member.operator_id,
    )
    return member
