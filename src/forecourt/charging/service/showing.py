"""What people see of a connector: the live state of its nozzle, with what it costs so far."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from forecourt.charging.types import ChargePointRef
from forecourt.core.actor import Operator, OperatorId
from forecourt.core.db import ReadSession, WriteSession
from forecourt.deliveries import service as deliveries
from forecourt.deliveries.types import LiveNozzle, NozzleReading, NozzleState
from forecourt.pricing import service as pricing
from forecourt.pricing.types import Quote
from forecourt.sites import queries as sites
from forecourt.sites.types import Nozzle
from forecourt_kit.price import amount_fen

Live = Callable[[int, Sequence[LiveNozzle]], None]
"""Told of live nozzles of an operator once they are stored; never durable."""


def nobody(operator_id: int, nozzles: Sequence[LiveNozzle]) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a nozzle is to show; `quantity_e4` is what this session drew so far."""

    nozzle: Nozzle
    state: NozzleState
    quantity_e4: int = 0


async def show(session: WriteSession, ref: ChargePointRef, shown: Sequence[Shown], live: Live) -> None:
    """Keep the latest state of nozzles, and tell `live` after the commit.

    A charge point knows no price, so the amount is the book's; the sale decides anew.
    """
    now = session.now()
    running = [each.nozzle for each in shown if each.quantity_e4]
    supplies = await sites.supplies_at_many(session, [(nozzle.id, now) for nozzle in running])
    quotes = {
        nozzle.id: Quote(ref.operator_id, ref.station_id, nozzle.id, supply.product_id, now)
        for nozzle in running
        if (supply := supplies.get((nozzle.id, now))) is not None
    }
    book = await pricing.quote_many(session, list(quotes.values()))
    readings = []
    for each in shown:
        quote = quotes.get(each.nozzle.id)
        price = book[quote] if quote is not None else None
        readings.append(
            NozzleReading(
                operator_id=ref.operator_id,
                station_id=ref.station_id,
                nozzle_number=each.nozzle.number,
                state=each.state,
                at=now,
                quantity_e4=each.quantity_e4,
                amount_fen=amount_fen(each.quantity_e4, price.unit_price_e4) if price else 0,
                unit_price_e4=price.unit_price_e4 if price else None,
            )
        )
    stored = await deliveries.read_nozzles(session, readings)
    session.after_commit(lambda: live(ref.operator_id, stored))


async def nozzle_of(session: ReadSession, ref: ChargePointRef, connector_number: int) -> Nozzle | None:
    """The nozzle that stands for a connector."""
    return next(
        (each for each in await nozzles_of(session, ref) if each.connector_number == connector_number), None
    )


async def nozzles_of(session: ReadSession, ref: ChargePointRef) -> list[Nozzle]:
    """The nozzles that stand for the connectors of a charge point."""
    scope = Operator(OperatorId(ref.operator_id))
    nozzles = await sites.nozzles_by_station(session, scope, [ref.station_id])
    return [each for each in nozzles if each.charge_point_device_id == ref.device_id]
