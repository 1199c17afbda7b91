"""`forecourt verify`: recompute every invariant from the rows themselves."""

from dataclasses import asdict, dataclass
from typing import Any

from forecourt.access import queries as access
from forecourt.charging import queries as charging
from forecourt.core.actor import System
from forecourt.core.db import Database
from forecourt.core.verify import Check, Violation
from forecourt.deliveries import queries as deliveries
from forecourt.devices import queries as devices
from forecourt.ledger import queries as ledger
from forecourt.payments import queries as payments
from forecourt.sales import queries as sales
from forecourt.sites import queries as sites

CHECKS: tuple[Check, ...] = (
    *access.CHECKS,
    *sites.CHECKS,
    *devices.CHECKS,
    *ledger.CHECKS,
    *deliveries.CHECKS,
    *charging.CHECKS,
    *payments.CHECKS,
    *sales.CHECKS,
)


@dataclass(frozen=True, slots=True)
class Report:
    """What was checked and what does not hold; `unsealed` transfers are the chain's open tail."""

    checks: tuple[str, ...]
    violations: tuple[Violation, ...]
    unsealed: int

    def as_json(self) -> dict[str, Any]:
        return {
            "ok": not self.violations,
            "checks": list(self.checks),
            "violations": [asdict(each) for each in self.violations],
            "unsealed_transfers": self.unsealed,
        }

    def lines(self) -> list[str]:
        """For people."""
        told = [f"{each.check}: {each.subject}: {each.detail}" for each in self.violations]
        verdict = "all hold" if not self.violations else f"{len(self.violations)} violations"
        return [*told, f"{len(self.checks)} checks, {verdict}; {self.unsealed} transfers not sealed yet"]


async def verify(database: Database) -> Report:
    """Run every check on one consistent state of the database."""
    found: list[Violation] = []
    async with database.read() as session:
        for check in CHECKS:
            found += await check(session)
        unsealed = await ledger.count_unsealed(session, System())
    names = tuple(f"{check.__module__.split('.')[1]}.{check.__name__}" for check in CHECKS)
    return Report(names, tuple(found), unsealed)
