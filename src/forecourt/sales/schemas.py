"""HTTP shapes of sales."""

from datetime import date
from typing import Any, Literal

import msgspec
from pydantic import Field, model_validator

from forecourt.core.http.fields import AmountFen, IdOut, In, InstantOut, Out, PublicId, Words
from forecourt.deliveries.types import NozzleState
from forecourt.payments.types import RefundState, Tender
from forecourt.sales.types import AuthorisationKind, AuthorisationState, SaleState
from forecourt.sites.types import Energy
from forecourt_kit.limits import AMOUNT_FEN_MAX
from forecourt_kit.price import AmountSource, Preset, PresetKind
from forecourt_kit.quantity import Unit


class ProductNameOut(Out):
    name: str
    name_zh: str


class SaleOut(Out):
    id: IdOut
    station_id: IdOut
    station_name: str
    station_timezone: str
    nozzle_id: IdOut
    nozzle_number: int
    product: ProductNameOut
    business_date: date
    unit: Unit
    quantity_e4: int
    unit_price_e4: int
    gross_fen: int
    discount_fen: int
    due_fen: int
    paid_fen: int
    refunded_fen: int
    amount_source: AmountSource
    state: SaleState
    marks: tuple[str, ...]
    tenders: tuple[str, ...]
    opened_at: InstantOut
    paid_at: InstantOut | None


class SalesOut(Out):
    items: list[SaleOut]
    next_cursor: str | None


class NozzleOut(Out):
    """A nozzle as it is now. `state` is `offline` when nothing was heard of it for half a minute."""

    id: IdOut
    number: int
    energy: Energy
    unit: Unit
    product: ProductNameOut | None
    unit_price_e4: int | None
    state: NozzleState
    quantity_e4: int
    amount_fen: int
    updated_at: InstantOut | None
    unpaid_count: int
    price_pending: bool


class ForecourtOut(Out):
    items: list[NozzleOut]


class EntryOut(Out):
    """One thing that happened. `title_code` is translated by the screen; `facts` are its values."""

    at: InstantOut
    kind: str
    title_code: str
    facts: dict[str, Any]
    reference: str


class PostingOut(Out):
    transfer_id: IdOut
    at: InstantOut
    kind: str
    account: str
    side: str
    amount_fen: int


class TimelineOut(Out):
    sale: SaleOut
    entries: list[EntryOut]
    postings: list[PostingOut]


class CheckoutIn(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Body of the forecourt's checkout. Without `amount_fen` all that is owed is paid."""

    tender: Literal["wallet", "cash", "wechat"]
    product: Literal["native", "code"] | None = None
    amount_fen: int | None = None
    member_id: str | None = None
    payer_code: str | None = None


CHECKOUT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["tender"],
    "properties": {
        "tender": {"type": "string", "enum": ["wallet", "cash", "wechat"]},
        "product": {"type": ["string", "null"], "enum": ["native", "code", None]},
        "amount_fen": {"type": ["integer", "null"], "minimum": 1, "maximum": AMOUNT_FEN_MAX},
        "member_id": {"type": ["string", "null"]},
        "payer_code": {"type": ["string", "null"], "pattern": "^[0-9]{16,24}$"},
    },
}


class RefundIn(In):
    amount_fen: AmountFen
    reason: Words = Field(min_length=1)


class RefundOut(Out):
    id: IdOut
    payment_id: IdOut
    amount_fen: int
    reason: str
    state: RefundState
    created_at: InstantOut


class RefundsOut(Out):
    items: list[RefundOut]


class VoidIn(In):
    reason: Words = Field(min_length=1)


class PresetIn(In):
    kind: PresetKind
    value: int = Field(0, ge=0, le=AMOUNT_FEN_MAX, strict=True)

    @model_validator(mode="after")
    def _means_something(self) -> "PresetIn":
        self.preset()
        return self

    def preset(self) -> Preset:
        """Raises ValueError when the value does not fit the kind."""
        return Preset(self.kind, self.value)


class AuthoriseIn(In):
    """A pre-payment, or a payer bound to a lifted nozzle. `limit_fen` bounds a full tank."""

    nozzle_id: PublicId
    kind: AuthorisationKind
    tender: Tender
    member_id: PublicId | None = None
    preset: PresetIn
    limit_fen: AmountFen | None = None


class AuthorisationOut(Out):
    id: IdOut
    nozzle_id: IdOut
    nozzle_number: int
    kind: AuthorisationKind
    state: AuthorisationState
    limit_fen: int
    unit_price_e4: int
    expires_at: InstantOut
    payment_id: IdOut | None
