"""From the outbox to the bus: numbers what was committed, publishes with confirms, then moves the mark.

A crash between publishing and marking sends again, never loses: receivers are idempotent by message id. Any
number of relays may run; each may number, one at a time sends, and another takes over when it falls silent.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta

from forecourt.core import outbox
from forecourt.core.bus.types import Bus, Message
from forecourt.core.db import Database
from forecourt.core.errors import Unavailable

SET_ROWS_MAX = 500  # Numbered, and in flight to the bus, at once.
POLL_S = 0.1  # Other processes' commits do not ring here; an idle look is one index probe.
SENDER_LEASE = timedelta(seconds=15)
PUBLISH_TIMEOUT_S = 10  # Below the lease: whoever took over finds the old sender's call ended.
AWAY_PAUSE_S_MAX = 5.0

log = logging.getLogger(__name__)

Numbered = Callable[[Sequence[Message]], None]


class Relay:
    """Runs until cancelled. `on_numbered` hears each set in order, in this process, once it is committed."""

    def __init__(self, database: Database, bus: Bus, *, on_numbered: Numbered | None = None) -> None:
        self._database = database
        self._bus = bus
        self._on_numbered = on_numbered
        self._name = f"relay-{database.ids.new():x}"

    async def run(self) -> None:
        pause_s = POLL_S
        try:
            while True:
                try:
                    busy = await self.step()
                    pause_s = POLL_S
                except (Unavailable, TimeoutError) as error:
                    # The database or the bus is away: sales go on, the outbox grows, and drains later.
                    log.warning("relay waits", extra={"reason": str(error)})
                    busy, pause_s = False, min(pause_s * 2, AWAY_PAUSE_S_MAX)
                if not busy:
                    await self._wait(pause_s)
        finally:
            await self._let_another_send()

    async def step(self) -> bool:
        """Number and send one set. True when there may be more at once."""
        rung = self._database.outbox_grew.is_set()
        self._database.outbox_grew.clear()
        if not rung:  # Else this process has just committed an event: no need to look whether there is one.
            async with self._database.read() as session:
                if not await outbox.has_work(session):
                    return False
        numbered = await self._database.transact(
            outbox.number_many,
            limit=SET_ROWS_MAX,
            sender=self._name,
            lease=SENDER_LEASE,
            sent_at_once=self._bus.reads_outbox,
        )
        if numbered.messages and self._on_numbered is not None:
            self._on_numbered(numbered.messages)
        full = len(numbered.messages) == SET_ROWS_MAX
        if self._bus.reads_outbox:
            await self._bus.publish_many(numbered.messages)
            return full
        return (numbered.may_send and await self._send(numbered.sent)) or full

    async def _send(self, sent: int) -> bool:
        async with self._database.read() as session:
            messages = await outbox.events_after(session, sent, limit=SET_ROWS_MAX)
        if not messages:
            return False
        async with asyncio.timeout(PUBLISH_TIMEOUT_S):
            await self._bus.publish_many(messages)
        await self._database.transact(outbox.mark_sent, before=sent, after=messages[-1].sequence)
        return True

    async def _wait(self, pause_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._database.outbox_grew.wait()

    async def _let_another_send(self) -> None:
        with suppress(Unavailable):  # Then the lease ends by itself.
            await self._database.transact(outbox.stop_sending, sender=self._name)
