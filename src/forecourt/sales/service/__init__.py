"""Verbs of sales. Each runs in its caller's transaction and never touches the network."""

from forecourt.sales.service.authorising import (
    Wish,
    authorise_wallet,
    await_prepayment,
    command_failed,
    expire_authorisations,
    grant_paid,
    refuse_unpaid,
    release,
)
from forecourt.sales.service.opening import open_many
from forecourt.sales.service.paying import (
    end_others,
    mark_refund_abnormal,
    open_asked,
    pay_many,
    refund,
    settle_received,
    unpaid,
    void,
)

__all__ = [
    "Wish",
    "authorise_wallet",
    "await_prepayment",
    "command_failed",
    "end_others",
    "expire_authorisations",
    "grant_paid",
    "mark_refund_abnormal",
    "open_asked",
    "open_many",
    "pay_many",
    "refund",
    "refuse_unpaid",
    "release",
    "settle_received",
    "unpaid",
    "void",
]
