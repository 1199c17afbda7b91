"""What the simulated channel says no with, and how it shows its records."""

from datetime import datetime, timedelta, timezone
from typing import Any

from forecourt_kit.clock import from_us
from forecourt_simulators.channels.wechat.book import Order, Refund, TradeState

CHINA = timezone(timedelta(hours=8))

DESCRIPTIONS = {
    TradeState.SUCCESS: "支付成功",
    TradeState.REFUND: "转入退款",
    TradeState.NOTPAY: "订单未支付",
    TradeState.USERPAYING: "用户支付中",
    TradeState.CLOSED: "已关闭",
    TradeState.REVOKED: "已撤销",
    TradeState.PAYERROR: "支付失败，请撤销订单",
}
PAID = (TradeState.SUCCESS, TradeState.REFUND)


class Declined(Exception):
    """A refusal in the channel's own words."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message


def show_order(order: Order) -> dict[str, Any]:
    """The transaction, as query and notification carry it."""
    shown: dict[str, Any] = {
        "appid": order.appid,
        "mchid": order.mchid,
        "out_trade_no": order.out_trade_no,
        "trade_state": order.state.value,
        "trade_state_desc": DESCRIPTIONS[order.state],
        "attach": order.attach,
    }
    if order.state in PAID:
        shown |= {
            "transaction_id": order.transaction_id,
            "trade_type": order.trade_type,
            "bank_type": "OTHERS",
            "success_time": china_time(order.paid_us),
            "payer": {"openid": order.payer},
            "amount": {
                "total": order.total_fen,
                "payer_total": order.total_fen,
                "currency": "CNY",
                "payer_currency": "CNY",
            },
        }
    return shown


def show_refund(refund: Refund, *, in_notice: bool = False) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "refund_id": refund.refund_id,
        "out_refund_no": refund.out_refund_no,
        "transaction_id": refund.transaction_id,
        "out_trade_no": refund.out_trade_no,
        "user_received_account": "支付用户零钱",
        "refund_status" if in_notice else "status": refund.state.value,
        "amount": {
            "total": refund.total_fen,
            "refund": refund.refund_fen,
            "payer_total": refund.total_fen,
            "payer_refund": refund.refund_fen,
        },
    }
    if refund.settled_us:
        shown["success_time"] = china_time(refund.settled_us)
    if in_notice:
        return shown | {"mchid": refund.mchid}
    shown["amount"]["currency"] = "CNY"
    return shown | {"channel": "ORIGINAL", "create_time": china_time(refund.created_us)}


def china_time(us: int) -> str:
    return from_us(us).astimezone(CHINA).isoformat(timespec="seconds")


def read_china_time(text: str) -> datetime:
    """RFC 3339 with an offset. Raises ValueError."""
    at = datetime.fromisoformat(text)
    if at.utcoffset() is None:
        raise ValueError("an offset is needed")
    return at
