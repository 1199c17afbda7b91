"""`payments.types.Channel` for one WeChat Pay merchant: one verb, one request, one reading of its answer."""

import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote

import httpx

from forecourt.channels.wechat import notifications
from forecourt.channels.wechat.check import CheckResult, check_merchant
from forecourt.channels.wechat.client import Reply, Silence, WeChatClient
from forecourt.channels.wechat.config import WeChatConfig
from forecourt.channels.wechat.mapping import (
    ASK,
    ERRORS,
    REFUND_ERRORS,
    REFUND_QUERY_ERRORS,
    Operation,
    Unreadable,
    code_body,
    native_body,
    read_refund,
    read_trade,
    refund_body,
)
from forecourt.channels.wechat.signing import UnknownSerial
from forecourt.payments.types import (
    Answer,
    ForgedNotice,
    Notice,
    NoticeReply,
    Order,
    Outcome,
    RefundAnswer,
    RefundOrder,
    RefundOutcome,
    Tender,
)
from forecourt_kit.clock import Clock
from forecourt_kit.random import Random

OUT_TRADE_NO = re.compile(r"[0-9A-Za-z_-]{6,32}")
OUT_REFUND_NO = re.compile(r"[0-9A-Za-z_-]{1,64}")
ORDERS_PATH = "/v3/pay/transactions/out-trade-no/"
REFUNDS_PATH = "/v3/refund/domestic/refunds"

log = logging.getLogger(__name__)


