"""State tables, and what the meter's evidence says about itself."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from forecourt.deliveries.types import DeliveryReport, DeliveryState, Mark, NozzleState
from forecourt_kit.quantity import Unit, totalizer_delta

CLOCK_AHEAD_MAX = timedelta(minutes=10)  # A delivery that ended later than this from now has a wrong clock.
DELIVERY_LENGTH_MAX = timedelta(hours=48)  # A lorry takes an hour, a slow charge a night.


class NozzleEvent(StrEnum):
    LIFT = "lift"
    AUTHORISE = "authorise"
    START = "start"
    FLOW = "flow"
    SUSPEND = "suspend"
    RESUME = "resume"
    HANG_UP = "hang_up"
    SETTLE = "settle"
    LOCK = "lock"
    CLOSE = "close"
    OPEN = "open"
    FAIL = "fail"
    LOSE = "lose"
    RECOVER = "recover"


_N, _E = NozzleState, NozzleEvent
NOZZLE_TRANSITIONS: dict[tuple[NozzleState, NozzleEvent], NozzleState] = {
    (_N.IDLE, _E.LIFT): _N.CALLING,
    (_N.IDLE, _E.AUTHORISE): _N.AUTHORISED,
    (_N.IDLE, _E.CLOSE): _N.CLOSED,
    (_N.CLOSED, _E.OPEN): _N.IDLE,
    (_N.CALLING, _E.AUTHORISE): _N.AUTHORISED,
    (_N.CALLING, _E.HANG_UP): _N.IDLE,
    (_N.AUTHORISED, _E.START): _N.STARTED,
    (_N.AUTHORISED, _E.HANG_UP): _N.IDLE,
    (_N.STARTED, _E.FLOW): _N.FUELLING,
    (_N.STARTED, _E.HANG_UP): _N.IDLE,
    (_N.FUELLING, _E.SUSPEND): _N.SUSPENDED,
    (_N.FUELLING, _E.HANG_UP): _N.ENDED,
    (_N.SUSPENDED, _E.RESUME): _N.FUELLING,
    (_N.SUSPENDED, _E.HANG_UP): _N.ENDED,
    (_N.ENDED, _E.LOCK): _N.LOCKED,
    (_N.ENDED, _E.SETTLE): _N.IDLE,
    (_N.ENDED, _E.LIFT): _N.CALLING,
    (_N.LOCKED, _E.SETTLE): _N.IDLE,
    **{(state, _E.FAIL): _N.ERROR for state in _N if state not in {_N.ERROR, _N.OFFLINE}},
    **{(state, _E.LOSE): _N.OFFLINE for state in _N if state is not _N.OFFLINE},
    (_N.ERROR, _E.RECOVER): _N.IDLE,
    (_N.OFFLINE, _E.RECOVER): _N.IDLE,
}


class DeliveryEvent(StrEnum):
    HOLD = "hold"
    RELEASE = "release"
    REJECT = "reject"


_D, _R = DeliveryState, DeliveryEvent
DELIVERY_TRANSITIONS: dict[tuple[DeliveryState, DeliveryEvent], DeliveryState] = {
    (_D.RECORDED, _R.HOLD): _D.HELD,
    (_D.HELD, _R.RELEASE): _D.RELEASED,
    (_D.HELD, _R.REJECT): _D.REJECTED,
}

# These stop a delivery until a person has looked; the others only ask for a look.
HOLDING = frozenset(
    {
        Mark.UNKNOWN_NOZZLE,
        Mark.NO_PRODUCT,
        Mark.TOTALIZER_BACKWARDS,
        Mark.TOTALIZER_MISMATCH,
        Mark.UNIT_MISMATCH,
    }
)


@dataclass(frozen=True, slots=True)
class Meter:
    """What the register knows of the meter that a delivery came from."""

    unit: Unit
    display_step_e4: int
    totalizer_modulus_e4: int
    last_totalizer_e4: int | None  # After the delivery before this one.


def marks_of(report: DeliveryReport, meter: Meter | None, *, has_product: bool, now: datetime) -> list[Mark]:
    """Everything about a report that a person should know. Nothing is corrected."""
    marks: list[Mark] = []
    if meter is None:
        marks.append(Mark.UNKNOWN_NOZZLE)
    else:
        if report.unit is not meter.unit:
            marks.append(Mark.UNIT_MISMATCH)
        if not has_product:
            marks.append(Mark.NO_PRODUCT)
        marks += _totalizer_marks(report, meter)
    long = report.ended_at - report.started_at
    if report.ended_at > now + CLOCK_AHEAD_MAX or not timedelta(0) <= long <= DELIVERY_LENGTH_MAX:
        marks.append(Mark.CLOCK_IMPLAUSIBLE)
    return marks


def _totalizer_marks(report: DeliveryReport, meter: Meter) -> list[Mark]:
    before, after = report.totalizer_before_e4, report.totalizer_after_e4
    if before is None or after is None:
        return []
    modulus = meter.totalizer_modulus_e4
    if not (0 <= before < modulus and 0 <= after < modulus):
        return [Mark.TOTALIZER_MISMATCH]
    # Modulo arithmetic knows a roll-over; a delta of more than half a turn is a counter that ran backwards.
    delta = totalizer_delta(before, after, modulus, bound_e4=modulus // 2)
    marks = []
    if delta is None:
        marks.append(Mark.TOTALIZER_BACKWARDS)
    elif abs(delta - report.quantity_e4) > meter.display_step_e4:
        marks.append(Mark.TOTALIZER_MISMATCH)
    if meter.last_totalizer_e4 is not None and meter.last_totalizer_e4 != before:
        marks.append(Mark.TOTALIZER_GAP)
    return marks


def first_state(marks: list[Mark]) -> DeliveryState:
    return DeliveryState.HELD if HOLDING.intersection(marks) else DeliveryState.RECORDED
