"""The HTTP edge that every endpoint shares: problems, limits, permissions, shapes, streams, health."""

from forecourt.core.http.fields import IdempotencyKey, IdOut, In, Instant, InstantOut, Out, Page, PublicId
from forecourt.core.http.hot import HotRoute
from forecourt.core.http.parts import Db, part, part_of, provide
from forecourt.core.http.permissions import (
    Authenticate,
    Credentials,
    check_declarations,
    public,
    require,
    signed_in,
)
from forecourt.core.http.problem import refusals
from forecourt.core.http.sse import EventStream, ServerEvent, last_event_id

__all__ = [
    "Authenticate",
    "Credentials",
    "Db",
    "EventStream",
    "HotRoute",
    "IdOut",
    "IdempotencyKey",
    "In",
    "Instant",
    "InstantOut",
    "Out",
    "Page",
    "PublicId",
    "ServerEvent",
    "check_declarations",
    "last_event_id",
    "part",
    "part_of",
    "provide",
    "public",
    "refusals",
    "require",
    "signed_in",
]
