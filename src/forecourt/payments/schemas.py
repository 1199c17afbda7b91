"""HTTP shapes of payments."""

from pydantic import Field

from forecourt.core.http.fields import AmountFen, AmountFenOrZero, IdOut, In, InstantOut, Out, PublicId
from forecourt.payments.types import PaymentState, Product, Tender


class PaymentOut(Out):
    """A payment. `qr_text` and `qr_svg` are what the payer scans, while it is pending."""

    id: IdOut
    state: PaymentState
    tender: Tender
    product: Product | None
    amount_fen: int
    paid_fen: int
    refunded_fen: int
    sale_ids: list[IdOut]
    qr_text: str | None = None
    qr_svg: str | None = None
    expires_at: InstantOut | None = None
    created_at: InstantOut
    paid_at: InstantOut | None = None


class TopupIn(In):
    """Cash into a member's wallet; `bonus_fen` is what the operator gives on top."""

    station_id: PublicId
    amount_fen: AmountFen
    bonus_fen: AmountFenOrZero = Field(0)


class WalletOut(Out):
    principal_fen: int
    bonus_fen: int
    held_fen: int
    available_fen: int
