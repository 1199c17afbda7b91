"""HTTP shapes of prices."""

from forecourt.core.http.fields import IdOut, In, Instant, InstantOut, Out, PublicId, UnitPriceE4


class PriceIn(In):
    """A new line of the book; without `valid_from` it holds from now on."""

    product_id: PublicId
    unit_price_e4: UnitPriceE4
    valid_from: Instant | None = None


class PriceOut(Out):
    id: IdOut
    station_id: IdOut
    product_id: IdOut
    unit_price_e4: int
    valid_from: InstantOut
    created_by: str


class PricesOut(Out):
    items: list[PriceOut]
