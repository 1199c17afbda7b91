"""Every statement about sales and authorisations."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import select, update

from forecourt.core.actor import Device, Scope, operator_of
from forecourt.core.db import ByMany, ReadSession, WriteSession, insert_new, update_many
from forecourt.core.verify import VIOLATIONS_MAX, Check, Violation
from forecourt.deliveries import queries as deliveries
from forecourt.ledger import queries as ledger
from forecourt.payments import queries as payments
from forecourt.sales import rules
from forecourt.sales.errors import AuthorisationNotFound, SaleNotFound
from forecourt.sales.models import AuthorisationRow, SaleRow
from forecourt.sales.types import (
    Authorisation,
    AuthorisationId,
    AuthorisationState,
    Sale,
    SaleFilter,
    SaleState,
    Story,
)
from forecourt.sites import queries as sites
from forecourt_kit.price import Preset

SALE = (
    SaleRow.id,
    SaleRow.operator_id,
    SaleRow.station_id,
    SaleRow.nozzle_id,
    SaleRow.nozzle_number,
    SaleRow.delivery_id,
    SaleRow.product_id,
    SaleRow.business_date,
    SaleRow.unit,
    SaleRow.quantity_e4,
    SaleRow.price_id,
    SaleRow.unit_price_e4,
    SaleRow.gross_fen,
    SaleRow.discount_fen,
    SaleRow.due_fen,
    SaleRow.paid_fen,
    SaleRow.refunded_fen,
    SaleRow.amount_source,
    SaleRow.state,
    SaleRow.marks,
    SaleRow.tenders,
    SaleRow.authorisation_id,
    SaleRow.opened_at,
    SaleRow.paid_at,
)
SALE_FIELDS = tuple(column.key for column in SALE)
LOCKED_SALES = ByMany(select(*SALE).order_by(SaleRow.id).with_for_update(), SaleRow.id)
AUTHORISATION = (
    AuthorisationRow.id,
    AuthorisationRow.operator_id,
    AuthorisationRow.station_id,
    AuthorisationRow.nozzle_id,
    AuthorisationRow.nozzle_number,
    AuthorisationRow.kind,
    AuthorisationRow.state,
    AuthorisationRow.member_id,
    AuthorisationRow.payment_id,
    AuthorisationRow.limit_fen,
    AuthorisationRow.preset_kind,
    AuthorisationRow.preset_value,
    AuthorisationRow.unit_price_e4,
    AuthorisationRow.expires_at,
    AuthorisationRow.created_at,
)
LIST_ROWS_MAX = 200
CHECKED_AT_ONCE = 500  # Sales that `verify` holds in memory.


def _sale(row: Any) -> Sale:
    fields: dict[str, Any] = dict(zip(SALE_FIELDS, row, strict=True))
    fields["business_date"] = date.fromisoformat(fields["business_date"])
    fields["marks"] = tuple(fields["marks"])
    fields["tenders"] = tuple(fields["tenders"].split())
    return Sale(**fields)


def _authorisation(row: Any) -> Authorisation:
    fields = dict(row._mapping)  # noqa: SLF001
    preset = Preset(fields.pop("preset_kind"), fields.pop("preset_value"))
    return Authorisation(**{**fields, "id": AuthorisationId(row.id), "preset": preset})


def _seen_by(statement: Any, scope: Scope) -> Any:
    """Bound a statement on sales to what `scope` may see: its operator's, a terminal its station's."""
    if (mine := operator_of(scope)) is not None:
        statement = statement.where(SaleRow.operator_id == mine)
    if isinstance(scope, Device):
        statement = statement.where(SaleRow.station_id == scope.station_id)
    return statement


async def insert_new_many(session: WriteSession, rows: Sequence[Mapping[str, Any]]) -> set[int]:
    """Open sales for deliveries that have none; gives those deliveries."""
    return {key for (key,) in await insert_new(session, SaleRow, rows, key=("delivery_id",))}


async def sold_deliveries_many(session: ReadSession, delivery_ids: Iterable[int]) -> set[int]:
    """Which of these deliveries have a sale already."""
    rows = await session.all(select(SaleRow.delivery_id).where(SaleRow.delivery_id.in_(list(delivery_ids))))
    return {row[0] for row in rows}


async def lock_sales_many(session: WriteSession, sale_ids: Iterable[int]) -> dict[int, Sale]:
    """Sales, locked in id order until the transaction ends; the caller checks whose they are."""
    found = await session.all(LOCKED_SALES.on(session), {"id": sorted(set(sale_ids))})
    return {row[0]: _sale(row) for row in found}


async def lock_sale(session: WriteSession, scope: Scope, sale_id: int) -> Sale:
    """Raises `SaleNotFound`."""
    row = await session.first(_seen_by(select(*SALE).where(SaleRow.id == sale_id), scope).with_for_update())
    if row is None:
        raise SaleNotFound(sale_id=sale_id)
    return _sale(row)


async def get_sale(session: ReadSession, scope: Scope, sale_id: int) -> Sale:
    """Raises `SaleNotFound`."""
    row = await session.first(_seen_by(select(*SALE).where(SaleRow.id == sale_id), scope))
    if row is None:
        raise SaleNotFound(sale_id=sale_id)
    return _sale(row)


async def set_sales_many(session: WriteSession, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store what changed of sales that the caller has locked; each row names its `id`."""
    await update_many(session, SaleRow, rows, key="id")


