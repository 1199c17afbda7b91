"""What the channel does with orders and refunds. No HTTP and no waiting here: plain answers or `Declined`."""

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from forecourt_kit.clock import Clock, to_us
from forecourt_kit.random import Random
from forecourt_simulators.channels.wechat.answers import (
    PAID,
    Declined,
    read_china_time,
    show_order,
    show_refund,
)
from forecourt_simulators.channels.wechat.book import Book, Notice, Order, Refund, RefundState, TradeState
from forecourt_simulators.channels.wechat.faults import FaultKind, Faults, Operation
from forecourt_simulators.channels.wechat.keys import MerchantKeys

US_PER_S = 1_000_000
DAY_US = 86_400 * US_PER_S
REVERSE_DAYS_MAX = 7
REFUND_DAYS_MAX = 365
TOTAL_FEN_MAX = 10**10
OUT_TRADE_NO = re.compile(r"[0-9A-Za-z_\-|*]{6,32}")
OUT_REFUND_NO = re.compile(r"[0-9A-Za-z_\-|*@]{1,64}")
AUTH_CODE = re.compile(r"1[0-5]\d{16}")
ENDED = (TradeState.CLOSED, TradeState.REVOKED)
FORGETTABLE = ("scene_info",)  # Not part of what makes an order the same one.


