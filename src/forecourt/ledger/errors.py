from forecourt.core.errors import NotFound, Refusal


class InsufficientFunds(Refusal):
    """The wallet does not hold enough."""

    code = "ledger.insufficient_funds"


class HoldNotFound(NotFound):
    """There is no such hold."""

    code = "ledger.hold_not_found"


class HoldEnded(Refusal):
    """The hold was posted, voided or has expired."""

    code = "ledger.hold_ended"


class GiveBackTooLarge(Refusal):
    """More was asked back than was spent."""

    code = "ledger.give_back_too_large"
