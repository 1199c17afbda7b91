"""HTTP of charging."""

import json
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends

from forecourt.charging import queries, service
from forecourt.charging.errors import (
    CallRefused,
    ChargePointNotFound,
    StopElsewhere,
    StrayStopNotFound,
    TokenNotFound,
    TokenTaken,
    TransactionEnded,
    TransactionNotFound,
)
from forecourt.charging.schemas import (
    CallIn,
    CallOut,
    ChargePointOut,
    ChargePointsOut,
    ConnectorOut,
    EndIn,
    MatchIn,
    StrayStopOut,
    StrayStopsOut,
    TokenChangeIn,
    TokenIn,
    TokenOut,
    TokensOut,
    TransactionOut,
    TransactionsOut,
)
from forecourt.charging.types import CHARGING_READ, CHARGING_WRITE, TransactionState
from forecourt.core.actor import Actor
from forecourt.core.http import Db, Page, PublicId, refusals, require
from forecourt_protocols.ocpp.framing import Violation
from forecourt_protocols.ocpp.v16.actions import ACTIONS, Asker, parse

STRAY_ROWS_MAX = 200
CALLS = frozenset(name for name, action in ACTIONS.items() if action.asker is Asker.CENTRAL_SYSTEM) - {
    "RemoteStartTransaction",  # Sales starts, by an authorisation.
    "RemoteStopTransaction",  # A session is stopped by its own endpoint.
}

router = APIRouter(prefix="/charging", tags=["charging"])

Reader = Annotated[Actor, Depends(require(CHARGING_READ))]
Writer = Annotated[Actor, Depends(require(CHARGING_WRITE))]


@router.get("/transactions")
async def list_transactions(
    actor: Reader, db: Db, page: Page, state: TransactionState | None = None
) -> TransactionsOut:
    """Charging sessions, newest first."""
    async with db.read() as session:
        found = await queries.list_transactions(session, actor.scope, state, page.limit, page.after)
    return TransactionsOut(transactions=[TransactionOut.model_validate(each) for each in found])


@router.get("/transactions/{charging_id}", responses=refusals(TransactionNotFound))
async def get_transaction(charging_id: PublicId, actor: Reader, db: Db) -> TransactionOut:
    async with db.read() as session:
        found = await queries.get_transaction(session, actor.scope, charging_id)
    return TransactionOut.model_validate(found)


@router.post(
    "/transactions/{charging_id}/stop",
    status_code=202,
    responses=refusals(TransactionNotFound, TransactionEnded),
)
async def stop_remotely(charging_id: PublicId, actor: Writer, db: Db) -> TransactionOut:
    """Have the charge point stop. 202: it is asked; the session ends when it says so."""
    return TransactionOut.model_validate(await db.transact(service.stop_remotely, actor, charging_id))


@router.post("/transactions/{charging_id}/end", responses=refusals(TransactionNotFound, TransactionEnded))
async def end_by_hand(charging_id: PublicId, body: EndIn, actor: Writer, db: Db) -> TransactionOut:
    """End a session whose end nobody told, by what a person read on the meter."""
    ended = await db.transact(service.end_by_hand, actor, charging_id, body.meter_stop_wh, body.ended_at)
    return TransactionOut.model_validate(ended)


@router.get("/stray-stops")
async def list_stray_stops(actor: Reader, db: Db) -> StrayStopsOut:
    """Ends that fit no session, oldest first; each waits for a person."""
    async with db.read() as session:
        found = await queries.list_stray_stops(session, actor.scope, STRAY_ROWS_MAX)
    return StrayStopsOut(stray_stops=[StrayStopOut.model_validate(each) for each in found])


@router.post(
    "/stray-stops/{stray_id}/match",
    responses=refusals(StrayStopNotFound, TransactionNotFound, TransactionEnded, StopElsewhere),
)
async def match_stray_stop(stray_id: PublicId, body: MatchIn, actor: Writer, db: Db) -> TransactionOut:
    """Say which session a stray end belongs to."""
    ended = await db.transact(service.match_stray_stop, actor, stray_id, body.charging_id)
    return TransactionOut.model_validate(ended)


@router.post("/stray-stops/{stray_id}/dismiss", status_code=204, responses=refusals(StrayStopNotFound))
async def dismiss_stray_stop(stray_id: PublicId, actor: Writer, db: Db) -> None:
    """Say that a stray end belongs to nothing."""
    await db.transact(service.dismiss_stray_stop, actor, stray_id)


@router.get("/tokens")
async def list_tokens(actor: Reader, db: Db, page: Page) -> TokensOut:
    """Id tags, newest first."""
    async with db.read() as session:
        found = await queries.list_tokens(session, actor.scope, page.limit, page.after)
    return TokensOut(tokens=[TokenOut.model_validate(each) for each in found])


@router.post("/tokens", status_code=201, responses=refusals(TokenTaken))
async def add_token(body: TokenIn, actor: Writer, db: Db) -> TokenOut:
    """Register a card or key fob."""
    made = await db.transact(service.add_token, actor, body.tag, body.member_id, body.expires_at)
    return TokenOut.model_validate(made)


@router.patch("/tokens/{token_id}", responses=refusals(TokenNotFound))
async def change_token(token_id: PublicId, body: TokenChangeIn, actor: Writer, db: Db) -> TokenOut:
    """Block a card, or let it charge again."""
    return TokenOut.model_validate(await db.transact(service.set_token_state, actor, token_id, body.state))


@router.get("/stations/{station_id}/charge-points")
async def list_charge_points(station_id: PublicId, actor: Reader, db: Db) -> ChargePointsOut:
    """The charge points of a station with the latest status of each connector."""
    shown = []
    async with db.read() as session:
        for each in await queries.list_charge_points(session, actor.scope, station_id):
            connectors = await queries.connectors_of(session, each.operator_id, each.device_id)
            out = ChargePointOut.model_validate(each)
            named = [ConnectorOut.model_validate(connector) for connector in connectors]
            shown.append(out.model_copy(update={"connectors": named}))
    return ChargePointsOut(charge_points=shown)


@router.post(
    "/charge-points/{device_id}/calls",
    status_code=202,
    responses=refusals(ChargePointNotFound, CallRefused),
)
async def call_charge_point(device_id: PublicId, body: CallIn, actor: Writer, db: Db) -> CallOut:
    """Ask a charge point something: Reset, UnlockConnector, ChangeAvailability, GetConfiguration,
    ChangeConfiguration, ClearCache, TriggerMessage. 202: it goes out when the charge point is connected.
    """
    if body.action not in CALLS:
        raise CallRefused(action=body.action, known=sorted(CALLS))
    try:
        request = parse(json.dumps(body.payload).encode(), ACTIONS[body.action].request)
    except Violation as wrong:
        raise CallRefused(wrong.description, action=body.action) from wrong
    payload = json.loads(msgspec.json.encode(request))
    command_id = await db.transact(service.call_charge_point, actor, device_id, body.action, payload)
    return CallOut(command_id=command_id)
