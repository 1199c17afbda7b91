"""Which lots a spend comes from, where a refund goes back, and what makes a set of legs a transfer."""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from forecourt.ledger.types import DrawPolicy, Leg, Lot, LotKind, LotPart, Side
from forecourt_kit.money import split_fen


def signed_fen(side: Side, amount_fen: int) -> int:
    """Debits count up, credits down: a transfer's legs sum to zero."""
    return amount_fen if side is Side.DEBIT else -amount_fen


def check_balanced(legs: Sequence[Leg]) -> None:
    """A transfer that does not sum to zero is a bug, never a refusal."""
    assert len(legs) >= 2, "a transfer has two legs at least"
    assert all(leg.amount_fen > 0 for leg in legs), "a leg without money"
    assert sum(signed_fen(leg.side, leg.amount_fen) for leg in legs) == 0, "debits and credits differ"
    assert len({leg.account.operator_id for leg in legs}) == 1, "a transfer stays inside one operator's book"


def draw(
    lots: Sequence[Lot], amount_fen: int, policy: DrawPolicy, now: datetime
) -> tuple[LotPart, ...] | None:
    """Parts of lots that make up `amount_fen`, soonest to expire first; None when they do not reach.

    Expired bonus is never drawn; principal does not expire.
    """
    alive = [
        lot for lot in lots if lot.remaining_fen > 0 and (lot.expires_at is None or lot.expires_at > now)
    ]
    ordered = sorted(alive, key=lambda lot: (lot.expires_at is None, lot.expires_at or now, lot.id))
    bonus = [lot for lot in ordered if lot.kind is LotKind.BONUS]
    principal = [lot for lot in ordered if lot.kind is LotKind.PRINCIPAL]
    bonus_fen = sum(lot.remaining_fen for lot in bonus)
    principal_fen = sum(lot.remaining_fen for lot in principal)
    if bonus_fen + principal_fen < amount_fen:
        return None
    match policy:
        case DrawPolicy.BONUS_FIRST:
            from_bonus = min(bonus_fen, amount_fen)
        case DrawPolicy.PRINCIPAL_FIRST:
            from_bonus = amount_fen - min(principal_fen, amount_fen)
        case DrawPolicy.PROPORTIONAL:
            from_bonus = split_fen(amount_fen, [bonus_fen, principal_fen])[0]
    return (*_take(bonus, from_bonus), *_take(principal, amount_fen - from_bonus))


def _take(lots: Sequence[Lot], amount_fen: int) -> list[LotPart]:
    parts = []
    for lot in lots:
        if amount_fen == 0:
            break
        part = min(lot.remaining_fen, amount_fen)
        parts.append(LotPart(lot.id, lot.kind, part))
        amount_fen -= part
    assert amount_fen == 0
    return parts


def give_back(
    drawn: Sequence[LotPart], returned: Sequence[LotPart], amount_fen: int
) -> tuple[LotPart, ...] | None:
    """Where `amount_fen` of a spend goes back to, in proportion of what is still out; None if it is more."""
    back: dict[int, int] = {}
    for part in returned:
        back[part.lot_id] = back.get(part.lot_id, 0) + part.amount_fen
    left = [LotPart(part.lot_id, part.kind, part.amount_fen - back.get(part.lot_id, 0)) for part in drawn]
    left = [part for part in left if part.amount_fen > 0]
    if sum(part.amount_fen for part in left) < amount_fen:
        return None
    shares = split_fen(amount_fen, [part.amount_fen for part in left])
    return tuple(
        LotPart(part.lot_id, part.kind, share) for part, share in zip(left, shares, strict=True) if share > 0
    )


def parts_to_memo(parts: Sequence[LotPart]) -> list[list[object]]:
    return [[part.lot_id, part.kind.value, part.amount_fen] for part in parts]


def parts_from_memo(memo: Sequence[tuple[int, str, int]]) -> tuple[LotPart, ...]:
    return tuple(LotPart(lot, LotKind(kind), fen) for lot, kind, fen in memo)


def seal_hash(previous: str, contents: Sequence[Any]) -> str:
    """SHA-256 over the previous seal and the canonical JSON of every transfer with its legs, by id."""
    return hashlib.sha256((previous + _canonical(list(contents))).encode()).hexdigest()


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
