"""What fits what on a station."""

from zoneinfo import ZoneInfo

from forecourt.sites.types import Energy, Nozzle, Product, Tank
from forecourt_kit.quantity import Unit

UNITS: dict[Energy, frozenset[Unit]] = {
    Energy.PETROL: frozenset({Unit.L}),
    Energy.DIESEL: frozenset({Unit.L}),
    Energy.CNG: frozenset({Unit.NM3, Unit.KG}),
    Energy.LNG: frozenset({Unit.KG}),
    Energy.HYDROGEN: frozenset({Unit.KG}),
    Energy.EV: frozenset({Unit.KWH}),
}
"""By what each energy is sold."""

DAY_CUT_MIN_MAX = 24 * 60 - 1


def is_timezone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def supply_mismatch(nozzle: Nozzle, product: Product, tank: Tank | None) -> str | None:
    """Why a nozzle cannot sell a product from a tank; None when it can."""
    if nozzle.energy is not product.energy:
        return f"the nozzle gives {nozzle.energy}, the product is {product.energy}"
    if nozzle.unit is not product.unit:
        return f"the nozzle counts {nozzle.unit}, the product is sold by {product.unit}"
    if tank is not None and tank.product_id != product.id:
        return "the tank holds another product"
    if tank is not None and tank.station_id != nozzle.station_id:
        return "the tank is on another station"
    return None
