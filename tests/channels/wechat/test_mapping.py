"""The one table of states and codes: each row once, and nothing outside it is believed."""

import contextlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.channels.wechat.conftest import WeChatRig

from forecourt.channels.wechat import mapping
from forecourt.channels.wechat.mapping import (
    ERRORS,
    TRADE_STATES,
    Operation,
    Unreadable,
    read_refund,
    read_trade,
)
from forecourt.payments.types import Order, Outcome, RefundOrder, RefundOutcome

MCHID, APPID, NUMBER = "1900000101", "wx1", "sale-000001"
PAID: dict[str, Any] = {
    "mchid": MCHID,
    "appid": APPID,
    "out_trade_no": NUMBER,
    "transaction_id": "4200",
    "trade_state": "SUCCESS",
    "success_time": "2026-11-22T10:00:00+08:00",
    "amount": {"total": 100, "currency": "CNY"},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        ("SUCCESS", Outcome.PAID),
        ("REFUND", Outcome.PAID),
        ("NOTPAY", Outcome.PENDING),
        ("USERPAYING", Outcome.PENDING),
        ("ACCEPT", Outcome.PENDING),
        ("PAYERROR", Outcome.PENDING),
        ("CLOSED", Outcome.CLOSED),
        ("REVOKED", Outcome.CLOSED),
    ],
)
def test_each_trade_state_has_its_outcome(state: str, outcome: Outcome) -> None:
    answer = read_trade(PAID | {"trade_state": state}, NUMBER, MCHID, APPID)
    assert (answer.outcome, answer.code) == (outcome, state)
    assert len(TRADE_STATES) == 8


def test_a_state_that_waits_may_come_alone() -> None:
    assert read_trade({"trade_state": "USERPAYING"}, NUMBER, MCHID, APPID).out_trade_no == NUMBER


def test_a_paid_state_never_comes_alone() -> None:
    with pytest.raises(Unreadable):
        read_trade({"trade_state": "SUCCESS"}, NUMBER, MCHID, APPID)


@pytest.mark.parametrize("name", ["mchid", "out_trade_no", "transaction_id", "success_time", "amount"])
def test_a_payment_lacks_nothing(name: str) -> None:
    with pytest.raises(Unreadable):
        read_trade({key: value for key, value in PAID.items() if key != name}, NUMBER, MCHID, APPID)


@given(body=st.dictionaries(st.sampled_from([*PAID, "status", "refund_id", "out_refund_no", "payer"]), JSON))
def test_whatever_is_sent_is_read_or_unreadable(body: dict[str, Any]) -> None:
    for read in (
        lambda: read_trade(body, NUMBER, MCHID, APPID),
        lambda: read_trade(body, None, MCHID, APPID),
        lambda: read_refund(body, "refund-1"),
    ):
        with contextlib.suppress(Unreadable):
            read()


def order(rig: WeChatRig, payer_code: str | None = None) -> Order:
    return Order(
        out_trade_no=NUMBER,
        amount_fen=100,
        description="x" * 300,
        expires_at=rig.now() + timedelta(minutes=5),
        notify_url="https://centre.test/notices",
        payer_code=payer_code,
    )


@pytest.mark.parametrize(("operation", "code"), [(one, code) for one in Operation for code in ERRORS[one]])
async def test_each_code_of_each_operation_answers_as_the_table_says(
    make_rig: Callable[..., WeChatRig], operation: Operation, code: str
) -> None:
    rig = make_rig()
    verbs = {
        Operation.CREATE: lambda: rig.channel.create(order(rig)),
        Operation.CODE: lambda: rig.channel.charge_code(order(rig, "130000000000000000")),
        Operation.QUERY: lambda: rig.channel.query(NUMBER),
        Operation.CLOSE: lambda: rig.channel.close(NUMBER),
        Operation.REVERSE: lambda: rig.channel.reverse(NUMBER),
    }
    await rig.do("faults", kind="decline", operation=operation.value, status=403, code=code)
    answer = await verbs[operation]()

    expected = ERRORS[operation][code]
    if expected is mapping.ASK:  # The channel is asked, and knows no such order.
        expected = Outcome.CLOSED if operation is Operation.CLOSE else Outcome.FAILED
    assert answer.outcome is expected
    assert answer.out_trade_no == NUMBER


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
@pytest.mark.parametrize(
    "code", ["SYSTEM_ERROR", "BANKERROR", "SIGN_ERROR", "FREQUENCY_LIMITED", "BRAND_NEW"]
)
async def test_a_code_in_no_table_is_unknown(
    make_rig: Callable[..., WeChatRig], status: int, code: str
) -> None:
    rig = make_rig()
    await rig.do("faults", kind="decline", status=status, code=code, times=None)
    refund = RefundOrder(
        out_refund_no="r1",
        out_trade_no=NUMBER,
        amount_fen=1,
        paid_fen=1,
        reason="",
        notify_url="https://x.test",
    )

    for answer in (
        await rig.channel.create(order(rig)),
        await rig.channel.charge_code(order(rig, "130000000000000000")),
        await rig.channel.query(NUMBER),
        await rig.channel.close(NUMBER),
        await rig.channel.reverse(NUMBER),
    ):
        assert (answer.outcome, answer.code) == (Outcome.UNKNOWN, code)
    for back in (await rig.channel.refund(refund), await rig.channel.query_refund("r1")):
        assert (back.outcome, back.code) == (RefundOutcome.UNKNOWN, code)


