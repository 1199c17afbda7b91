"""What the clock asks of the book."""

from forecourt.core.db import Database
from forecourt.ledger import service


async def seal(database: Database) -> None:
    """Chain new transfers until none is left; every few seconds."""
    while await database.transact(service.seal) == service.SEAL_TRANSFERS_MAX:
        pass


async def expire_holds(database: Database) -> None:
    await database.transact(service.expire_holds)
