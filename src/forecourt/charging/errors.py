"""What charging declines."""

from http import HTTPStatus

from forecourt.core.errors import Refusal


class TransactionNotFound(Refusal):
    """There is no such charging session, or it is not yours to see."""

    status = HTTPStatus.NOT_FOUND
    code = "charging.transaction_not_found"


class TransactionEnded(Refusal):
    """This charging session has ended already."""

    code = "charging.transaction_ended"


class StrayStopNotFound(Refusal):
    """There is no such stray end, or it is not yours to see, or a person has dealt with it."""

    status = HTTPStatus.NOT_FOUND
    code = "charging.stray_stop_not_found"


class StopElsewhere(Refusal):
    """This end came from another charge point than the session."""

    code = "charging.stop_elsewhere"


class TokenNotFound(Refusal):
    """There is no such id tag, or it is not yours to see."""

    status = HTTPStatus.NOT_FOUND
    code = "charging.token_not_found"


class TokenTaken(Refusal):
    """This id tag is registered already."""

    code = "charging.token_taken"


class ChargePointNotFound(Refusal):
    """There is no such charge point, or it is not yours to see."""

    status = HTTPStatus.NOT_FOUND
    code = "charging.charge_point_not_found"


class CallRefused(Refusal):
    """This is no request that a charge point may be asked, or its payload is not of its form."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "charging.call_refused"
