"""HTTP shapes of charging."""

from typing import Annotated, Any

from pydantic import Field

from forecourt.charging.types import (
    ID_TAG_CHARS_MAX,
    METER_WH_MAX,
    ConnectorStatus,
    Registration,
    StrayReason,
    StrayState,
    TokenState,
    TransactionState,
    Verdict,
)
from forecourt.core.http import IdOut, In, Instant, InstantOut, Out, PublicId

IdTag = Annotated[str, Field(min_length=1, max_length=ID_TAG_CHARS_MAX, pattern=r"^[\x21-\x7e]+$")]
MeterWh = Annotated[int, Field(strict=True, ge=0, le=METER_WH_MAX)]


class TransactionOut(Out):
    id: IdOut
    station_id: IdOut
    device_id: IdOut
    transaction_id: int
    connector_number: int
    nozzle_number: int | None
    id_tag: str
    verdict: Verdict
    authorisation_id: IdOut | None
    member_id: IdOut | None
    state: TransactionState
    meter_start_wh: int
    meter_last_wh: int
    meter_stop_wh: int | None
    started_at: InstantOut
    ended_at: InstantOut | None
    stop_reason: str | None
    delivery_id: IdOut | None


class TransactionsOut(Out):
    transactions: list[TransactionOut]


class StrayStopOut(Out):
    id: IdOut
    station_id: IdOut
    device_id: IdOut
    transaction_id: int
    reason: StrayReason
    state: StrayState
    meter_stop_wh: int
    ended_at: InstantOut
    id_tag: str | None
    stop_reason: str
    received_at: InstantOut


class StrayStopsOut(Out):
    stray_stops: list[StrayStopOut]


class MatchIn(In):
    charging_id: PublicId


class EndIn(In):
    """What a person read on the meter, and when."""

    meter_stop_wh: MeterWh
    ended_at: Instant


class TokenIn(In):
    tag: IdTag
    member_id: PublicId | None = None
    expires_at: Instant | None = None


class TokenChangeIn(In):
    state: TokenState


class TokenOut(Out):
    id: IdOut
    tag: str
    member_id: IdOut | None
    state: TokenState
    expires_at: InstantOut | None
    parent_tag: str | None


class TokensOut(Out):
    tokens: list[TokenOut]


class CallIn(In):
    """A request of OCPP 1.6 to a charge point: its action, and its payload in the specification's words."""

    action: Annotated[str, Field(min_length=1, max_length=40)]
    payload: dict[str, Any] = Field(default_factory=dict)


class CallOut(Out):
    command_id: IdOut


class ConnectorOut(Out):
    connector_number: int
    status: ConnectorStatus
    error: str
    info: str | None
    at: InstantOut


class ChargePointOut(Out):
    device_id: IdOut
    registration: Registration
    vendor: str
    model: str
    firmware: str | None
    connected: bool
    heard_at: InstantOut
    connectors: list[ConnectorOut] = Field(default_factory=list)


class ChargePointsOut(Out):
    charge_points: list[ChargePointOut]
