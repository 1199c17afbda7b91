"""What every statement of charging shares: the bound of the caller's scope."""

from typing import Any, TypeVarTuple

from sqlalchemy import Select

from forecourt.core.actor import Scope, operator_of

Columns = TypeVarTuple("Columns")


def mine(wanted: Select[*Columns], column: Any, scope: Scope) -> Select[*Columns]:
    own = operator_of(scope)
    return wanted if own is None else wanted.where(column == own)
