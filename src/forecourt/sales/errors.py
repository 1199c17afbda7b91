from http import HTTPStatus

from forecourt.core.errors import NotFound, Refusal


class SaleNotFound(NotFound):
    """There is no such sale, or it is not yours to see."""

    code = "sales.not_found"


class SaleNotPayable(Refusal):
    """The sale is paid, voided or refunded; nothing more is owed."""

    code = "sales.not_payable"


class SaleBeingPaid(Refusal):
    """A channel is being asked for this sale; wait for its answer, or close that payment first."""

    code = "sales.being_paid"


class AmountTooLarge(Refusal):
    """More was offered than is owed."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "sales.amount_too_large"


class SaleNotVoidable(Refusal):
    """Only a sale of which nothing is paid can be voided; refund it instead."""

    code = "sales.not_voidable"


class NothingPaid(Refusal):
    """Nothing of this sale is paid, so nothing can be given back."""

    code = "sales.nothing_paid"


class NozzleBusy(Refusal):
    """The nozzle has an authorisation already."""

    code = "sales.nozzle_busy"


class NozzleNotFound(NotFound):
    """There is no such nozzle, or it is not yours."""

    code = "sales.nozzle_not_found"


class NozzleNotPriced(Refusal):
    """The nozzle sells nothing now, or what it sells has no price."""

    code = "sales.nozzle_not_priced"


class AuthorisationNotFound(NotFound):
    """There is no such authorisation, or it is not yours to see."""

    code = "sales.authorisation_not_found"


class AuthorisationEndedAlready(Refusal):
    """The authorisation was used, released or has expired."""

    code = "sales.authorisation_ended"