class WeChatChannel:
    """One merchant at WeChat Pay. Long-lived; `close_connections` when done."""

    provider = Tender.WECHAT

    def __init__(
        self,
        config: WeChatConfig,
        clock: Clock,
        random: Random,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Raises InvalidWeChatConfig, naming everything that is wrong."""
        self.merchant = config.mchid
        self._config = config
        self._clock = clock
        self._client = WeChatClient(config, clock, random, transport)

    async def close_connections(self) -> None:
        await self._client.close()

    async def create(self, order: Order) -> Answer:
        number = _checked(OUT_TRADE_NO, order.out_trade_no)
        body = native_body(order, self._config.mchid, self._config.appid)
        reply = await self._client.ask("POST", "/v3/pay/transactions/native", body)
        if isinstance(reply, Reply) and reply.is_success:
            qr = reply.body.get("code_url")
            if not isinstance(qr, str) or not qr:
                return _unknown(number, "UNREADABLE", "no code_url in the answer")
            return Answer(outcome=Outcome.PENDING, out_trade_no=number, qr=qr)
        return await self._declined(Operation.CREATE, number, reply)

    async def charge_code(self, order: Order) -> Answer:
        number = _checked(OUT_TRADE_NO, order.out_trade_no)
        body = code_body(order, self._config.mchid, self._config.appid)
        reply = await self._client.ask("POST", "/v3/pay/transactions/codepay", body)
        # v3's list of codes has USERPAYING as a 202 as well: a success that tells no state is read as a code.
        if isinstance(reply, Reply) and reply.is_success and "trade_state" in reply.body:
            return self._read(number, reply)
        return await self._declined(Operation.CODE, number, reply)

    async def query(self, out_trade_no: str) -> Answer:
        number = _checked(OUT_TRADE_NO, out_trade_no)
        target = f"{_order_path(number)}?mchid={quote(self._config.mchid, safe='')}"
        reply = await self._client.ask("GET", target)
        if isinstance(reply, Reply) and reply.is_success:
            return self._read(number, reply)
        return await self._declined(Operation.QUERY, number, reply)

    async def close(self, out_trade_no: str) -> Answer:
        """CLOSED, also when the order never arrived; or PAID, when the payer was faster."""
        number = _checked(OUT_TRADE_NO, out_trade_no)
        reply = await self._client.ask("POST", f"{_order_path(number)}/close", {"mchid": self._config.mchid})
        if isinstance(reply, Reply) and reply.is_success:
            return Answer(outcome=Outcome.CLOSED, out_trade_no=number)
        return await self._declined(Operation.CLOSE, number, reply)

    async def reverse(self, out_trade_no: str) -> Answer:
        """Reverse, then ask how the order stands: the answer to a reverse does not say (channels differ).

        Do not call sooner than 15 s after `charge_code` (WeChat Pay v2 4011937125).
        """
        number = _checked(OUT_TRADE_NO, out_trade_no)
        body = {"appid": self._config.appid, "mchid": self._config.mchid}
        reply = await self._client.ask("POST", f"{_order_path(number)}/reverse", body)
        if not (isinstance(reply, Reply) and reply.is_success):
            return await self._declined(Operation.REVERSE, number, reply)
        stands = await self.query(number)
        ended = stands.outcome in (Outcome.CLOSED, Outcome.NOT_FOUND) or stands.code in ("REFUND", "PAYERROR")
        if ended:
            return Answer(outcome=Outcome.CLOSED, out_trade_no=number, code=stands.code)
        return Answer(
            outcome=Outcome.PENDING,
            out_trade_no=number,
            code="REVERSE_UNCONFIRMED",
            message=f"reversed, but the order still stands as {stands.code or stands.outcome}",
        )

    async def refund(self, order: RefundOrder) -> RefundAnswer:
        number = _checked(OUT_REFUND_NO, order.out_refund_no)
        _checked(OUT_TRADE_NO, order.out_trade_no)
        reply = await self._client.ask("POST", REFUNDS_PATH, refund_body(order))
        return _read_refund(number, reply, REFUND_ERRORS)

    async def query_refund(self, out_refund_no: str) -> RefundAnswer:
        number = _checked(OUT_REFUND_NO, out_refund_no)
        reply = await self._client.ask("GET", f"{REFUNDS_PATH}/{quote(number, safe='')}")
        return _read_refund(number, reply, REFUND_QUERY_ERRORS)

    def read_notice(self, headers: Mapping[str, str], body: bytes) -> Notice:
        try:
            return notifications.read_notice(
                {name.lower(): value for name, value in headers.items()},
                body,
                keys=self._client.keys,
                api_v3_key=self._client.api_v3_key,
                mchid=self._config.mchid,
                appid=self._config.appid,
                now=self._clock.now(),
            )
        except ForgedNotice as forged:
            if isinstance(forged.__cause__, UnknownSerial):
                self._client.verify_again_soon()
            raise

    def accept_notice(self) -> NoticeReply:
        return notifications.accepted()

    def refuse_notice(self, reason: str) -> NoticeReply:
        return notifications.refused(reason)

    async def refresh_keys(self) -> bool:
        """Fetch platform certificates (at most once a minute); True when they changed. For a clock job."""
        return await self._client.refresh_keys()

    async def check(self) -> CheckResult:
        """Try the credentials without moving money, and say plainly what is wrong."""
        return await check_merchant(self._client)

    def _read(self, number: str, reply: Reply) -> Answer:
        try:
            return read_trade(reply.body, number, self._config.mchid, self._config.appid)
        except Unreadable as why:
            log.warning("signed answer is unreadable", extra={"out_trade_no": number, "why": str(why)})
            return _unknown(number, "UNREADABLE", str(why))

    async def _declined(self, operation: Operation, number: str, reply: Reply | Silence) -> Answer:
        if isinstance(reply, Silence):
            return _unknown(number, reply.code, reply.message)
        code = reply.code or f"HTTP_{reply.status}"
        if reply.status >= 500 or reply.code not in ERRORS[operation]:
            return _unknown(number, code, reply.message)
        outcome = ERRORS[operation][reply.code]
        if outcome is not ASK:
            return Answer(outcome=outcome, out_trade_no=number, code=code, message=reply.message)
        stands = await self.query(number)
        if stands.outcome is Outcome.PENDING:  # Of a native order only the first answer carries the QR.
            return replace(stands, message=f"{code}: {reply.message}")
        if stands.outcome is not Outcome.NOT_FOUND:
            return stands
        # It was refused, and the channel does not know the number: there is nothing, and nothing will come.
        outcome = Outcome.CLOSED if operation is Operation.CLOSE else Outcome.FAILED
        return Answer(outcome=outcome, out_trade_no=number, code=code, message=reply.message)


def _order_path(number: str) -> str:
    return ORDERS_PATH + quote(number, safe="")


def _checked(pattern: re.Pattern[str], number: str) -> str:
    assert pattern.fullmatch(number), f"not a number that WeChat Pay takes: {number!r}"
    return number


def _unknown(number: str, code: str, message: str) -> Answer:
    return Answer(outcome=Outcome.UNKNOWN, out_trade_no=number, code=code, message=message)


def _read_refund(number: str, reply: Reply | Silence, errors: Mapping[str, RefundOutcome]) -> RefundAnswer:
    outcome = RefundOutcome.UNKNOWN
    if isinstance(reply, Silence):
        return RefundAnswer(outcome=outcome, out_refund_no=number, code=reply.code, message=reply.message)
    if reply.is_success:
        try:
            return read_refund(reply.body, number)
        except Unreadable as why:
            return RefundAnswer(outcome=outcome, out_refund_no=number, code="UNREADABLE", message=str(why))
    if reply.status < 500:
        outcome = errors.get(reply.code, outcome)
    code = reply.code or f"HTTP_{reply.status}"
    return RefundAnswer(outcome=outcome, out_refund_no=number, code=code, message=reply.message)
