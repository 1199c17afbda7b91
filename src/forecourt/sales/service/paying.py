"""Taking money for sales: booked tenders in sets, asked ones by intent, and what comes back."""

from collections.abc import Sequence

from forecourt.core import idempotency, outbox
from forecourt.core.actor import Actor, Device
from forecourt.core.db import WriteSession
from forecourt.core.errors import Forbidden, IdempotencyKeyReused, Refusal
from forecourt.core.idempotency import Ask
from forecourt.payments import queries as payment_queries
from forecourt.payments import service as payments
from forecourt.payments.errors import MemberNeeded
from forecourt.payments.types import (
    LIVE,
    Attempt,
    NewAsked,
    NewBooked,
    PaymentId,
    PaymentPurpose,
    PaymentState,
    Product,
    Refund,
    Tender,
    Waits,
)
from forecourt.sales import queries, rules
from forecourt.sales.errors import (
    AmountTooLarge,
    NothingPaid,
    SaleBeingPaid,
    SaleNotFound,
    SaleNotPayable,
    SaleNotVoidable,
)
from forecourt.sales.service.opening import mark_paid, paid_event
from forecourt.sales.types import Checkout, Receipt, Sale, SaleChanged, SaleMark, SaleState
from forecourt_kit.ids import to_public


async def pay_many(session: WriteSession, checkouts: Sequence[Checkout]) -> list[Receipt | Refusal]:
    """Pay sales by wallet or cash: each whole or refused, once per key, all in one transaction.

    Two checkouts of one sale in one call: the first in order wins, the second hears that nothing is owed.
    """
    asks = {each: Ask(each.operator_id, "checkout", each.key, each.input_hash) for each in checkouts}
    before = await idempotency.begin_many(session, list(dict.fromkeys(asks.values())))
    outcomes: dict[int, Receipt | Refusal] = {}
    fresh: list[int] = []
    seen: dict[tuple[int, str], int] = {}
    for at, each in enumerate(checkouts):
        known = before[asks[each]]
        if isinstance(known, Refusal):
            outcomes[at] = known
        elif known is not None:
            outcomes[at] = Receipt(**known)
        elif (twin := seen.get((each.operator_id, each.key))) is not None:
            outcomes[at] = _twin(each, checkouts[twin])
        else:
            seen[each.operator_id, each.key] = at
            fresh.append(at)
    sales = await queries.lock_sales_many(session, [checkouts[at].sale_id for at in fresh])
    planned: dict[int, NewBooked] = {}
    owed: dict[int, int] = {sale.id: sale.owed_fen for sale in sales.values()}
    for at in fresh:
        plan = _plan(session, checkouts[at], sales.get(checkouts[at].sale_id), owed)
        if isinstance(plan, Refusal):
            outcomes[at] = plan
        else:
            planned[at] = plan
            owed[plan.sale_id] -= plan.amount_fen
    booked = await payments.book_many(session, list(planned.values()))
    good: dict[int, NewBooked] = {}
    for (at, new), outcome in zip(planned.items(), booked, strict=True):
        if isinstance(outcome, Refusal):
            outcomes[at] = outcome
        else:
            good[at] = new
    receipts = await _mark_paid_many(session, sales, good)
    outcomes |= receipts
    await idempotency.finish_many(
        session, {asks[checkouts[at]]: _stored(receipt) for at, receipt in receipts.items()}
    )
    # A refusal is not an effect: its key is free again, so that the same request may succeed later.
    refused = [asks[checkouts[at]] for at in fresh if isinstance(outcomes[at], Refusal)]
    await idempotency.forget_many(session, refused)
    return [outcomes[at] for at in range(len(checkouts))]


def _twin(each: Checkout, first: Checkout) -> Refusal:
    """The same key twice in one call: the first is still under way."""
    same = each.input_hash == first.input_hash
    return SaleBeingPaid(key=each.key) if same else IdempotencyKeyReused(key=each.key)


