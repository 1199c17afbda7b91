"""What `forecourt verify` asks of the book."""

from sqlalchemy import case, func, select

from forecourt.core.db import ReadSession
from forecourt.core.verify import VIOLATIONS_MAX, Check, Violation
from forecourt.ledger import rules
from forecourt.ledger.models import AccountRow, BalanceRow, HoldRow, LotRow, PostingRow, SealRow, TransferRow
from forecourt.ledger.queries.statements import transfer_contents_many
from forecourt.ledger.types import Account, HoldState, Purpose, Side


async def check_transfers_balance(session: ReadSession) -> list[Violation]:
    """Every transfer's debits equal its credits, and it has legs."""
    signed = func.sum(
        case((PostingRow.side == Side.DEBIT, PostingRow.amount_fen), else_=-PostingRow.amount_fen)
    )
    wanted = (
        select(TransferRow.id, func.coalesce(signed, 0), func.count(PostingRow.leg))
        .outerjoin(PostingRow, PostingRow.transfer_id == TransferRow.id)
        .group_by(TransferRow.id)
        .having((func.coalesce(signed, 0) != 0) | (func.count(PostingRow.leg) < 2))
        .limit(VIOLATIONS_MAX)
    )
    return [
        Violation(
            check="ledger.transfer_balances",
            subject=f"transfer {row[0]}",
            detail=f"debits minus credits are {row[1]} fen over {row[2]} legs",
        )
        for row in await session.all(wanted)
    ]


async def check_postings_have_transfers(session: ReadSession) -> list[Violation]:
    wanted = (
        select(PostingRow.transfer_id)
        .outerjoin(TransferRow, TransferRow.id == PostingRow.transfer_id)
        .where(TransferRow.id.is_(None))
        .limit(VIOLATIONS_MAX)
    )
    return [
        Violation(
            check="ledger.posting_has_transfer", subject=f"transfer {row[0]}", detail="legs without a head"
        )
        for row in await session.all(wanted)
    ]


async def check_balances(session: ReadSession) -> list[Violation]:
    """A stored balance is the sum of its postings, and of its lots."""
    signed = func.coalesce(
        func.sum(case((PostingRow.side == Side.CREDIT, PostingRow.amount_fen), else_=-PostingRow.amount_fen)),
        0,
    )
    posted = (
        select(PostingRow.account_id.label("account_id"), signed.label("fen"))
        .where(PostingRow.account_id.in_(select(BalanceRow.account_id)))
        .group_by(PostingRow.account_id)
        .subquery()
    )
    lots = (
        select(LotRow.account_id.label("account_id"), func.sum(LotRow.remaining_fen).label("fen"))
        .group_by(LotRow.account_id)
        .subquery()
    )
    from_postings = func.coalesce(posted.c.fen, 0)
    from_lots = func.coalesce(lots.c.fen, 0)
    wanted = (
        select(BalanceRow.account_id, BalanceRow.balance_fen, from_postings, from_lots)
        .outerjoin(posted, posted.c.account_id == BalanceRow.account_id)
        .outerjoin(lots, lots.c.account_id == BalanceRow.account_id)
        .where((BalanceRow.balance_fen != from_postings) | (BalanceRow.balance_fen != from_lots))
        .limit(VIOLATIONS_MAX)
    )
    return [
        Violation(
            check="ledger.balance_is_sum",
            subject=f"account {row[0]}",
            detail=f"balance {row[1]} fen, postings {row[2]}, lots {row[3]}",
        )
        for row in await session.all(wanted)
    ]


async def check_holds(session: ReadSession) -> list[Violation]:
    """What is held of a wallet is the sum of its open holds."""
    held: dict[int, int] = {}
    wanted = select(HoldRow.operator_id, HoldRow.member_id, func.sum(HoldRow.amount_fen)).where(
        HoldRow.state == HoldState.HELD
    )
    for row in await session.all(wanted.group_by(HoldRow.operator_id, HoldRow.member_id)):
        held[Account(row[0], Purpose.WALLET_PRINCIPAL, row[1]).id] = int(row[2])
    stored = {
        row[0]: row[1]
        for row in await session.all(
            select(BalanceRow.account_id, BalanceRow.held_fen).where(BalanceRow.held_fen != 0)
        )
    }
    return [
        Violation(
            check="ledger.hold_is_sum",
            subject=f"account {account}",
            detail=f"held {stored.get(account, 0)} fen, open holds {held.get(account, 0)}",
        )
        for account in sorted(held.keys() | stored.keys())
        if held.get(account, 0) != stored.get(account, 0)
    ][:VIOLATIONS_MAX]


async def check_seals(session: ReadSession) -> list[Violation]:
    """The chain is unbroken and every sealed transfer is what it was."""
    found: list[Violation] = []
    previous: dict[int, tuple[int, str]] = {}
    seals = await session.all(
        select(
            SealRow.operator_id, SealRow.sequence, SealRow.transfers, SealRow.hash, SealRow.previous
        ).order_by(SealRow.operator_id, SealRow.sequence)
    )
    for operator_id, sequence, transfers, hash_, before in seals:
        subject = f"operator {operator_id} seal {sequence}"
        last_sequence, last_hash = previous.get(operator_id, (0, ""))
        if sequence != last_sequence + 1 or before != last_hash:
            found.append(
                Violation(check="ledger.chain", subject=subject, detail="does not follow the seal before")
            )
        previous[operator_id] = (sequence, hash_)
        ids = [
            row[0]
            for row in await session.all(
                select(TransferRow.id)
                .where(TransferRow.operator_id == operator_id, TransferRow.seal_sequence == sequence)
                .order_by(TransferRow.id)
            )
        ]
        contents = await transfer_contents_many(session, ids)
        if len(ids) != transfers or rules.seal_hash(before, [contents[each] for each in ids]) != hash_:
            found.append(
                Violation(check="ledger.chain", subject=subject, detail="its transfers were changed")
            )
    return found[:VIOLATIONS_MAX]


async def check_account_names(session: ReadSession) -> list[Violation]:
    """An account's number follows from its name; two names with one number would mix their money."""
    wanted = select(AccountRow.id, AccountRow.operator_id, AccountRow.purpose, AccountRow.owner)
    return [
        Violation(
            check="ledger.account_number",
            subject=f"account {row[0]}",
            detail=f"its name {row[1]}/{row[2].value}/{row[3]} has another number",
        )
        for row in await session.all(wanted)
        if Account(row[1], row[2], row[3]).id != row[0]
    ][:VIOLATIONS_MAX]


CHECKS: tuple[Check, ...] = (
    check_account_names,
    check_transfers_balance,
    check_postings_have_transfers,
    check_balances,
    check_holds,
    check_seals,
)
