"""Verbs of payments. Each runs in its caller's transaction and never asks a channel; `flows` does that."""

from forecourt.payments.service.asked import (
    allocate,
    apply_answer,
    apply_notice,
    begin_reverse,
    end_asked,
    give_up,
    lease_attempts,
    open_asked,
)
from forecourt.payments.service.booked import book_many, top_up_cash
from forecourt.payments.service.refunds import (
    apply_refund_answer,
    lease_refunds,
    refund_rest,
    refund_sale,
    suspend_and_refund,
)

__all__ = [
    "allocate",
    "apply_answer",
    "apply_notice",
    "apply_refund_answer",
    "begin_reverse",
    "book_many",
    "end_asked",
    "give_up",
    "lease_attempts",
    "lease_refunds",
    "open_asked",
    "refund_rest",
    "refund_sale",
    "suspend_and_refund",
    "top_up_cash",
]
