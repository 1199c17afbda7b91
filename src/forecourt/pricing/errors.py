from http import HTTPStatus

from forecourt.core.errors import NotFound, Refusal


class PriceInThePast(Refusal):
    """A price takes effect now or later, never in the past: sales are already priced."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "pricing.in_the_past"


class PriceNotFound(NotFound):
    """The book has no price for this product at this station."""

    code = "pricing.price_not_found"


class PriceExists(Refusal):
    """Another price takes effect at this very moment."""

    code = "pricing.exists"
