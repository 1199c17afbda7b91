"""Types of HTTP shapes: strict numbers with bounds, ids as public text, times with an offset.

JSON numbers become money or quantity only when they are whole: 1.0, "1", true, NaN and 1e400 are refused,
and so is a field that was not asked for.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Protocol

from fastapi import Depends, Header, Query
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

from forecourt.core.errors import IdempotencyKeyMissing
from forecourt.core.idempotency import KEY_CHARS_MAX, KEY_CHARS_MIN
from forecourt_kit.clock import parse_rfc3339, rfc3339
from forecourt_kit.ids import PUBLIC_CHARS, from_public, to_public
from forecourt_kit.limits import AMOUNT_FEN_MAX, QUANTITY_E4_MAX, UNIT_PRICE_E4_MAX

PAGE_ROWS_MAX = 200
PAGE_ROWS = 50
SMALL_MAX = 1_000_000

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
IDEMPOTENCY_KEY = re.compile(rf"[\x21-\x7e]{{{KEY_CHARS_MIN},{KEY_CHARS_MAX}}}")


class In(BaseModel):
    """A request body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Out(BaseModel):
    """An answer, made from a dataclass of `types`."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


def _read_id(value: Any) -> Any:
    """Text from outside; an int from our own dataclasses."""
    if isinstance(value, str):
        return from_public(value)
    raise ValueError("an id is text")


def _read_time(value: Any) -> datetime:
    if not isinstance(value, str) or len(value) > 40:
        raise ValueError("a time is RFC 3339 text with its offset")
    return parse_rfc3339(value)


def _printable(value: str) -> str:
    if CONTROL.search(value):
        raise ValueError("control and invisible characters are not allowed")
    return value


ID_SCHEMA = WithJsonSchema(
    {"type": "string", "pattern": f"^[0-9a-hjkmnp-tv-z]{{{PUBLIC_CHARS}}}$", "examples": ["01jd3x5c8mqr7"]}
)
TIME_SCHEMA = WithJsonSchema({"type": "string", "format": "date-time"})

PublicId = Annotated[int, BeforeValidator(_read_id), ID_SCHEMA]
"""An id in a path, query or body: public text outside, an int inside."""

IdOut = Annotated[int, PlainSerializer(to_public, return_type=str), ID_SCHEMA]
Instant = Annotated[datetime, BeforeValidator(_read_time), TIME_SCHEMA]
InstantOut = Annotated[datetime, PlainSerializer(rfc3339, return_type=str), TIME_SCHEMA]

AmountFen = Annotated[int, Field(strict=True, ge=1, le=AMOUNT_FEN_MAX, examples=[20000])]
AmountFenOrZero = Annotated[int, Field(strict=True, ge=0, le=AMOUNT_FEN_MAX)]
QuantityE4 = Annotated[int, Field(strict=True, ge=1, le=QUANTITY_E4_MAX, examples=[254800])]
UnitPriceE4 = Annotated[int, Field(strict=True, ge=1, le=UNIT_PRICE_E4_MAX, examples=[78500])]
SmallInt = Annotated[int, Field(strict=True, ge=0, le=SMALL_MAX)]
Number = Annotated[int, Field(strict=True, ge=1, le=9_999)]
Flag = Annotated[bool, Field(strict=True)]

Name = Annotated[
    str, Field(min_length=1, max_length=80), AfterValidator(str.strip), AfterValidator(_printable)
]
"""Words for people, one line."""

Words = Annotated[str, Field(max_length=500), AfterValidator(_printable)]
SecretText = Annotated[str, Field(min_length=1, max_length=128)]
"""A password or code as typed. It is never echoed."""


class Identified(Protocol):
    @property
    def id(self) -> int: ...


@dataclass(frozen=True, slots=True)
class PageQuery:
    """`?limit=50&cursor=<next_cursor of the page before>`: rows in id order, newest first."""

    limit: int
    after: int | None

    def next_cursor(self, rows: Sequence[Identified]) -> str | None:
        """What asks for the rows after these; None when these are the last."""
        return to_public(rows[-1].id) if len(rows) == self.limit else None


async def page_query(
    limit: Annotated[int, Query(ge=1, le=PAGE_ROWS_MAX)] = PAGE_ROWS,
    cursor: Annotated[PublicId | None, Query()] = None,
) -> PageQuery:
    return PageQuery(limit, cursor)


Page = Annotated[PageQuery, Depends(page_query)]


async def idempotency_key(
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="Made by the client, 8 to 64 printable characters: same key and input, same answer.",
        ),
    ] = None,
) -> str:
    if key is None or not IDEMPOTENCY_KEY.fullmatch(key):
        raise IdempotencyKeyMissing
    return key


IdempotencyKey = Annotated[str, Depends(idempotency_key)]