def _stored(receipt: Receipt) -> dict[str, object]:
    return {
        "payment_id": receipt.payment_id,
        "sale_id": receipt.sale_id,
        "tender": receipt.tender,
        "amount_fen": receipt.amount_fen,
        "state": receipt.state,
    }


def _plan(
    session: WriteSession, asked: Checkout, sale: Sale | None, owed: dict[int, int]
) -> NewBooked | Refusal:
    """The payment a checkout asks for, or why not. Decided before anything is written."""
    if (
        sale is None
        or sale.operator_id != asked.operator_id
        or asked.station_id not in {None, sale.station_id}
    ):
        return SaleNotFound(sale_id=to_public(asked.sale_id))
    if (refusal := _unpayable(sale)) is not None:
        return refusal
    if owed[sale.id] == 0:
        return SaleNotPayable(sale_id=to_public(sale.id), state=SaleState.PAID.value)
    amount_fen = owed[sale.id] if asked.amount_fen is None else asked.amount_fen
    if amount_fen > owed[sale.id]:
        return AmountTooLarge(asked_fen=amount_fen, owed_fen=owed[sale.id])
    if asked.tender == Tender.WALLET and asked.member_id is None:
        return MemberNeeded()
    return NewBooked(
        payment_id=PaymentId(session.new_id()),
        operator_id=sale.operator_id,
        station_id=sale.station_id,
        sale_id=sale.id,
        tender=Tender(asked.tender),
        amount_fen=amount_fen,
        member_id=asked.member_id if asked.tender == Tender.WALLET else None,
        created_by=asked.subject,
    )


def _unpayable(sale: Sale) -> Refusal | None:
    if sale.state not in rules.PAYABLE or sale.owed_fen == 0:
        waiting = SaleMark.NO_PRICE in sale.marks and sale.state is SaleState.OPEN
        reason = "no price" if waiting else sale.state.value
        return SaleNotPayable(sale_id=to_public(sale.id), state=reason)
    return None


async def _mark_paid_many(
    session: WriteSession, sales: dict[int, Sale], good: dict[int, NewBooked]
) -> dict[int, Receipt]:
    """Bring the sales up to date with what was booked, in one statement, and tell who is paid in full."""
    paid: dict[int, tuple[int, tuple[str, ...]]] = {}
    for new in good.values():
        fen, tenders = paid.get(new.sale_id, (sales[new.sale_id].paid_fen, sales[new.sale_id].tenders))
        paid[new.sale_id] = (fen + new.amount_fen, (*dict.fromkeys((*tenders, new.tender.value)),))
    rows, events = [], []
    for sale_id, (paid_fen, tenders) in sorted(paid.items()):
        sale = sales[sale_id]
        full = paid_fen == sale.due_fen
        rows.append(
            {
                "id": sale_id,
                "paid_fen": paid_fen,
                "tenders": " ".join(tenders),
                "state": SaleState.PAID if full else sale.state,
                "paid_at": session.now() if full else None,
            }
        )
        if full:
            events.append(paid_event(sale, paid_fen, tenders))
    await queries.set_sales_many(session, rows)
    await outbox.add(session, *events)
    return {
        at: Receipt(
            payment_id=new.payment_id,
            sale_id=new.sale_id,
            tender=new.tender.value,
            amount_fen=new.amount_fen,
            state=PaymentState.PAID.value,
        )
        for at, new in good.items()
    }


