"""The store: engines, sessions, units of work, and what SQL must mean the same on three engines."""

from forecourt.core.db.claim import insert_new, lease, upsert_many
from forecourt.core.db.database import Database
from forecourt.core.db.model import Model
from forecourt.core.db.session import ReadSession, WriteSession, assert_no_transaction
from forecourt.core.db.sets import ByMany, update_many
from forecourt.core.db.types import Big, Bytes, Code, Json, Key, Text, UtcTime

__all__ = [
    "Big",
    "ByMany",
    "Bytes",
    "Code",
    "Database",
    "Json",
    "Key",
    "Model",
    "ReadSession",
    "Text",
    "UtcTime",
    "WriteSession",
    "assert_no_transaction",
    "insert_new",
    "lease",
    "update_many",
    "upsert_many",
]
