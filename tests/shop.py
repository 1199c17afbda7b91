"""A station that takes WeChat Pay, in virtual time: the world, the simulated channel, and the worker's steps.

Nothing moves by itself: a test says when a notification arrives, when the worker looks, when time passes.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from tests import world
from tests.wire import CHANNEL_URL, Killed, Wire, platform_keys, the_channel
from tests.world import OPERATOR, World

from forecourt.channels.directory import Channels
from forecourt.core import outbox
from forecourt.core.bus import Delivery, Message
from forecourt.core.bus.matching import wants
from forecourt.core.db import Database, WriteSession
from forecourt.core.idempotency import Ask
from forecourt.core.verify import Violation
from forecourt.deliveries import queries as delivery_queries
from forecourt.deliveries import service as deliveries
from forecourt.deliveries.types import NozzleReading, NozzleState
from forecourt.devices import queries as device_queries
from forecourt.devices import service as devices
from forecourt.devices.types import Command, CommandKind, DeviceKind
from forecourt.ledger import jobs as ledger_jobs
from forecourt.ledger import queries as ledger
from forecourt.ledger.types import Account, Purpose, Wallet, merchant_owner
from forecourt.payments import flows, jobs
from forecourt.payments import queries as payments
from forecourt.payments import service as payment_service
from forecourt.payments.types import (
    LIVE,
    Answer,
    Attempt,
    Payment,
    Product,
    Refund,
    RefundState,
    Tender,
    Waits,
)
from forecourt.sales import jobs as sales_jobs
from forecourt.sales import queries as sales
from forecourt.sales import service
from forecourt.sales.types import (
    Authorisation,
    AuthorisationKind,
    AuthorisationState,
    Checkout,
    Receipt,
    Sale,
    SaleFilter,
    SaleState,
)
from forecourt_kit.clock import ManualClock
from forecourt_kit.price import Preset
from forecourt_kit.random import SeededRandom
from forecourt_simulators.channels.wechat import (
    SimulatorSettings,
    WeChatPaySimulator,
)
from forecourt_simulators.channels.wechat.book import Notice
from forecourt_simulators.channels.wechat.book import Refund as ChannelRefund
from forecourt_simulators.channels.wechat.book import RefundState as ChannelRefundState

PUBLIC_URL = "https://forecourt.test"
PAYER_CODE = "130000000000000001"
QUIET_STEPS_MAX = 60  # Of a minute each: by then nothing may be left in flight.
EXPIRE_EVERY = timedelta(seconds=10)  # As the worker's clock does.
CHECKS = (*ledger.CHECKS, *delivery_queries.CHECKS, *payments.CHECKS, *sales.CHECKS)


@dataclass
class Shop:
    """Staff, payers, the channel and the worker of one station, all moved by the test."""

    world: World
    desk: flows.Desk
    simulator: WeChatPaySimulator
    wire: Wire
    control: httpx.AsyncClient = field(repr=False)
    keys_used: int = 0
    told: list[Message] = field(default_factory=list, repr=False)
    expired_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    @property
    def database(self) -> Database:
        return self.world.database

    @property
    def clock(self) -> ManualClock:
        clock = self.database.clock
        assert isinstance(clock, ManualClock)
        return clock

    @property
    def merchant(self) -> str:
        return self.desk.channel(OPERATOR, Tender.WECHAT).merchant

    # Staff.

    def ask(self, what: str, key: str | None = None) -> Ask:
        self.keys_used += 1
        key = key or f"key-{self.keys_used:08d}"
        return Ask(OPERATOR, what, key, key)

    async def intend(
        self,
        sale: Sale,
        product: Product = Product.NATIVE,
        amount_fen: int | None = None,
        key: str | None = None,
    ) -> Attempt:
        """The first beat only: the intent is committed and nobody asks."""
        attempt, _ = await self.database.transact(
            service.open_asked,
            self.world.actor,
            sale_id=sale.id,
            tender=Tender.WECHAT,
            product=product,
            merchant=self.merchant,
            amount_fen=amount_fen,
            ask=self.ask("checkout", key),
            waits=self.desk.waits,
        )
        return attempt

    async def show_qr(self, sale: Sale, amount_fen: int | None = None) -> Attempt:
        attempt = await self.intend(sale, amount_fen=amount_fen)
        await flows.start(self.desk, self.world.actor, attempt)
        return await self.attempt(attempt)

    async def scan_code(self, sale: Sale, code: str = PAYER_CODE) -> Attempt:
        attempt = await self.intend(sale, Product.CODE)
        await flows.start(self.desk, self.world.actor, attempt, code)
        return await self.attempt(attempt)

    async def end(self, attempt: Attempt) -> Payment:
        return await flows.end(self.desk, self.world.actor, attempt.payment_id)

    async def intend_code(self, sale: Sale, code: str = PAYER_CODE) -> Attempt:
        """Charge a code and hear what the cut lets us hear; the order as it stands then."""
        attempt = await self.intend(sale, Product.CODE)
        with suppress(Killed):
            await flows.start(self.desk, self.world.actor, attempt, code)
        return await self.attempt(attempt)

    async def pay_cash(self, sale: Sale, amount_fen: int | None = None) -> Receipt:
        self.keys_used += 1
        checkout = Checkout(
            operator_id=OPERATOR,
            sale_id=sale.id,
            tender="cash",
            member_id=None,
            amount_fen=amount_fen,
            key=f"key-{self.keys_used:08d}",
            input_hash="cash",
            subject="staff:anna",
        )
        (receipt,) = await self.database.transact(service.pay_many, [checkout])
        assert isinstance(receipt, Receipt), receipt
        return receipt

    async def refund(self, sale: Sale, amount_fen: int, key: str | None = None) -> list[Refund]:
        return await self.database.transact(
            service.refund,
            self.world.actor,
            sale_id=sale.id,
            amount_fen=amount_fen,
            reason="bad fuel",
            ask=self.ask("refund", key),
        )

    async def prepay(self, preset: Preset, product: str = "95") -> tuple[Authorisation, Attempt]:
        """A payer wants to pay before flow, by the QR that is now shown."""
        wish = service.Wish(
            nozzle_id=self.world.nozzles[product].id,
            kind=AuthorisationKind.PREPAID,
            preset=preset,
            limit_fen=300_00,
        )
        awaiting, attempt = await self.database.transact(
            service.await_prepayment,
            self.world.actor,
            wish,
            tender=Tender.WECHAT,
            product=Product.NATIVE,
            merchant=self.merchant,
            waits=self.desk.waits,
        )
        await flows.start(self.desk, self.world.actor, attempt)
        return awaiting, attempt

    async def apply(self, attempt: Attempt, answer: Answer) -> Payment:
        """An answer that comes in by another way, at a time of its own."""
        actor = self.world.actor
        return await self.database.transact(
            payment_service.apply_answer, actor, attempt.id, answer, self.desk.waits
        )

    # The station.

    async def agent(self) -> int:
        """Give the station its agent: commands are queued for it from now on."""
        made = await self.database.transact(
            devices.register_device,
            self.world.actor,
            world.VAULT,
            SeededRandom("agent"),
            station_id=self.world.station.id,
            kind=DeviceKind.STATION_AGENT,
            name="agent",
        )
        return made.device.id

    async def commands_due(self, device_id: int) -> list[Command]:
        async with self.database.read() as session:
            return await device_queries.commands_due_many(session, limit=50, device_ids=[device_id])

    async def answer_command(self, device_id: int, kind: CommandKind, *, done: bool) -> None:
        """The device answers its one command of this kind."""
        (command,) = [each for each in await self.commands_due(device_id) if each.kind is kind]
        await self.database.transact(devices.answer_command, device_id, command.id, done=done, error="x")

    async def nozzle_flows(self, product: str) -> None:
        reading = NozzleReading(
            operator_id=OPERATOR,
            station_id=self.world.station.id,
            nozzle_number=self.world.nozzles[product].number,
            state=NozzleState.FUELLING,
            at=self.clock.now(),
        )
        await self.database.transact(deliveries.read_nozzles, [reading])

    # Payers and the channel.

    async def do(self, path: str, **content: Any) -> dict[str, Any]:
        answer = await self.control.post(f"/_control/{path}", json=content)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def payer_pays(self, attempt: Attempt, *, late: bool = False) -> None:
        await self.do("pay", out_trade_no=attempt.out_trade_no, late=late)

    async def fault(self, kind: str, **more: Any) -> None:
        await self.do("faults", kind=kind, **more)

    async def notify(self, attempt: Attempt) -> int:
        """Deliver the order's last notification; the HTTP status that the channel got."""
        return int((await self.do("notices/send", out_trade_no=attempt.out_trade_no))["status"])

    def unheard(self) -> list[Notice]:
        """Notifications that nobody has acknowledged yet."""
        return [each for each in self.simulator.book.notices.values() if not each.is_over]

    async def give_notice_anew(self, refund: ChannelRefund) -> None:
        """The channel has repaired a refund, and tells it."""
        refund.state, refund.settles_as = ChannelRefundState.PROCESSING, ChannelRefundState.SUCCESS
        refund.polls_left = None
        self.simulator.settle_refund(refund)

    async def notify_all(self) -> None:
        for notice in self.unheard():
            await self.do("notices/send", id=notice.id)

    # The worker.

    async def relay(self) -> int:
        """Number what happened and have every handler hear it; again, until nothing more happens."""
        heard = 0
        while messages := await self.unheard_messages():
            for message in messages:
                await self.hear(message)
            self.told += messages
            heard += len(messages)
        return heard

    async def unheard_messages(self) -> list[Message]:
        """What happened and no handler has heard yet: the test tells it."""
        async with self.database.read() as session:
            if not await outbox.has_work(session):
                return []
        return (await self.database.transact(_number)).messages

    async def hear(self, message: Message) -> None:
        for subscription, handler in sales_jobs.SUBSCRIPTIONS:
            if wants(subscription, message):
                await handler(self.database, Delivery(message=message, count=1))

    async def hear_all_again(self) -> None:
        """The bus was lost and rebuilt: everything is told a second time."""
        for message in list(self.told):
            await self.hear(message)
        await self.relay()

    async def step(self, seconds: float = 0) -> None:
        """Let time pass, and have the worker look once at everything it looks at."""
        self.clock.advance(seconds)
        await jobs.poll(self.desk, "worker-1")
        await self.channel_settles()
        if self.clock.now() >= self.expired_at + EXPIRE_EVERY:
            self.expired_at = self.clock.now()
            await sales_jobs.expire_authorisations(self.database)
            await ledger_jobs.expire_holds(self.database)
        await self.relay()

    async def wait(self, seconds: int, every: int = 15) -> None:
        for _ in range(0, seconds, every):
            await self.step(every)

    async def channel_settles(self) -> None:
        """What the channel does after its answer has left: refunds settle, late money comes."""
        for _ in range(3):
            await asyncio.sleep(0)

    async def quiet(self, every_s: int = 60) -> None:
        """Every notification arrives and the worker works until nothing is in flight."""
        self.wire.cuts.clear()
        self.simulator.faults.clear()
        await self.fault("notice_hold", times=None)
        for _ in range(QUIET_STEPS_MAX):
            await self.notify_all()
            await self.step(every_s)
            if not self.unheard() and not await self.in_flight():
                return
        raise AssertionError(f"still in flight: {await self.in_flight()}")

    # What stands where.

    async def payment(self, of: Attempt | Payment | Authorisation) -> Payment:
        payment_id = of.id if isinstance(of, Payment) else of.payment_id
        assert payment_id is not None
        async with self.database.read() as session:
            return await payments.get_payment(session, self.world.actor.scope, payment_id)

    async def attempt(self, attempt: Attempt) -> Attempt:
        async with self.database.read() as session:
            (found,) = await payments.attempts_many(session, [attempt.id])
        return found

    async def refunds(self, of: Attempt | Authorisation) -> list[Refund]:
        assert of.payment_id is not None
        async with self.database.read() as session:
            return (await payments.refunds_of_many(session, [of.payment_id])).get(of.payment_id, [])

    async def sale(self, sale: Sale) -> Sale:
        return await self.world.sale(sale.id)

    async def authorisation(self, authorisation: Authorisation) -> Authorisation:
        async with self.database.read() as session:
            return await sales.get_authorisation(session, self.world.actor.scope, authorisation.id)

    async def wallet(self, member_id: int) -> Wallet:
        async with self.database.read() as session:
            return await ledger.wallet(session, self.world.actor.scope, OPERATOR, member_id)

    async def balance_fen(self, purpose: Purpose) -> int:
        """Of the merchant's or the station's account, on the side where it is normally positive."""
        merchants = {Purpose.CHANNEL_RECEIVABLE, Purpose.SUSPENSE_OVER, Purpose.REFUND_IN_TRANSIT}
        owner = int(self.world.station.id)
        if purpose in merchants:
            owner = merchant_owner(Tender.WECHAT, self.merchant)
        async with self.database.read() as session:
            debit = await ledger.account_balance_fen(session, Account(OPERATOR, purpose, owner), OPERATOR)
        return debit if purpose in {Purpose.CHANNEL_RECEIVABLE, Purpose.CASH_ON_HAND} else -debit

    async def channel_fen(self) -> int:
        """What the channel says it owes this merchant: paid, less given back."""
        answer = await self.control.get("/_control/totals")
        mine = answer.json()["merchants"][self.merchant]
        return int(mine["paid_fen"] - mine["refunded_fen"] - mine["reversed_fen"])

    async def in_flight(self) -> list[object]:
        """Payments without an end, refunds without an answer, permissions without their money."""
        async with self.database.read() as session:
            scope = self.world.actor.scope
            listed = await payments.list_payments(session, scope, before=None, limit=500, state=None)
            refunds = await payments.refunds_of_many(session, [each.id for each in listed])
            standing = await sales.live_authorisations_many(
                session, [each.id for each in self.world.nozzles.values()]
            )
            unsettled = [each for each in await self.world_sales(session) if each.state is SaleState.PAYING]
        return [
            *(each for each in listed if each.state in LIVE),
            *(each for of in refunds.values() for each in of if each.state is RefundState.OPEN),
            *(each for each in standing.values() if each.state is AuthorisationState.AWAITING),
            *unsettled,
        ]

    async def world_sales(self, session: Any) -> list[Sale]:
        return await sales.list_sales(session, self.world.actor.scope, SaleFilter(limit=200))

    async def violations(self) -> list[Violation]:
        async with self.database.read() as session:
            return [found for check in CHECKS for found in await check(session)]

    async def settle_up(self) -> None:
        """The end of every story: quiet, then the books agree with themselves and with the channel's."""
        await self.quiet()
        assert await self.violations() == []
        assert await self.balance_fen(Purpose.CHANNEL_RECEIVABLE) == await self.channel_fen()
        assert await self.balance_fen(Purpose.SUSPENSE_OVER) == 0
        assert await self.balance_fen(Purpose.RECEIPTS_UNALLOCATED) == await self.standing_fen()

    async def standing_fen(self) -> int:
        """What was paid before flow and may still flow; nothing else may lie about."""
        nozzles = [each.id for each in self.world.nozzles.values()]
        async with self.database.read() as session:
            standing = await sales.live_authorisations_many(session, nozzles)
        paid = [await self.payment(each) for each in standing.values() if each.payment_id]
        return sum(each.free_fen for each in paid)