async def list_sales(session: ReadSession, scope: Scope, wanted: SaleFilter) -> list[Sale]:
    """Newest first."""
    statement = _seen_by(select(*SALE), scope).order_by(SaleRow.id.desc())
    conditions: list[tuple[Any, Callable[[Any], Any]]] = [
        (wanted.station_id, lambda value: SaleRow.station_id == value),
        (wanted.nozzle_id, lambda value: SaleRow.nozzle_id == value),
        (wanted.state, lambda value: SaleRow.state == value),
        (wanted.tender, lambda value: SaleRow.tenders.contains(value, autoescape=True)),
        (wanted.opened_from, lambda value: SaleRow.opened_at >= value),
        (wanted.opened_to, lambda value: SaleRow.opened_at < value),
        (wanted.marked, lambda value: SaleRow.marked == int(value)),
        (wanted.before, lambda value: SaleRow.id < value),
    ]
    for value, condition in conditions:
        if value is not None:
            statement = statement.where(condition(value))
    return [_sale(row) for row in await session.all(statement.limit(min(wanted.limit, LIST_ROWS_MAX)))]


async def open_sales_of_nozzles(session: ReadSession, scope: Scope, nozzle_ids: Sequence[int]) -> list[Sale]:
    """What is to pay at these nozzles, oldest first."""
    statement = _seen_by(
        select(*SALE).where(SaleRow.nozzle_id.in_(list(nozzle_ids)), SaleRow.state.in_(["open", "paying"])),
        scope,
    )
    return [_sale(row) for row in await session.all(statement.order_by(SaleRow.id).limit(LIST_ROWS_MAX))]


async def story(session: ReadSession, scope: Scope, sale_id: int) -> Story:
    """Everything that happened to one sale. Raises `SaleNotFound`."""
    sale = await get_sale(session, scope, sale_id)
    delivery = await deliveries.get_delivery(session, scope, sale.delivery_id)
    paid = (await payments.payments_of_sales_many(session, [sale.id])).get(sale.id, [])
    ids = [payment.id for payment, _, _ in paid]
    attempts = await payments.attempts_of_many(session, ids)
    refunds = await payments.refunds_of_many(session, ids)
    references = [f"payment:{each}" for each in ids]
    references += [f"payment:{each}:sale:{sale.id}" for each in ids]
    references += [f"refund:{refund.id}" for each in refunds.values() for refund in each]
    authorisation = None
    if sale.authorisation_id is not None:
        authorisation = await get_authorisation(session, scope, sale.authorisation_id)
    return Story(
        sale=sale,
        delivery=delivery,
        authorisation=authorisation,
        payments=tuple(paid),
        attempts=tuple(attempt for each in attempts.values() for attempt in each),
        notices=tuple(await payments.notices_of_many(session, ids)),
        refunds=tuple(refund for each in refunds.values() for refund in each),
        postings=tuple(await ledger.postings_by_reference(session, scope, references)),
    )


async def insert_authorisation(session: WriteSession, row: Mapping[str, Any], operator_id: int) -> None:
    assert row["operator_id"] == operator_id
    await session.insert_many(AuthorisationRow, [row])


async def get_authorisation(session: ReadSession, scope: Scope, authorisation_id: int) -> Authorisation:
    """Raises `AuthorisationNotFound`."""
    wanted = select(*AUTHORISATION).where(AuthorisationRow.id == authorisation_id)
    if (mine := operator_of(scope)) is not None:
        wanted = wanted.where(AuthorisationRow.operator_id == mine)
    row = await session.first(wanted)
    if row is None:
        raise AuthorisationNotFound(authorisation_id=authorisation_id)
    return _authorisation(row)


async def authorisations_many(session: ReadSession, ids: Iterable[int]) -> dict[int, Authorisation]:
    rows = await session.all(select(*AUTHORISATION).where(AuthorisationRow.id.in_(list(ids))))
    return {row.id: _authorisation(row) for row in rows}


async def authorisation_of_payment(
    session: ReadSession, payment_id: int, operator_id: int
) -> Authorisation | None:
    wanted = select(*AUTHORISATION).where(
        AuthorisationRow.payment_id == payment_id, AuthorisationRow.operator_id == operator_id
    )
    row = await session.first(wanted)
    return None if row is None else _authorisation(row)


async def live_authorisations_many(
    session: ReadSession, nozzle_ids: Iterable[int]
) -> dict[int, Authorisation]:
    """The authorisation that stands at each nozzle now (granted, or awaiting its payment)."""
    wanted = (
        select(*AUTHORISATION)
        .where(
            AuthorisationRow.nozzle_id.in_(list(nozzle_ids)),
            AuthorisationRow.state.in_([AuthorisationState.AWAITING, AuthorisationState.GRANTED]),
        )
        .order_by(AuthorisationRow.id)
    )
    return {row.nozzle_id: _authorisation(row) for row in await session.all(wanted)}


