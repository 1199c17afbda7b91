"""Decisions of charging: state tables, what a tag is worth, and how a session falls into segments."""

import hashlib
import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from forecourt.charging.types import (
    E4_PER_WH,
    ConnectorStatus,
    Permit,
    Sample,
    Start,
    Stop,
    Token,
    TokenState,
    TransactionState,
    Verdict,
)
from forecourt.deliveries.types import NozzleState, Segment
from forecourt_kit.limits import QUANTITY_E4_MAX

SEGMENT_LENGTH = timedelta(minutes=30)  # Time-of-use tariffs change on the half hour (48 slots a day).
SEGMENTS_MAX = 200
KEY_CHARS = 32


class TransactionEvent(StrEnum):
    STOP = "stop"
    SUPERSEDE = "supersede"  # The connector is free again, or charges anew, and no end was told.


TRANSACTION_TRANSITIONS: dict[tuple[TransactionState, TransactionEvent], TransactionState] = {
    (TransactionState.OPEN, TransactionEvent.STOP): TransactionState.ENDED,
    (TransactionState.OPEN, TransactionEvent.SUPERSEDE): TransactionState.LOST,
    (TransactionState.LOST, TransactionEvent.STOP): TransactionState.ENDED,
}

NOZZLE_STATES: dict[ConnectorStatus, NozzleState] = {
    ConnectorStatus.AVAILABLE: NozzleState.IDLE,
    ConnectorStatus.PREPARING: NozzleState.CALLING,
    ConnectorStatus.CHARGING: NozzleState.FUELLING,
    ConnectorStatus.SUSPENDED_EVSE: NozzleState.SUSPENDED,
    ConnectorStatus.SUSPENDED_EV: NozzleState.SUSPENDED,
    ConnectorStatus.FINISHING: NozzleState.ENDED,
    ConnectorStatus.RESERVED: NozzleState.AUTHORISED,
    ConnectorStatus.UNAVAILABLE: NozzleState.CLOSED,
    ConnectorStatus.FAULTED: NozzleState.ERROR,
}

FREE = frozenset({ConnectorStatus.AVAILABLE, ConnectorStatus.RESERVED, ConnectorStatus.UNAVAILABLE})
"""A connector that says this has no session."""


def start_key(start: Start) -> str:
    """What makes a start the same start, however often and over whichever connection it is told."""
    told = (start.connector_number, start.started_at.isoformat(), start.meter_start_wh, start.id_tag)
    return hashlib.sha256(repr(told).encode()).hexdigest()[:KEY_CHARS]


def stop_key(stop: Stop) -> str:
    """The same for an end. Reason, tag and samples may differ: the money does not see them."""
    told = (stop.transaction_id, stop.meter_stop_wh, stop.ended_at.isoformat())
    return hashlib.sha256(repr(told).encode()).hexdigest()[:KEY_CHARS]


def token_permit(token: Token | None, now: datetime) -> Permit:
    """What a registered tag is worth by itself."""
    if token is None:
        return Permit(verdict=Verdict.INVALID)
    verdict = Verdict.ACCEPTED
    if token.state is TokenState.BLOCKED:
        verdict = Verdict.BLOCKED
    elif token.expires_at is not None and token.expires_at <= now:
        verdict = Verdict.EXPIRED
    return Permit(
        verdict=verdict,
        member_id=token.member_id,
        parent_tag=token.parent_tag,
        expires_at=token.expires_at,
    )


def delivered_e4(meter_start_wh: int, meter_stop_wh: int) -> int:
    """What left the connector, in 1e-4 kWh. 0 where the register ran back or leapt: its readings tell why."""
    delivered = (meter_stop_wh - meter_start_wh) * E4_PER_WH
    return delivered if 0 <= delivered <= QUANTITY_E4_MAX else 0


def segments(
    started_at: datetime,
    meter_start_wh: int,
    ended_at: datetime,
    meter_stop_wh: int,
    samples: Sequence[Sample],
) -> tuple[Segment, ...]:
    """Cut a session at the last good reading of every half hour.

    The parts join in time and energy, and their energy sums to the whole. A reading outside the session, or
    below the one before it, is not used. Empty where the session itself runs backwards.
    """
    if ended_at < started_at or not 0 <= meter_stop_wh - meter_start_wh <= QUANTITY_E4_MAX // E4_PER_WH:
        return ()
    cuts = [(started_at, meter_start_wh)]
    good = sorted(
        (each.at, each.energy_wh)
        for each in samples
        if each.energy_wh is not None and started_at < each.at < ended_at
    )
    slot = None
    for at, energy_wh in good:
        if not cuts[-1][1] <= energy_wh <= meter_stop_wh:
            continue
        this = int(at.timestamp()) // int(SEGMENT_LENGTH.total_seconds())
        if this == slot:
            cuts[-1] = (at, energy_wh)
        elif len(cuts) < SEGMENTS_MAX:
            cuts.append((at, energy_wh))
        slot = this
    cuts.append((ended_at, meter_stop_wh))
    return tuple(
        Segment(
            started_at=begin,
            ended_at=end,
            quantity_e4=(after_wh - before_wh) * E4_PER_WH,
            meter_start_e4=before_wh * E4_PER_WH,
            meter_end_e4=after_wh * E4_PER_WH,
        )
        for (begin, before_wh), (end, after_wh) in itertools.pairwise(cuts)
    )


def is_limit_reached(limit_e4: int | None, meter_start_wh: int, meter_last_wh: int) -> bool:
    return limit_e4 is not None and (meter_last_wh - meter_start_wh) * E4_PER_WH >= limit_e4
