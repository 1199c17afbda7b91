"""The channel's HTTP face under /v3: authenticate, act, answer signed; with faults in between."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from forecourt_simulators.channels.wechat.answers import Declined, show_order, show_refund
from forecourt_simulators.channels.wechat.book import Notice
from forecourt_simulators.channels.wechat.faults import Fault, FaultKind, Operation
from forecourt_simulators.channels.wechat.keys import MerchantKeys, SignsWith
from forecourt_simulators.channels.wechat.platform import Platform
from forecourt_simulators.channels.wechat.seal import Forgery, Sealed, to_json

BODY_BYTES_MAX = 64 * 1024
HTML = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


@dataclass(slots=True)
class Call:
    """One authenticated request."""

    merchant: MerchantKeys
    operation: Operation
    number: str  # From the path; "" where the body carries it.
    body: dict[str, Any]
    query: Mapping[str, str]

    @property
    def out_trade_no(self) -> str:
        return self.number or str(self.body.get("out_trade_no", ""))


@dataclass(frozen=True, slots=True)
class Acted:
    status: int
    body: dict[str, Any] | None
    notice: Notice | None = None
    afterwards: Callable[[], None] | None = None
    delay_ms: int = 0
    is_early: bool = False  # The notification arrives before the answer.


def routes(platform: Platform) -> list[Route]:
    orders = "/v3/pay/transactions"
    by_number = orders + "/out-trade-no/{number}"
    refunds = "/v3/refund/domestic/refunds"
    table: list[tuple[str, str, Operation]] = [
        ("POST", f"{orders}/native", Operation.CREATE),
        ("POST", f"{orders}/codepay", Operation.CODE),
        ("GET", by_number, Operation.QUERY),
        ("POST", f"{by_number}/close", Operation.CLOSE),
        ("POST", f"{by_number}/reverse", Operation.REVERSE),
        ("POST", refunds, Operation.REFUND),
        ("GET", f"{refunds}/{{number}}", Operation.QUERY_REFUND),
        ("GET", "/v3/certificates", Operation.CERTIFICATES),
    ]
    return [
        Route(path, _endpoint(platform, operation), methods=[method]) for method, path, operation in table
    ]


def _endpoint(platform: Platform, operation: Operation) -> Any:
    async def endpoint(request: Request) -> Response:
        signs_with = SignsWith.PUBLIC_KEY
        try:
            call = await _authenticated(platform, request, operation)
            signs_with = _asked_key(platform, request, call.merchant)
        except Declined as no:
            sealed = platform.seal.sign(to_json({"code": no.code, "message": no.message}), signs_with)
            return _response(no.status, sealed)
        return await _answer(platform, call, signs_with)

    return endpoint


async def _authenticated(platform: Platform, request: Request, operation: Operation) -> Call:
    raw = await _body(request)
    _check_headers(request, has_body=bool(raw))
    target = request.scope["raw_path"]
    if request.scope["query_string"]:
        target += b"?" + request.scope["query_string"]
    merchant = platform.seal.merchant_of(request.headers, request.method, target, raw)
    try:
        body = json.loads(raw) if raw else {}
    except (ValueError, RecursionError):
        raise Declined(400, "PARAM_ERROR", "请求体不是 JSON") from None
    if not isinstance(body, dict):
        raise Declined(400, "PARAM_ERROR", "请求体不是 JSON 对象")
    call = Call(merchant, operation, request.path_params.get("number", ""), body, request.query_params)
    _check_owner(call)
    return call


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_BYTES_MAX:
                raise Declined(413, "INVALID_REQUEST", "请求体过大")
    except ClientDisconnect:
        raise Declined(400, "INVALID_REQUEST", "连接中断") from None
    return bytes(body)


def _check_headers(request: Request, *, has_body: bool) -> None:
    accept = request.headers.get("accept", "")
    if "application/json" not in accept and "*/*" not in accept:
        raise Declined(406, "INVALID_REQUEST", "Accept: application/json 必填")
    if not request.headers.get("user-agent"):
        raise Declined(400, "INVALID_REQUEST", "User-Agent 必填")
    if has_body and "application/json" not in request.headers.get("content-type", ""):
        raise Declined(415, "INVALID_REQUEST", "Content-Type: application/json 必填")


def _check_owner(call: Call) -> None:
    """A merchant's key speaks for that merchant only."""
    named = {
        Operation.CREATE: call.body,
        Operation.CODE: call.body,
        Operation.QUERY: call.query,
        Operation.CLOSE: call.body,
        Operation.REVERSE: call.body,
    }.get(call.operation)
    if named is not None and named.get("mchid") != call.merchant.mchid:
        raise Declined(400, "PARAM_ERROR", "mchid 与签名的商户号不一致")
    if call.operation in (Operation.CREATE, Operation.CODE, Operation.REVERSE):
        appid = call.body.get("appid")
        if appid != call.merchant.appid:
            raise Declined(400, "APPID_MCHID_NOT_MATCH", "appid 和 mch_id 不匹配")


def _asked_key(platform: Platform, request: Request, merchant: MerchantKeys) -> SignsWith:
    asked = request.headers.get("wechatpay-serial", "")
    if not asked:
        return SignsWith.CERTIFICATE
    if asked == platform.seal.keys.public_key_id:
        return SignsWith.PUBLIC_KEY
    if asked in (one.serial for one in platform.seal.keys.certificates):
        return SignsWith.CERTIFICATE
    raise Declined(400, "PARAM_ERROR", f"Wechatpay-Serial 不是商户 {merchant.mchid} 可用的")