async def test_a_server_error_is_unknown_whatever_its_code_says(make_rig: Callable[..., WeChatRig]) -> None:
    rig = make_rig()
    await rig.do("faults", kind="decline", status=500, code="PARAM_ERROR")

    assert (await rig.channel.create(order(rig))).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("then", ["SUCCESS", "ABNORMAL", "CLOSED"])
async def test_each_end_of_a_refund_has_its_outcome(make_rig: Callable[..., WeChatRig], then: str) -> None:
    rig = make_rig()
    await rig.channel.create(order(rig))
    await rig.payer_pays(NUMBER)
    await rig.do("faults", kind="refund", polls=1, then=then)
    refund = RefundOrder(
        out_refund_no="r1",
        out_trade_no=NUMBER,
        amount_fen=100,
        paid_fen=100,
        reason="退",
        notify_url="https://x.test",
    )

    assert (await rig.channel.refund(refund)).outcome is RefundOutcome.PENDING
    assert (await rig.channel.query_refund("r1")).outcome is RefundOutcome.PENDING
    expected = {
        "SUCCESS": RefundOutcome.SUCCEEDED,
        "ABNORMAL": RefundOutcome.ABNORMAL,
        "CLOSED": RefundOutcome.REFUSED,
    }[then]
    assert (await rig.channel.query_refund("r1")).outcome is expected
    _, delivery = await rig.deliveries(2)
    notice = rig.channel.read_notice(delivery.headers, delivery.body)
    assert notice.refund is not None
    assert notice.refund.outcome is expected


async def test_a_short_merchant_balance_is_asked_again_under_the_same_number(
    make_rig: Callable[..., WeChatRig],
) -> None:
    rig = make_rig()
    await rig.channel.create(order(rig))
    await rig.payer_pays(NUMBER)
    refund = RefundOrder(
        out_refund_no="r1",
        out_trade_no=NUMBER,
        amount_fen=100,
        paid_fen=100,
        reason="退",
        notify_url="https://x.test",
    )
    await rig.do("faults", kind="decline", operation="refund", status=403, code="NOT_ENOUGH")

    assert (await rig.channel.refund(refund)).outcome is RefundOutcome.UNKNOWN
    assert (await rig.channel.refund(refund)).outcome is RefundOutcome.PENDING


async def test_a_202_that_only_says_userpaying_waits(make_rig: Callable[..., WeChatRig]) -> None:
    rig = make_rig()
    await rig.do("faults", kind="decline", operation="code", status=202, code="USERPAYING")

    answer = await rig.channel.charge_code(order(rig, "130000000000000000"))
    assert answer.outcome is Outcome.PENDING


async def test_a_reverse_that_left_the_order_standing_is_called_again(
    make_rig: Callable[..., WeChatRig],
) -> None:
    rig = make_rig()
    await rig.do("faults", kind="decline", operation="reverse", status=200, code="")
    await rig.channel.charge_code(order(rig, "130000000000000000"))

    answer = await rig.channel.reverse(NUMBER)
    assert (answer.outcome, answer.code) == (Outcome.PENDING, "REVERSE_UNCONFIRMED")
    assert (await rig.channel.reverse(NUMBER)).outcome is Outcome.CLOSED


@pytest.mark.parametrize("number", ["", "short", "x" * 33, "汽油-000001", "a/b-c-d", "sale 00001"])
async def test_a_number_that_the_wire_cannot_carry_is_a_bug(
    make_rig: Callable[..., WeChatRig], number: str
) -> None:
    with pytest.raises(AssertionError):
        await make_rig().channel.query(number)