async def expired_authorisations_many(session: ReadSession, now: datetime, limit: int) -> list[Authorisation]:
    wanted = (
        select(*AUTHORISATION)
        .where(
            AuthorisationRow.state.in_([AuthorisationState.AWAITING, AuthorisationState.GRANTED]),
            AuthorisationRow.expires_at <= now,
        )
        .order_by(AuthorisationRow.expires_at)
        .limit(limit)
    )
    return [_authorisation(row) for row in await session.all(wanted)]


async def move_authorisation(
    session: WriteSession, authorisation: Authorisation, operator_id: int, state: AuthorisationState
) -> bool:
    """Move it on from the state it was read in; False when someone was faster."""
    touched = await session.run(
        update(AuthorisationRow)
        .where(
            AuthorisationRow.id == authorisation.id,
            AuthorisationRow.operator_id == operator_id,
            AuthorisationRow.state == authorisation.state,
        )
        .values(state=state)
    )
    return touched == 1


async def check_amounts(session: ReadSession) -> list[Violation]:
    """Every sale's amount recomputes from its delivery and its price, to the fen, by the amount rule."""
    found: list[Violation] = []
    after = 0
    while rows := await session.all(
        select(*SALE).where(SaleRow.id > after).order_by(SaleRow.id).limit(CHECKED_AT_ONCE)
    ):
        sales = [_sale(row) for row in rows]
        after = sales[-1].id
        told = await deliveries.deliveries_many(session, [sale.delivery_id for sale in sales])
        nozzles = await sites.nozzles_many(session, [sale.nozzle_id for sale in sales])
        for sale in sales:
            delivery = told.get(sale.delivery_id)
            detail = "its delivery is missing"
            if delivery is not None:
                detail = rules.difference(sale, delivery, nozzles[sale.nozzle_id].display_step_e4)
            if detail:
                found.append(
                    Violation(check="sales.amount_recomputes", subject=f"sale {sale.id}", detail=detail)
                )
    return found[:VIOLATIONS_MAX]


async def check_payments(session: ReadSession) -> list[Violation]:
    """What a sale says is paid and given back is what payments say."""
    found: list[Violation] = []
    after = 0
    while rows := await session.all(
        select(*SALE).where(SaleRow.id > after).order_by(SaleRow.id).limit(CHECKED_AT_ONCE)
    ):
        sales = [_sale(row) for row in rows]
        after = sales[-1].id
        paid = await payments.payments_of_sales_many(session, [sale.id for sale in sales])
        ids = {payment.id for each in paid.values() for payment, _, _ in each}
        refunds = await payments.refunds_of_many(session, ids)
        back: dict[int, int] = {}
        for refund in (one for each in refunds.values() for one in each):
            if refund.sale_id is not None:
                back[refund.sale_id] = back.get(refund.sale_id, 0) + refund.amount_fen
        for sale in sales:
            settled_fen = sum(fen for _, fen, settled in paid.get(sale.id, []) if settled)
            if (sale.paid_fen, sale.refunded_fen) != (settled_fen, back.get(sale.id, 0)):
                detail = f"paid {sale.paid_fen} against {settled_fen} fen, "
                detail += f"given back {sale.refunded_fen} against {back.get(sale.id, 0)}"
                found.append(
                    Violation(check="sales.paid_is_settled", subject=f"sale {sale.id}", detail=detail)
                )
    return found[:VIOLATIONS_MAX]


async def check_states(session: ReadSession) -> list[Violation]:
    """A sale's state says what its amounts say."""
    paid_up = SaleRow.paid_fen == SaleRow.due_fen
    all_back = (SaleRow.refunded_fen == SaleRow.paid_fen) & (SaleRow.paid_fen > 0)
    wrong = (
        ((SaleRow.state == SaleState.PAID) & (~paid_up | all_back))
        | ((SaleRow.state == SaleState.REFUNDED) & ~(paid_up & all_back))
        | ((SaleRow.state == SaleState.VOIDED) & (SaleRow.paid_fen > 0))
        | (SaleRow.state.in_([SaleState.OPEN, SaleState.PAYING]) & paid_up & (SaleRow.due_fen > 0))
    )
    wanted = select(SaleRow.id, SaleRow.state, SaleRow.due_fen, SaleRow.paid_fen, SaleRow.refunded_fen)
    return [
        Violation(
            check="sales.state_agrees",
            subject=f"sale {row[0]}",
            detail=f"{row[1]}: due {row[2]}, paid {row[3]}, given back {row[4]} fen",
        )
        for row in await session.all(wanted.where(wrong).limit(VIOLATIONS_MAX))
    ]


CHECKS: tuple[Check, ...] = (check_amounts, check_payments, check_states)
