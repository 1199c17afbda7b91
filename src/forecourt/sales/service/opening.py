"""A delivery ended: price it, open its sale, and settle it at once when somebody had authorised it."""

from collections.abc import Mapping, Sequence
from typing import Any

from forecourt.core import outbox
from forecourt.core.actor import Actor
from forecourt.core.db import WriteSession
from forecourt.core.errors import Refusal
from forecourt.deliveries import queries as deliveries
from forecourt.deliveries.types import Delivery, DeliveryState
from forecourt.ledger import service as ledger
from forecourt.payments import queries as payment_queries
from forecourt.payments import service as payments
from forecourt.payments.types import NewBooked, PaymentId, Tender
from forecourt.pricing import service as pricing
from forecourt.pricing.types import Quote
from forecourt.sales import queries, rules
from forecourt.sales.types import (
    Authorisation,
    AuthorisationEnded,
    AuthorisationState,
    Sale,
    SaleId,
    SaleMark,
    SaleOpened,
    SalePaid,
    SaleState,
)
from forecourt.sites import queries as sites
from forecourt_kit.price import AmountSource


async def open_many(session: WriteSession, actor: Actor, delivery_ids: Sequence[int]) -> list[SaleId]:
    """Open the sales of these deliveries; one that has its sale already is passed over.

    A delivery that nobody buys (own use, test, transfer) or through which nothing flowed opens none; what was
    authorised for it goes back.
    """
    done = await queries.sold_deliveries_many(session, delivery_ids)
    found = await deliveries.deliveries_many(session, [each for each in delivery_ids if each not in done])
    ready = [
        each for each in found.values() if each.state in {DeliveryState.RECORDED, DeliveryState.RELEASED}
    ]
    authorised = await _authorisations(session, ready)
    sold = [each for each in ready if each.is_sold]
    rows = await _priced_rows(session, sold, authorised)
    new = await queries.insert_new_many(session, rows)
    opened = [row for row in rows if row["delivery_id"] in new]
    await outbox.add(session, *(_opened(row) for row in opened))
    sales = await queries.lock_sales_many(session, [row["id"] for row in opened])
    for sale in sales.values():
        authorisation = authorised.get(sale.delivery_id)
        if authorisation is not None:
            await _settle(session, actor, sale, authorisation)
        elif sale.due_fen == 0 and SaleMark.NO_PRICE not in sale.marks:
            await mark_paid(session, sale, 0, ())
    for each in ready:
        authorisation = authorised.get(each.id)
        if authorisation is not None and not each.is_sold:
            await _give_back(session, actor, authorisation)
    return [SaleId(row["id"]) for row in opened]


async def _authorisations(session: WriteSession, ended: Sequence[Delivery]) -> dict[int, Authorisation]:
    """The authorisation each delivery used: the one it names, or the one that stood at its nozzle."""
    named = await queries.authorisations_many(
        session, [each.authorisation_id for each in ended if each.authorisation_id is not None]
    )
    standing = await queries.live_authorisations_many(
        session, [each.nozzle_id for each in ended if each.nozzle_id is not None]
    )
    used: dict[int, Authorisation] = {}
    for each in ended:
        found = named.get(each.authorisation_id or 0)
        if found is None and each.nozzle_id is not None:
            found = standing.get(each.nozzle_id)
            if found is not None and found.created_at > each.ended_at:
                found = None  # Granted after this fill: it waits for the next one.
        mine = found is not None and found.operator_id == each.operator_id
        if mine and found is not None and found.state is AuthorisationState.GRANTED:
            used[each.id] = found
            standing.pop(found.nozzle_id, None)
    return used


async def _priced_rows(
    session: WriteSession, sold: Sequence[Delivery], authorised: Mapping[int, Authorisation]
) -> list[dict[str, Any]]:
    quotes = {
        each.id: Quote(
            each.operator_id, each.station_id, each.nozzle_id, each.product_id, _priced_at(each, authorised)
        )
        for each in sold
        if each.nozzle_id is not None and each.product_id is not None
    }
    prices = await pricing.quote_many(session, list(quotes.values()))
    nozzles = await sites.nozzles_many(
        session, [each.nozzle_id for each in sold if each.nozzle_id is not None]
    )
    rows = []
    for each in sold:
        assert each.nozzle_id is not None
        assert each.product_id is not None
        nozzle = nozzles[each.nozzle_id]
        priced = rules.priced(each, prices[quotes[each.id]], nozzle.display_step_e4)
        rows.append(_row(session, each, priced, authorised.get(each.id)))
    return rows


def _priced_at(delivery: Delivery, authorised: Mapping[int, Authorisation]) -> Any:
    """The price is fixed when the driver is told it: at the authorisation, else at the nozzle's lift."""
    authorisation = authorised.get(delivery.id)
    return delivery.started_at if authorisation is None else authorisation.created_at


