"""Who may charge at a charge point: a payer whom sales has authorised there, else a registered tag."""

from forecourt.charging.service import authorise_by_token
from forecourt.charging.types import ChargeAsk, Permit, Verdict
from forecourt.core.db import ReadSession
from forecourt.sales import queries
from forecourt.sales.types import AuthorisationState
from forecourt.sites import queries as sites
from forecourt_kit.ids import from_public
from forecourt_kit.limits import QUANTITY_E4_MAX


async def authorise_charge(session: ReadSession, ask: ChargeAsk) -> Permit:
    """`charging.types.Authorise`. The tag of a remote start is the authorisation's public id."""
    try:
        authorisation_id = from_public(ask.id_tag)
    except ValueError:
        return await authorise_by_token(session, ask)
    found = (await queries.authorisations_many(session, [authorisation_id])).get(authorisation_id)
    if found is None or found.operator_id != ask.operator_id:
        return await authorise_by_token(session, ask)
    if found.state is not AuthorisationState.GRANTED:
        return Permit(verdict=Verdict.EXPIRED)
    nozzle = (await sites.nozzles_many(session, [found.nozzle_id]))[found.nozzle_id]
    here = nozzle.charge_point_device_id == ask.device_id
    if not here or ask.connector_number not in {None, nozzle.connector_number}:
        return Permit(verdict=Verdict.INVALID)
    # What the money buys at the granted price, rounded down: the charge point stops before it is short.
    limit_e4 = found.limit_fen * 10**6 // found.unit_price_e4
    return Permit(
        verdict=Verdict.ACCEPTED,
        authorisation_id=found.id,
        member_id=found.member_id,
        limit_e4=min(limit_e4, QUANTITY_E4_MAX),
    )
