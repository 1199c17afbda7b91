"""What a benchmark stands on: a station, a cashier's session, members with money, and sales to pay."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

from sqlalchemy import select
from tests import world
from tests.world import World

from forecourt.access import flows
from forecourt.access import service as access
from forecourt.access.types import Role
from forecourt.cli import registry
from forecourt.core.actor import system
from forecourt.core.db import Database, Model, WriteSession
from forecourt.core.passwords import Cost, Passwords
from forecourt.deliveries.models import DeliveryRow
from forecourt.payments import service as payments
from forecourt.sales.models import SaleRow
from forecourt_kit.clock import Clock, ManualClock, SystemClock
from forecourt_kit.ids import TimeOrderedIds
from forecourt_kit.random import SystemRandom

PASSWORD = "correct horse battery"
WALLET_FEN = 90_000_000
ROWS_AT_ONCE = 1_000


@dataclass(slots=True)
class Bench:
    """A built station. `token` is a cashier's session; sales are open, one LNG fill each."""

    world: World
    token: str
    members: list[int]
    sale_fen: int


def open_database(url: str, clock: Clock | None = None) -> Database:
    clock, random = clock or SystemClock(), SystemRandom()
    return Database.open(url, clock, TimeOrderedIds(clock, random), random)


async def build(url: str, *, members: int) -> Bench:
    """Make the schema and the station; its clock stands a little in the past and ends at now."""
    database = open_database(url, ManualClock(SystemClock().now() - timedelta(seconds=3_600)))
    async with database.engine.begin() as connection:
        await connection.run_sync(registry.metadata().create_all)
    passwords = Passwords(SystemRandom(), cost=Cost(time=1, memory_kib=64), inline=True)
    made = await passwords.hash(PASSWORD)
    operator, _ = await database.transact(
        access.open_operator,
        system("bench"),
        code="bench",
        name="Bench",
        admin_login="admin@bench",
        admin_name="Admin",
        admin_password_hash=made,
    )
    await database.transact(
        access.create_staff,
        system("bench"),
        operator_id=operator.id,
        login="cashier@bench",
        name="Cashier",
        role=Role.CASHIER,
        password_hash=made,
    )
    here = await world.build(database, operator.id)
    opened = await flows.log_in(
        database,
        passwords,
        login="cashier@bench",
        password=PASSWORD,
        ip="127.0.0.1",
        agent="bench",
        replaces=None,
    )
    bench = Bench(here, opened.token, [], (await here.fill("LNG", 32_5000)).due_fen)
    ids = iter([database.ids.new() for _ in range(members)])
    while some := list(islice(ids, 100)):
        await database.transact(_top_up_many, here, some)
        bench.members += some
    return bench


async def record_deliveries(bench: Bench, count: int) -> list[int]:
    """So many copies of one fill that nobody has seen yet; gives the deliveries."""
    database = bench.world.database
    async with database.read() as session:
        fill = await session.first(select(DeliveryRow.__table__).limit(1))
    assert fill is not None
    numbers = [database.ids.new() for _ in range(count)]
    rows = [
        {**fill._mapping, "id": number, "source_key": f"bench:{number}", "claim": number}
        for number in numbers
    ]
    for start in range(0, count, ROWS_AT_ONCE):
        await database.transact(_insert, DeliveryRow, rows[start : start + ROWS_AT_ONCE])
    return numbers


async def open_sales(bench: Bench, count: int) -> list[int]:
    """So many copies of one fill, to pay; gives the sales."""
    database = bench.world.database
    async with database.read() as session:
        sale = await session.first(select(SaleRow.__table__).where(SaleRow.state == "open").limit(1))
    assert sale is not None
    sales = [
        {**sale._mapping, "id": database.ids.new(), "delivery_id": number, "claim": number}
        for number in await record_deliveries(bench, count)
    ]
    for start in range(0, count, ROWS_AT_ONCE):
        await database.transact(_insert, SaleRow, sales[start : start + ROWS_AT_ONCE])
    return [sale["id"] for sale in sales]


async def _insert(session: WriteSession, model: type[Model], rows: Sequence[dict[str, object]]) -> None:
    await session.insert_many(model, rows)


async def _top_up_many(session: WriteSession, here: World, members: Sequence[int]) -> None:
    for member_id in members:
        await payments.top_up_cash(
            session,
            here.actor,
            operator_id=here.actor.operator_id,
            station_id=here.station.id,
            member_id=member_id,
            amount_fen=WALLET_FEN,
            bonus_fen=0,
        )
