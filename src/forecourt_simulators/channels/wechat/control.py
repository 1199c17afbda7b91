"""The control API under /_control: what payers do, what goes wrong, and what happened. JSON in, JSON out.

It has no authentication and moves pretended money only; it is for this machine (see docs/reference).
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from forecourt_simulators.channels.wechat.answers import PAID, Declined, show_order, show_refund
from forecourt_simulators.channels.wechat.book import Notice, Order, RefundState, TradeState
from forecourt_simulators.channels.wechat.platform import Platform
from forecourt_simulators.channels.wechat.seal import Forgery

BODY_BYTES_MAX = 16 * 1024
LISTED_MAX = 1_000
BAD_CONTENT = ("wrong_merchant", "wrong_amount", "wrong_key_of_content")

Content = dict[str, Any]
Handler = Callable[[Platform, Content], Awaitable[Content]]


def routes(platform: Platform) -> list[Route]:
    table: list[tuple[str, str, Handler]] = [
        ("POST", "pay", _pay),
        ("POST", "close-app", _close_app),
        ("POST", "faults", _plan_fault),
        ("GET", "faults", _faults),
        ("DELETE", "faults", _clear_faults),
        ("POST", "forge", _forge),
        ("POST", "notices/send", _send_notice),
        ("GET", "notices", _notices),
        ("GET", "orders", _orders),
        ("GET", "refunds", _refunds),
        ("GET", "totals", _totals),
        ("POST", "certificates/rotate", _rotate),
        ("GET", "health", _health),
    ]
    return [
        Route(f"/_control/{path}", _endpoint(platform, handler), methods=[method])
        for method, path, handler in table
    ]


def _endpoint(platform: Platform, handler: Handler) -> Any:
    async def endpoint(request: Request) -> Response:
        try:
            content = dict(request.query_params) | _read(await request.body())
            return JSONResponse(await handler(platform, content))
        except Declined as no:
            return JSONResponse({"code": no.code, "message": no.message}, no.status)
        except (ValueError, RecursionError) as why:
            return JSONResponse({"code": "BAD_REQUEST", "message": str(why)}, 400)

    return endpoint


async def _pay(platform: Platform, content: Content) -> Content:
    """The payer scans the QR, or types the PIN. `out_trade_no` or `code_url`; `payer` is an openid."""
    order = _order(platform, content)
    notice = platform.desk.pay(order, str(content.get("payer", "")), is_late=bool(content.get("late", False)))
    platform.notifier.send(notice)
    return show_order(order)


async def _close_app(platform: Platform, content: Content) -> Content:
    order = _order(platform, content)
    platform.desk.give_up(order)
    return show_order(order)


async def _plan_fault(platform: Platform, content: Content) -> Content:
    return asdict(platform.faults.plan(content))


async def _faults(platform: Platform, _: Content) -> Content:
    return {"faults": [asdict(one) for one in platform.faults.planned]}


async def _clear_faults(platform: Platform, content: Content) -> Content:
    platform.faults.clear(content.get("out_trade_no"))
    return await _faults(platform, content)


async def _forge(platform: Platform, content: Content) -> Content:
    """Send a success that must not be believed; `status` is what the receiver answered.

    `how` is a Forgery of the signature, or a rightly signed lie: `wrong_merchant`, `wrong_amount`,
    `wrong_key_of_content` (encrypted for another merchant). The order itself is not changed.
    """
    order = _order(platform, content)
    how = str(content.get("how", Forgery.WRONG_KEY))
    if how not in (*Forgery, *BAD_CONTENT):
        raise ValueError(f"how: expected one of {', '.join((*Forgery, *BAD_CONTENT))}")
    state = order.state if order.state in PAID else TradeState.SUCCESS
    lie = replace(order, state=state, transaction_id=order.transaction_id or "4200" + "0" * 24)
    lie.paid_us = order.paid_us or order.created_us
    lie.payer = order.payer or "oForged"
    if how == "wrong_amount":
        lie.total_fen += 1
    resource = show_order(lie)
    if how == "wrong_merchant":
        resource["mchid"] = "1999999999"
    notice = Notice(
        id=f"forged-{how}-{len(platform.book.notices)}",
        mchid=order.mchid,
        number=order.out_trade_no,
        event_type="TRANSACTION.SUCCESS",
        url=str(content.get("url", order.notify_url)),
        resource=resource,
        created_us=order.created_us,
    )
    status = await platform.notifier.send_once(
        notice,
        Forgery(how) if how in tuple(Forgery) else None,
        api_v3_key="0" * 32 if how == "wrong_key_of_content" else None,
    )
    return {"status": status}


async def _send_notice(platform: Platform, content: Content) -> Content:
    """Deliver a notification now, held or not, acknowledged or not. `id`, or `out_trade_no` for its last."""
    found = [
        one
        for one in platform.book.notices.values()
        if content.get("id", one.id) == one.id and content.get("out_trade_no", one.number) == one.number
    ]
    if not found or not ({"id", "out_trade_no"} & content.keys()):
        raise Declined(404, "NOTICE_NOT_EXIST", "no such notification")
    status = await platform.notifier.send_now(found[-1])
    return {"id": found[-1].id, "status": status}


async def _notices(platform: Platform, content: Content) -> Content:
    number = content.get("out_trade_no")
    found = [one for one in platform.book.notices.values() if number in (None, one.number)]
    return {"notices": [asdict(one) for one in found[-LISTED_MAX:]]}


async def _orders(platform: Platform, content: Content) -> Content:
    number, state = content.get("out_trade_no"), content.get("state")
    found = [
        one
        for one in platform.book.orders.values()
        if number in (None, one.out_trade_no) and state in (None, one.state)
    ]
    shown = [
        show_order(one)
        | {"trade_type": one.trade_type, "total_fen": one.total_fen, "code_url": one.code_url}
        | {"refunded_fen": platform.book.refunded_fen(one)}
        for one in found[-LISTED_MAX:]
    ]
    return {"orders": shown}


async def _refunds(platform: Platform, content: Content) -> Content:
    number = content.get("out_trade_no")
    found = [one for one in platform.book.refunds.values() if number in (None, one.out_trade_no)]
    return {"refunds": [show_refund(one) for one in found[-LISTED_MAX:]]}


async def _totals(platform: Platform, _: Content) -> Content:
    """Per merchant: what payers paid and what went back; the channel's side of a reconciliation."""
    totals = {
        mchid: {"paid_fen": 0, "paid_orders": 0, "refunded_fen": 0, "reversed_fen": 0}
        for mchid in platform.seal.keys.merchants
    }
    for order in platform.book.orders.values():
        if order.paid_us:
            totals[order.mchid]["paid_fen"] += order.total_fen
            totals[order.mchid]["paid_orders"] += 1
            totals[order.mchid]["reversed_fen"] += order.reversed_fen
    for refund in platform.book.refunds.values():
        if refund.state is RefundState.SUCCESS:
            totals[refund.mchid]["refunded_fen"] += refund.refund_fen
    return {"merchants": totals}


async def _rotate(platform: Platform, content: Content) -> Content:
    """Sign with the other certificate from now on; `overlap` (default true) still shows the old one."""
    now = platform.seal.keys.rotate(overlap=bool(content.get("overlap", True)))
    return {"serial": now.serial, "shown": [one.serial for one in platform.seal.keys.certificates]}


async def _health(platform: Platform, _: Content) -> Content:
    return {"status": "ok", "orders": len(platform.book.orders)}


def _read(raw: bytes) -> Content:
    if len(raw) > BODY_BYTES_MAX:
        raise ValueError("the body is too large")
    given = json.loads(raw) if raw else {}
    if not isinstance(given, dict):
        raise ValueError("a JSON object is expected")  # noqa: TRY004  (The caller's mistake, told to them.)
    return given


def _order(platform: Platform, content: Content) -> Order:
    for order in platform.book.orders.values():
        if content.get("mchid", order.mchid) != order.mchid:
            continue
        if order.out_trade_no == content.get("out_trade_no") or (
            order.code_url and order.code_url == content.get("code_url")
        ):
            return order
    raise Declined(404, "ORDER_NOT_EXIST", "no order with this out_trade_no or code_url")
