"""Members, as the rest of the house sees them."""

from dataclasses import dataclass
from datetime import datetime
from typing import NewType

from forecourt.core.actor import OperatorId, Permission

MemberId = NewType("MemberId", int)

CUSTOMERS_READ = Permission("customers:read")
CUSTOMERS_WRITE = Permission("customers:write")


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberInfo:
    """One driver. `phone_masked` shows three digits and the last four; the number stays sealed."""

    id: MemberId
    operator_id: OperatorId
    name: str
    phone_masked: str
    plate: str | None
    created_at: datetime
