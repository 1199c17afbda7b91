"""The sale's and the authorisation's state tables, what a delivery costs, and a sale's story in order."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from forecourt.deliveries.types import Delivery, NozzleState
from forecourt.pricing.types import BookPrice, PriceId
from forecourt.sales.types import AuthorisationState, Sale, SaleMark, SaleState, Story
from forecourt_kit.clock import rfc3339
from forecourt_kit.ids import to_public
from forecourt_kit.price import AmountSource, MeterEvidence, gross


class SaleEvent(StrEnum):
    ASK = "ask"  # A channel is asked.
    END_ASK = "end_ask"  # It ended without money.
    PAY = "pay"  # All that is owed is in.
    VOID = "void"
    REFUND = "refund"  # All that was paid went back.


_S, _E = SaleState, SaleEvent
SALE_TRANSITIONS: dict[tuple[SaleState, SaleEvent], SaleState] = {
    (_S.OPEN, _E.ASK): _S.PAYING,
    (_S.OPEN, _E.PAY): _S.PAID,
    (_S.OPEN, _E.VOID): _S.VOIDED,
    (_S.PAYING, _E.ASK): _S.PAYING,
    (_S.PAYING, _E.END_ASK): _S.OPEN,
    (_S.PAYING, _E.PAY): _S.PAID,
    (_S.PAID, _E.REFUND): _S.REFUNDED,
}
PAYABLE = frozenset({_S.OPEN, _S.PAYING})


class AuthorisationEvent(StrEnum):
    PAID = "paid"
    CONSUME = "consume"
    RELEASE = "release"
    EXPIRE = "expire"


_A, _G = AuthorisationState, AuthorisationEvent
AUTHORISATION_TRANSITIONS: dict[tuple[AuthorisationState, AuthorisationEvent], AuthorisationState] = {
    (_A.AWAITING, _G.PAID): _A.GRANTED,
    (_A.AWAITING, _G.RELEASE): _A.RELEASED,
    (_A.AWAITING, _G.EXPIRE): _A.EXPIRED,
    (_A.GRANTED, _G.CONSUME): _A.CONSUMED,
    (_A.GRANTED, _G.RELEASE): _A.RELEASED,
    (_A.GRANTED, _G.EXPIRE): _A.EXPIRED,
}


FLOWING = frozenset(
    {NozzleState.STARTED, NozzleState.FUELLING, NozzleState.SUSPENDED, NozzleState.ENDED, NozzleState.OFFLINE}
)
USED_WITHIN = timedelta(hours=12)  # Of a grant: the longest fill, and the longest a line may be down with it.


def may_expire(nozzle: NozzleState | None, created_at: datetime, now: datetime) -> bool:
    """Whether an authorisation past its time may end: not while something flows on it, or nobody can know."""
    return nozzle not in FLOWING or now >= created_at + USED_WITHIN


@dataclass(frozen=True, slots=True)
class PricedDelivery:
    price_id: int | None
    unit_price_e4: int
    gross_fen: int
    source: AmountSource
    marks: tuple[str, ...]


def priced(delivery: Delivery, book: BookPrice | None, display_step_e4: int) -> PricedDelivery:
    """What a delivery costs before discounts, by the book and the amount rule.

    A nozzle that has not acknowledged the new price and sold at its old one sells at the old one, and is
    marked. Without a price the sale stands at 0 and is marked; nobody guesses.
    """
    marks = [mark.value for mark in delivery.marks]
    if book is None:
        return PricedDelivery(None, 0, 0, AmountSource.CENTRE, (*marks, SaleMark.NO_PRICE.value))
    unit_price_e4 = book.unit_price_e4
    if book.old_unit_price_e4 is not None and delivery.device_unit_price_e4 == book.old_unit_price_e4:
        unit_price_e4 = book.old_unit_price_e4
        marks.append(SaleMark.PRICE_PENDING.value)
    evidence = MeterEvidence(
        quantity_e4=delivery.quantity_e4,
        device_unit_price_e4=delivery.device_unit_price_e4,
        device_amount_fen=delivery.device_amount_fen,
        preset=delivery.preset,
        totalizer_before_e4=delivery.totalizer_before_e4,
        totalizer_after_e4=delivery.totalizer_after_e4,
        display_step_e4=display_step_e4,
    )
    result = gross(evidence, unit_price_e4)
    marks += [mark.value for mark in result.marks]
    return PricedDelivery(
        book.price_id, unit_price_e4, result.gross_fen, result.source, tuple(dict.fromkeys(marks))
    )


def difference(sale: Sale, delivery: Delivery, display_step_e4: int) -> str:
    """What of a sale does not follow from its delivery and its own price; empty when all does."""
    if (sale.quantity_e4, sale.unit) != (delivery.quantity_e4, delivery.unit):
        return f"quantity {sale.quantity_e4} {sale.unit}, delivered {delivery.quantity_e4} {delivery.unit}"
    if sale.due_fen != sale.gross_fen - sale.discount_fen:
        return f"due {sale.due_fen} fen is not gross {sale.gross_fen} less discount {sale.discount_fen}"
    book = None if sale.price_id is None else BookPrice(PriceId(sale.price_id), sale.unit_price_e4)
    again = priced(delivery, book, display_step_e4)
    if again.gross_fen != sale.gross_fen:
        return f"gross {sale.gross_fen} fen, recomputed {again.gross_fen}"
    return ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened to a sale; `title_code` is translated by the screen."""

    at: datetime
    kind: str
    title_code: str
    facts: dict[str, object]
    reference: str


