"""Raw drivers behind the bare checkout: per set one read under locks, then every row."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import asyncmy
import asyncmy.errors
import asyncpg
from sqlalchemy import make_url

OUTBOX_TOPIC = "sales.sale.paid"
CREATED_BY = "cashier@bench"
SALES = "SELECT id, due_fen, paid_fen, station_id, nozzle_id FROM sale WHERE id IN"
WALLETS = (
    "SELECT b.account_id, b.balance_fen, l.id, l.remaining_fen FROM ledger_balance b JOIN ledger_lot l "
    "ON l.account_id = b.account_id AND l.remaining_fen > 0 WHERE b.account_id IN"
)
PAID = "UPDATE sale SET paid_fen = due_fen, tenders = 'wallet', state = 'paid', paid_at ="


class Checkout(NamedTuple):
    """What one paid request writes; amounts and ids that several tables share."""

    row_id: int
    key: str
    input_hash: str
    answer: str
    transfer_id: int
    reference: str
    memo: str
    payment_id: int
    sale_id: int
    amount_fen: int
    member_id: int
    wallet: int
    lot_id: int
    event: str
    partition: str


class SaleSeen(NamedTuple):
    due_fen: int
    paid_fen: int
    station_id: int
    nozzle_id: int


@dataclass(slots=True)
class Read:
    used_keys: list[str]
    sales: dict[int, SaleSeen]
    balances: dict[int, int]
    lots: dict[int, tuple[int, int]]


class Place(NamedTuple):
    operator_id: int
    station_id: int
    payable: int


class Unit(Protocol):
    async def read(self, keys: list[str], sales: list[int], wallets: list[int]) -> Read: ...
    async def write(self, checkouts: Sequence[Checkout], read: Read, now_us: int) -> None: ...


class Store(Protocol):
    flights: int

    def transaction(self) -> AbstractAsyncContextManager[Unit]: ...


async def open_store(url: str, place: Place, flights: int) -> Store:
    parsed = make_url(url)
    family = parsed.get_backend_name()
    if family == "sqlite":
        assert parsed.database
        return SqliteStore(parsed.database, place)
    where: dict[str, Any] = {"host": parsed.host, "port": parsed.port}
    where |= {"user": parsed.username, "database": parsed.database}
    if family == "postgresql":
        return PostgresStore(
            await asyncpg.create_pool(**where, min_size=flights, max_size=flights), place, flights
        )
    isolation = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
    pool = await asyncmy.create_pool(
        minsize=flights, maxsize=flights, charset="utf8mb4", init_command=isolation, **where
    )
    return MariaStore(pool, place, flights)


PG_READ = """
SELECT s.id, s.due_fen, s.paid_fen, s.station_id, s.nozzle_id, b.account_id, b.balance_fen, l.id,
  l.remaining_fen, d.key
