"""The keeper of one nozzle: visits the gun, takes its sales over, carries out orders; facts before deeds.

Every step that moves product or money is written to the journal before the dispenser hears of it, so that a
cut between any two steps leaves one of two pictures: the step is not known and not done, or it is known and
the next visit finishes it.
"""

import asyncio
import contextlib
import logging
from datetime import datetime, timedelta

from forecourt_edge.collectors import notes, records
from forecourt_edge.collectors.notes import AuthorisationNote, PriceNote
from forecourt_edge.collectors.orders import Authorise, NozzleOrder, Release, SetNozzlePrice, Stop, limit_of
from forecourt_edge.collectors.teller import Teller
from forecourt_edge.crash import CrashPoints
from forecourt_edge.drivers.types import (
    RUNNING,
    Dispenser,
    FinishedSale,
    NoAnswer,
    NozzleSetup,
    NozzleState,
    OrderResult,
    Reading,
    ReleaseMode,
)
from forecourt_edge.journal.types import CLOSED, Journal, JournalFull
from forecourt_kit.clock import Clock, rfc3339

MISSES_MAX = 3  # Visits without an answer before a nozzle counts as offline.
PRICE_TRIES_BEFORE_ALARM = 3
PRICE_RETRY_S = 30.0
TOTALIZER_EVERY_S = 3_600.0
SALES_TAKEN_MAX = 20  # At one authorisation; a longer queue is taken over visit by visit.
S = NozzleState

logger = logging.getLogger(__name__)


