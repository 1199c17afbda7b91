"""A wallet and its holds against a model that only counts: in any order, never a fen off."""

import asyncio
import os
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests import services
from tests.conftest import START, _sqlite_template

from forecourt.core.actor import Operator, OperatorId
from forecourt.core.db import Database, WriteSession
from forecourt.core.errors import Refusal
from forecourt.ledger import queries, service
from forecourt.ledger.errors import GiveBackTooLarge, HoldEnded, InsufficientFunds
from forecourt.ledger.types import Account, Draw, DrawPolicy, GiveBack, Posted, Purpose, Topup, Wallet
from forecourt_kit.clock import ManualClock
from forecourt_kit.ids import TimeOrderedIds
from forecourt_kit.random import SeededRandom

T = TypeVar("T")

OPERATOR, MEMBER = 7, 11
CASH = Account(OPERATOR, Purpose.CASH_ON_HAND, 1)
SOLD = Account(OPERATOR, Purpose.OPERATOR_PAYABLE, 1)
AMOUNT = st.integers(1, 200)


@dataclass(eq=False)
class ModelLot:
    is_bonus: bool
    left_fen: int
    expires_at: datetime | None


@dataclass
class ModelHold:
    amount_fen: int
    expires_at: datetime
    is_open: bool = True


@dataclass
class ModelSpend:
    amount_fen: int
    drawn: dict[int, int]  # Lot → fen.
    given_fen: int = 0


@dataclass
class Model:
    """What a wallet is, in the simplest words."""

    lots: list[ModelLot] = field(default_factory=list)
    holds: dict[str, ModelHold] = field(default_factory=dict)
    spends: dict[str, ModelSpend] = field(default_factory=dict)

    def held_fen(self) -> int:
        return sum(hold.amount_fen for hold in self.holds.values() if hold.is_open)

    def spendable_fen(self, now: datetime) -> int:
        return sum(lot.left_fen for lot in self.lots if lot.expires_at is None or lot.expires_at > now)

    def total_fen(self, *, of_bonus: bool) -> int:
        return sum(lot.left_fen for lot in self.lots if lot.is_bonus is of_bonus)


class WalletMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = ManualClock(START)
        self.database = self.run(self.open())
        self.model = Model()
        self.count = 0

    def run(self, story: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(story)

    async def open(self) -> Database:
        chance = SeededRandom("machine")
        ids = TimeOrderedIds(self.clock, chance)
        path = services.folder() / f"{os.urandom(6).hex()}.db"
        services.sqlite_copy(await _sqlite_template(self.clock, ids, chance), path)
        return Database.open(f"sqlite:///{path}", self.clock, ids, chance, commit_inline=True)

    def name(self) -> str:
        self.count += 1
        return f"r{self.count}"

    @rule(principal_fen=AMOUNT, bonus_fen=st.integers(0, 50), bonus_lives_s=st.sampled_from([None, 30, 90]))
    def top_up(self, principal_fen: int, bonus_fen: int, bonus_lives_s: int | None) -> None:
        lives = None if bonus_lives_s is None else self.clock.now() + timedelta(seconds=bonus_lives_s)
        topup = Topup(
            operator_id=OPERATOR,
            reference=self.name(),
            member_id=MEMBER,
            principal_fen=principal_fen,
            bonus_fen=bonus_fen,
            debit=CASH,
            bonus_expires_at=lives,
        )
        self.run(self.database.transact(service.post, topup))
        self.model.lots.append(ModelLot(is_bonus=False, left_fen=principal_fen, expires_at=None))
        if bonus_fen:
            self.model.lots.append(ModelLot(is_bonus=True, left_fen=bonus_fen, expires_at=lives))

    @rule(amount_fen=AMOUNT, policy=st.sampled_from(DrawPolicy))
    def spend(self, amount_fen: int, policy: DrawPolicy) -> None:
        self.draw(amount_fen, policy, None)

    @precondition(lambda self: self.model.holds)
    @rule(amount_fen=AMOUNT, pick=st.integers(0, 5))
    def spend_what_was_held(self, amount_fen: int, pick: int) -> None:
        names = list(self.model.holds)
        self.draw(amount_fen, DrawPolicy.BONUS_FIRST, names[pick % len(names)])

    def draw(self, amount_fen: int, policy: DrawPolicy, hold: str | None) -> None:
        """Refused exactly when the model says so; what it took is checked by what is left."""
        model, now = self.model, self.clock.now()
        held_fen = model.held_fen()
        ended = False
        if hold is not None:
            ended = not model.holds[hold].is_open
            held_fen -= model.holds[hold].amount_fen
        short = model.spendable_fen(now) - held_fen < amount_fen
        draw = Draw(
            operator_id=OPERATOR,
            reference=self.name(),
            member_id=MEMBER,
            amount_fen=amount_fen,
            credit=SOLD,
            policy=policy,
            hold_reference=hold,
        )
        try:
            posted = self.run(self.database.transact(service.post, draw))
        except HoldEnded:
            assert ended
            return
        except InsufficientFunds:
            assert short
            return
        assert not ended
        assert not short
        self.took(draw, posted)
        if hold is not None:
            model.holds[hold].is_open = False

    def took(self, draw: Draw, posted: Posted) -> None:
        """Soonest to expire first, no lot below zero; then the same command again does nothing."""
        by_bonus = sum(part.amount_fen for part in posted.parts if part.kind == "bonus")
        alive = [
            lot
            for lot in self.model.lots
            if lot.left_fen and (lot.expires_at is None or lot.expires_at > self.clock.now())
        ]
        bonus = sorted(
            (lot for lot in alive if lot.is_bonus),
            key=lambda lot: (lot.expires_at is None, lot.expires_at or self.clock.now()),
        )
        principal = [lot for lot in alive if not lot.is_bonus]
        has_bonus, has_principal = (sum(lot.left_fen for lot in lots) for lots in (bonus, principal))
        if draw.policy is DrawPolicy.BONUS_FIRST:
            assert by_bonus == min(has_bonus, draw.amount_fen)
        elif draw.policy is DrawPolicy.PRINCIPAL_FIRST:
            assert by_bonus == draw.amount_fen - min(has_principal, draw.amount_fen)
        spend = ModelSpend(draw.amount_fen, {})
        for lots, fen in ((bonus, by_bonus), (principal, draw.amount_fen - by_bonus)):
            left = fen
            for lot in lots:
                part = min(lot.left_fen, left)
                lot.left_fen -= part
                left -= part
                if part:
                    spend.drawn[self.model.lots.index(lot)] = part
            assert left == 0
        self.model.spends[draw.reference] = spend
        again = self.run(self.database.transact(service.post, draw))
        assert again.replayed

    @precondition(lambda self: self.model.spends)
    @rule(amount_fen=AMOUNT, pick=st.integers(0, 5))
    def give_back(self, amount_fen: int, pick: int) -> None:
        names = list(self.model.spends)
        spent = names[pick % len(names)]
        spend = self.model.spends[spent]
        back = GiveBack(
            operator_id=OPERATOR,
            reference=self.name(),
            spent_reference=spent,
            member_id=MEMBER,
            amount_fen=amount_fen,
            debit=SOLD,
        )
        try:
            posted = self.run(self.database.transact(service.post, back))
        except GiveBackTooLarge:
            assert amount_fen > spend.amount_fen - spend.given_fen
            return
        spend.given_fen += amount_fen
        assert spend.given_fen <= spend.amount_fen
        # Which lot gets the odd fen is the book's business; that each gets no more than it gave is not.
        of_bonus = sum(part.amount_fen for part in posted.parts if part.kind == "bonus")
        for is_bonus, fen in ((True, of_bonus), (False, amount_fen - of_bonus)):
            self.return_to(spend, fen, is_bonus=is_bonus)
        if spend.given_fen == spend.amount_fen:
            assert not any(spend.drawn.values()), "all of it went back to where it came from"

    def return_to(self, spend: ModelSpend, fen: int, *, is_bonus: bool) -> None:
        for at, drawn_fen in spend.drawn.items():
            lot = self.model.lots[at]
            if lot.is_bonus is is_bonus:
                part = min(drawn_fen, fen)
                lot.left_fen += part
                spend.drawn[at] -= part
                fen -= part
        assert fen == 0

    @rule(amount_fen=AMOUNT, lives_s=st.sampled_from([20, 60, 600]))
    def hold(self, amount_fen: int, lives_s: int) -> None:
        reference, expires_at = self.name(), self.clock.now() + timedelta(seconds=lives_s)
        free_fen = self.model.spendable_fen(self.clock.now()) - self.model.held_fen()

        async def verb(session: WriteSession) -> None:
            await service.hold(
                session,
                operator_id=OPERATOR,
                member_id=MEMBER,
                reference=reference,
                amount_fen=amount_fen,
                expires_at=expires_at,
            )

        try:
            self.run(self.database.transact(verb))
            self.run(self.database.transact(verb))  # The same again changes nothing.
        except InsufficientFunds:
            assert free_fen < amount_fen
            return
        assert free_fen >= amount_fen
        self.model.holds[reference] = ModelHold(amount_fen, expires_at)

    @precondition(lambda self: self.model.holds)
    @rule(pick=st.integers(0, 5))
    def void(self, pick: int) -> None:
        names = list(self.model.holds)
        hold = self.model.holds[names[pick % len(names)]]
        freed = self.run(self.database.transact(service.void_hold, OPERATOR, names[pick % len(names)]))
        assert freed is hold.is_open
        hold.is_open = False

    @rule(seconds=st.sampled_from([10, 40, 100]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self.run(self.database.transact(service.expire_holds))
        for hold in self.model.holds.values():
            hold.is_open = hold.is_open and hold.expires_at > self.clock.now()

    @rule()
    def seal(self) -> None:
        with suppress(Refusal):
            self.run(self.database.transact(service.seal))

    @invariant()
    def the_wallet_is_the_models(self) -> None:
        self.run(self.look())

    async def look(self) -> None:
        scope = Operator(OperatorId(OPERATOR))
        async with self.database.read() as session:
            wallet = await queries.wallet(session, scope, OPERATOR, MEMBER)
        model = self.model
        wanted = Wallet(model.total_fen(of_bonus=False), model.total_fen(of_bonus=True), model.held_fen())
        assert wallet == wanted

    def teardown(self) -> None:
        try:
            assert self.run(self.violations()) == []
        finally:
            self.run(self.database.close())
            self.loop.close()

    async def violations(self) -> list[object]:
        async with self.database.read() as session:
            return [found for check in queries.CHECKS for found in await check(session)]


TestWallet = WalletMachine.TestCase
TestWallet.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