FROM unnest($1::varchar[], $2::bigint[], $3::bigint[]) AS x(key, sale_id, wallet)
JOIN sale s ON s.id = x.sale_id JOIN ledger_balance b ON b.account_id = x.wallet
JOIN ledger_lot l ON l.account_id = x.wallet AND l.remaining_fen > 0
LEFT JOIN idempotency d ON d.operator_id = $4 AND d.key = x.key
ORDER BY s.id, b.account_id FOR UPDATE OF s, b
"""
PG_WRITE = """
WITH x AS MATERIALIZED (SELECT * FROM unnest($1::bigint[], $2::varchar[], $3::varchar[], $4::text[],
    $5::bigint[], $6::varchar[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[],
    $12::bigint[], $13::bigint[], $14::text[], $15::varchar[])
  AS x(row_id, key, input_hash, answer, transfer_id, reference, memo, payment_id, sale_id, amount_fen,
    member_id, wallet, lot_id, event, part)),
a AS (INSERT INTO idempotency (id, operator_id, key, input_hash, answer, claim, created_at)
  SELECT row_id, $16, key, input_hash, answer, row_id, $19 FROM x),
b AS (INSERT INTO ledger_transfer (id, operator_id, kind, reference, effective_at, reversal_of, memo,
  seal_sequence) SELECT transfer_id, $16, 'wallet_spent', reference, $19, NULL, memo, NULL FROM x),
c AS (INSERT INTO ledger_posting (transfer_id, leg, operator_id, account_id, side, amount_fen)
  SELECT transfer_id, 0, $16, wallet, 'debit', amount_fen FROM x
  UNION ALL SELECT transfer_id, 1, $16, $18, 'credit', amount_fen FROM x),
d AS (INSERT INTO payment (id, operator_id, station_id, purpose, tender, product, merchant, member_id,
  amount_fen, paid_fen, allocated_fen, refunded_fen, state, created_by, created_at, expires_at, paid_at)
  SELECT payment_id, $16, $17, 'sale', 'wallet', NULL, NULL, member_id, amount_fen, amount_fen, amount_fen, 0,
  'paid', $20, $19, NULL, $19 FROM x),
e AS (INSERT INTO payment_allocation (payment_id, sale_id, operator_id, amount_fen, settled, created_at)
  SELECT payment_id, sale_id, $16, amount_fen, 1, $19 FROM x),
f AS (INSERT INTO outbox (id, operator_id, topic, partition_key, headers, body, created_at, sequence)
  SELECT row_id, $16, $21, part, $22, event, $19, NULL FROM x),
g AS (UPDATE sale SET paid_fen = sale.paid_fen + x.amount_fen, tenders = 'wallet', state = 'paid',
  paid_at = $19 FROM x WHERE sale.id = x.sale_id),
h AS (UPDATE ledger_balance SET balance_fen = balance_fen - y.fen
  FROM (SELECT wallet, sum(amount_fen)::bigint AS fen FROM x GROUP BY wallet) y WHERE account_id = y.wallet)
UPDATE ledger_lot SET remaining_fen = remaining_fen - y.fen
  FROM (SELECT lot_id, sum(amount_fen)::bigint AS fen FROM x GROUP BY lot_id) y WHERE id = y.lot_id
"""


class PostgresStore:
    def __init__(self, pool: Any, place: Place, flights: int) -> None:
        self._pool = pool
        self._place = place
        self.flights = flights

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Unit]:
        async with self._pool.acquire() as connection, connection.transaction():
            yield PostgresUnit(connection, self._place)


class PostgresUnit:
    def __init__(self, connection: Any, place: Place) -> None:
        self._connection = connection
        self._place = place

    async def read(self, keys: list[str], sales: list[int], wallets: list[int]) -> Read:
        found = Read([], {}, {}, {})
        for row in await self._connection.fetch(PG_READ, keys, sales, wallets, self._place.operator_id):
            found.sales[row[0]] = SaleSeen(row[1], row[2], row[3], row[4])
            found.balances[row[5]] = row[6]
            found.lots[row[5]] = (row[7], row[8])
            if row[9] is not None:
                found.used_keys.append(row[9])
        return found

    async def write(self, checkouts: Sequence[Checkout], read: Read, now_us: int) -> None:
        del read
        columns = zip(*checkouts, strict=True)
        place = (self._place.operator_id, self._place.station_id, self._place.payable)
        headers = _headers(self._place)
        await self._connection.execute(PG_WRITE, *columns, *place, now_us, CREATED_BY, OUTBOX_TOPIC, headers)


def rows_of(checkouts: Sequence[Checkout], place: Place, now: int) -> dict[str, list[tuple[Any, ...]]]:
    """INSERT head of each table -> its rows, for engines without arrays."""
    own, headers = place.operator_id, _headers(place)
    return {
        "idempotency (id, operator_id, `key`, input_hash, answer, claim, created_at)": [
            (x.row_id, own, x.key, x.input_hash, x.answer, x.row_id, now) for x in checkouts
        ],
        "ledger_transfer (id, operator_id, kind, reference, effective_at, memo)": [
            (x.transfer_id, own, "wallet_spent", x.reference, now, x.memo) for x in checkouts
        ],
        "ledger_posting (transfer_id, leg, operator_id, account_id, side, amount_fen)": [
            row
            for x in checkouts
            for row in (
                (x.transfer_id, 0, own, x.wallet, "debit", x.amount_fen),
                (x.transfer_id, 1, own, place.payable, "credit", x.amount_fen),
            )
        ],
        "payment (id, operator_id, station_id, purpose, tender, member_id, amount_fen, paid_fen, "
        "allocated_fen, refunded_fen, state, created_by, created_at, paid_at)": [
            (x.payment_id, own, place.station_id, "sale", "wallet", x.member_id, x.amount_fen, x.amount_fen,
             x.amount_fen, 0, "paid", CREATED_BY, now, now)
            for x in checkouts
        ],
        "payment_allocation (payment_id, sale_id, operator_id, amount_fen, settled, created_at)": [
            (x.payment_id, x.sale_id, own, x.amount_fen, 1, now) for x in checkouts
        ],
        "outbox (id, operator_id, topic, partition_key, headers, body, created_at)": [
            (x.row_id, own, OUTBOX_TOPIC, x.partition, headers, x.event, now) for x in checkouts
        ],
    }  # fmt: skip


class MariaStore:
    def __init__(self, pool: Any, place: Place, flights: int) -> None:
        self._pool = pool
        self._place = place
        self.flights = flights

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Unit]:
        async with self._pool.acquire() as connection, connection.cursor() as cursor:
            try:
                yield MariaUnit(cursor, self._place)
                await connection.commit()
            except asyncmy.errors.OperationalError:
                await connection.rollback()
                raise


class MariaUnit:
    def __init__(self, cursor: Any, place: Place) -> None:
        self._cursor = cursor
        self._place = place

    async def read(self, keys: list[str], sales: list[int], wallets: list[int]) -> Read:
        found = Read([], {}, {}, {})
        run, take = self._cursor.execute, self._cursor.fetchall
        used = f"SELECT `key` FROM idempotency WHERE operator_id = %s AND `key` IN ({_marks('%s', keys)})"
        await run(used, [self._place.operator_id, *keys])
        found.used_keys = [row[0] for row in await take()]
        wanted = f"{SALES} ({_marks('%s', sales)})"
        await run(f"{wanted} ORDER BY id FOR UPDATE", sales)
        found.sales = {row[0]: SaleSeen(*row[1:]) for row in await take()}
        wallets = sorted(set(wallets))
        held = f"{WALLETS} ({_marks('%s', wallets)})"
        await run(f"{held} ORDER BY b.account_id FOR UPDATE", wallets)
        for row in await take():
            found.balances[row[0]] = row[1]
            found.lots[row[0]] = (row[2], row[3])
        return found

    async def write(self, checkouts: Sequence[Checkout], read: Read, now_us: int) -> None:
        for head, rows in rows_of(checkouts, self._place, now_us).items():
            marks = ",".join(["(" + _marks("%s", rows[0]) + ")"] * len(rows))
            await self._cursor.execute(
                f"INSERT INTO {head} VALUES {marks}", [value for row in rows for value in row]
            )
        sales = [x.sale_id for x in checkouts]
        await self._cursor.execute(
            f"{PAID} %s WHERE id IN ({_marks('%s', sales)})",
            [now_us, *sales],
        )
        wallets = {x.wallet for x in checkouts}
        balances = {wallet: read.balances[wallet] for wallet in wallets}
        await self._set("ledger_balance", "account_id", "balance_fen", balances)
        await self._set("ledger_lot", "id", "remaining_fen", dict(read.lots[wallet] for wallet in wallets))

    async def _set(self, table: str, key: str, column: str, values: dict[int, int]) -> None:
        cases = " ".join(["WHEN %s THEN %s"] * len(values))
        await self._cursor.execute(
            f"UPDATE {table} SET {column} = CASE {key} {cases} END WHERE {key} IN ({_marks('%s', values)})",
            [*(number for pair in values.items() for number in pair), *values],
        )


class SqliteStore:
    flights = 1

    def __init__(self, path: str, place: Place) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=wal")
        self._connection.execute("PRAGMA synchronous=full")
        self._place = place

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Unit]:
        self._connection.execute("BEGIN IMMEDIATE")
        yield SqliteUnit(self._connection, self._place)
        self._connection.execute("COMMIT")


class SqliteUnit:
    def __init__(self, connection: sqlite3.Connection, place: Place) -> None:
        self._run = connection.execute
        self._run_many = connection.executemany
        self._place = place

    async def read(self, keys: list[str], sales: list[int], wallets: list[int]) -> Read:
        found = Read([], {}, {}, {})
        used = f"SELECT key FROM idempotency WHERE operator_id = ? AND key IN ({_marks('?', keys)})"
        found.used_keys = [row[0] for row in self._run(used, [self._place.operator_id, *keys])]
        wanted = f"{SALES} ({_marks('?', sales)})"
        found.sales = {row[0]: SaleSeen(*row[1:]) for row in self._run(wanted, sales)}
        held = f"{WALLETS} ({_marks('?', wallets)})"
        for row in self._run(held, wallets):
            found.balances[row[0]] = row[1]
            found.lots[row[0]] = (row[2], row[3])
        return found

    async def write(self, checkouts: Sequence[Checkout], read: Read, now_us: int) -> None:
        for head, rows in rows_of(checkouts, self._place, now_us).items():
            self._run_many(f"INSERT INTO {head} VALUES ({_marks('?', rows[0])})", rows)
        self._run_many(
            f"{PAID} ? WHERE id = ?",
            [(now_us, x.sale_id) for x in checkouts],
        )
        wallets = {x.wallet for x in checkouts}
        self._run_many(
            "UPDATE ledger_balance SET balance_fen = ? WHERE account_id = ?",
            [(read.balances[wallet], wallet) for wallet in wallets],
        )
        lots = [read.lots[wallet] for wallet in wallets]
        self._run_many(
            "UPDATE ledger_lot SET remaining_fen = ? WHERE id = ?", [(left, lot) for lot, left in lots]
        )


def _marks(mark: str, values: Any) -> str:
    return ",".join([mark] * len(values))


def _headers(place: Place) -> str:
    return f'{{"operator":"{place.operator_id}"}}'
