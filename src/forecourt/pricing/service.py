"""Setting prices, telling nozzles, and quoting."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from forecourt.core import outbox
from forecourt.core.actor import Actor, System
from forecourt.core.db import ReadSession, WriteSession
from forecourt.devices import service as devices
from forecourt.devices.types import CommandKind
from forecourt.pricing import queries, rules
from forecourt.pricing.errors import PriceExists, PriceInThePast
from forecourt.pricing.types import BookPrice, Price, PriceId, PriceSet, Quote
from forecourt.sites import queries as sites

PUSHED_MAX = 100
PRICE_COMMAND_LIFE = timedelta(days=7)  # A station may be off the line that long and still must learn it.


async def set_price(
    session: WriteSession,
    actor: Actor,
    *,
    station_id: int,
    product_id: int,
    unit_price_e4: int,
    valid_from: datetime | None,
) -> Price:
    """Write a line of the book, in force from `valid_from` (None: now). Nozzles are told when it is.

    Raises:
        PriceInThePast, PriceExists.
    """
    now = session.now()
    starts = now if valid_from is None else valid_from
    if starts < now:
        raise PriceInThePast(valid_from=starts.isoformat())
    lines = await queries.lines_many(session, [(station_id, product_id)], starts)
    if any(line.valid_from == starts for line in lines[station_id, product_id]):
        raise PriceExists(valid_from=starts.isoformat())
    price = Price(
        id=PriceId(session.new_id()),
        operator_id=actor.operator_id,
        station_id=station_id,
        product_id=product_id,
        unit_price_e4=unit_price_e4,
        valid_from=starts,
        created_by=actor.subject,
    )
    row = {
        "id": price.id,
        "operator_id": price.operator_id,
        "station_id": station_id,
        "product_id": product_id,
        "unit_price_e4": unit_price_e4,
        "valid_from": starts,
        "created_by": actor.subject,
        "created_at": now,
        "pushed": 0,
    }
    await queries.insert_price(session, row)
    event = PriceSet(
        operator_id=price.operator_id,
        price_id=price.id,
        station_id=station_id,
        product_id=product_id,
        unit_price_e4=unit_price_e4,
    )
    await outbox.add(session, event)
    return price


async def quote_many(session: ReadSession, quotes: Sequence[Quote]) -> dict[Quote, BookPrice | None]:
    """What the book says for each quote; None where it says nothing."""
    if not quotes:
        return {}
    lines = await queries.lines_many(
        session, [(each.station_id, each.product_id) for each in quotes], max(each.at for each in quotes)
    )
    nozzles = await queries.nozzle_prices_many(session, [each.nozzle_id for each in quotes])
    answers: dict[Quote, BookPrice | None] = {}
    for each in quotes:
        line = rules.price_at(lines[each.station_id, each.product_id], each.at)
        if line is None:
            answers[each] = None
            continue
        old = rules.old_unit_price_e4(nozzles.get(each.nozzle_id), line.unit_price_e4, each.at)
        answers[each] = BookPrice(line.id, line.unit_price_e4, old)
    return answers


async def push_due(session: WriteSession) -> int:
    """Tell nozzles the prices that have come into force; gives how many prices. A clock job.

    What a nozzle has acknowledged so far stays its price until it acknowledges the new one.
    """
    now = session.now()
    due = await queries.due_many(session, now, PUSHED_MAX)
    newest = {(price.station_id, price.product_id): price for price in due}
    nozzles = await sites.nozzles_by_station(session, System(), {price.station_id for price in due})
    supplies = await sites.supplies_at_many(session, [(nozzle.id, now) for nozzle in nozzles])
    rows = []
    for nozzle in nozzles:
        supply = supplies.get((nozzle.id, now))
        price = newest.get((nozzle.station_id, supply.product_id)) if supply else None
        if price is None or nozzle.charge_point_device_id is not None:
            continue  # OCPP 1.6 has no price to set; a charge point shows none.
        rows.append(
            {
                "nozzle_id": nozzle.id,
                "operator_id": nozzle.operator_id,
                "station_id": nozzle.station_id,
                "desired_price_id": price.id,
                "desired_unit_price_e4": price.unit_price_e4,
                "desired_at": now,
                "acknowledged_unit_price_e4": None,
                "acknowledged_at": None,
            }
        )
        await devices.queue_for_nozzle(
            session,
            nozzle_id=nozzle.id,
            kind=CommandKind.SET_PRICE,
            body={"nozzle": nozzle.number, "unit_price_e4": price.unit_price_e4},
            expires_at=now + PRICE_COMMAND_LIFE,
        )
    await queries.tell_nozzles_many(session, rows)
    await queries.mark_pushed_many(session, [price.id for price in due])
    return len(due)


async def acknowledge_many(session: WriteSession, unit_prices_e4: Mapping[int, int]) -> None:
    """Nozzles say at which price they sell: by acknowledging a command, or with a delivery."""
    await queries.acknowledge_many(session, unit_prices_e4, session.now())
