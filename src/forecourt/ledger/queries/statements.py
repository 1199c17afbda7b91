"""Every statement of the book."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import case, func, select, update

from forecourt.core.actor import Scope, System, operator_of
from forecourt.core.db import ByMany, ReadSession, WriteSession, insert_new, update_many
from forecourt.ledger.models import AccountRow, BalanceRow, HoldRow, LotRow, PostingRow, SealRow, TransferRow
from forecourt.ledger.types import (
    Account,
    HoldState,
    Kind,
    Lot,
    LotKind,
    PostingLine,
    Purpose,
    Side,
    Wallet,
)

LOCKED_BALANCES = ByMany(
    select(BalanceRow.account_id, BalanceRow.balance_fen, BalanceRow.held_fen)
    .order_by(BalanceRow.account_id)
    .with_for_update(),
    BalanceRow.account_id,
)
LOTS = ByMany(
    select(LotRow.account_id, LotRow.id, LotRow.kind, LotRow.remaining_fen, LotRow.expires_at).where(
        LotRow.remaining_fen > 0
    ),
    LotRow.account_id,
)
TRANSFERS = ByMany(
    select(
        TransferRow.operator_id, TransferRow.kind, TransferRow.reference, TransferRow.id, TransferRow.memo
    ),
    TransferRow.operator_id,
    TransferRow.kind,
    TransferRow.reference,
)
ACCOUNTS_KNOWN_MAX = 100_000  # Accounts this process has seen stored; forgotten all at once beyond that.


async def ensure_accounts_many(session: WriteSession, accounts: Iterable[Account]) -> None:
    """Store the accounts (and the balance rows of those with a floor) that nobody stored yet."""
    known = session.known
    new = {account for account in accounts if account.id not in known}
    if not new:
        return
    rows = [
        {"id": each.id, "operator_id": each.operator_id, "purpose": each.purpose, "owner": each.owner}
        for each in new
    ]
    await insert_new(session, AccountRow, rows, key=("id",))
    floored = [
        {"account_id": each.id, "operator_id": each.operator_id, "balance_fen": 0, "held_fen": 0}
        for each in new
        if each.has_floor
    ]
    await insert_new(session, BalanceRow, floored, key=("account_id",))
    if len(known) > ACCOUNTS_KNOWN_MAX:
        known.clear()
    session.after_commit(lambda: known.update(each.id for each in new))


async def lock_balances_many(session: WriteSession, account_ids: Iterable[int]) -> dict[int, tuple[int, int]]:
    """(balance, held) of accounts with a floor, locked in id order until the transaction ends."""
    ids = sorted(set(account_ids))
    if not ids:
        return {}
    found = await session.all(LOCKED_BALANCES.on(session), {"account_id": ids})
    return {row[0]: (row[1], row[2]) for row in found}


async def lots_many(session: ReadSession, account_ids: Iterable[int]) -> dict[int, list[Lot]]:
    """Lots with money in them. Read under the balance's lock, so nobody else changes them."""
    ids = list(account_ids)
    if not ids:
        return {}
    found: dict[int, list[Lot]] = {}
    for row in await session.all(LOTS.on(session), {"account_id": ids}):
        found.setdefault(row[0], []).append(Lot(row[1], row[2], row[3], row[4]))
    return found


async def lot_remainders_many(session: ReadSession, lot_ids: Iterable[int]) -> dict[int, int]:
    ids = list(lot_ids)
    if not ids:
        return {}
    return {
        row[0]: row[1]
        for row in await session.all(select(LotRow.id, LotRow.remaining_fen).where(LotRow.id.in_(ids)))
    }


async def transfers_by_reference_many(
    session: ReadSession, names: Iterable[tuple[int, Kind, str]]
) -> dict[tuple[int, Kind, str], tuple[int, dict[str, Any]]]:
    """Transfers that exist already: (operator, kind, reference) → (id, memo)."""
    wanted = set(names)
    if not wanted:
        return {}
    found = await session.all(
        TRANSFERS.on(session),
        {
            "operator_id": sorted({name[0] for name in wanted}),
            "kind": sorted({name[1] for name in wanted}),
            "reference": sorted({name[2] for name in wanted}),
        },
    )
    return {(row[0], row[1], row[2]): (row[3], row[4]) for row in found}


async def reversal_memos(session: ReadSession, operator_id: int, transfer_id: int) -> list[dict[str, Any]]:
    """Memos of what was given back of one transfer so far."""
    wanted = select(TransferRow.memo).where(
        TransferRow.operator_id == operator_id, TransferRow.reversal_of == transfer_id
    )
    return [row[0] for row in await session.all(wanted)]