def _row(
    session: WriteSession,
    delivery: Delivery,
    priced: rules.PricedDelivery,
    authorisation: Authorisation | None,
) -> dict[str, Any]:
    marks = list(priced.marks)
    if authorisation is not None and priced.gross_fen > authorisation.limit_fen:
        marks.append(SaleMark.OVER_LIMIT.value)
    return {
        "id": session.new_id(),
        "operator_id": delivery.operator_id,
        "station_id": delivery.station_id,
        "nozzle_id": delivery.nozzle_id,
        "nozzle_number": delivery.nozzle_number,
        "delivery_id": delivery.id,
        "product_id": delivery.product_id,
        "business_date": delivery.business_date.isoformat(),
        "unit": delivery.unit,
        "quantity_e4": delivery.quantity_e4,
        "price_id": priced.price_id,
        "unit_price_e4": priced.unit_price_e4,
        "gross_fen": priced.gross_fen,
        "discount_fen": 0,
        "due_fen": priced.gross_fen,
        "paid_fen": 0,
        "refunded_fen": 0,
        "amount_source": AmountSource(priced.source),
        "state": SaleState.OPEN,
        "marks": marks,
        "marked": int(bool(marks)),
        "tenders": "",
        "authorisation_id": authorisation.id if authorisation else None,
        "opened_at": session.now(),
        "paid_at": None,
    }


def _opened(row: Mapping[str, Any]) -> SaleOpened:
    return SaleOpened(
        operator_id=row["operator_id"],
        sale_id=row["id"],
        station_id=row["station_id"],
        nozzle_id=row["nozzle_id"],
        due_fen=row["due_fen"],
    )


async def _settle(session: WriteSession, actor: Actor, sale: Sale, authorisation: Authorisation) -> None:
    """Charge what was authorised; what flowed beyond it stays to pay."""
    if not await queries.move_authorisation(
        session, authorisation, authorisation.operator_id, AuthorisationState.CONSUMED
    ):
        return
    if authorisation.member_id is not None:
        await _settle_from_hold(session, sale, authorisation, actor.subject)
    else:
        await _settle_from_prepayment(session, actor, sale, authorisation)
    await _tell_end(session, authorisation, AuthorisationState.CONSUMED)


async def _settle_from_hold(
    session: WriteSession, sale: Sale, authorisation: Authorisation, subject: str
) -> None:
    amount_fen = min(sale.due_fen, authorisation.limit_fen)
    if amount_fen == 0:
        await ledger.void_hold(session, authorisation.operator_id, authorisation.hold_reference)
        return
    new = NewBooked(
        payment_id=PaymentId(session.new_id()),
        operator_id=sale.operator_id,
        station_id=sale.station_id,
        sale_id=sale.id,
        tender=Tender.WALLET,
        amount_fen=amount_fen,
        member_id=authorisation.member_id,
        created_by=subject,
        hold_reference=authorisation.hold_reference,
    )
    (outcome,) = await payments.book_many(session, [new])
    if isinstance(outcome, Refusal):
        return  # The hold had ended; the sale stays to pay at the nozzle.
    await mark_paid(session, sale, amount_fen, (Tender.WALLET.value,))


async def _settle_from_prepayment(
    session: WriteSession, actor: Actor, sale: Sale, authorisation: Authorisation
) -> None:
    assert authorisation.payment_id is not None
    payment = await payment_queries.get_payment(session, actor.scope, authorisation.payment_id)
    amount_fen = min(sale.due_fen, payment.free_fen)
    if amount_fen > 0:
        await payments.allocate(session, actor, payment.id, sale.id, amount_fen)
        await mark_paid(session, sale, amount_fen, (payment.tender.value,))
    await payments.refund_rest(session, actor, payment.id, "the rest of a pre-payment")


async def _give_back(session: WriteSession, actor: Actor, authorisation: Authorisation) -> None:
    """Nothing was drawn: all of it goes back."""
    if not await queries.move_authorisation(
        session, authorisation, authorisation.operator_id, AuthorisationState.CONSUMED
    ):
        return
    if authorisation.member_id is not None:
        await ledger.void_hold(session, authorisation.operator_id, authorisation.hold_reference)
    else:
        assert authorisation.payment_id is not None
        await payments.refund_rest(session, actor, authorisation.payment_id, "nothing was drawn")
    await _tell_end(session, authorisation, AuthorisationState.CONSUMED)


async def _tell_end(session: WriteSession, authorisation: Authorisation, state: AuthorisationState) -> None:
    event = AuthorisationEnded(
        operator_id=authorisation.operator_id,
        authorisation_id=authorisation.id,
        station_id=authorisation.station_id,
        nozzle_id=authorisation.nozzle_id,
        state=state.value,
    )
    await outbox.add(session, event)


async def mark_paid(session: WriteSession, sale: Sale, amount_fen: int, tenders: Sequence[str]) -> None:
    """Add a payment to a sale that the caller has locked; paid in full, everybody is told."""
    paid_fen = sale.paid_fen + amount_fen
    full = paid_fen == sale.due_fen
    all_tenders = [*dict.fromkeys((*sale.tenders, *tenders))]
    row = {
        "id": sale.id,
        "paid_fen": paid_fen,
        "tenders": " ".join(all_tenders),
        "state": SaleState.PAID if full else sale.state,
        "paid_at": session.now() if full else None,
    }
    await queries.set_sales_many(session, [row])
    if full:
        await outbox.add(session, paid_event(sale, paid_fen, all_tenders))


def paid_event(sale: Sale, paid_fen: int, tenders: Sequence[str]) -> SalePaid:
    return SalePaid(
        operator_id=sale.operator_id,
        sale_id=sale.id,
        station_id=sale.station_id,
        nozzle_id=sale.nozzle_id,
        paid_fen=paid_fen,
        tenders=list(tenders),
    )
