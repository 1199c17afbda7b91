"""An attendant at work: every open sale is paid in the way its driver likes, at most one try at a time."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from forecourt_kit.random import Random, pick
from forecourt_simulators.traffic.centre import Centre, CentreAway, CentreRefused, Payers
from forecourt_simulators.traffic.wishes import Tender, TenderMix, draw_tender

LIST_LIMIT = 50
TRIES_MAX = 5
SEEN_MAX = 10_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttendantPace:
    look_every_ms: int = 1_000
    think_ms: int = 2_000  # A driver finds the phone, or the purse.
    retry_ms: int = 1_000


class Attendant:
    """`members`: public ids of members whose wallets may pay."""

    def __init__(
        self,
        centre: Centre,
        payers: Payers | None,
        random: Random,
        mix: TenderMix,
        members: Sequence[str] = (),
        pace: AttendantPace | None = None,
    ) -> None:
        self._centre, self._payers, self._random = centre, payers, random
        self._mix, self._members, self._pace = mix, members, pace or AttendantPace()
        self._seen: dict[str, None] = {}
        self._at_work: set[asyncio.Task[None]] = set()
        self.paid = self.left = self.refused = 0

    async def work(self) -> None:
        """For ever: look what is open, see to each sale once."""
        while True:
            await self.look()
            await asyncio.sleep(self._pace.look_every_ms / 1000)

    async def look(self) -> None:
        """One look at the open sales; begins what is to be done."""
        try:
            open_sales = await self._centre.open_sales(LIST_LIMIT)
        except (CentreAway, CentreRefused) as why:
            logger.warning("no open sales to see", extra={"why": str(why)})
            return
        for sale in open_sales:
            if sale["id"] not in self._seen:
                self._seen[sale["id"]] = None
                if len(self._seen) > SEEN_MAX:
                    del self._seen[next(iter(self._seen))]
                task = asyncio.create_task(self._see_to(sale))
                self._at_work.add(task)
                task.add_done_callback(self._at_work.discard)

    async def rest(self) -> None:
        """Until nothing is at work."""
        while self._at_work:
            await asyncio.gather(*self._at_work)

    async def go_home(self) -> None:
        """Leave everything where it is."""
        for task in self._at_work:
            task.cancel()
        await asyncio.gather(*self._at_work, return_exceptions=True)

    async def _see_to(self, sale: dict[str, Any]) -> None:
        tender = draw_tender(self._random, self._mix, members=bool(self._members))
        key = self._random.token()
        await asyncio.sleep(self._pace.think_ms / 1000 * (0.5 + self._random.uniform()))
        if tender is None or (tender is Tender.WECHAT and self._payers is None):
            self.left += 1
            return
        for _ in range(TRIES_MAX):
            try:
                await self._pay(sale, tender, key)
            except CentreAway:
                await asyncio.sleep(self._pace.retry_ms / 1000)
                continue
            except CentreRefused as no:
                logger.info("payment refused", extra={"sale": sale["id"], "code": no.code})
                self.refused += 1
            return
        self.left += 1

    async def _pay(self, sale: dict[str, Any], tender: Tender, key: str) -> None:
        body: dict[str, Any] = {"tender": tender.value}
        if tender is Tender.WALLET:
            body["member_id"] = pick(self._random, self._members)
        if tender is not Tender.WECHAT:
            await self._centre.pay(sale["id"], body, key)
            self.paid += 1
            return
        assert self._payers is not None
        payment = await self._centre.pay(sale["id"], {**body, "product": "native"}, key)
        if payment.get("qr_text"):
            payer = f"o{self._random.token(12)}"
            scanned = await self._payers.scan(payment["qr_text"], payer)
            self.paid += scanned
            self.left += not scanned