class Desk:
    def __init__(
        self, book: Book, faults: Faults, clock: Clock, random: Random, reverse_age_min_s: int
    ) -> None:
        self.book = book
        self._faults = faults
        self._clock = clock
        self._random = random
        self._reverse_age_min_us = reverse_age_min_s * US_PER_S
        self._spent_codes: dict[str, tuple[str, str]] = {}

    def place(self, merchant: MerchantKeys, body: Mapping[str, Any]) -> Order:
        """POST native. The same content again gives the same order."""
        number = _number(body, "out_trade_no", OUT_TRADE_NO)
        fingerprint = _fingerprint("NATIVE", body)
        order = self.book.orders.get((merchant.mchid, number))
        if order is None:
            order = self._new_order(merchant, body, "NATIVE", fingerprint)
            order.code_url = f"weixin://wxpay/bizpayurl?pr={self._random.token(9)}"
            self.book.keep(order)
        elif order.fingerprint != fingerprint:
            raise Declined(403, "OUT_TRADE_NO_USED", "商户订单号重复")
        elif order.state in PAID:
            raise Declined(400, "ORDERPAID", "该订单已支付")
        elif order.state in ENDED:
            raise Declined(400, "ORDER_CLOSED", "该订单已关闭")
        return order

    def charge(self, merchant: MerchantKeys, body: Mapping[str, Any]) -> Order:
        """POST codepay: paid at once, unless a fault makes the payer type a PIN."""
        number = _number(body, "out_trade_no", OUT_TRADE_NO)
        payer = body.get("payer")
        code = payer.get("auth_code") if isinstance(payer, Mapping) else None
        if not isinstance(code, str) or not AUTH_CODE.fullmatch(code):
            raise Declined(400, "PARAM_ERROR", "auth_code: 18 位数字, 以 10–15 开头")
        fingerprint = _fingerprint("MICROPAY", body)
        order = self.book.orders.get((merchant.mchid, number))
        if order is not None:
            return self._charged_again(order, fingerprint)
        if self._spent_codes.setdefault(code, (merchant.mchid, number)) != (merchant.mchid, number):
            raise Declined(403, "AUTH_CODE_INVALID", "付款码已被使用, 请刷新")
        order = self._new_order(merchant, body, "MICROPAY", fingerprint)
        order.payer = _openid(code)
        waits = self._faults.take(FaultKind.USERPAYING, Operation.CODE, number)
        if waits is not None:
            order.state = TradeState.USERPAYING
            order.polls_left, order.polls_then = waits.params["polls"], TradeState(waits.params["then"])
            self.book.keep(order)
        else:
            self._settle(order)
        return order

    def query(self, mchid: str, number: str) -> Order:
        order = self._found(mchid, number)
        if order.state is TradeState.USERPAYING and order.polls_left is not None:
            order.polls_left -= 1
            if order.polls_left < 0:
                order.polls_left = None
                if order.polls_then is TradeState.SUCCESS:
                    self._settle(order)
                else:
                    order.state = order.polls_then
            self.book.keep(order)
        return order

    def close(self, mchid: str, number: str) -> Order:
        order = self._found(mchid, number)
        if order.state in PAID:
            raise Declined(400, "ORDERPAID", "该订单已支付, 不能关闭")
        if order.state is TradeState.USERPAYING:
            raise Declined(400, "USERPAYING", "用户支付中, 不能关闭")
        if order.state is not TradeState.REVOKED:
            order.state = TradeState.CLOSED
        self.book.keep(order)
        return order

    def reverse(self, mchid: str, number: str) -> Order:
        """End a code payment for good; what was paid goes back to the payer."""
        order = self._found(mchid, number)
        age_us = to_us(self._clock.now()) - order.created_us
        if order.trade_type != "MICROPAY":
            raise Declined(400, "INVALID_REQUEST", "只有付款码支付的订单可以撤销")
        if age_us < self._reverse_age_min_us:
            raise Declined(400, "INVALID_REQUEST", "请在支付 15 秒后再撤销")
        if age_us > REVERSE_DAYS_MAX * DAY_US:
            raise Declined(400, "REVERSE_EXPIRE", "订单超过 7 天, 不能撤销")
        if order.state in PAID:
            order.reversed_fen = order.total_fen - self.book.refunded_fen(order)
        order.state = TradeState.REVOKED
        self.book.keep(order)
        return order

    def refund(self, merchant: MerchantKeys, body: Mapping[str, Any]) -> Refund:
        """Take a refund on; it settles later. The same number and content is the same refund."""
        number = _number(body, "out_refund_no", OUT_REFUND_NO)
        fingerprint = _fingerprint("REFUND", body)
        earlier = self.book.refunds.get((merchant.mchid, number))
        if earlier is not None:
            if earlier.fingerprint != fingerprint:
                raise Declined(400, "INVALID_REQUEST", "商户退款单号重复, 且参数与原退款不一致")
            return earlier
        order = self.book.orders.get((merchant.mchid, str(body.get("out_trade_no"))))
        if order is None or order.state not in PAID:
            raise Declined(404, "RESOURCE_NOT_EXISTS", "订单不存在或未支付")
        refund_fen, total_fen = _fen(body, "refund"), _fen(body, "total")
        now_us = to_us(self._clock.now())
        if total_fen != order.total_fen:
            raise Declined(400, "PARAM_ERROR", "订单金额与原订单不一致")
        if refund_fen > order.total_fen - self.book.refunded_fen(order):
            raise Declined(400, "INVALID_REQUEST", "累计退款金额大于订单金额")
        if now_us - order.paid_us > REFUND_DAYS_MAX * DAY_US:
            raise Declined(400, "INVALID_REQUEST", "订单超过一年, 不能退款")
        refund = Refund(
            mchid=merchant.mchid,
            out_refund_no=number,
            out_trade_no=order.out_trade_no,
            refund_id=f"5030{self._digits(24)}",
            transaction_id=order.transaction_id,
            refund_fen=refund_fen,
            total_fen=order.total_fen,
            notify_url=_text(body, "notify_url", 256),
            fingerprint=fingerprint,
            created_us=now_us,
        )
        planned = self._faults.take(FaultKind.REFUND, Operation.REFUND, order.out_trade_no)
        if planned is not None:
            refund.polls_left = planned.params["polls"]
            refund.settles_as = RefundState(planned.params["then"])
        self.book.keep(refund)
        order.state = TradeState.REFUND
        self.book.keep(order)
        return refund

    def query_refund(self, mchid: str, number: str) -> Refund:
        refund = self.book.refunds.get((mchid, number))
        if refund is None:
            raise Declined(404, "RESOURCE_NOT_EXISTS", "退款单不存在")
        if refund.state is RefundState.PROCESSING and refund.polls_left is not None:
            refund.polls_left -= 1
            self.book.keep(refund)
        return refund

    def settle_refund(self, refund: Refund) -> Notice | None:
        """Give the money back, or fail to, as planned; the notification to send, if this ended it."""
        waits = refund.polls_left is not None and refund.polls_left >= 0
        if refund.state is not RefundState.PROCESSING or waits:
            return None
        refund.state = refund.settles_as
        if refund.state is RefundState.SUCCESS:
            refund.settled_us = to_us(self._clock.now())
        self.book.keep(refund)
        shown = show_refund(refund, in_notice=True)
        event = f"REFUND.{refund.state.value}"
        return self._new_notice(refund.mchid, refund.out_trade_no, event, refund.notify_url, shown)

    def pay(self, order: Order, payer: str = "", *, is_late: bool = False) -> Notice | None:
        """The payer pays a native order or types the PIN of a code payment.

        `is_late` lets money arrive after the end, which a channel can do. Raises Declined.
        """
        if order.state in PAID:
            raise Declined(409, "ORDERPAID", "该订单已支付")
        if order.state in ENDED and not is_late:
            raise Declined(409, "ORDER_CLOSED", "该订单已关闭")
        if order.expires_us is not None and to_us(self._clock.now()) > order.expires_us and not is_late:
            raise Declined(409, "ORDER_EXPIRED", "已过支付结束时间")
        order.payer = payer or order.payer or _openid(order.out_trade_no)
        self._settle(order)
        return self.payment_notice(order)

    def give_up(self, order: Order) -> None:
        """The payer closes the app: a code payment fails; a native order just stays unpaid."""
        if order.state is TradeState.USERPAYING:
            order.state = TradeState.PAYERROR
            order.polls_left = None
            self.book.keep(order)

    def payment_notice(self, order: Order) -> Notice | None:
        return self._new_notice(
            order.mchid, order.out_trade_no, "TRANSACTION.SUCCESS", order.notify_url, show_order(order)
        )

    def _charged_again(self, order: Order, fingerprint: str) -> Order:
        if order.fingerprint != fingerprint:
            raise Declined(403, "OUT_TRADE_NO_USED", "商户订单号重复")
        if order.state in PAID:
            raise Declined(400, "ORDERPAID", "该订单已支付")
        if order.state in ENDED:
            raise Declined(400, "ORDER_CLOSED", "订单已撤销, 请重新下单支付")
        return order

    def _new_order(
        self, merchant: MerchantKeys, body: Mapping[str, Any], trade_type: str, fingerprint: str
    ) -> Order:
        expires = body.get("time_expire")
        try:
            expires_us = None if expires is None else to_us(read_china_time(str(expires)))
        except ValueError:
            raise Declined(400, "PARAM_ERROR", "time_expire: RFC 3339, 带时区") from None
        url = _text(body, "notify_url", 256) or merchant.code_notify_url
        if trade_type == "NATIVE" and not url:
            raise Declined(400, "PARAM_ERROR", "notify_url 必填")
        return Order(
            mchid=merchant.mchid,
            appid=merchant.appid,
            out_trade_no=str(body["out_trade_no"]),
            trade_type=trade_type,
            total_fen=_fen(body, "total"),
            description=_text(body, "description", 127, least=1),
            attach=_text(body, "attach", 128),
            notify_url=url,
            fingerprint=fingerprint,
            created_us=to_us(self._clock.now()),
            expires_us=expires_us,
        )

    def _settle(self, order: Order) -> None:
        now = self._clock.now()
        order.state = TradeState.SUCCESS
        order.polls_left = None
        order.paid_us = to_us(now)
        order.transaction_id = f"4200{now:%Y%m%d}{self._digits(16)}"
        self.book.keep(order)

    def _new_notice(
        self, mchid: str, number: str, event: str, url: str, resource: dict[str, Any]
    ) -> Notice | None:
        if not url:
            return None
        notice = Notice(
            id=self._random.bytes(16).hex(),
            mchid=mchid,
            number=number,
            event_type=event,
            url=url,
            resource=resource,
            created_us=to_us(self._clock.now()),
        )
        self.book.keep(notice)
        return notice

    def _found(self, mchid: str, number: str) -> Order:
        order = self.book.orders.get((mchid, number))
        if order is None:
            raise Declined(404, "ORDER_NOT_EXIST", "订单不存在")
        return order

    def _digits(self, count: int) -> str:
        return f"{self._random.below(10**count):0{count}d}"