async def insert_transfers_many(
    session: WriteSession, transfers: Sequence[Mapping[str, Any]], postings: Sequence[Mapping[str, Any]]
) -> None:
    if transfers:
        await session.insert_many(TransferRow, transfers)
        await session.insert_many(PostingRow, postings)


async def insert_lots_many(session: WriteSession, lots: Sequence[Mapping[str, Any]]) -> None:
    if lots:
        await session.insert_many(LotRow, lots)


async def set_balances_many(session: WriteSession, balances: Mapping[int, tuple[int, int]]) -> None:
    """Store balances computed under their lock. The table's CHECK is the second wall."""
    rows = [
        {"account_id": account, "balance_fen": balance, "held_fen": held}
        for account, (balance, held) in sorted(balances.items())
    ]
    await update_many(session, BalanceRow, rows, key="account_id")


async def set_lots_many(session: WriteSession, remaining: Mapping[int, int]) -> None:
    rows = [{"id": lot, "remaining_fen": fen} for lot, fen in sorted(remaining.items())]
    await update_many(session, LotRow, rows, key="id")


async def holds_many(
    session: WriteSession, names: Iterable[tuple[int, str]]
) -> dict[tuple[int, str], tuple[int, int, int, HoldState]]:
    """Holds by (operator, reference), locked: (id, member, amount, state)."""
    wanted = set(names)
    if not wanted:
        return {}
    found = await session.all(
        select(
            HoldRow.operator_id,
            HoldRow.reference,
            HoldRow.id,
            HoldRow.member_id,
            HoldRow.amount_fen,
            HoldRow.state,
        )
        .where(
            HoldRow.reference.in_({name[1] for name in wanted}),
            HoldRow.operator_id.in_({name[0] for name in wanted}),
        )
        .order_by(HoldRow.id)
        .with_for_update()
    )
    return {(row[0], row[1]): (row[2], row[3], row[4], row[5]) for row in found}


async def insert_hold(session: WriteSession, row: Mapping[str, Any]) -> None:
    await session.insert_many(HoldRow, [row])


async def end_holds_many(session: WriteSession, hold_ids: Sequence[int], state: HoldState) -> int:
    """Move holds out of HELD; one that ended already is not touched."""
    if not hold_ids:
        return 0
    return await session.run(
        update(HoldRow).where(HoldRow.id.in_(hold_ids), HoldRow.state == HoldState.HELD).values(state=state)
    )


async def expired_holds_many(session: ReadSession, now: datetime, limit: int) -> list[tuple[int, str]]:
    """(operator, reference) of holds past their time."""
    wanted = select(HoldRow.operator_id, HoldRow.reference).where(
        HoldRow.state == HoldState.HELD, HoldRow.expires_at <= now
    )
    return [(row[0], row[1]) for row in await session.all(wanted.order_by(HoldRow.expires_at).limit(limit))]


async def wallet(session: ReadSession, scope: Scope, operator_id: int, member_id: int) -> Wallet:
    """A member's wallet; empty when the scope may not see it or nothing was ever in it."""
    mine = operator_of(scope)
    principal = Account(operator_id, Purpose.WALLET_PRINCIPAL, member_id).id
    bonus = Account(operator_id, Purpose.WALLET_BONUS, member_id).id
    wanted = select(BalanceRow.account_id, BalanceRow.balance_fen, BalanceRow.held_fen).where(
        BalanceRow.account_id.in_([principal, bonus]), BalanceRow.operator_id == operator_id
    )
    if mine is not None:
        wanted = wanted.where(BalanceRow.operator_id == mine)
    rows = {row[0]: (row[1], row[2]) for row in await session.all(wanted)}
    principal_fen, held_fen = rows.get(principal, (0, 0))
    return Wallet(principal_fen, rows.get(bonus, (0, 0))[0], held_fen)


async def account_balance_fen(session: ReadSession, account: Account, operator_id: int) -> int:
    """Debits minus credits of one account, from its postings."""
    signed = case((PostingRow.side == Side.DEBIT, PostingRow.amount_fen), else_=-PostingRow.amount_fen)
    total = await session.scalar(
        select(func.coalesce(func.sum(signed), 0)).where(
            PostingRow.account_id == account.id, PostingRow.operator_id == operator_id
        )
    )
    return int(total)


