"""Wire ⇄ `payments.types`: request bodies, and what each state and each error code of the wire means.

Sources: pay.weixin.qq.com/doc/v3/merchant 4012791877 (native), 4012382150 (code), 4013070356 (query),
docs/merchant/apis/code-payment-v3/direct/reverse (reverse). v3's code-pay error list is not public in full;
v2's spelling is taken beside v3's. A code in no table is UNKNOWN: it is asked again, never guessed.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

from forecourt.payments.types import Answer, Order, Outcome, RefundAnswer, RefundOrder, RefundOutcome

CHINA = timezone(timedelta(hours=8))
CURRENCY = "CNY"
DESCRIPTION_CHARS_MAX = 127
REASON_CHARS_MAX = 80
AMOUNT_FEN_MAX = 10**12


class Operation(StrEnum):
    CREATE = "create"
    CODE = "code"
    QUERY = "query"
    CLOSE = "close"
    REVERSE = "reverse"


class Unreadable(Exception):
    """Signed by the channel, and yet not what was agreed: another order, no amount, an unknown state."""


TRADE_STATES: dict[str, Outcome] = {
    "SUCCESS": Outcome.PAID,
    "REFUND": Outcome.PAID,  # It was paid; what went back is told by the refunds.
    "NOTPAY": Outcome.PENDING,
    "USERPAYING": Outcome.PENDING,
    "ACCEPT": Outcome.PENDING,
    "PAYERROR": Outcome.PENDING,  # Not final before a reverse or a close (支付失败，请撤销订单).
    "CLOSED": Outcome.CLOSED,
    "REVOKED": Outcome.CLOSED,
}

REFUND_STATES: dict[str, RefundOutcome] = {
    "SUCCESS": RefundOutcome.SUCCEEDED,
    "PROCESSING": RefundOutcome.PENDING,
    "ABNORMAL": RefundOutcome.ABNORMAL,
    "CLOSED": RefundOutcome.REFUSED,
}

ASK = None
"""The code tells that the channel knows the number, not how it stands: query it."""

_SAYS_KNOWN: dict[str, Outcome | None] = dict.fromkeys(
    (
        "ORDERPAID",
        "ORDER_PAID",
        "ORDERCLOSED",
        "ORDER_CLOSED",
        "ORDERREVERSED",
        "ORDER_REVERSED",
        "OUT_TRADE_NO_USED",
        "INVALID_REQUEST",  # Also said of a number that an earlier, unanswered try has used.
        "TRADE_ERROR",
    ),
    ASK,
)
_NOT_TAKEN: dict[str, Outcome | None] = dict.fromkeys(
    (
        "PARAM_ERROR",
        "APPID_MCHID_NOT_MATCH",
        "MCH_NOT_EXISTS",
        "NO_AUTH",
        "NOAUTH",
        "RULE_LIMIT",
        "RULELIMIT",
    ),
    Outcome.FAILED,
)
_CODE_DECLINED: dict[str, Outcome | None] = dict.fromkeys(
    (
        "AUTH_CODE_EXPIRED",
        "AUTHCODEEXPIRE",
        "AUTH_CODE_ERROR",
        "AUTH_CODE_INVALID",
        "NOT_ENOUGH",
        "NOTENOUGH",
        "NOTSUPORTCARD",
        "ACCOUNTERROR",
    ),
    Outcome.FAILED,
)
_NO_SUCH_ORDER = ("ORDER_NOT_EXIST", "ORDERNOTEXIST", "RESOURCE_NOT_EXISTS")
_NOT_FOUND: dict[str, Outcome | None] = dict.fromkeys(_NO_SUCH_ORDER, Outcome.NOT_FOUND)
# What never arrived is ended by saying so: nobody has its QR, and a payer's code is over in a minute.
_NOTHING_TO_END: dict[str, Outcome | None] = dict.fromkeys(_NO_SUCH_ORDER, Outcome.CLOSED)

ERRORS: dict[Operation, dict[str, Outcome | None]] = {
    Operation.CREATE: _SAYS_KNOWN | _NOT_TAKEN,
    Operation.CODE: _SAYS_KNOWN | _NOT_TAKEN | _CODE_DECLINED | {"USERPAYING": Outcome.PENDING},
    Operation.QUERY: _NOT_FOUND,
    Operation.CLOSE: _SAYS_KNOWN | _NOTHING_TO_END | {"USERPAYING": Outcome.PENDING},
    # 正在支付中不能发起撤销: while the payer types, a reverse is refused and called again.
    Operation.REVERSE: _NOTHING_TO_END | {"USERPAYING": Outcome.PENDING},
}

REFUND_ERRORS: dict[str, RefundOutcome] = {
    "PARAM_ERROR": RefundOutcome.REFUSED,
    "INVALID_REQUEST": RefundOutcome.REFUSED,  # Above the balance, past a year, a used number.
    "RESOURCE_NOT_EXISTS": RefundOutcome.REFUSED,  # No such order to refund.
    "MCH_NOT_EXISTS": RefundOutcome.REFUSED,
    "NO_AUTH": RefundOutcome.REFUSED,
    "USER_ACCOUNT_ABNORMAL": RefundOutcome.ABNORMAL,
    # NOT_ENOUGH is left out: the merchant's balance is short now, and the same number succeeds later.
}

REFUND_QUERY_ERRORS: dict[str, RefundOutcome] = {"RESOURCE_NOT_EXISTS": RefundOutcome.NOT_FOUND}


def native_body(order: Order, mchid: str, appid: str) -> dict[str, Any]:
    return {
        "appid": appid,
        "mchid": mchid,
        "description": order.description[:DESCRIPTION_CHARS_MAX],
        "out_trade_no": order.out_trade_no,
        "time_expire": order.expires_at.astimezone(CHINA).isoformat(timespec="seconds"),
        "notify_url": order.notify_url,
        "amount": {"total": order.amount_fen, "currency": CURRENCY},
        "scene_info": {"payer_client_ip": order.terminal_ip},
    }


def code_body(order: Order, mchid: str, appid: str) -> dict[str, Any]:
    assert order.payer_code is not None, "a code payment needs the payer's code"
    return {
        "appid": appid,
        "mchid": mchid,
        "description": order.description[:DESCRIPTION_CHARS_MAX],
        "out_trade_no": order.out_trade_no,
        "payer": {"auth_code": order.payer_code},
        "amount": {"total": order.amount_fen, "currency": CURRENCY},
        "scene_info": {"device_ip": order.terminal_ip},
    }


def refund_body(order: RefundOrder) -> dict[str, Any]:
    return {
        "out_trade_no": order.out_trade_no,
        "out_refund_no": order.out_refund_no,
        "reason": order.reason[:REASON_CHARS_MAX],
        "notify_url": order.notify_url,
        "amount": {"refund": order.amount_fen, "total": order.paid_fen, "currency": CURRENCY},
    }


def read_trade(body: Mapping[str, Any], asked_no: str | None, mchid: str, appid: str) -> Answer:
    """One transaction as the channel tells it; `asked_no` is None for a notification, which names its own.

    Raises:
        Unreadable: it is not about this order of this merchant, or lacks what a payment must have.
    """
    state = body.get("trade_state")
    outcome = TRADE_STATES.get(state) if isinstance(state, str) else None
    if outcome is None:
        raise Unreadable(f"trade_state is {state!r:.40}")
    # A code payment that waits for the payer may carry its state and nothing else.
    bare = outcome is not Outcome.PAID and asked_no is not None
    _must_be(body, "out_trade_no", asked_no, may_lack=bare)
    _must_be(body, "mchid", mchid, may_lack=bare)
    _must_be(body, "appid", appid, may_lack=True)
    number = str(body.get("out_trade_no", asked_no))
    described = _text(body, "trade_state_desc")
    if outcome is not Outcome.PAID:
        return Answer(outcome=outcome, out_trade_no=number, code=str(state), message=described)
    payer = body.get("payer")
    return Answer(
        outcome=outcome,
        out_trade_no=number,
        channel_no=_required_text(body, "transaction_id"),
        amount_fen=_amount(body, "total"),
        paid_at=_time(body, "success_time"),
        payer=_text(payer, "openid") or None if isinstance(payer, Mapping) else None,
        code=str(state),
        message=described,
    )


def read_refund(body: Mapping[str, Any], asked_no: str | None, state_field: str = "status") -> RefundAnswer:
    """One refund as the channel tells it; a notification calls its state `refund_status`.

    Raises:
        Unreadable: it is another refund, or lacks what a refund must have.
    """
    state = body.get(state_field)
    outcome = REFUND_STATES.get(state) if isinstance(state, str) else None
    if outcome is None:
        raise Unreadable(f"{state_field} is {state!r:.40}")
    _must_be(body, "out_refund_no", asked_no)
    return RefundAnswer(
        outcome=outcome,
        out_refund_no=_required_text(body, "out_refund_no"),
        channel_no=_required_text(body, "refund_id"),
        amount_fen=_amount(body, "refund"),
        code=str(state),
    )


def _must_be(body: Mapping[str, Any], name: str, expected: str | None, *, may_lack: bool = False) -> None:
    found = body.get(name)
    if (found is None and may_lack) or (expected is not None and found == expected):
        return
    if expected is None and isinstance(found, str) and found:
        return
    raise Unreadable(f"{name} is not the one that was asked about")


def _text(body: Mapping[str, Any], name: str) -> str:
    found = body.get(name, "")
    return found[:256] if isinstance(found, str) else ""


def _required_text(body: Mapping[str, Any], name: str) -> str:
    found = _text(body, name)
    if not found:
        raise Unreadable(f"{name} is missing")
    return found


def _amount(body: Mapping[str, Any], name: str) -> int:
    amount = body.get("amount")
    fen = amount.get(name) if isinstance(amount, Mapping) else None
    if type(fen) is not int or not 0 < fen <= AMOUNT_FEN_MAX:
        raise Unreadable(f"amount.{name} is not an amount in fen")
    if isinstance(amount, Mapping) and amount.get("currency", CURRENCY) != CURRENCY:
        raise Unreadable("the currency is not CNY")
    return fen


def _time(body: Mapping[str, Any], name: str) -> datetime:
    try:
        at = datetime.fromisoformat(_required_text(body, name))
    except ValueError:
        raise Unreadable(f"{name} is not a time") from None
    if at.utcoffset() is None:
        raise Unreadable(f"{name} has no offset")
    return at.astimezone(UTC)
