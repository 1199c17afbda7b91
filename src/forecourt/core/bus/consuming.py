"""Handing a message to its handler, and trying parked ones again: what every adapter does the same way."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from forecourt.core.bus import parking
from forecourt.core.bus.matching import is_stale
from forecourt.core.bus.types import Delivery, Handler, Subscription
from forecourt.core.db import Database
from forecourt.core.errors import Unavailable

RETRY_POLL_S = 1.0
RETRY_ROWS_MAX = 20
AWAY_PAUSE_S = 1.0

log = logging.getLogger(__name__)


async def hand(database: Database, subscription: Subscription, delivery: Delivery, handler: Handler) -> None:
    """Run the handler once. On return the message is done with here: handled, stale, parked or buried."""
    if is_stale(subscription, delivery.message, database.clock.now()):
        log.info("stale message dropped", extra=_facts(subscription, delivery))
        return
    reason = await attempt(subscription, delivery, handler)
    if reason is not None:
        await _until_stored(lambda: database.transact(parking.park, subscription, delivery, reason))


async def attempt(subscription: Subscription, delivery: Delivery, handler: Handler) -> str | None:
    """Run the handler; None when it came through, else why not."""
    try:
        await handler(delivery)
    except Exception as error:  # A process loop: one bad message must not stop the others.
        log.warning("message not handled", extra=_facts(subscription, delivery), exc_info=error)
        return f"{type(error).__name__}: {error}"
    return None


async def _until_stored(store: Callable[[], Awaitable[None]]) -> None:
    """A failure that cannot be written down yet is not forgotten: the consumer waits for the database."""
    while True:
        try:
            await store()
        except Unavailable:
            await asyncio.sleep(AWAY_PAUSE_S)
        else:
            return


class Retrier:
    """Gives parked messages back to the handlers of this process when their time comes."""

    def __init__(self, database: Database, *, poll_s: float = RETRY_POLL_S) -> None:
        self._database = database
        self._poll_s = poll_s
        self._name = f"retrier-{database.ids.new():x}"

    async def run(self, subscription: Subscription, handler: Handler) -> None:
        """Until cancelled."""
        while True:
            try:
                busy = await self.step(subscription, handler)
            except Unavailable:
                busy = False
            if not busy:
                await asyncio.sleep(self._poll_s)

    async def step(self, subscription: Subscription, handler: Handler) -> bool:
        """Try what is due now. True when there may be more."""
        async with self._database.read() as session:
            if not await parking.any_due(session, subscription):
                return False
        due = await self._database.transact(
            parking.take_due, subscription, owner=self._name, limit=RETRY_ROWS_MAX
        )
        for parked in due:
            await self._again(subscription, parked, handler)
        return len(due) == RETRY_ROWS_MAX

    async def _again(self, subscription: Subscription, parked: parking.Parked, handler: Handler) -> None:
        stale = is_stale(subscription, parked.delivery.message, self._database.clock.now())
        reason = None if stale else await attempt(subscription, parked.delivery, handler)
        if reason is None:
            await _until_stored(lambda: self._database.transact(parking.forget, parked.id))
        else:
            await _until_stored(
                lambda: self._database.transact(parking.park_again, subscription, parked, reason)
            )


def _facts(subscription: Subscription, delivery: Delivery) -> dict[str, object]:
    return {
        "subscription": subscription.name,
        "topic": delivery.message.topic,
        "message_id": delivery.message.id,
        "count": delivery.count,
    }
