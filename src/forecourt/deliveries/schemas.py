"""HTTP shapes of deliveries."""

from datetime import date
from typing import Any

from pydantic import Field

from forecourt.core.http.fields import IdOut, In, InstantOut, Out, Words
from forecourt.deliveries.types import DeliveryState, Mark, Purpose
from forecourt_kit.quantity import Unit


class DeliveryOut(Out):
    id: IdOut
    station_id: IdOut
    nozzle_id: IdOut | None
    nozzle_number: int
    state: DeliveryState
    purpose: Purpose
    marks: tuple[Mark, ...]
    business_date: date
    quantity_e4: int
    unit: Unit
    device_unit_price_e4: int | None
    device_amount_fen: int | None
    totalizer_before_e4: int | None
    totalizer_after_e4: int | None
    started_at: InstantOut
    ended_at: InstantOut
    recorded_at: InstantOut
    detail: dict[str, Any]


class DeliveriesOut(Out):
    items: list[DeliveryOut]


class ReviewIn(In):
    reason: Words = Field(min_length=1)
