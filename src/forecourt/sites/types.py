"""Stations and what stands on them, as the rest of the house sees them."""

from dataclasses import dataclass
from datetime import date, datetime, time
from enum import StrEnum
from typing import NewType
from zoneinfo import ZoneInfo

from forecourt.core.actor import OperatorId, Permission
from forecourt_kit import clock
from forecourt_kit.quantity import Unit

StationId = NewType("StationId", int)
DispenserId = NewType("DispenserId", int)
NozzleId = NewType("NozzleId", int)
TankId = NewType("TankId", int)
ProductId = NewType("ProductId", int)

SITES_READ = Permission("sites:read")
SITES_WRITE = Permission("sites:write")


class Energy(StrEnum):
    PETROL = "petrol"
    DIESEL = "diesel"
    CNG = "cng"
    LNG = "lng"
    HYDROGEN = "hydrogen"
    EV = "ev"


class PaymentPolicy(StrEnum):
    """What a nozzle asks before it lets anything flow."""

    POSTPAY = "postpay"  # Nothing: the driver fills, then pays.
    PREPAY = "prepay"  # An authorisation: paid ahead, bound to the nozzle, or read from a plate.


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """`timezone` is an IANA name; the business day is cut `day_cut_min` minutes after local midnight."""

    id: StationId
    operator_id: OperatorId
    name: str
    timezone: str
    day_cut_min: int

    def business_date(self, at: datetime) -> date:
        """The business day (营业日) that an instant belongs to."""
        cut = time(self.day_cut_min // 60, self.day_cut_min % 60)
        return clock.business_date(at, ZoneInfo(self.timezone), cut)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispenser:
    """One housing with one or more nozzles; `number` is unique on its station."""

    id: DispenserId
    operator_id: OperatorId
    station_id: StationId
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Nozzle:
    """One hose, or one EV connector; `number` (枪号) is unique on its station and painted on the housing.

    A connector is told by `charge_point_device_id` and `connector_number` (from 1, as OCPP counts).
    """

    id: NozzleId
    operator_id: OperatorId
    station_id: StationId
    dispenser_id: DispenserId | None
    number: int
    energy: Energy
    unit: Unit
    payment_policy: PaymentPolicy
    display_step_e4: int
    totalizer_modulus_e4: int
    charge_point_device_id: int | None = None
    connector_number: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """What is sold: `code` is the operator's own and unique with it, such as `95` or `LNG`."""

    id: ProductId
    operator_id: OperatorId
    code: str
    name: str
    energy: Energy
    unit: Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Tank:
    id: TankId
    operator_id: OperatorId
    station_id: StationId
    number: int
    product_id: ProductId
    capacity_e4: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """What a nozzle sells, and from which tank, in `valid_from` <= t < `valid_to` (None: open)."""

    nozzle_id: NozzleId
    product_id: ProductId
    tank_id: TankId | None
    valid_from: datetime
    valid_to: datetime | None
