"""Asking channels. Three beats: the intent is committed, the channel is asked, its answer is committed.

A crash between any two beats is cured by running the step again: the order number never changes.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from forecourt.core.actor import Actor, system
from forecourt.core.db import Database
from forecourt.core.errors import Unavailable
from forecourt.payments import queries, rules, service
from forecourt.payments.errors import ChannelNotConfigured
from forecourt.payments.types import (
    PAID_STATES,
    Answer,
    Attempt,
    AttemptId,
    Channel,
    ChannelDirectory,
    ForgedNotice,
    NoticeReply,
    Order,
    Outcome,
    Payment,
    PaymentId,
    Product,
    Refund,
    RefundAnswer,
    RefundOrder,
    RefundOutcome,
    Tender,
    Waits,
)

DUE_MAX = 50  # Orders and refunds one worker takes at a time.
ASKED_AT_ONCE_MAX = 10

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Desk:
    """What asking needs: the store, the channels, the waits."""

    database: Database
    channels: ChannelDirectory
    waits: Waits

    def channel(self, operator_id: int, provider: Tender) -> Channel:
        """Raises `ChannelNotConfigured`."""
        channel = self.channels.find(operator_id, provider)
        if channel is None:
            raise ChannelNotConfigured(provider=provider.value)
        return channel


async def start(desk: Desk, actor: Actor, attempt: Attempt, payer_code: str | None = None) -> Payment:
    """Ask for a payment whose intent is committed. The payer's code is used once and stored nowhere."""
    channel = desk.channel(attempt.operator_id, attempt.provider)
    order = _order(desk, attempt, payer_code)
    answer = await (channel.charge_code(order) if attempt.product is Product.CODE else channel.create(order))
    return await _take(desk, actor, attempt, answer)


def _order(desk: Desk, attempt: Attempt, payer_code: str | None = None) -> Order:
    return Order(
        out_trade_no=attempt.out_trade_no,
        amount_fen=attempt.amount_fen,
        description="forecourt",
        expires_at=attempt.expires_at,
        notify_url=desk.channels.notify_url(attempt.provider, attempt.merchant),
        payer_code=payer_code,
    )


async def _take(desk: Desk, actor: Actor, attempt: Attempt, answer: Answer) -> Payment:
    return await desk.database.transact(
        service.apply_answer, actor, AttemptId(attempt.id), answer, desk.waits
    )


async def ask(desk: Desk, attempt: Attempt) -> None:
    """The next question about one order, and what the answer means."""
    actor = system("payments.poll")
    channel = desk.channel(attempt.operator_id, attempt.provider)
    match rules.next_step(attempt, desk.database.clock.now(), desk.waits):
        case rules.Step.CREATE:
            answer = await channel.create(_order(desk, attempt))
        case rules.Step.QUERY:
            answer = await channel.query(attempt.out_trade_no)
        case rules.Step.CLOSE:
            answer = await channel.close(attempt.out_trade_no)
        case rules.Step.REVERSE:
            answer = await _reverse(desk, actor, channel, attempt)
        case rules.Step.NOTHING:
            return
    await _take(desk, actor, attempt, answer)


async def _reverse(desk: Desk, actor: Actor, channel: Channel, attempt: Attempt) -> Answer:
    """Look once more, then reverse: perhaps nobody asked for long, and who has paid has driven off."""
    if not attempt.reversing:
        answer = await channel.query(attempt.out_trade_no)
        if answer.outcome in {Outcome.PAID, Outcome.CLOSED}:
            return answer
        if not await desk.database.transact(service.begin_reverse, actor, attempt.id):
            return answer
    return await channel.reverse(attempt.out_trade_no)


async def ask_due(desk: Desk, owner: str) -> int:
    """Ask about every order whose time has come; leased, so that two workers never ask about one."""
    due = await desk.database.transact(service.lease_attempts, owner, desk.waits, DUE_MAX)
    await _at_once([ask(desk, attempt) for attempt in due])
    return len(due)


async def send_refund(desk: Desk, refund: Refund) -> None:
    """Ask a channel for one refund: under its fixed number first, then by query until the answer is final."""
    actor = system("payments.refund")
    async with desk.database.read() as session:
        payment = await queries.get_payment(session, actor.scope, refund.payment_id)
        attempts = (await queries.attempts_of_many(session, [payment.id]))[payment.id]
    paid = next(each for each in attempts if each.state in PAID_STATES)
    channel = desk.channel(refund.operator_id, paid.provider)
    answer: RefundAnswer | None = None
    if refund.asked:
        answer = await channel.query_refund(refund.out_refund_no)
    if answer is None or answer.outcome is RefundOutcome.NOT_FOUND:
        order = RefundOrder(
            out_refund_no=refund.out_refund_no,
            out_trade_no=paid.out_trade_no,
            amount_fen=refund.amount_fen,
            paid_fen=paid.amount_fen,
            reason=refund.reason,
            notify_url=desk.channels.notify_url(paid.provider, paid.merchant),
        )
        answer = await channel.refund(order)
    await desk.database.transact(service.apply_refund_answer, actor, refund.id, answer, desk.waits)


async def refund_due(desk: Desk, owner: str) -> int:
    due = await desk.database.transact(service.lease_refunds, owner, desk.waits, DUE_MAX)
    await _at_once([send_refund(desk, refund) for refund in due])
    return len(due)


async def _at_once(questions: list[object]) -> None:
    """Ask several at a time; one that fails is logged and asked again when its lease is over."""
    gate = asyncio.Semaphore(ASKED_AT_ONCE_MAX)

    async def one(question: object) -> None:
        async with gate:
            await question  # type: ignore[misc]

    for outcome in await asyncio.gather(*(one(each) for each in questions), return_exceptions=True):
        if isinstance(outcome, Unavailable):
            log.warning("a question to a channel could not be settled", exc_info=outcome)
        elif isinstance(outcome, BaseException):
            log.error("a question to a channel failed", exc_info=outcome)


async def end(desk: Desk, actor: Actor, payment_id: PaymentId) -> Payment:
    """End an unpaid payment at its channel. What comes back may be PAID: the payer was faster.

    Raises:
        PaymentNotFound, PaymentEndedAlready.
    """
    await desk.database.transact(service.end_asked, actor, payment_id)
    async with desk.database.read() as session:
        attempts = (await queries.attempts_of_many(session, [payment_id])).get(payment_id, [])
    for attempt in attempts:
        await ask(desk, attempt)
    async with desk.database.read() as session:
        return await queries.get_payment(session, actor.scope, payment_id)


async def take_notice(
    desk: Desk, provider: Tender, merchant: str, headers: Mapping[str, str], body: bytes
) -> NoticeReply | None:
    """A channel tells us something. Accepted only once its effect is durable; None: no such merchant here."""
    found = desk.channels.by_merchant(provider, merchant)
    if found is None:
        return None
    operator_id, channel = found
    try:
        notice = channel.read_notice(headers, body)
    except ForgedNotice as forged:
        log.warning("refused a notification", extra={"provider": provider.value, "reason": forged.reason})
        return channel.refuse_notice(forged.reason)
    actor = system(f"notice.{provider.value}")
    await desk.database.transact(service.apply_notice, actor, provider, operator_id, notice, desk.waits)
    return channel.accept_notice()
