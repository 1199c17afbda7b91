"""Clock jobs of access."""

from forecourt.access import service
from forecourt.core.db import Database


async def forget_old(db: Database) -> int:
    """Daily: sessions and tries that nobody asks about any more."""
    return await db.transact(service.forget_old)