async def postings_by_reference(
    session: ReadSession, scope: Scope, references: Sequence[str]
) -> list[PostingLine]:
    """Postings of the transfers with these references, oldest first."""
    wanted = (
        select(
            TransferRow.id,
            TransferRow.kind,
            TransferRow.reference,
            TransferRow.effective_at,
            AccountRow.purpose,
            AccountRow.owner,
            PostingRow.side,
            PostingRow.amount_fen,
        )
        .join(PostingRow, PostingRow.transfer_id == TransferRow.id)
        .join(AccountRow, AccountRow.id == PostingRow.account_id)
        .where(TransferRow.reference.in_(list(references)))
        .order_by(TransferRow.id, PostingRow.leg)
    )
    if (mine := operator_of(scope)) is not None:
        wanted = wanted.where(TransferRow.operator_id == mine)
    return [
        PostingLine(
            transfer_id=row[0],
            kind=row[1],
            reference=row[2],
            at=row[3],
            purpose=row[4],
            owner=row[5],
            side=row[6],
            amount_fen=int(row[7]),
        )
        for row in await session.all(wanted)
    ]


async def booked_amounts_many(session: ReadSession, kinds: Sequence[Kind]) -> dict[str, int]:
    """What transfers of these kinds moved from or to anything but bonus, by reference; for `verify`."""
    wanted = (
        select(TransferRow.reference, func.sum(PostingRow.amount_fen))
        .join(PostingRow, PostingRow.transfer_id == TransferRow.id)
        .join(AccountRow, AccountRow.id == PostingRow.account_id)
        .where(
            TransferRow.kind.in_(kinds),
            ((TransferRow.kind == Kind.TOPUP) & (AccountRow.purpose == Purpose.WALLET_PRINCIPAL))
            | ((TransferRow.kind != Kind.TOPUP) & (PostingRow.side == Side.CREDIT)),
        )
        .group_by(TransferRow.reference)
    )
    return {row[0]: int(row[1]) for row in await session.all(wanted)}


async def unsealed_many(session: WriteSession, limit: int) -> list[tuple[int, int]]:
    """(operator, transfer) not yet in the chain, oldest first."""
    wanted = select(TransferRow.operator_id, TransferRow.id).where(TransferRow.seal_sequence.is_(None))
    return [(row[0], row[1]) for row in await session.all(wanted.order_by(TransferRow.id).limit(limit))]


async def count_unsealed(session: ReadSession, _: System) -> int:
    """How many transfers are not in the chain yet, of every operator; for `verify`."""
    counted = select(func.count()).select_from(TransferRow).where(TransferRow.seal_sequence.is_(None))
    return int(await session.scalar(counted))


async def transfer_contents_many(session: ReadSession, transfer_ids: Sequence[int]) -> dict[int, list[Any]]:
    """What a seal covers of each transfer: its own fields and all its legs, in order."""
    heads = await session.all(
        select(
            TransferRow.id,
            TransferRow.operator_id,
            TransferRow.kind,
            TransferRow.reference,
            TransferRow.effective_at,
            TransferRow.reversal_of,
            TransferRow.memo,
        ).where(TransferRow.id.in_(transfer_ids))
    )
    contents: dict[int, list[Any]] = {
        row[0]: [row[0], row[1], row[2].value, row[3], row[4].isoformat(), row[5], row[6]] for row in heads
    }
    legs = await session.all(
        select(
            PostingRow.transfer_id,
            PostingRow.leg,
            PostingRow.account_id,
            PostingRow.side,
            PostingRow.amount_fen,
        )
        .where(PostingRow.transfer_id.in_(transfer_ids))
        .order_by(PostingRow.transfer_id, PostingRow.leg)
    )
    for row in legs:
        contents[row[0]].append([row[1], row[2], row[3].value, row[4]])
    return contents


async def last_seal(session: ReadSession, operator_id: int) -> tuple[int, str]:
    """(sequence, hash) of an operator's newest seal; (0, "") when there is none."""
    row = await session.first(
        select(SealRow.sequence, SealRow.hash)
        .where(SealRow.operator_id == operator_id)
        .order_by(SealRow.sequence.desc())
        .limit(1)
    )
    return (row[0], row[1]) if row else (0, "")


async def insert_seal_many(
    session: WriteSession, row: Mapping[str, Any], transfer_ids: Sequence[int]
) -> None:
    await session.insert_many(SealRow, [row])
    await session.run(
        update(TransferRow).where(TransferRow.id.in_(transfer_ids)).values(seal_sequence=row["sequence"])
    )


def lot_row(
    session: WriteSession,
    account: Account,
    *,
    kind: LotKind,
    campaign: int,
    amount_fen: int,
    expires_at: datetime | None,
) -> dict[str, Any]:
    """The row of a new lot."""
    return {
        "id": session.new_id(),
        "account_id": account.id,
        "operator_id": account.operator_id,
        "kind": kind,
        "campaign": campaign,
        "amount_fen": amount_fen,
        "remaining_fen": amount_fen,
        "expires_at": expires_at,
        "created_at": session.now(),
    }