async def open_asked(
    session: WriteSession,
    actor: Actor,
    *,
    sale_id: int,
    tender: Tender,
    product: Product,
    merchant: str,
    amount_fen: int | None,
    ask: Ask,
    waits: Waits,
) -> tuple[Attempt, bool]:
    """Commit the intent to ask a channel for a sale. True: this is new, and `payments.flows.start` must ask.

    Several may be under way for one sale (two payers, one QR each): the first success settles it, a second
    goes back by itself.

    Raises:
        SaleNotFound, SaleNotPayable, AmountTooLarge, IdempotencyKeyReused.
    """
    stored = await idempotency.begin(session, ask)
    if stored is not None:
        found = await payment_queries.attempts_of_many(session, [stored["payment_id"]])
        return found[stored["payment_id"]][-1], False
    sale = await queries.lock_sale(session, actor.scope, sale_id)
    if (refusal := _unpayable(sale)) is not None:
        raise refusal
    asked_fen = sale.owed_fen if amount_fen is None else amount_fen
    if asked_fen > sale.owed_fen:
        raise AmountTooLarge(asked_fen=asked_fen, owed_fen=sale.owed_fen)
    new = NewAsked(
        payment_id=PaymentId(session.new_id()),
        operator_id=sale.operator_id,
        station_id=sale.station_id,
        purpose=PaymentPurpose.SALE,
        tender=tender,
        product=product,
        merchant=merchant,
        amount_fen=asked_fen,
        created_by=actor.subject,
        sale_id=sale.id,
    )
    attempt = await payments.open_asked(session, new, waits)
    await _move(session, sale, SaleState.PAYING)
    await idempotency.finish(session, ask, {"payment_id": new.payment_id})
    return attempt, True


async def _move(session: WriteSession, sale: Sale, state: SaleState) -> None:
    if sale.state is state:
        return
    await queries.set_sales_many(session, [{"id": sale.id, "state": state}])
    event = SaleChanged(
        operator_id=sale.operator_id,
        sale_id=sale.id,
        station_id=sale.station_id,
        nozzle_id=sale.nozzle_id,
        state=state.value,
    )
    await outbox.add(session, event)


async def settle_received(session: WriteSession, actor: Actor, payment_id: int) -> None:
    """A channel's money is in: settle what it was meant for; what nobody owes goes to suspense and back."""
    payment = await payment_queries.get_payment(session, actor.scope, payment_id)
    links = await payment_queries.sales_of_payment(session, payment.id, payment.operator_id)
    sales = await queries.lock_sales_many(session, [sale_id for sale_id, _, _ in links])
    payment = await payment_queries.lock_payment(session, actor.scope, payment_id)
    free_fen = payment.free_fen
    for sale_id, _, settled in sorted(links):
        sale = sales[sale_id]
        amount_fen = min(sale.owed_fen, free_fen) if sale.state in rules.PAYABLE else 0
        if settled or amount_fen == 0:
            continue
        if await payments.allocate(session, actor, payment.id, sale.id, amount_fen):
            free_fen -= amount_fen
            await mark_paid(session, sale, amount_fen, (payment.tender.value,))
            if amount_fen < sale.owed_fen:
                await _reopen(session, sale, payment.id)
    if links:
        await payments.suspend_and_refund(session, actor, payment.id, "paid twice")


async def unpaid(session: WriteSession, actor: Actor, payment_id: int) -> None:
    """A payment ended without money: its sales are open again, unless another one is under way."""
    payment = await payment_queries.get_payment(session, actor.scope, payment_id)
    links = await payment_queries.sales_of_payment(session, payment.id, payment.operator_id)
    sales = await queries.lock_sales_many(session, [sale_id for sale_id, _, _ in links])
    for sale in sales.values():
        await _reopen(session, sale, payment.id)


async def end_others(session: WriteSession, actor: Actor, sale_id: int) -> None:
    """A sale is paid: what is still being asked for it is ended, before somebody pays it again."""
    found = (await payment_queries.payments_of_sales_many(session, [sale_id])).get(sale_id, [])
    for payment, _, _ in found:
        if payment.state in LIVE:
            await payments.give_up(session, actor, payment.id)


async def mark_refund_abnormal(session: WriteSession, payment_id: int, operator_id: int) -> None:
    """A channel could not give money back: a person finds the sale in the queue and must act."""
    links = await payment_queries.sales_of_payment(session, payment_id, operator_id)
    sales = await queries.lock_sales_many(session, [sale_id for sale_id, _, _ in links])
    rows = [
        {"id": sale.id, "marks": [*sale.marks, SaleMark.REFUND_ABNORMAL.value], "marked": 1}
        for sale in sales.values()
        if SaleMark.REFUND_ABNORMAL not in sale.marks
    ]
    await queries.set_sales_many(session, rows)