def _number(body: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    number = body.get(name)
    if not isinstance(number, str) or not pattern.fullmatch(number):
        raise Declined(400, "PARAM_ERROR", f"{name} 不合法")
    return number


def _fen(body: Mapping[str, Any], name: str) -> int:
    amount = body.get("amount")
    fen = amount.get(name) if isinstance(amount, Mapping) else None
    if type(fen) is not int or not 0 < fen <= TOTAL_FEN_MAX:
        raise Declined(400, "PARAM_ERROR", f"amount.{name}: 1 分以上的整数")
    if isinstance(amount, Mapping) and amount.get("currency", "CNY") != "CNY":
        raise Declined(400, "PARAM_ERROR", "amount.currency: CNY")
    return fen


def _text(body: Mapping[str, Any], name: str, most: int, *, least: int = 0) -> str:
    text = body.get(name, "")
    if not isinstance(text, str) or not least <= len(text) <= most:
        raise Declined(400, "PARAM_ERROR", f"{name}: {least}–{most} 个字符")
    return text


def _fingerprint(kind: str, body: Mapping[str, Any]) -> str:
    """Of the content; a payer's code is only ever kept as part of this hash."""
    content = {name: value for name, value in body.items() if name not in FORGETTABLE}
    return sha256(f"{kind}\n{json.dumps(content, sort_keys=True)}".encode()).hexdigest()


def _openid(of: str) -> str:
    return f"o{sha256(of.encode()).hexdigest()[:27]}"
