"""Delivering notifications as WeChat Pay does: at once, then again until they are acknowledged."""

import asyncio

import httpx

from forecourt_kit.clock import Clock, from_us, rfc3339, to_us
from forecourt_simulators.channels.wechat.book import Attempt, Book, Notice
from forecourt_simulators.channels.wechat.faults import FaultKind, Faults, Operation
from forecourt_simulators.channels.wechat.seal import Forgery, Seal, to_json

RETRY_AFTER_S = (15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10800, 10800, 10800, 21600, 21600)
ANSWER_WITHIN_S = 5.0
ACKNOWLEDGED = (200, 204)
LOST = -1
NO_ANSWER = 0


class Notifier:
    """One task a notification; `delay_scale` shortens every pause of the schedule."""

    def __init__(
        self,
        book: Book,
        seal: Seal,
        faults: Faults,
        clock: Clock,
        *,
        delay_scale: float,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        self._book = book
        self._seal = seal
        self._faults = faults
        self._clock = clock
        self._delay_scale = delay_scale
        self._tasks: set[asyncio.Task[None]] = set()
        self._http = httpx.AsyncClient(
            transport=transport, trust_env=False, follow_redirects=False, timeout=ANSWER_WITHIN_S
        )

    def resume(self) -> None:
        """Take up what was under way when the simulator stopped."""
        for notice in self._book.notices.values():
            if not notice.is_over and not notice.is_held:
                self._start(notice)

    def send(self, notice: Notice | None) -> None:
        """Deliver from now on by the schedule, unless a fault holds it back."""
        if notice is None:
            return
        if self._faults.take(FaultKind.NOTICE_HOLD, Operation.NOTICE, notice.number):
            notice.is_held = True
            self._book.keep(notice)
            return
        self._start(notice)

    async def send_now(self, notice: Notice) -> int:
        """One delivery out of turn; the HTTP status of the answer, 0 for none."""
        return await self._deliver(notice, None)

    async def send_once(self, notice: Notice, forgery: Forgery | None, api_v3_key: str | None) -> int:
        """Deliver something that is in no book: a forgery."""
        merchant = self._seal.keys.merchants[notice.mchid]
        return await self._post(notice, forgery, api_v3_key or merchant.api_v3_key)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.aclose()

    def _start(self, notice: Notice) -> None:
        task = asyncio.create_task(self._run(notice))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, notice: Notice) -> None:
        while not notice.is_over:
            tries = len(notice.attempts)
            if tries > len(RETRY_AFTER_S):
                notice.is_over = True
                self._book.keep(notice)
                return
            if tries:
                await asyncio.sleep(RETRY_AFTER_S[tries - 1] * self._delay_scale)
            await self._try(notice)
        repeat = self._faults.take(FaultKind.NOTICE_REPEAT, Operation.NOTICE, notice.number)
        for _ in range(repeat.params["copies"] if repeat else 0):
            await self._deliver(notice, None)

    async def _try(self, notice: Notice) -> None:
        if notice.is_over:  # Acknowledged out of turn while this try was waiting.
            return
        if self._faults.take(FaultKind.NOTICE_LOSE, Operation.NOTICE, notice.number):
            self._note(notice, LOST)
            return
        forged = self._faults.take(FaultKind.NOTICE_FORGE, Operation.NOTICE, notice.number)
        await self._deliver(notice, Forgery(forged.params["how"]) if forged else None)

    async def _deliver(self, notice: Notice, forgery: Forgery | None) -> int:
        status = await self._post(notice, forgery, self._seal.keys.merchants[notice.mchid].api_v3_key)
        if status in ACKNOWLEDGED:
            notice.is_over = True
        self._note(notice, status)
        return status

    async def _post(self, notice: Notice, forgery: Forgery | None, api_v3_key: str) -> int:
        """Encrypted and signed anew on each delivery; the id stays."""
        kind = "refund" if notice.event_type.startswith("REFUND.") else "transaction"
        envelope = {
            "id": notice.id,
            "create_time": rfc3339(from_us(notice.created_us)),
            "resource_type": "encrypt-resource",
            "event_type": notice.event_type,
            "summary": "支付成功" if kind == "transaction" else "退款通知",
            "resource": {
                "original_type": kind,
                **self._seal.encrypt(api_v3_key, to_json(notice.resource), kind),
            },
        }
        signs_with = self._seal.keys.merchants[notice.mchid].signs_with
        sealed = self._seal.sign(to_json(envelope), signs_with, forgery)
        headers = {"Content-Type": "application/json", "User-Agent": "Mozilla/4.0", **sealed.headers}
        try:
            answer = await self._http.post(notice.url, content=sealed.body, headers=headers)
        except (httpx.TransportError, httpx.InvalidURL):
            return NO_ANSWER
        return answer.status_code

    def _note(self, notice: Notice, status: int) -> None:
        notice.attempts.append(Attempt(at_us=to_us(self._clock.now()), status=status))
        self._book.keep(notice)