async def _reopen(session: WriteSession, sale: Sale, but_payment: int) -> None:
    if sale.state is not SaleState.PAYING:
        return
    others = (await payment_queries.payments_of_sales_many(session, [sale.id])).get(sale.id, [])
    if not any(each.state in LIVE and each.id != but_payment for each, _, _ in others):
        await _move(session, sale, SaleState.OPEN)


async def void(session: WriteSession, actor: Actor, sale_id: int, reason: str) -> Sale:
    """Cancel a sale of which nothing is paid; a person answers for it.

    Raises:
        SaleNotFound, SaleNotVoidable, SaleBeingPaid.
    """
    if isinstance(actor.scope, Device):
        raise Forbidden(need="a person")
    sale = await queries.lock_sale(session, actor.scope, sale_id)
    if sale.state is SaleState.PAYING:
        raise SaleBeingPaid(sale_id=to_public(sale.id))
    if (sale.state, rules.SaleEvent.VOID) not in rules.SALE_TRANSITIONS or sale.paid_fen:
        raise SaleNotVoidable(sale_id=to_public(sale.id), state=sale.state.value)
    marks = [*sale.marks, f"voided: {reason}"]
    await queries.set_sales_many(session, [{"id": sale.id, "marks": marks, "marked": 1}])
    await _move(session, sale, SaleState.VOIDED)
    return await queries.get_sale(session, actor.scope, sale_id)


async def refund(
    session: WriteSession, actor: Actor, *, sale_id: int, amount_fen: int, reason: str, ask: Ask
) -> list[Refund]:
    """Give back part or all of a sale, newest payment first. Booked tenders at once, channels by their word.

    Raises:
        SaleNotFound, NothingPaid, RefundTooLarge, IdempotencyKeyReused.
    """
    stored = await idempotency.begin(session, ask)
    if stored is not None:
        return [await payment_queries.get_refund(session, actor.scope, each) for each in stored["refunds"]]
    sale = await queries.lock_sale(session, actor.scope, sale_id)
    left_fen = sale.paid_fen - sale.refunded_fen
    if left_fen == 0:
        raise NothingPaid(sale_id=to_public(sale.id))
    if amount_fen > left_fen:
        raise AmountTooLarge(asked_fen=amount_fen, owed_fen=left_fen)
    number = to_public(session.new_id())
    refunds: list[Refund] = []
    paid = (await payment_queries.payments_of_sales_many(session, [sale.id])).get(sale.id, [])
    given = await payment_queries.refunds_of_many(session, [payment.id for payment, _, _ in paid])
    to_give_fen = amount_fen
    for payment, settled_fen, settled in reversed(paid):
        back = sum(each.amount_fen for each in given.get(payment.id, []) if each.sale_id == sale.id)
        part_fen = min(to_give_fen, settled_fen - back) if settled else 0
        if part_fen > 0:
            refunds.append(
                await payments.refund_sale(session, actor, payment.id, sale.id, part_fen, reason, number)
            )
            to_give_fen -= part_fen
    assert to_give_fen == 0, "a sale's payments and its paid amount differ"
    all_back = amount_fen == left_fen
    state = SaleState.REFUNDED if all_back and sale.state is SaleState.PAID else sale.state
    row = {"id": sale.id, "refunded_fen": sale.refunded_fen + amount_fen, "state": state}
    await queries.set_sales_many(session, [row])
    event = SaleChanged(
        operator_id=sale.operator_id,
        sale_id=sale.id,
        station_id=sale.station_id,
        nozzle_id=sale.nozzle_id,
        state=state.value,
    )
    await outbox.add(session, event)
    await idempotency.finish(session, ask, {"refunds": [each.id for each in refunds]})
    return refunds