class Nozzle:
    """State that is lost with the process is only what the next visit finds again."""

    def __init__(
        self,
        setup: NozzleSetup,
        gun: Dispenser,
        journal: Journal,
        teller: Teller,
        clock: Clock,
        crash: CrashPoints,
    ) -> None:
        self.setup = setup
        self._gun, self._journal, self._teller = gun, journal, teller
        self._clock, self._crash = clock, crash
        self._one_at_a_time = asyncio.Lock()
        self._state = S.OFFLINE
        self._misses = 0
        self._known = False
        self._unit_price_e4: int | None = None
        self._began_at: datetime | None = None
        self._ended_at: datetime | None = None
        self._authorisation = notes.read_authorisation(self._recalled(self._authorisation_name))
        self._price = notes.read_price(self._recalled(self._price_name))
        self._price_tries = 0
        self._price_next_s = 0.0
        self._totalizer_next_s = 0.0

    @property
    def state(self) -> NozzleState:
        return self._state

    async def visit(self) -> NozzleState:
        """Ask the gun, take over what waits, finish what was begun."""
        async with self._one_at_a_time:
            try:
                await self._visit()
            except NoAnswer:
                await self._missed()
        return self._state

    async def obey(self, order: NozzleOrder) -> tuple[str, str | None]:
        """Carry out an order of the centre: outcome and reason. A silent gun is an outcome too."""
        async with self._one_at_a_time:
            try:
                match order:
                    case Authorise():
                        return await self._authorise(order)
                    case SetNozzlePrice():
                        return await self._note_price(order)
                    case Release():
                        return await self._release(order)
                    case Stop():
                        return _outcome(await self._gun.stop())
            except NoAnswer:
                return "uncertain", "no_answer"
            except JournalFull:
                return "refused", "journal_full"

    # A visit.

    async def _visit(self) -> None:
        reading = await self._gun.read()
        self._misses = 0
        if not self._known:
            await self._get_to_know()
        await self._notice(reading)
        if reading.sale_waiting:
            await self._take_sale()
            return
        if self._authorisation is not None:
            await self._follow_authorisation(self._authorisation, reading)
        if self._price is not None and reading.state in (S.IDLE, S.CLOSED):
            await self._bring_price(self._price)
        if reading.state is S.CALLING and self._authorisation is None:
            await self._release_if_free(reading)
        if reading.state is S.IDLE and self._clock.monotonic_s() >= self._totalizer_next_s:
            await self._read_totalizers()

    async def _get_to_know(self) -> None:
        await self._gun.take_control()
        self._unit_price_e4 = await self._gun.unit_price_e4()
        await self._read_totalizers()
        self._known = True

    async def _read_totalizers(self) -> None:
        read = await self._gun.totalizers()
        await self._teller.tell(records.totalizer(self.setup.nozzle, self.setup, read, self._clock.now()))
        self._totalizer_next_s = self._clock.monotonic_s() + TOTALIZER_EVERY_S

    async def _notice(self, reading: Reading) -> None:
        """Tell what changed; keep the times of a fill that is watched."""
        before, self._state = self._state, reading.state
        if reading.state in RUNNING and before not in RUNNING:
            self._began_at, self._ended_at = self._clock.now(), None
        elif before in RUNNING and reading.state not in RUNNING:
            self._ended_at = self._clock.now()
        await self._teller.notice(self.setup.nozzle, reading, self._unit_price_e4)

    async def _missed(self) -> None:
        self._misses += 1
        if self._misses >= MISSES_MAX and (self._state is not S.OFFLINE or self._misses == MISSES_MAX):
            self._state, self._known = S.OFFLINE, False
            self._began_at = self._ended_at = None
            await self._teller.notice(
                self.setup.nozzle, Reading(state=S.OFFLINE, sale_waiting=False), self._unit_price_e4
            )

    # Sales.

    async def _take_sale(self) -> bool:
        """Take the oldest sale over: on disk here first, then cleared there. False when there is none."""
        sale = await self._gun.oldest_sale()
        if sale is None:
            return False
        newest = await self._gun.last_sequence() == sale.sequence
        bound = self._authorisation
        if bound is not None and bound.after_sequence == sale.sequence:
            bound = None  # Left from before the authorisation: cut off between journal and clearing.
        body = records.delivery_ended(
            self.setup,
            sale,
            self._times(sale, newest=newest),
            bound.authorisation_id if bound else None,
            bound.purpose if bound else "sale",
        )
        try:
            await self._teller.money(
                self.setup.nozzle,
                body,
                unique=records.identity(self.setup.nozzle, sale),
                notes={self._authorisation_name: None} if bound else {},
            )
        except JournalFull:
            logger.critical("no room for a sale: it stays in the dispenser", extra={"sale": dict(body)})
            return False
        self._crash.passed("after_sale_journalled")
        if bound:
            self._authorisation = None
        self._began_at = self._ended_at = None
        await self._gun.clear_sale(sale.sequence)
        self._crash.passed("after_sale_cleared")
        return True

    def _times(self, sale: FinishedSale, *, newest: bool) -> records.Times:
        if newest and self._began_at is not None and self._ended_at is not None:
            return records.Times(self._began_at, self._ended_at, observed=True)
        now = self._clock.now()
        return records.Times(now - timedelta(seconds=sale.duration_s), now, observed=False)

    # Authorisations.

    async def _authorise(self, order: Authorise) -> tuple[str, str | None]:
        held = self._authorisation
        if held is not None:
            same = held.authorisation_id == order.authorisation_id
            return ("done", None) if same else ("refused", "nozzle_taken")
        # Sent again because the power went before its result was noted: its fill may have ended since.
        begun = self._journal.recall(notes.begun_name(order.command_id))
        if begun or self._journal.known(f"lapse:{order.authorisation_id}"):
            return "lapsed", "ended_before"
        if order.expires_at <= self._clock.now():
            return "expired", None
        if self._journal.pressure in CLOSED:
            return "refused", f"journal_{self._journal.pressure.value}"
        reading = await self._gun.read()
        for _ in range(SALES_TAKEN_MAX):
            if not reading.sale_waiting or not await self._take_sale():
                break
            reading = await self._gun.read()
        if reading.sale_waiting:
            return "refused", "sales_waiting"
        if reading.state not in (S.IDLE, S.CALLING):
            return "refused", f"nozzle_{reading.state.value}"
        return await self._grant(order)

    async def _grant(self, order: Authorise) -> tuple[str, str | None]:
        price_e4 = await self._gun.unit_price_e4()
        preset = limit_of(order, price_e4)
        note = AuthorisationNote(
            authorisation_id=order.authorisation_id,
            command_id=order.command_id,
            after_sequence=await self._gun.last_sequence(),
            granted_at=rfc3339(self._clock.now()),
            expires_at=rfc3339(order.expires_at),
            purpose=order.purpose,
        )
        begun = notes.begun_name(order.command_id)
        await self._journal.remember({self._authorisation_name: notes.write(note), begun: b"1"})
        self._authorisation = note
        self._crash.passed("after_authorisation_noted")
        # Unanswered, it may have been heard: the note stays, and the next visits see which it was.
        result = await self._gun.release(preset)
        self._crash.passed("after_release_sent")
        if result is not OrderResult.DONE:
            await self._journal.remember({self._authorisation_name: None, begun: None})
            self._authorisation = None
        return _outcome(result)

    async def _follow_authorisation(self, note: AuthorisationNote, reading: Reading) -> None:
        """No sale waits. Idle again means: it ended without one, or its release was never heard."""
        if reading.state is S.AUTHORISED and note.expires <= self._clock.now():
            await self._gun.stop()
        elif reading.state in (S.IDLE, S.CALLING, S.CLOSED):
            unchanged = await self._gun.last_sequence() == note.after_sequence
            if not unchanged and (await self._gun.read()).sale_waiting:
                return  # It ended between two questions; the next visit takes it over.
            reason = "not_lifted" if note.expires <= self._clock.now() else "not_released"
            await self._lapse(note, reason if unchanged else "sale_missing")

    async def _lapse(self, note: AuthorisationNote, reason: str) -> None:
        body = records.nothing_drawn(
            self.setup, note.authorisation_id, note.purpose, note.granted_at, reason, self._clock.now()
        )
        with contextlib.suppress(JournalFull):  # The note stays; the next visit tries again.
            await self._teller.money(
                self.setup.nozzle,
                body,
                unique=f"lapse:{note.authorisation_id}",
                notes={self._authorisation_name: None},
            )
            self._authorisation = None

    # Releases.

    async def _release_if_free(self, reading: Reading) -> None:
        if self.setup.mode is not ReleaseMode.FREE:
            return
        if self._journal.pressure in CLOSED:
            withheld = f"withheld_journal_{self._journal.pressure.value}"
            await self._teller.once(self.setup.nozzle, withheld, reading)
            return
        await self._gun.release(None)

    async def _release(self, order: Release) -> tuple[str, str | None]:
        if order.expires_at <= self._clock.now():
            return "expired", None
        if self._authorisation is not None:
            return "refused", "nozzle_taken"
        if self._journal.pressure in CLOSED:
            return "refused", f"journal_{self._journal.pressure.value}"
        if (await self._gun.read()).state is not S.CALLING:
            return "refused", "not_lifted"
        return _outcome(await self._gun.release(None))

    # Prices.

    async def _note_price(self, order: SetNozzlePrice) -> tuple[str, str | None]:
        effective_at = None if order.effective_at is None else rfc3339(order.effective_at)
        note = PriceNote(order.command_id, order.unit_price_e4, effective_at)
        await self._journal.remember({self._price_name: notes.write(note)})
        self._crash.passed("after_price_noted")
        self._price, self._price_tries, self._price_next_s = note, 0, 0.0
        return "accepted", None

    async def _bring_price(self, note: PriceNote) -> None:
        """Set the price; told once when it was taken, and once when it was not after some tries."""
        now_s = self._clock.monotonic_s()
        if now_s < self._price_next_s or (note.effective is not None and note.effective > self._clock.now()):
            return
        try:
            taken = await self._gun.set_price(note.unit_price_e4) is OrderResult.DONE
        except NoAnswer:  # Deaf to this order alone: it answered a moment ago.
            taken = False
        if taken:
            self._unit_price_e4 = note.unit_price_e4
            await self._tell_price(note, acknowledged=True)
            self._price = None
            return
        self._price_tries += 1
        self._price_next_s = now_s + (PRICE_RETRY_S if self._price_tries >= PRICE_TRIES_BEFORE_ALARM else 0.0)
        if self._price_tries == PRICE_TRIES_BEFORE_ALARM:
            await self._tell_price(note, acknowledged=False)

    async def _tell_price(self, note: PriceNote, *, acknowledged: bool) -> None:
        body = records.price_acknowledged(
            self.setup.nozzle,
            note.unit_price_e4,
            note.command_id,
            self._clock.now(),
            acknowledged=acknowledged,
        )
        await self._teller.tell(
            body,
            unique=f"price:{note.command_id}:{'yes' if acknowledged else 'no'}",
            notes={self._price_name: None} if acknowledged else {},
        )

    @property
    def _authorisation_name(self) -> str:
        return f"authorisation/{self.setup.nozzle}"

    @property
    def _price_name(self) -> str:
        return f"price/{self.setup.nozzle}"

    def _recalled(self, name: str) -> bytes | None:
        return self._journal.recall(name).get(name)


def _outcome(result: OrderResult) -> tuple[str, str | None]:
    return ("done", None) if result is OrderResult.DONE else ("refused", result.value)