async def _number(session: WriteSession) -> outbox.Numbered:
    return await outbox.number_many(
        session, limit=500, sender="test", lease=timedelta(seconds=10), sent_at_once=True
    )


@asynccontextmanager
async def open_shop(database: Database, waits: Waits | None = None) -> AsyncIterator[Shop]:
    clock, chance = database.clock, SeededRandom("shop")
    shops: list[Shop] = []

    async def notify(request: httpx.Request) -> httpx.Response:
        """The notification's way in, as the route does it."""
        merchant = request.url.path.rsplit("/", 1)[1]
        headers, body = request.headers, request.content
        reply = await flows.take_notice(shops[0].desk, Tender.WECHAT, merchant, headers, body)
        if reply is None:
            return httpx.Response(404)
        return httpx.Response(reply.status, content=reply.body)

    simulator = WeChatPaySimulator(
        platform_keys(),
        clock,
        chance.branch("simulator"),
        SimulatorSettings(reverse_age_min_s=15),
        transport=httpx.MockTransport(notify),
    )
    wire = Wire(simulator)
    channel, clock_of_channel, wire_of_channel = the_channel()
    clock_of_channel.clock, wire_of_channel.wire = clock, wire
    channels = Channels(PUBLIC_URL, [(OPERATOR, channel)])
    control = httpx.AsyncClient(transport=httpx.ASGITransport(simulator.app), base_url=CHANNEL_URL)
    desk = flows.Desk(database, channels, waits or Waits())
    shop = Shop(await world.build(database), desk, simulator, wire, control)
    shops.append(shop)
    await shop.fault("notice_hold", times=None)
    try:
        yield shop
    finally:
        await control.aclose()
        await simulator.close()
