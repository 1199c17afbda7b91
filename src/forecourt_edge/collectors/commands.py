"""Commands of the centre, each carried out at most once, whatever is repeated and whenever the power goes."""

import asyncio
import logging
from collections.abc import Mapping

from forecourt_edge.collectors import records
from forecourt_edge.collectors.notes import begun_name
from forecourt_edge.collectors.nozzle import Nozzle
from forecourt_edge.collectors.orders import (
    Authorise,
    BadOrder,
    NozzleOrder,
    Release,
    SetNozzlePrice,
    Stop,
    parse,
)
from forecourt_edge.collectors.teller import Teller
from forecourt_edge.crash import CrashPoints
from forecourt_edge.journal.types import Journal, JournalFull
from forecourt_kit.clock import Clock

logger = logging.getLogger(__name__)


class Commands:
    """Takes command bodies as they come off the link; answers by `command.result` records."""

    def __init__(
        self,
        nozzles: Mapping[int, Nozzle],
        journal: Journal,
        teller: Teller,
        clock: Clock,
        crash: CrashPoints,
    ) -> None:
        self._nozzles, self._journal, self._teller = nozzles, journal, teller
        self._clock, self._crash = clock, crash
        self._at_work: dict[str, asyncio.Event] = {}  # The same command may arrive twice at once.

    async def receive(self, body: bytes) -> None:
        """Carry out one command; a repeated one only leads to the result it had."""
        try:
            order = parse(body)
        except BadOrder as bad:
            logger.warning("not an order", extra={"why": str(bad)})
            if bad.command_id is not None:
                await self._answer(bad.command_id, bad.command, "refused", str(bad))
            return
        if (first := self._at_work.get(order.command_id)) is not None:
            await first.wait()  # To return is to say that the outcome is on disk.
            return
        if self._journal.known(_result_name(order.command_id)):
            return
        self._at_work[order.command_id] = done = asyncio.Event()
        try:
            outcome, reason = await self._obey(order)
            await self._answer(order.command_id, COMMANDS[type(order)], outcome, reason)
        finally:
            del self._at_work[order.command_id]
            done.set()
        self._crash.passed("after_command_result")

    async def _obey(self, order: NozzleOrder) -> tuple[str, str | None]:
        nozzle = self._nozzles.get(order.nozzle)
        if nozzle is None:
            return "refused", "unknown_nozzle"
        if isinstance(order, Release):
            # A release leaves no trace once its fill has ended: begun twice, it would flow twice.
            if self._journal.recall(begun_name(order.command_id)):
                return "uncertain", "interrupted"
            try:
                await self._journal.remember({begun_name(order.command_id): b"1"})
            except JournalFull:
                return "refused", "journal_full"
        return await nozzle.obey(order)

    async def _answer(self, command_id: str, command: str, outcome: str, reason: str | None) -> None:
        body = records.command_result(command_id, command, outcome, reason, self._clock.now())
        await self._teller.tell(body, unique=_result_name(command_id), notes={begun_name(command_id): None})


COMMANDS = {Authorise: "authorise", SetNozzlePrice: "price.set", Release: "release", Stop: "stop"}


def _result_name(command_id: str) -> str:
    return f"command:{command_id}"
