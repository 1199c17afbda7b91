"""When the answer about sites is no."""

from http import HTTPStatus

from forecourt.core.errors import NotFound, Refusal


class StationNotFound(NotFound):
    """There is no such station, or it is not yours to see."""

    code = "sites.station_not_found"


class NozzleNotFound(NotFound):
    """There is no such nozzle, or it is not yours to see."""

    code = "sites.nozzle_not_found"


class ProductNotFound(NotFound):
    """There is no such product, or it is not yours to see."""

    code = "sites.product_not_found"


class NumberTaken(Refusal):
    """This number is in use on the station."""

    code = "sites.number_taken"


class ProductCodeTaken(Refusal):
    """Another product of this operator has this code."""

    code = "sites.product_code_taken"


class SupplyMismatch(Refusal):
    """The product's energy or unit is not the nozzle's, or the tank holds another product."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "sites.supply_mismatch"


class SupplyOverlaps(Refusal):
    """The nozzle's supply was already changed at or after this time."""

    code = "sites.supply_overlaps"
