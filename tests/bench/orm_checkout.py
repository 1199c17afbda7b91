"""The usual way to write the same checkout: one ORM session per request, the same rows, the same locks."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.bench.limits.asgi import answer, asked
from tests.bench.station import open_database

from forecourt.core import idempotency
from forecourt.core.db import Database
from forecourt.core.idempotency import Ask, IdempotencyRow
from forecourt.core.outbox import OutboxRow, row_of
from forecourt.ledger.models import BalanceRow, LotRow, PostingRow, TransferRow
from forecourt.ledger.types import Account, Kind, Purpose, Side
from forecourt.payments.models import AllocationRow, PaymentRow
from forecourt.payments.types import PaymentPurpose, PaymentState, Tender
from forecourt.sales.models import SaleRow
from forecourt.sales.types import SalePaid, SaleState
from forecourt_kit.ids import to_public

CONNECTIONS = 16
PATIENCE_S = 110  # With so many sessions in flight most of them wait for a connection.


def _isolation(database: Database) -> dict[str, str]:
    return {} if database.dialect == "sqlite" else {"isolation_level": "READ COMMITTED"}


def app(told: dict[str, Any]) -> ASGIApp:
    database = open_database(told["url"])
    size = 1 if database.dialect == "sqlite" else CONNECTIONS
    engine = create_async_engine(
        database.engine.url, pool_size=size, max_overflow=0, pool_timeout=PATIENCE_S
    ).execution_options(**_isolation(database))

    async def checkout(scope: Scope, receive: Receive, send: Send) -> None:
        request = await asked(scope, receive)
        assert request.token == told["token"]
        ask = Ask(told["operator_id"], "checkout", request.key, idempotency.hash_of({"id": request.sale_id}))
        async with AsyncSession(engine, expire_on_commit=False) as session:
            payment = await _pay(session, database, ask, request.sale_id, request.member_id)
            await session.commit()
        await answer(send, to_public(payment.id), payment.amount_fen, to_public(request.sale_id))

    return checkout


async def _pay(
    session: AsyncSession, database: Database, ask: Ask, sale_id: int, member_id: int
) -> PaymentRow:
    now, new_id = database.clock.now(), database.ids.new
    known = select(IdempotencyRow).where(IdempotencyRow.operator_id == ask.operator_id)
    assert (await session.scalars(known.where(IdempotencyRow.key == ask.stored_key))).first() is None
    wallet = Account(ask.operator_id, Purpose.WALLET_PRINCIPAL, member_id).id
    sale = await session.get_one(SaleRow, sale_id, with_for_update=True)
    balance = await session.get_one(BalanceRow, wallet, with_for_update=True)
    lots = select(LotRow).where(LotRow.account_id == wallet, LotRow.remaining_fen > 0)
    lot = (await session.scalars(lots)).first()
    assert lot is not None
    payment_id, transfer_id, amount_fen = new_id(), new_id(), sale.due_fen - sale.paid_fen
    reference = f"payment:{payment_id}"
    done = select(TransferRow.id).where(TransferRow.operator_id == ask.operator_id)
    done = done.where(TransferRow.kind == Kind.WALLET_SPENT, TransferRow.reference == reference)
    assert (await session.scalars(done)).first() is None
    balance.balance_fen -= amount_fen
    lot.remaining_fen -= amount_fen
    sale.paid_fen += amount_fen
    sale.tenders, sale.state, sale.paid_at = "wallet", SaleState.PAID, now
    payment = PaymentRow(
        id=payment_id, operator_id=ask.operator_id, station_id=sale.station_id, purpose=PaymentPurpose.SALE,
        tender=Tender.WALLET, product=None, merchant=None, member_id=member_id, amount_fen=amount_fen,
        paid_fen=amount_fen, allocated_fen=amount_fen, refunded_fen=0, state=PaymentState.PAID,
        created_by="cashier@bench", created_at=now, expires_at=None, paid_at=now,
    )  # fmt: skip
    event = SalePaid(
        operator_id=ask.operator_id, sale_id=sale_id, station_id=sale.station_id, nozzle_id=sale.nozzle_id,
        paid_fen=amount_fen, tenders=["wallet"],
    )  # fmt: skip
    part = [lot.id, "principal", amount_fen]
    payable = Account(ask.operator_id, Purpose.OPERATOR_PAYABLE, sale.station_id).id
    session.add_all(
        [
            TransferRow(
                id=transfer_id, operator_id=ask.operator_id, kind=Kind.WALLET_SPENT, reference=reference,
                effective_at=now, reversal_of=None, memo={"policy": "bonus_first", "parts": [part]},
                seal_sequence=None,
            ),
            _posting(transfer_id, 0, ask.operator_id, wallet, Side.DEBIT, amount_fen),
            _posting(transfer_id, 1, ask.operator_id, payable, Side.CREDIT, amount_fen),
            payment,
            AllocationRow(
                payment_id=payment_id, sale_id=sale_id, operator_id=ask.operator_id, amount_fen=amount_fen,
                settled=1, created_at=now,
            ),
            OutboxRow(**row_of(event, new_id(), now)),
            IdempotencyRow(
                id=ask.row_id, operator_id=ask.operator_id, key=ask.stored_key, input_hash=ask.input_hash,
                answer={"payment_id": payment_id, "sale_id": sale_id, "tender": "wallet",
                        "amount_fen": amount_fen, "state": "paid"},
                claim=ask.row_id, created_at=now,
            ),
        ]
    )  # fmt: skip
    return payment


def _posting(transfer: int, leg: int, operator_id: int, account: int, side: Side, fen: int) -> PostingRow:
    return PostingRow(
        transfer_id=transfer, leg=leg, operator_id=operator_id, account_id=account, side=side, amount_fen=fen
    )
