"""What an operator is."""

from dataclasses import dataclass
from datetime import datetime

from forecourt.core.actor import OperatorId, Permission

OPERATORS_READ = Permission("operators:read")
OPERATORS_WRITE = Permission("operators:write")


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorInfo:
    """One tenant. `code` is short, unique on the platform, and part of references that people read."""

    id: OperatorId
    code: str
    name: str
    created_at: datetime
