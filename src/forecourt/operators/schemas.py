"""HTTP shapes of operators."""

from forecourt.core.http import IdOut, InstantOut, Out


class OperatorOut(Out):
    id: IdOut
    code: str
    name: str
    created_at: InstantOut


class OperatorsOut(Out):
    items: list[OperatorOut]
    next_cursor: str | None
