"""A shop on each engine, settled up after every test."""

from collections.abc import AsyncIterator

import pytest
from tests.shop import Shop, open_shop

from forecourt.core.db import Database


@pytest.fixture
async def shop(database: Database) -> AsyncIterator[Shop]:
    """At the end of every test nothing is in flight, and our books are the channel's books."""
    async with open_shop(database) as opened:
        yield opened
        await opened.settle_up()
