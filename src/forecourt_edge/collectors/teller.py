"""Puts what happened where it belongs: live readings to the uplink, news and money to the journal."""

import logging
from collections.abc import Callable, Mapping

from forecourt_edge.collectors import records
from forecourt_edge.drivers.types import NozzleState, Reading
from forecourt_edge.journal.types import FORMAT_JSON, Journal, JournalFull, RecordClass
from forecourt_kit.clock import Clock

Live = Callable[[int, int, bytes], None]
"""Hands a class 0 record to the uplink: channel, format, body. It may be lost; the next one replaces it."""

LIVE_EVERY_S = 0.2  # Of a running nozzle; a state change is told at once.
LIVE_IDLE_EVERY_S = 30.0

logger = logging.getLogger(__name__)


class Teller:
    """One for the station. Channel = nozzle number; 0 = the station itself."""

    def __init__(self, journal: Journal, live: Live, clock: Clock) -> None:
        self._journal, self._live, self._clock = journal, live, clock
        self._last: dict[int, Reading] = {}
        self._live_next_s: dict[int, float] = {}
        self._told_once: dict[int, str] = {}
        self.news_refused = 0

    async def notice(self, nozzle: int, reading: Reading, unit_price_e4: int | None) -> None:
        """A reading: live to the uplink as often as is useful, changes as events to the journal."""
        before = self._last.get(nozzle)
        self._last[nozzle] = reading
        changed = before is None or before.state is not reading.state
        now_s = self._clock.monotonic_s()
        if changed or reading != before or now_s >= self._live_next_s.get(nozzle, 0.0):
            self._send_live(nozzle, reading, unit_price_e4, now_s, changed=changed)
        if changed:
            self._told_once.pop(nozzle, None)
            await self.tell(records.nozzle_event(nozzle, reading.state.value, reading, self._clock.now()))
        await self._tell_faults(nozzle, set(before.faults) if before else set(), reading)

    async def once(self, nozzle: int, event: str, reading: Reading) -> None:
        """An event that is told once until the nozzle's state changes."""
        if self._told_once.get(nozzle) != event:
            self._told_once[nozzle] = event
            await self.tell(records.nozzle_event(nozzle, event, reading, self._clock.now()))

    async def tell(
        self,
        body: records.Body,
        *,
        unique: str | None = None,
        notes: Mapping[str, bytes | None] | None = None,
    ) -> None:
        """News, class 1. Without room it is counted and let go: money keeps the rest."""
        try:
            await self._journal.append(
                RecordClass.RELIABLE,
                body.get("nozzle", 0),
                FORMAT_JSON,
                records.encode(body),
                unique=unique,
                notes=notes,
            )
        except JournalFull:
            self.news_refused += 1
            logger.warning("no room for news", extra={"kind": body["kind"]})

    async def money(
        self, nozzle: int, body: records.Body, *, unique: str, notes: Mapping[str, bytes | None]
    ) -> bool:
        """Money, class 2; whether it was new. Raises JournalFull."""
        mid = await self._journal.append(
            RecordClass.MONEY, nozzle, FORMAT_JSON, records.encode(body), unique=unique, notes=notes
        )
        return mid is not None

    def _send_live(
        self, nozzle: int, reading: Reading, unit_price_e4: int | None, now_s: float, *, changed: bool
    ) -> None:
        running = reading.state is NozzleState.FUELLING
        if not changed and running and now_s < self._live_next_s.get(nozzle, 0.0):
            return
        self._live_next_s[nozzle] = now_s + (LIVE_EVERY_S if running else LIVE_IDLE_EVERY_S)
        body = records.nozzle_state(nozzle, reading, unit_price_e4, self._clock.now())
        self._live(nozzle, FORMAT_JSON, records.encode(body))

    async def _tell_faults(self, nozzle: int, before: set[str], reading: Reading) -> None:
        now = set(reading.faults)
        for event, faults in (("fault_raised", now - before), ("fault_cleared", before - now)):
            for fault in sorted(faults):
                body = records.nozzle_event(nozzle, event, reading, self._clock.now())
                await self.tell({**body, "fault": fault})
