"""The least that a checkout can cost here: bare ASGI, the same rows in the same tables, in sets, raw driver.

Requests that arrive together share one commit. Per set: read sales, wallets, lots and used keys under locks;
decide; write seven tables and update three. Refusals are not this loop's business.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import asyncmy.errors
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.bench.limits.asgi import Asked, answer, asked, encode
from tests.bench.limits.stores import Checkout, Place, Store, open_store

from forecourt.core.db.types import to_micros
from forecourt.ledger.types import Account, Purpose
from forecourt_kit.clock import SystemClock
from forecourt_kit.ids import TimeOrderedIds, to_public
from forecourt_kit.random import SystemRandom

SET_MAX = 128
SETS_IN_FLIGHT = 2  # As the product; more of them are smaller and cost more.
TRIES_MAX = 5

Pay = Callable[[Asked], Awaitable[Checkout]]


class Waiting(NamedTuple):
    asked: Asked
    done: "asyncio.Future[Checkout]"


def app(told: dict[str, Any]) -> ASGIApp:
    pay: Pay | None = None
    opening = asyncio.Lock()

    async def checkout(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal pay
        request = await asked(scope, receive)
        assert request.token == told["token"]
        if pay is None:
            async with opening:
                pay = pay or await _till(told)
        paid = await pay(request)
        await answer(send, to_public(paid.payment_id), paid.amount_fen, to_public(paid.sale_id))

    return checkout


async def _till(told: dict[str, Any]) -> Pay:
    clock = SystemClock()
    ids = TimeOrderedIds(clock, SystemRandom())
    place = Place(
        told["operator_id"],
        told["station_id"],
        Account(told["operator_id"], Purpose.OPERATOR_PAYABLE, told["station_id"]).id,
    )
    store = await open_store(told["url"], place, SETS_IN_FLIGHT)
    waiting: list[Waiting] = []
    flights: set[asyncio.Task[None]] = set()
    flying = 0
    wallets: dict[int, int] = {}

    def wallet_of(member_id: int) -> int:
        if member_id not in wallets:
            wallets[member_id] = Account(place.operator_id, Purpose.WALLET_PRINCIPAL, member_id).id
        return wallets[member_id]

    async def fly() -> None:
        nonlocal flying
        await asyncio.sleep(0)
        while waiting:
            some = waiting[:SET_MAX]
            del waiting[:SET_MAX]
            wanted = [(each.asked, wallet_of(each.asked.member_id)) for each in some]
            try:
                paid = await _repeated(store, wanted, place.operator_id, ids.new, to_micros(clock.now()))
            except Exception as fault:  # noqa: BLE001 - told to every request of the set, and so to the client
                for each in some:
                    each.done.set_exception(fault)
                continue
            for each, done in zip(some, paid, strict=True):
                each.done.set_result(done)
        flying -= 1

    async def pay(request: Asked) -> Checkout:
        nonlocal flying
        done: asyncio.Future[Checkout] = asyncio.get_running_loop().create_future()
        waiting.append(Waiting(request, done))
        if flying < store.flights:
            flying += 1
            task = asyncio.get_running_loop().create_task(fly())
            flights.add(task)
            task.add_done_callback(flights.discard)
        return await done

    return pay


async def _repeated(store: Store, *args: Any) -> list[Checkout]:
    for _ in range(TRIES_MAX):
        with contextlib.suppress(asyncmy.errors.OperationalError):  # A deadlock: all of it again.
            return await _pay_set(store, *args)
    raise RuntimeError("deadlocks without end")


async def _pay_set(
    store: Store,
    wanted: Sequence[tuple[Asked, int]],
    operator_id: int,
    new_id: Callable[[], int],
    now_us: int,
) -> list[Checkout]:
    async with store.transaction() as unit:
        keys = [f"checkout:{request.key}" for request, _ in wanted]
        read = await unit.read(keys, [request.sale_id for request, _ in wanted], [own for _, own in wanted])
        assert not read.used_keys
        checkouts = []
        for (request, wallet), key in zip(wanted, keys, strict=True):
            sale, lot = read.sales[request.sale_id], read.lots[wallet]
            amount_fen = sale.due_fen - sale.paid_fen
            assert amount_fen > 0
            assert read.balances[wallet] >= amount_fen
            assert lot[1] >= amount_fen
            read.balances[wallet] -= amount_fen
            read.lots[wallet] = (lot[0], lot[1] - amount_fen)
            payment_id, transfer_id, row_id = new_id(), new_id(), new_id()
            done = {
                "payment_id": payment_id,
                "sale_id": request.sale_id,
                "tender": "wallet",
                "amount_fen": amount_fen,
                "state": "paid",
            }
            event = {
                "operator_id": operator_id,
                "sale_id": request.sale_id,
                "station_id": sale.station_id,
                "nozzle_id": sale.nozzle_id,
                "paid_fen": amount_fen,
                "tenders": ["wallet"],
            }
            memo = {"policy": "bonus_first", "parts": [[lot[0], "principal", amount_fen]]}
            checkouts.append(
                Checkout(
                    row_id,
                    key,
                    request.key,
                    encode(done).decode(),
                    transfer_id,
                    f"payment:{payment_id}",
                    encode(memo).decode(),
                    payment_id,
                    request.sale_id,
                    amount_fen,
                    request.member_id,
                    wallet,
                    lot[0],
                    encode(event).decode(),
                    f"sale:{request.sale_id}",
                )
            )
        await unit.write(checkouts, read, now_us)
    return checkouts