def timeline(story: Story) -> list[Entry]:
    """What happened to a sale, oldest first: message, delivery, price, permission, money."""
    sale, delivery = story.sale, story.delivery
    entries = [
        Entry(
            delivery.recorded_at,
            "device_message",
            "message_received",
            {"nozzle_number": delivery.nozzle_number, **_shown(delivery.detail)},
            delivery.source_key,
        ),
        Entry(
            delivery.ended_at,
            "delivery",
            f"delivery_{delivery.state.value}",
            {
                "quantity_e4": delivery.quantity_e4,
                "unit": delivery.unit.value,
                "device_unit_price_e4": delivery.device_unit_price_e4,
                "device_amount_fen": delivery.device_amount_fen,
                "totalizer_before_e4": delivery.totalizer_before_e4,
                "totalizer_after_e4": delivery.totalizer_after_e4,
                "started_at": rfc3339(delivery.started_at),
                "purpose": delivery.purpose.value,
                "marks": [mark.value for mark in delivery.marks],
            },
            to_public(delivery.id),
        ),
        Entry(
            sale.opened_at,
            "price",
            "sale_priced",
            {
                "unit_price_e4": sale.unit_price_e4,
                "gross_fen": sale.gross_fen,
                "discount_fen": sale.discount_fen,
                "due_fen": sale.due_fen,
                "amount_source": sale.amount_source.value,
                "marks": list(sale.marks),
            },
            to_public(sale.price_id) if sale.price_id else "",
        ),
    ]
    if story.authorisation is not None:
        granted = story.authorisation
        facts: dict[str, object] = {"limit_fen": granted.limit_fen, "kind": granted.kind.value}
        state = f"authorisation_{granted.state.value}"
        entries.append(Entry(granted.created_at, "authorisation", state, facts, to_public(granted.id)))
    entries += _money(story)
    return sorted(entries, key=lambda entry: entry.at)


def _money(story: Story) -> list[Entry]:
    entries = []
    for payment, amount_fen, settled in story.payments:
        facts: dict[str, object] = {
            "tender": payment.tender.value,
            "amount_fen": amount_fen,
            "by": payment.created_by,
            "settled": settled,
        }
        reference = to_public(payment.id)
        entries.append(Entry(payment.created_at, "payment", "payment_created", facts, reference))
        if payment.paid_at is not None:
            entries.append(
                Entry(payment.paid_at, "state", f"payment_{payment.state.value}", facts, reference)
            )
    for attempt in story.attempts:
        facts = {
            "channel": attempt.provider.value,
            "product": attempt.product.value,
            "amount_fen": attempt.amount_fen,
            "asked": attempt.asked,
            "code": attempt.last_code,
            "channel_no": attempt.channel_no,
        }
        at = attempt.ended_at or attempt.created_at
        entries.append(Entry(at, "attempt", f"attempt_{attempt.state.value}", facts, attempt.out_trade_no))
    for notice in story.notices:
        told: dict[str, object] = {"effect": notice.effect}
        reference = to_public(notice.payment_id)
        entries.append(Entry(notice.received_at, "notification", f"notice_{notice.effect}", told, reference))
    for refund in story.refunds:
        facts = {"amount_fen": refund.amount_fen, "reason": refund.reason, "by": refund.created_by}
        state = f"refund_{refund.state.value}"
        entries.append(Entry(refund.created_at, "refund", state, facts, refund.out_refund_no))
    return entries


def _shown(detail: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in detail.items() if isinstance(value, str | int)}