async def _answer(platform: Platform, call: Call, signs_with: SignsWith) -> Response:
    def struck(kind: FaultKind) -> Fault | None:
        return platform.faults.take(kind, call.operation, call.out_trade_no)

    if fault := struck(FaultKind.HANG):
        await asyncio.sleep(fault.params["ms"] / 1000)
    if fault := struck(FaultKind.ERROR):
        return _broken(fault)
    try:
        if fault := struck(FaultKind.DECLINE):
            raise Declined(fault.params["status"], fault.params["code"], fault.params["message"])  # noqa: TRY301
        acted = ACTS[call.operation](platform, call)
    except Declined as no:
        acted = Acted(no.status, {"code": no.code, "message": no.message})
    await _send_off(platform, acted)
    if fault := struck(FaultKind.HANG_AFTER):
        await asyncio.sleep(fault.params["ms"] / 1000)
    if fault := struck(FaultKind.ERROR_AFTER):
        return _broken(fault)
    fault = struck(FaultKind.BAD_ANSWER)
    body = b"" if acted.body is None else to_json(acted.body)
    sealed = platform.seal.sign(body, signs_with, Forgery(fault.params["how"]) if fault else None)
    return _response(acted.status, sealed)


async def _send_off(platform: Platform, acted: Acted) -> None:
    if acted.notice is not None and acted.is_early:
        await platform.notifier.send_now(acted.notice)
    platform.notifier.send(acted.notice)
    if acted.afterwards is not None:
        platform.later(acted.delay_ms, acted.afterwards)


def _create(platform: Platform, call: Call) -> Acted:
    order = platform.desk.place(call.merchant, call.body)
    early = platform.faults.take(FaultKind.PAID_EARLY, call.operation, order.out_trade_no) is not None
    notice = platform.desk.pay(order) if early else None
    return Acted(200, {"code_url": order.code_url}, notice, is_early=early)


def _code(platform: Platform, call: Call) -> Acted:
    order = platform.desk.charge(call.merchant, call.body)
    shown = show_order(order)
    if "transaction_id" not in shown:
        return Acted(200, {"trade_state": order.state.value})  # While it waits, nothing else is said.
    early = platform.faults.take(FaultKind.NOTICE_EARLY, call.operation, order.out_trade_no) is not None
    return Acted(200, shown, platform.desk.payment_notice(order), is_early=early)


def _query(platform: Platform, call: Call) -> Acted:
    return Acted(200, show_order(platform.desk.query(call.merchant.mchid, call.number)))


def _close(platform: Platform, call: Call) -> Acted:
    order = platform.desk.close(call.merchant.mchid, call.number)
    late = platform.faults.take(FaultKind.LATE_SUCCESS, call.operation, call.number)
    if late is None:
        return Acted(204, None)
    return Acted(
        204,
        None,
        afterwards=lambda: platform.notifier.send(platform.desk.pay(order, is_late=True)),
        delay_ms=late.params["ms"],
    )


def _reverse(platform: Platform, call: Call) -> Acted:
    order = platform.desk.reverse(call.merchant.mchid, call.number)
    return Acted(200, {"appid": order.appid, "mchid": order.mchid, "out_trade_no": order.out_trade_no})


def _refund(platform: Platform, call: Call) -> Acted:
    refund = platform.desk.refund(call.merchant, call.body)
    shown = show_refund(refund)
    if platform.faults.take(FaultKind.NOTICE_EARLY, call.operation, refund.out_trade_no):
        return Acted(200, shown, platform.desk.settle_refund(refund), is_early=True)
    return Acted(
        200,
        shown,
        afterwards=lambda: platform.settle_refund(refund),
        delay_ms=platform.settings.refund_delay_ms,
    )


def _query_refund(platform: Platform, call: Call) -> Acted:
    refund = platform.desk.query_refund(call.merchant.mchid, call.number)
    notice = platform.desk.settle_refund(refund) if refund.polls_left is not None else None
    return Acted(200, show_refund(refund), notice)


def _certificates(platform: Platform, call: Call) -> Acted:
    return Acted(200, platform.seal.certificates(call.merchant.api_v3_key))


ACTS: dict[Operation, Callable[[Platform, Call], Acted]] = {
    Operation.CREATE: _create,
    Operation.CODE: _code,
    Operation.QUERY: _query,
    Operation.CLOSE: _close,
    Operation.REVERSE: _reverse,
    Operation.REFUND: _refund,
    Operation.QUERY_REFUND: _query_refund,
    Operation.CERTIFICATES: _certificates,
}


def _broken(fault: Fault) -> Response:
    """What a broken machine between us says: never signed."""
    if fault.params["form"] == "html":
        return Response(HTML, fault.params["status"], media_type="text/html")
    content = to_json({"code": "SYSTEM_ERROR", "message": "系统错误"})
    return Response(content, fault.params["status"], media_type="application/json")


def _response(status: int, sealed: Sealed) -> Response:
    media_type = "application/json" if sealed.body else None
    return Response(sealed.body, status, sealed.headers, media_type=media_type)
