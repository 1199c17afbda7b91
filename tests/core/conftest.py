import pytest
from tests import services
from tests.core.toys import TOYS

from forecourt.core.db import Database


@pytest.fixture
async def toys(database: Database) -> Database:
    """`database` with the toy tables in it."""
    await services.create_schema(database, TOYS)
    return database
