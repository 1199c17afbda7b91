"""Who asks, and within which bounds. Pure: no framework, no I/O."""

from dataclasses import dataclass, field
from typing import NewType

from forecourt.core.errors import Forbidden

OperatorId = NewType("OperatorId", int)
Permission = NewType("Permission", str)


@dataclass(frozen=True, slots=True)
class Operator:
    """Staff of one operator (the tenant)."""

    operator_id: OperatorId


@dataclass(frozen=True, slots=True)
class Member:
    """One driver of one operator."""

    operator_id: OperatorId
    member_id: int


@dataclass(frozen=True, slots=True)
class Device:
    """One enrolled device: a terminal screen, a station agent, a charge point."""

    operator_id: OperatorId
    device_id: int
    station_id: int


@dataclass(frozen=True, slots=True)
class Platform:
    """Staff of the platform, across operators; a separate, audited scope."""


@dataclass(frozen=True, slots=True)
class System:
    """The platform's own jobs. Never made from a request."""


Scope = Operator | Member | Device | Platform | System


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who asks: the scope bounds every query, `subject` is the name in the audit trail."""

    scope: Scope
    subject: str
    permissions: frozenset[Permission] = field(default_factory=frozenset)

    @property
    def operator_id(self) -> OperatorId:
        """The tenant of this actor. Refused for `Platform` and `System`, who must name one."""
        if isinstance(self.scope, Operator | Member | Device):
            return self.scope.operator_id
        raise Forbidden(need="operator scope")

    def may(self, permission: Permission) -> bool:
        return isinstance(self.scope, System) or permission in self.permissions


def system(subject: str) -> Actor:
    """The platform itself, for jobs and doors; `subject` names the job."""
    return Actor(scope=System(), subject=subject)


def operator_of(scope: Scope) -> OperatorId | None:
    """The tenant that a scope is bound to; None sees every tenant."""
    return scope.operator_id if isinstance(scope, Operator | Member | Device) else None
