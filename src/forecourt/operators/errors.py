"""When the answer about operators is no."""

from forecourt.core.errors import NotFound, Refusal


class OperatorNotFound(NotFound):
    """There is no such operator, or it is not yours to see."""

    code = "operators.not_found"


class OperatorCodeTaken(Refusal):
    """Another operator has this code."""

    code = "operators.code_taken"
