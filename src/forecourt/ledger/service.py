"""Verbs that move money. `post_many` is the only one that writes postings; everything runs in sets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from forecourt.core.db import WriteSession
from forecourt.core.errors import Refusal
from forecourt.ledger import queries, rules
from forecourt.ledger.errors import GiveBackTooLarge, HoldEnded, HoldNotFound, InsufficientFunds
from forecourt.ledger.types import (
    NORMAL_SIDE,
    Account,
    Draw,
    GiveBack,
    HoldState,
    Kind,
    Leg,
    Lot,
    LotKind,
    LotPart,
    Movement,
    Posted,
    Purpose,
    Side,
    Topup,
    Transfer,
    TransferId,
)

HOLD_MINUTES_MAX = 24 * 60
SEAL_TRANSFERS_MAX = 500


async def post_many(session: WriteSession, movements: Sequence[Movement]) -> list[Posted | Refusal]:
    """Book movements, each whole or not at all; answers one `Posted` or `Refusal` each, in order.

    Movements of one call see each other's effect, in order. Wallets are locked in account order, so two
    calls cannot deadlock on them.
    """
    books = await _open_books(session, movements)
    outcomes = [books.book(movement) for movement in movements]
    await _write_books(session, books)
    return outcomes


async def post(session: WriteSession, movement: Movement) -> Posted:
    """`post_many` for one; raises its refusal."""
    (outcome,) = await post_many(session, [movement])
    if isinstance(outcome, Refusal):
        raise outcome
    return outcome


async def hold(
    session: WriteSession,
    *,
    operator_id: int,
    member_id: int,
    reference: str,
    amount_fen: int,
    expires_at: datetime,
) -> None:
    """Set money of a wallet aside. The same reference again changes nothing.

    Raises:
        InsufficientFunds: less than `amount_fen` is free.
    """
    assert amount_fen > 0
    assert expires_at <= session.now() + timedelta(minutes=HOLD_MINUTES_MAX)
    if (operator_id, reference) in await queries.holds_many(session, [(operator_id, reference)]):
        return
    principal, bonus = _wallet_accounts(operator_id, member_id)
    await queries.ensure_accounts_many(session, [principal, bonus])
    balances = await queries.lock_balances_many(session, [principal.id, bonus.id])
    lots = await queries.lots_many(session, [principal.id, bonus.id])
    spendable = sum(lot.remaining_fen for lot in _alive(lots, session.now()))
    principal_fen, held_fen = balances[principal.id]
    if spendable - held_fen < amount_fen:
        raise InsufficientFunds(available_fen=max(0, spendable - held_fen), asked_fen=amount_fen)
    await queries.set_balances_many(session, {principal.id: (principal_fen, held_fen + amount_fen)})
    row = {
        "id": session.new_id(),
        "operator_id": operator_id,
        "member_id": member_id,
        "reference": reference,
        "amount_fen": amount_fen,
        "state": HoldState.HELD,
        "expires_at": expires_at,
        "created_at": session.now(),
    }
    await queries.insert_hold(session, row)


async def void_hold(
    session: WriteSession, operator_id: int, reference: str, *, state: HoldState = HoldState.VOIDED
) -> bool:
    """Give held money free again. False when the hold had ended before.

    Raises:
        HoldNotFound: nothing was ever held under this reference.
    """
    name = (operator_id, reference)
    found = (await queries.holds_many(session, [name])).get(name)
    if found is None:
        raise HoldNotFound(reference=reference)
    hold_id, member_id, amount_fen, was = found
    if was is not HoldState.HELD:
        return False
    principal, _ = _wallet_accounts(operator_id, member_id)
    balance_fen, held_fen = (await queries.lock_balances_many(session, [principal.id]))[principal.id]
    await queries.end_holds_many(session, [hold_id], state)
    await queries.set_balances_many(session, {principal.id: (balance_fen, held_fen - amount_fen)})
    return True


async def expire_holds(session: WriteSession, limit: int = 100) -> int:
    """Free what was set aside and never used; a clock job."""
    ended = 0
    for operator_id, reference in await queries.expired_holds_many(session, session.now(), limit):
        ended += await void_hold(session, operator_id, reference, state=HoldState.EXPIRED)
    return ended


async def seal(session: WriteSession) -> int:
    """Chain what was booked since the last time, operator by operator. Gives how many transfers.

    Two sealers at once: the second loses on the seal's primary key and its transaction is repeated.
    """
    unsealed = await queries.unsealed_many(session, SEAL_TRANSFERS_MAX)
    by_operator: dict[int, list[int]] = {}
    for operator_id, transfer_id in unsealed:
        by_operator.setdefault(operator_id, []).append(transfer_id)
    for operator_id, transfer_ids in sorted(by_operator.items()):
        sequence, previous = await queries.last_seal(session, operator_id)
        contents = await queries.transfer_contents_many(session, transfer_ids)
        row = {
            "operator_id": operator_id,
            "sequence": sequence + 1,
            "transfers": len(transfer_ids),
            "hash": rules.seal_hash(previous, [contents[each] for each in sorted(transfer_ids)]),
            "previous": previous,
            "sealed_at": session.now(),
        }
        await queries.insert_seal_many(session, row, transfer_ids)
    return len(unsealed)


def _wallet_accounts(operator_id: int, member_id: int) -> tuple[Account, Account]:
    return (
        Account(operator_id, Purpose.WALLET_PRINCIPAL, member_id),
        Account(operator_id, Purpose.WALLET_BONUS, member_id),
    )


def _alive(lots: Mapping[int, list[Lot]], now: datetime) -> list[Lot]:
    return [lot for each in lots.values() for lot in each if lot.expires_at is None or lot.expires_at > now]


# (operator, reference) of a spend → its transfer, what it drew, what went back of it.
_Spends = dict[tuple[int, str], tuple[TransferId, tuple[LotPart, ...], list[LotPart]]]


@dataclass(slots=True)
class _Books:
    """What one call knows under its locks, and what it is going to write."""

    session: WriteSession
    now: datetime
    existing: dict[tuple[int, Kind, str], tuple[int, dict[str, Any]]]
    balances: dict[int, tuple[int, int]]
    lots: dict[int, list[Lot]]
    holds: dict[tuple[int, str], tuple[int, int, int, HoldState]]
    spends: _Spends
    remainders: dict[int, int]
    accounts: set[Account] = field(default_factory=set)
    transfers: list[dict[str, Any]] = field(default_factory=list)
    postings: list[dict[str, Any]] = field(default_factory=list)
    new_lots: list[dict[str, Any]] = field(default_factory=list)
    balances_set: set[int] = field(default_factory=set)
    lots_set: dict[int, int] = field(default_factory=dict)
    holds_posted: list[int] = field(default_factory=list)

    def book(self, movement: Movement) -> Posted | Refusal:
        kind, reference = _name(movement)
        before = self.existing.get((movement.operator_id, kind, reference))
        if before is not None:
            parts = rules.parts_from_memo(before[1].get("parts", []))
            return Posted(transfer_id=TransferId(before[0]), replayed=True, parts=parts)
        match movement:
            case Transfer():
                return self._write(movement, kind, movement.legs, movement.memo)
            case Draw():
                return self._draw(movement)
            case Topup():
                return self._topup(movement)
            case GiveBack():
                return self._give_back(movement)

    def _draw(self, asked: Draw) -> Posted | Refusal:
        principal, bonus = _wallet_accounts(asked.operator_id, asked.member_id)
        balance_fen, held_fen = self.balances[principal.id]
        lots = self.lots.get(principal.id, []) + self.lots.get(bonus.id, [])
        freed_fen = 0
        if asked.hold_reference is not None:
            found = self.holds.get((asked.operator_id, asked.hold_reference))
            if found is None or found[3] is not HoldState.HELD:
                return HoldEnded(reference=asked.hold_reference)
            freed_fen = found[2]
        alive = _alive({0: lots}, self.now)
        available_fen = sum(lot.remaining_fen for lot in alive) - (held_fen - freed_fen)
        parts = rules.draw(lots, asked.amount_fen, asked.policy, self.now)
        if parts is None or available_fen < asked.amount_fen:
            return InsufficientFunds(available_fen=max(0, available_fen), asked_fen=asked.amount_fen)
        if asked.hold_reference is not None:
            hold = self.holds[asked.operator_id, asked.hold_reference]
            self.holds[asked.operator_id, asked.hold_reference] = (*hold[:3], HoldState.POSTED)
            self.holds_posted.append(hold[0])
            self.balances[principal.id] = (balance_fen, held_fen - freed_fen)
            self.balances_set.add(principal.id)
        legs = _legs(parts, Side.DEBIT, principal, bonus)
        legs.append(Leg(asked.credit, Side.CREDIT, asked.amount_fen))
        for part in parts:
            self._move_lot(principal if part.kind is LotKind.PRINCIPAL else bonus, part, -1)
        memo = {**asked.memo, "policy": asked.policy.value, "parts": rules.parts_to_memo(parts)}
        return self._write(asked, Kind.WALLET_SPENT, legs, memo, parts=parts)

    def _topup(self, asked: Topup) -> Posted:
        principal, bonus = _wallet_accounts(asked.operator_id, asked.member_id)
        legs = [
            Leg(asked.debit, Side.DEBIT, asked.principal_fen),
            Leg(principal, Side.CREDIT, asked.principal_fen),
        ]
        self._new_lot(principal, LotKind.PRINCIPAL, asked.campaign, asked.principal_fen, None)
        if asked.bonus_fen:
            cost = Account(asked.operator_id, Purpose.BONUS_COST, asked.campaign)
            legs += [Leg(cost, Side.DEBIT, asked.bonus_fen), Leg(bonus, Side.CREDIT, asked.bonus_fen)]
            self._new_lot(bonus, LotKind.BONUS, asked.campaign, asked.bonus_fen, asked.bonus_expires_at)
        return self._write(asked, Kind.TOPUP, legs, {})

    def _give_back(self, asked: GiveBack) -> Posted | Refusal:
        spent_id, drawn, returned = self.spends[asked.operator_id, asked.spent_reference]
        parts = rules.give_back(drawn, returned, asked.amount_fen)
        if parts is None:
            return GiveBackTooLarge(asked_fen=asked.amount_fen)
        returned.extend(parts)
        principal, bonus = _wallet_accounts(asked.operator_id, asked.member_id)
        legs = [Leg(asked.debit, Side.DEBIT, asked.amount_fen), *_legs(parts, Side.CREDIT, principal, bonus)]
        for part in parts:
            self._move_lot(principal if part.kind is LotKind.PRINCIPAL else bonus, part, 1)
        memo = {"parts": rules.parts_to_memo(parts)}
        return self._write(asked, Kind.WALLET_REFUNDED, legs, memo, reversal_of=spent_id, parts=parts)

    def _move_lot(self, account: Account, part: LotPart, sign: int) -> None:
        lots = self.lots.setdefault(account.id, [])
        for at, lot in enumerate(lots):
            if lot.id == part.lot_id:
                left = lot.remaining_fen + sign * part.amount_fen
                lots[at] = Lot(lot.id, lot.kind, left, lot.expires_at)
                self.lots_set[lot.id] = left
                return
        left = self.remainders.get(part.lot_id, 0) + sign * part.amount_fen
        self.remainders[part.lot_id] = left
        self.lots_set[part.lot_id] = left

    def _new_lot(
        self, account: Account, kind: LotKind, campaign: int, amount_fen: int, expires_at: datetime | None
    ) -> None:
        row = queries.lot_row(
            self.session,
            account,
            kind=kind,
            campaign=campaign,
            amount_fen=amount_fen,
            expires_at=expires_at,
        )
        self.new_lots.append(row)

    def _write(
        self,
        movement: Movement,
        kind: Kind,
        legs: Sequence[Leg],
        memo: dict[str, Any],
        *,
        reversal_of: TransferId | None = None,
        parts: tuple[LotPart, ...] = (),
    ) -> Posted:
        rules.check_balanced(legs)
        for leg in legs:
            if leg.account.has_floor:
                balance_fen, held_fen = self.balances[leg.account.id]
                grown = leg.amount_fen if leg.side is NORMAL_SIDE[leg.account.purpose] else -leg.amount_fen
                self.balances[leg.account.id] = (balance_fen + grown, held_fen)
                self.balances_set.add(leg.account.id)
                assert balance_fen + grown >= 0, "a wallet's lots and balance differ"
            self.accounts.add(leg.account)
        transfer_id = TransferId(self.session.new_id())
        _, reference = _name(movement)
        if isinstance(movement, Transfer):
            reversal_of = movement.reversal_of
        self.transfers.append(
            {
                "id": transfer_id,
                "operator_id": movement.operator_id,
                "kind": kind,
                "reference": reference,
                "effective_at": self.now,
                "reversal_of": reversal_of,
                "memo": memo,
                "seal_sequence": None,
            }
        )
        self.postings += [
            {
                "transfer_id": transfer_id,
                "leg": at,
                "operator_id": movement.operator_id,
                "account_id": leg.account.id,
                "side": leg.side,
                "amount_fen": leg.amount_fen,
            }
            for at, leg in enumerate(legs)
        ]
        self.existing[movement.operator_id, kind, reference] = (transfer_id, memo)
        return Posted(transfer_id=transfer_id, parts=parts)


def _legs(parts: Sequence[LotPart], side: Side, principal: Account, bonus: Account) -> list[Leg]:
    sums = {bonus: 0, principal: 0}
    for part in parts:
        sums[principal if part.kind is LotKind.PRINCIPAL else bonus] += part.amount_fen
    return [Leg(account, side, fen) for account, fen in sums.items() if fen]


def _name(movement: Movement) -> tuple[Kind, str]:
    match movement:
        case Transfer():
            return movement.kind, movement.reference
        case Draw():
            return Kind.WALLET_SPENT, movement.reference
        case Topup():
            return Kind.TOPUP, movement.reference
        case GiveBack():
            return Kind.WALLET_REFUNDED, movement.reference


async def _open_books(session: WriteSession, movements: Sequence[Movement]) -> _Books:
    """Lock and read what the movements touch: holds, then wallets in account order, then lots."""
    holds = await queries.holds_many(
        session,
        [
            (each.operator_id, each.hold_reference)
            for each in movements
            if isinstance(each, Draw) and each.hold_reference
        ],
    )
    wallets: set[Account] = set()
    for each in movements:
        if isinstance(each, Transfer):
            wallets.update(leg.account for leg in each.legs if leg.account.has_floor)
        else:
            wallets.update(_wallet_accounts(each.operator_id, each.member_id))
    await queries.ensure_accounts_many(session, wallets)
    balances = await queries.lock_balances_many(session, [account.id for account in wallets])
    existing = await queries.transfers_by_reference_many(
        session, [(each.operator_id, *_name(each)) for each in movements]
    )
    lots = await queries.lots_many(session, [account.id for account in wallets])
    spends, remainders = await _read_spends(
        session, [each for each in movements if isinstance(each, GiveBack)]
    )
    return _Books(
        session=session,
        now=session.now(),
        existing=existing,
        balances=balances,
        lots=lots,
        holds=holds,
        spends=spends,
        remainders=remainders,
    )


async def _read_spends(session: WriteSession, asked: Sequence[GiveBack]) -> tuple[_Spends, dict[int, int]]:
    """What each spend drew, what of it went back so far, and what the lots hold now."""
    names = {(each.operator_id, Kind.WALLET_SPENT, each.spent_reference) for each in asked}
    found = await queries.transfers_by_reference_many(session, names)
    spends: _Spends = {}
    for (operator_id, _, reference), (transfer_id, memo) in found.items():
        back = await queries.reversal_memos(session, operator_id, transfer_id)
        returned = [part for one in back for part in rules.parts_from_memo(one.get("parts", []))]
        drawn = rules.parts_from_memo(memo["parts"])
        spends[operator_id, reference] = (TransferId(transfer_id), drawn, returned)
    lot_ids = {part.lot_id for _, drawn, _ in spends.values() for part in drawn}
    return spends, await queries.lot_remainders_many(session, lot_ids)


async def _write_books(session: WriteSession, books: _Books) -> None:
    await queries.ensure_accounts_many(session, books.accounts)
    await queries.insert_transfers_many(session, books.transfers, books.postings)
    await queries.insert_lots_many(session, books.new_lots)
    await queries.set_balances_many(session, {each: books.balances[each] for each in books.balances_set})
    await queries.set_lots_many(session, books.lots_set)
    await queries.end_holds_many(session, books.holds_posted, HoldState.POSTED)
