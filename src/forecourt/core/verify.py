"""What `forecourt verify` says when the books do not agree with themselves."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from forecourt.core.db import ReadSession

VIOLATIONS_MAX = 100  # Of one check; the first ones tell what is wrong.


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One thing that must hold and does not. `check` is stable, `subject` names the row."""

    check: str
    subject: str
    detail: str


Check = Callable[[ReadSession], Awaitable[list[Violation]]]
