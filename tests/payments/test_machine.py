"""Payers, staff, notifications, faults and time in any order: the money stays right, nothing is left over."""

import asyncio
import os
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from typing import Any, TypeVar

import httpx
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests import services
from tests.conftest import START, _sqlite_template
from tests.shop import PAYER_CODE, Shop, open_shop
from tests.wire import Cut
from tests.world import OPERATOR

from forecourt.core.db import Database
from forecourt.core.errors import Refusal
from forecourt.payments import queries as payments
from forecourt.payments.types import PAID_STATES, Answer, Attempt, PaymentState, Waits
from forecourt.sales import queries as sales
from forecourt.sales import service
from forecourt.sales.types import Authorisation, AuthorisationState, Sale, SaleFilter
from forecourt_kit.clock import ManualClock
from forecourt_kit.ids import TimeOrderedIds
from forecourt_kit.price import Preset, PresetKind
from forecourt_kit.random import SeededRandom

T = TypeVar("T")

OPERATIONS = st.sampled_from(["create", "code", "query", "close", "reverse", "refund", "query_refund"])
PICK = st.integers(0, 7)  # Of what there is, counted round.
WAITS = Waits(native_expires_s=60, unknown_ask_every_max_s=20)  # Short, so that stories end soon.
PART = st.sampled_from([1, 30_00, 78_50])


