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


class TankNotFound(NotFound):
    """There is no such tank on this station."""

    code = "sites.tank_not_found"


class NumberTaken(Refusal):
    """That number is taken on this station."""

    code = "sites.number_taken"


class CodeTaken(Refusal):
    """Another product has that code."""

    code = "sites.code_taken"


class UnitsDiffer(Refusal):
    """A nozzle sells a product of its own unit only."""

    code = "sites.units_differ"


class SupplyInThePast(Refusal):
    """What a nozzle sold before cannot be rewritten; a change starts now or later, after the last one."""

    code = "sites.supply_in_the_past"
