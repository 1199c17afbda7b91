"""Faults on request: what is to go wrong, for which order and operation, how often, and how likely."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from forecourt_kit.random import Random
from forecourt_simulators.channels.wechat.seal import Forgery

ANY = "*"
FAULTS_MAX = 1_000
PERCENT = 100


class FaultKind(StrEnum):
    ERROR = "error"  # Answers `status` in `form` without acting.
    ERROR_AFTER = "error_after"  # Acts, then answers so.
    HANG = "hang"  # Waits `ms` before acting.
    HANG_AFTER = "hang_after"  # Acts, then waits `ms`: the merchant sees a time-out.
    DECLINE = "decline"  # Answers a signed refusal of `status`, `code`, `message`, without acting.
    BAD_ANSWER = "bad_answer"  # Acts; the answer is forged in the way `how`.
    USERPAYING = "userpaying"  # A code payment waits `polls` queries, then stands as `then`.
    PAID_EARLY = "paid_early"  # The payer pays, and the notification arrives, before the answer.
    LATE_SUCCESS = "late_success"  # A close is answered 204, and `ms` later the payment succeeds.
    REFUND = "refund"  # A refund waits `polls` queries, then stands as `then`.
    NOTICE_EARLY = "notice_early"  # Notifications of the act arrive before its answer.
    NOTICE_LOSE = "notice_lose"  # A delivery is lost on the way.
    NOTICE_REPEAT = "notice_repeat"  # An acknowledged notification is delivered `copies` more times.
    NOTICE_HOLD = "notice_hold"  # Not sent until asked for, so that order and time are free.
    NOTICE_FORGE = "notice_forge"  # A delivery is forged in the way `how`.


class Operation(StrEnum):
    CREATE = "create"
    CODE = "code"
    QUERY = "query"
    CLOSE = "close"
    REVERSE = "reverse"
    REFUND = "refund"
    QUERY_REFUND = "query_refund"
    CERTIFICATES = "certificates"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class Param:
    default: Any
    least: int = 0
    most: int = 0
    choices: tuple[str, ...] = ()


FORGERIES = tuple(Forgery)
STATUS = Param(500, 400, 599)
FORM = Param("json", choices=("json", "html"))

PARAMS: dict[FaultKind, dict[str, Param]] = {
    FaultKind.ERROR: {"status": STATUS, "form": FORM},
    FaultKind.ERROR_AFTER: {"status": STATUS, "form": FORM},
    FaultKind.HANG: {"ms": Param(30_000, 0, 600_000)},
    FaultKind.HANG_AFTER: {"ms": Param(30_000, 0, 600_000)},
    FaultKind.DECLINE: {
        "status": Param(403, 200, 599),
        "code": Param("NOTENOUGH"),
        "message": Param("余额不足"),
    },
    FaultKind.BAD_ANSWER: {"how": Param("wrong_key", choices=FORGERIES)},
    FaultKind.USERPAYING: {
        "polls": Param(None, 0, 10_000),
        "then": Param("SUCCESS", choices=("SUCCESS", "NOTPAY", "PAYERROR")),
    },
    FaultKind.PAID_EARLY: {},
    FaultKind.LATE_SUCCESS: {"ms": Param(0, 0, 600_000)},
    FaultKind.REFUND: {
        "polls": Param(None, 0, 10_000),
        "then": Param("SUCCESS", choices=("SUCCESS", "ABNORMAL", "CLOSED")),
    },
    FaultKind.NOTICE_EARLY: {},
    FaultKind.NOTICE_LOSE: {},
    FaultKind.NOTICE_REPEAT: {"copies": Param(1, 1, 100)},
    FaultKind.NOTICE_HOLD: {},
    FaultKind.NOTICE_FORGE: {"how": Param("wrong_key", choices=FORGERIES)},
}


@dataclass(slots=True, kw_only=True)
class Fault:
    id: int
    kind: FaultKind
    out_trade_no: str
    operation: str
    times: int | None  # None: until it is taken away.
    percent: int
    params: dict[str, Any]

    def matches(self, kind: FaultKind, operation: Operation, out_trade_no: str) -> bool:
        return (
            self.kind is kind
            and self.operation in (ANY, operation)
            and self.out_trade_no in (ANY, out_trade_no)
            and self.times != 0
        )


class Faults:
    def __init__(self, random: Random) -> None:
        self._random = random
        self._last_id = 0
        self.planned: list[Fault] = []

    def plan(self, content: Mapping[str, Any]) -> Fault:
        """Add a fault from its JSON form. Raises ValueError, saying what is wrong."""
        if len(self.planned) >= FAULTS_MAX:
            raise ValueError(f"more than {FAULTS_MAX} faults")
        given = dict(content)
        kind = FaultKind(given.pop("kind", ""))
        fault = Fault(
            id=self._last_id + 1,
            kind=kind,
            out_trade_no=_text("out_trade_no", given.pop("out_trade_no", ANY)),
            operation=_text("operation", given.pop("operation", ANY), (ANY, *Operation)),
            times=_whole("times", given.pop("times", 1), 1, 1_000_000, or_none=True),
            percent=_whole("percent", given.pop("percent", PERCENT), 0, PERCENT) or 0,
            params={
                name: _param(name, spec, given.pop(name, spec.default)) for name, spec in PARAMS[kind].items()
            },
        )
        if given:
            raise ValueError(f"{kind} has no {', '.join(sorted(given))}")
        self._last_id = fault.id
        self.planned.append(fault)
        return fault

    def take(self, kind: FaultKind, operation: Operation, out_trade_no: str) -> Fault | None:
        """The fault that strikes now, if one does; it is used up by one."""
        for fault in self.planned:
            if not fault.matches(kind, operation, out_trade_no):
                continue
            if fault.percent < PERCENT and self._random.below(PERCENT) >= fault.percent:
                continue
            if fault.times is not None:
                fault.times -= 1
            self.planned = [one for one in self.planned if one.times != 0]
            return fault
        return None

    def clear(self, out_trade_no: str | None = None) -> None:
        self.planned = [
            one for one in self.planned if out_trade_no is not None and one.out_trade_no != out_trade_no
        ]


def _param(name: str, spec: Param, value: Any) -> Any:
    if spec.choices:
        return _text(name, value, spec.choices)
    if isinstance(spec.default, str):
        return _text(name, value)
    return _whole(name, value, spec.least, spec.most, or_none=spec.default is None)


def _text(name: str, value: Any, choices: tuple[str, ...] = ()) -> str:
    if not isinstance(value, str) or len(value) > 128 or (choices and value not in choices):
        raise ValueError(f"{name}: expected {'one of ' + ', '.join(choices) if choices else 'text'}")
    return str(value)


def _whole(name: str, value: Any, least: int, most: int, *, or_none: bool = False) -> int | None:
    if value is None and or_none:
        return None
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{name}: expected a whole number {least}..{most}{' or null' if or_none else ''}")
    return value
