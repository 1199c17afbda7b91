"""Everything that happens later, as tasks of one group. Any number of workers share the work by leases."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

from forecourt.access import service as access
from forecourt.channels.directory import Channels
from forecourt.core import idempotency, inbox, jobs
from forecourt.core.bus import Delivery, Subscription
from forecourt.core.db import Database
from forecourt.core.errors import Unavailable
from forecourt.core.host import Host
from forecourt.core.jobs import ClockJob, JobRunner
from forecourt.core.relay import Relay
from forecourt.deliveries.doors import StationDoor, shown_live
from forecourt.devices import jobs as device_jobs
from forecourt.ledger import jobs as ledger_jobs
from forecourt.payments import jobs as payment_jobs
from forecourt.payments.flows import Desk
from forecourt.payments.types import Waits
from forecourt.pricing import jobs as pricing_jobs
from forecourt.sales import jobs as sales_jobs

INBOX_POLL_S = 0.05  # A gateway in another process does not ring here; an idle look is one index probe.
CHANNEL_POLL_S = 0.5
AWAY_PAUSE_S = 1.0

SUBSCRIPTIONS: tuple[tuple[Subscription, Callable[[Database, Delivery], Awaitable[None]]], ...] = (
    *sales_jobs.SUBSCRIPTIONS,
)

CLOCK_JOBS = (
    ClockJob("ledger.seal", timedelta(seconds=3), ledger_jobs.seal),
    ClockJob("ledger.expire_holds", timedelta(seconds=30), ledger_jobs.expire_holds),
    ClockJob("sales.expire_authorisations", timedelta(seconds=10), sales_jobs.expire_authorisations),
    ClockJob("pricing.push_due", timedelta(seconds=2), pricing_jobs.push_due),
    ClockJob("devices.expire_commands", timedelta(seconds=10), device_jobs.expire_commands),
    ClockJob("devices.forget_done", timedelta(hours=1), device_jobs.forget_done),
    ClockJob("access.forget_old", timedelta(hours=1), lambda db: db.transact(access.forget_old)),
    ClockJob("core.forget_keys", timedelta(hours=1), lambda db: db.transact(idempotency.forget_old)),
    ClockJob("core.forget_consumed", timedelta(hours=1), lambda db: db.transact(inbox.forget_old)),
    ClockJob("core.forget_jobs", timedelta(hours=1), lambda db: db.transact(jobs.forget_done)),
)

log = logging.getLogger(__name__)


async def work(host: Host, channels: Channels) -> None:
    """Until cancelled."""
    database = host.database
    owner = f"worker-{database.ids.new():x}"
    settings = host.settings
    waits = Waits.every(settings.ask_every_s, settings.native_expires_s, settings.code_reverse_after_s)
    desk = Desk(database, channels, waits)
    door = StationDoor(shown_live(host.hub))
    await host.bus.declare([subscription for subscription, _ in SUBSCRIPTIONS])
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(Relay(database, host.bus, on_numbered=host.hub.offer).run())
        for subscription, handler in SUBSCRIPTIONS:
            tasks.create_task(host.bus.consume(subscription, partial(handler, database)))
        forget_events = ClockJob("core.forget_events", timedelta(hours=1), lambda _: host.bus.forget_old())
        tasks.create_task(JobRunner(database, {}, (*CLOCK_JOBS, forget_events)).run())
        tasks.create_task(_again(INBOX_POLL_S, lambda: device_jobs.drain_inbox(database, door, owner=owner)))
        tasks.create_task(channels.keep_keys())
        tasks.create_task(_again(CHANNEL_POLL_S, lambda: payment_jobs.poll(desk, owner)))


async def _again(pause_s: float, step: Callable[[], Awaitable[object]]) -> None:
    """Run `step` for ever; at once again while it finds work, and patiently while the store is away."""
    while True:
        try:
            found = await step()
        except Unavailable as away:
            log.warning("waiting", extra={"why": away.detail})
            await asyncio.sleep(AWAY_PAUSE_S)
            continue
        if not found:
            await asyncio.sleep(pause_s)
