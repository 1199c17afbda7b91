"""What the clock asks of the price book."""

from forecourt.core.db import Database
from forecourt.pricing import service


async def push_due(database: Database) -> None:
    """Prices that came into force reach their nozzles; every second or two."""
    while await database.transact(service.push_due) == service.PUSHED_MAX:
        pass