class Money(RuleBasedStateMachine):
    """Two sales, a nozzle to pre-pay, and everything that can happen to their money."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stack = AsyncExitStack()
        self.attempts: list[Attempt] = []
        self.seen: dict[int, PaymentState] = {}
        self.standing: list[Authorisation] = []
        self.slow: list[tuple[Attempt, Answer]] = []
        self.codes = 0
        self.shop = self.run(self.open())
        self.sales: list[Sale] = [self.run(self.shop.world.fill("95", 10_0000)) for _ in range(2)]
        self.attempts.append(self.run(self.shop.show_qr(self.sales[0])))

    def run(self, story: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(story)

    async def open(self) -> Shop:
        clock, chance = ManualClock(START), SeededRandom("machine")
        ids = TimeOrderedIds(clock, chance)
        path = services.folder() / f"{os.urandom(6).hex()}.db"
        services.sqlite_copy(await _sqlite_template(clock, ids, chance), path)
        database = Database.open(f"sqlite:///{path}", clock, ids, chance, commit_inline=True)
        self.stack.push_async_callback(database.close)
        return await self.stack.enter_async_context(open_shop(database, WAITS))

    def some(self, pick: int) -> Attempt:
        return self.attempts[pick % len(self.attempts)]

    # Staff.

    @rule(at=st.integers(0, 1), part_fen=PART)
    def show_a_qr(self, at: int, part_fen: int) -> None:
        with suppress(Refusal):
            self.attempts.append(self.run(self.shop.show_qr(self.sales[at], part_fen)))

    @rule(at=st.integers(0, 1), polls=st.sampled_from([None, 0, 2]), waits=st.booleans())
    def scan_a_code(self, at: int, polls: int | None, waits: bool) -> None:
        self.codes += 1
        if waits:
            self.run(self.shop.fault("userpaying", polls=polls))
        with suppress(Refusal):
            code = str(int(PAYER_CODE) + self.codes)
            self.attempts.append(self.run(self.shop.scan_code(self.sales[at], code)))

    @rule(at=st.integers(0, 1))
    def crash_after_the_intent(self, at: int) -> None:
        with suppress(Refusal):
            self.attempts.append(self.run(self.shop.intend(self.sales[at])))

    @precondition(lambda self: self.attempts)
    @rule(pick=PICK)
    def end_a_payment(self, pick: int) -> None:
        with suppress(Refusal):
            self.run(self.shop.end(self.some(pick)))

    @rule(at=st.integers(0, 1), part_fen=PART)
    def take_cash(self, at: int, part_fen: int) -> None:
        with suppress(AssertionError):  # Refused: nothing is owed, or less.
            self.run(self.shop.pay_cash(self.sales[at], part_fen))

    @rule(at=st.integers(0, 1), part_fen=PART)
    def refund(self, at: int, part_fen: int) -> None:
        with suppress(Refusal):
            self.run(self.shop.refund(self.sales[at], part_fen))

    @rule()
    def prepay(self) -> None:
        with suppress(Refusal):
            authorisation, attempt = self.run(self.shop.prepay(Preset(PresetKind.AMOUNT, 50_00)))
            self.standing.append(authorisation)
            self.attempts.append(attempt)

    @precondition(lambda self: self.standing)
    @rule()
    def give_up_the_prepayment(self) -> None:
        verb, actor = service.release, self.shop.world.actor
        with suppress(Refusal):
            self.run(self.shop.database.transact(verb, actor, self.standing[-1].id))

    @precondition(lambda self: self.standing)
    @rule(quantity_e4=st.sampled_from([0, 5_0000, 6_3694]))
    def fill_what_was_prepaid(self, quantity_e4: int) -> None:
        standing = self.run(self.shop.authorisation(self.standing[-1]))
        if standing.state is AuthorisationState.GRANTED:
            report = self.shop.world.report("95", quantity_e4, authorisation_id=standing.id)
            self.run(self.shop.world.deliver(report))

    # Payers and the channel.

    @precondition(lambda self: self.attempts)
    @rule(pick=PICK, late=st.booleans())
    def payer_pays(self, pick: int, late: bool) -> None:
        order = {"out_trade_no": self.some(pick).out_trade_no, "late": late}
        if late and self.some(pick).product == "code":
            return  # A reversed code payment is over for good.
        answer: httpx.Response = self.run(self.shop.control.post("/_control/pay", json=order))
        assert answer.status_code in {200, 404, 409}

    @precondition(lambda self: self.shop.simulator.book.notices)
    @rule(pick=PICK)
    def notify(self, pick: int) -> None:
        notices = list(self.shop.simulator.book.notices.values())
        told = self.run(self.shop.do("notices/send", id=notices[pick % len(notices)].id))
        assert told["status"] == 200

    @precondition(lambda self: self.attempts)
    @rule(pick=PICK)
    def pay_and_tell(self, pick: int) -> None:
        order = {"out_trade_no": self.some(pick).out_trade_no}
        if self.run(self.shop.control.post("/_control/pay", json=order)).status_code == 200:
            self.run(self.shop.notify_all())  # Code payments are not notified of.

    @precondition(lambda self: self.attempts)
    @rule(pick=PICK)
    def an_answer_is_slow(self, pick: int) -> None:
        attempt = self.some(pick)
        channel = self.shop.desk.channel(OPERATOR, attempt.provider)
        self.slow.append((attempt, self.run(channel.query(attempt.out_trade_no))))

    @precondition(lambda self: self.slow)
    @rule(pick=PICK)
    def a_slow_answer_arrives(self, pick: int) -> None:
        attempt, answer = self.slow.pop(pick % len(self.slow))
        self.run(self.shop.apply(attempt, answer))

    @precondition(lambda self: self.shop.simulator.book.orders)
    @rule(pick=PICK)
    def a_wrong_amount_is_told(self, pick: int) -> None:
        numbers = [each.out_trade_no for each in self.shop.simulator.book.orders.values()]
        number = numbers[pick % len(numbers)]
        self.run(
            self.shop.control.post("/_control/forge", json={"out_trade_no": number, "how": "wrong_amount"})
        )

    @rule(operation=OPERATIONS, cut=st.sampled_from([Cut.LOST, Cut.ANSWER_LOST]))
    def cut_the_wire(self, operation: str, cut: Cut) -> None:
        self.shop.wire.cuts.append((operation, cut))

    @rule(operation=OPERATIONS, kind=st.sampled_from(["error", "error_after", "bad_answer"]))
    def break_an_answer(self, operation: str, kind: str) -> None:
        self.run(self.shop.fault(kind, operation=operation))

    @rule(kind=st.sampled_from(["paid_early", "late_success", "notice_early"]))
    def be_odd(self, kind: str) -> None:
        self.run(self.shop.fault(kind))

    @rule(then=st.sampled_from(["SUCCESS", "ABNORMAL", "CLOSED"]), polls=st.sampled_from([None, 0, 2]))
    def refund_oddly(self, then: str, polls: int | None) -> None:
        self.run(self.shop.fault("refund", then=then, polls=polls))

    # The worker and time.

    @rule(seconds=st.sampled_from([0, 3, 15, 45, 70]))
    def time_passes(self, seconds: int) -> None:
        self.run(self.shop.step(seconds))

    @rule()
    def everything_is_told_again(self) -> None:
        self.run(self.shop.hear_all_again())

    # What holds all the time.

    @invariant()
    def the_money_is_right(self) -> None:
        self.run(self.look())

    async def look(self) -> None:
        """Success is never taken back; nobody gets, or gives back, more than there was."""
        async with self.shop.database.read() as session:
            scope = self.shop.world.actor.scope
            orders = await payments.attempts_many(session, [each.id for each in self.attempts])
            paid = await payments.list_payments(session, scope, before=None, limit=500, state=None)
            sold = await sales.list_sales(session, scope, SaleFilter(limit=200))
        for order in orders:
            before = self.seen.get(order.id)
            assert before not in PAID_STATES or order.state is before
            self.seen[order.id] = order.state
        for payment in paid:
            assert payment.refunded_fen >= 0
            assert payment.free_fen >= 0
            assert payment.paid_fen in {0, payment.amount_fen}
        for sale in sold:
            assert 0 <= sale.refunded_fen <= sale.paid_fen <= sale.due_fen
        book = self.shop.simulator.book
        assert all(book.refunded_fen(order) <= order.total_fen for order in book.orders.values())

    def teardown(self) -> None:
        try:
            self.run(self.shop.settle_up())
            self.run(self.look())
        finally:
            self.run(self.stack.aclose())
            self.loop.close()


TestMoney = Money.TestCase
TestMoney.settings = settings(
    max_examples=15,
    stateful_step_count=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
