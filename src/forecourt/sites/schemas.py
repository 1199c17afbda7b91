"""HTTP shapes of sites."""

from typing import Annotated

from pydantic import Field

from forecourt.core.http import IdOut, In, Instant, InstantOut, Out, PublicId
from forecourt.core.http.fields import Name, Number
from forecourt.sites.types import Energy, PaymentPolicy
from forecourt_kit.limits import DISPLAY_STEP_E4_MAX
from forecourt_kit.quantity import Unit

Timezone = Annotated[str, Field(min_length=1, max_length=64, examples=["Asia/Shanghai"])]
DayCut = Annotated[int, Field(strict=True, ge=0, le=1439, examples=[480])]
ConnectorNumber = Annotated[int, Field(strict=True, ge=1, le=64)]


class StationIn(In):
    name: Name
    timezone: Timezone = "Asia/Shanghai"
    day_cut_min: DayCut = 0


class StationChangeIn(In):
    name: Name | None = None
    timezone: Timezone | None = None
    day_cut_min: DayCut | None = None


class StationOut(Out):
    id: IdOut
    operator_id: IdOut
    name: str
    timezone: str
    day_cut_min: int


class ListedStationOut(StationOut):
    energies: list[Energy]
    nozzle_count: int


class StationsOut(Out):
    items: list[ListedStationOut]
    next_cursor: str | None


class DispenserIn(In):
    number: Number


class DispenserOut(Out):
    id: IdOut
    station_id: IdOut
    number: int


class NozzleIn(In):
    number: Number
    energy: Energy
    unit: Unit
    payment_policy: PaymentPolicy = PaymentPolicy.POSTPAY
    dispenser_id: PublicId | None = None
    display_step_e4: Annotated[int, Field(strict=True, ge=1, le=DISPLAY_STEP_E4_MAX)] | None = None
    charge_point_device_id: PublicId | None = None
    connector_number: ConnectorNumber | None = None


class NozzleChangeIn(In):
    payment_policy: PaymentPolicy


class ProductOut(Out):
    id: IdOut
    code: str
    name: str
    energy: Energy
    unit: Unit


class ProductsOut(Out):
    items: list[ProductOut]


class NozzleOut(Out):
    """`product` is what it sells now; null where nothing is set."""

    id: IdOut
    station_id: IdOut
    dispenser_id: IdOut | None
    number: int
    energy: Energy
    unit: Unit
    payment_policy: PaymentPolicy
    display_step_e4: int
    charge_point_device_id: IdOut | None
    connector_number: int | None
    product: ProductOut | None = None


class NozzlesOut(Out):
    items: list[NozzleOut]


class ProductIn(In):
    code: Annotated[str, Field(pattern=r"^[A-Za-z0-9#+.-]{1,32}$")]
    name: Name
    energy: Energy
    unit: Unit


class TankIn(In):
    number: Number
    product_id: PublicId
    capacity_e4: Annotated[int, Field(strict=True, ge=1, le=10**11)]


class TankOut(Out):
    id: IdOut
    station_id: IdOut
    number: int
    product_id: IdOut
    capacity_e4: int


class TanksOut(Out):
    items: list[TankOut]


class SupplyIn(In):
    """`valid_from` may lie ahead; without one it is now."""

    product_id: PublicId
    tank_id: PublicId | None = None
    valid_from: Instant | None = None


class SupplyOut(Out):
    nozzle_id: IdOut
    product_id: IdOut
    tank_id: IdOut | None
    valid_from: InstantOut
    valid_to: InstantOut | None
