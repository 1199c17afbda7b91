"""The channel's own records: orders, refunds, notifications; in memory, with a journal file when asked.

The journal is a line of JSON for each changed record; the last line of a record counts. It is rewritten at
start, so it stays as small as what it tells.
"""

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from forecourt_kit.disk import AppendFile, Disk


class TradeState(StrEnum):
    NOTPAY = "NOTPAY"
    USERPAYING = "USERPAYING"
    SUCCESS = "SUCCESS"
    REFUND = "REFUND"
    CLOSED = "CLOSED"
    REVOKED = "REVOKED"
    PAYERROR = "PAYERROR"


class RefundState(StrEnum):
    PROCESSING = "PROCESSING"
    SUCCESS = "SUCCESS"
    ABNORMAL = "ABNORMAL"
    CLOSED = "CLOSED"


@dataclass(slots=True, kw_only=True)
class Order:
    mchid: str
    appid: str
    out_trade_no: str
    trade_type: str  # NATIVE or MICROPAY
    total_fen: int
    description: str
    attach: str
    notify_url: str
    fingerprint: str  # Of the content it was placed with.
    created_us: int
    expires_us: int | None = None
    state: TradeState = TradeState.NOTPAY
    code_url: str = ""
    transaction_id: str = ""
    payer: str = ""
    paid_us: int = 0
    polls_left: int | None = None  # USERPAYING ends after so many queries; None: when the payer acts.
    polls_then: TradeState = TradeState.SUCCESS
    reversed_fen: int = 0  # What a reverse gave back.

    @property
    def key(self) -> tuple[str, str]:
        return self.mchid, self.out_trade_no


@dataclass(slots=True, kw_only=True)
class Refund:
    mchid: str
    out_refund_no: str
    out_trade_no: str
    refund_id: str
    transaction_id: str
    refund_fen: int
    total_fen: int
    notify_url: str
    fingerprint: str
    created_us: int
    state: RefundState = RefundState.PROCESSING
    settles_as: RefundState = RefundState.SUCCESS
    polls_left: int | None = None  # Settles after so many queries; None: by itself.
    settled_us: int = 0

    @property
    def key(self) -> tuple[str, str]:
        return self.mchid, self.out_refund_no


@dataclass(slots=True, kw_only=True)
class Attempt:
    at_us: int
    status: int  # HTTP status, 0 for no answer, -1 for one that was lost on purpose.


@dataclass(slots=True, kw_only=True)
class Notice:
    id: str
    mchid: str
    number: str  # out_trade_no
    event_type: str
    url: str
    resource: dict[str, Any]  # Before encryption.
    created_us: int
    is_held: bool = False  # Sent only on request.
    is_over: bool = False  # Acknowledged, or out of tries.
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, str]:
        return self.mchid, self.id


Record = Order | Refund | Notice


class Book:
    """All records. `keep` must be called after a record is changed."""

    def __init__(self, disk: Disk | None = None, path: Path | None = None) -> None:
        self.orders: dict[tuple[str, str], Order] = {}
        self.refunds: dict[tuple[str, str], Refund] = {}
        self.notices: dict[tuple[str, str], Notice] = {}
        self._journal: AppendFile | None = None
        if disk is not None and path is not None:
            self._load(disk, path)
            self._journal = disk.open_append(path)

    def keep(self, record: Record) -> None:
        self._shelf(record)[record.key] = record
        if self._journal is not None:
            self._journal.append(_line(record))

    def refunds_of(self, order: Order) -> list[Refund]:
        return [
            one
            for one in self.refunds.values()
            if one.mchid == order.mchid and one.out_trade_no == order.out_trade_no
        ]

    def refunded_fen(self, order: Order) -> int:
        """Given back or on its way; a refund that was closed or failed gives its amount free again."""
        back = (RefundState.PROCESSING, RefundState.SUCCESS)
        return order.reversed_fen + sum(one.refund_fen for one in self.refunds_of(order) if one.state in back)

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()

    def _shelf(self, record: Record) -> dict[tuple[str, str], Any]:
        shelves: dict[type, dict[tuple[str, str], Any]] = {
            Order: self.orders,
            Refund: self.refunds,
            Notice: self.notices,
        }
        return shelves[type(record)]

    def _load(self, disk: Disk, path: Path) -> None:
        if not disk.exists(path):
            return
        lines = disk.read(path).split(b"\n")
        for line in lines[:-1]:  # What follows the last newline was cut off while it was written.
            record = _record(json.loads(line))
            self._shelf(record)[record.key] = record
        kept: list[Record] = [*self.orders.values(), *self.refunds.values(), *self.notices.values()]
        disk.replace(path, b"".join(_line(record) for record in kept), 0o600)


def _line(record: Record) -> bytes:
    content = {"kind": type(record).__name__, **asdict(record)}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _record(content: dict[str, Any]) -> Record:
    kind = content.pop("kind")
    if kind == "Order":
        content["state"] = TradeState(content["state"])
        content["polls_then"] = TradeState(content["polls_then"])
        return Order(**content)
    if kind == "Refund":
        content["state"] = RefundState(content["state"])
        content["settles_as"] = RefundState(content["settles_as"])
        return Refund(**content)
    if kind == "Notice":
        content["attempts"] = [Attempt(**one) for one in content["attempts"]]
        return Notice(**content)
    raise ValueError(f"the journal holds a record of unknown kind {kind!r}")
