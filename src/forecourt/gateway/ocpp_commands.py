"""Commands on their way to charge points: what is due for those connected here, one after the other each."""

import asyncio
import logging
from functools import partial

from forecourt.charging.doors import ChargePointRef, Ocpp16Door, is_yes
from forecourt.core.db import Database
from forecourt.core.errors import Refusal, Unavailable
from forecourt.devices import queries, service
from forecourt.devices.types import Command
from forecourt.gateway.ocpp import CallFailed, NoAnswer, NotConnected, OcppGateway
from forecourt_protocols.ocpp.framing import Violation

POLL_S = 0.5
DUE_MAX = 200
RETRY_S = 2.0

log = logging.getLogger(__name__)


class OcppCommands:
    """One for the process. `wake` may be called when a command was queued, so that it need not wait."""

    def __init__(self, database: Database, gateway: OcppGateway, door: Ocpp16Door) -> None:
        self._database = database
        self._gateway = gateway
        self._door = door
        self._woken = asyncio.Event()
        self._in_flight: dict[int, asyncio.Task[None]] = {}  # By device: it is asked one thing at a time.

    def wake(self) -> None:
        self._woken.set()

    async def run(self) -> None:
        """Send what is due, for ever."""
        try:
            while True:
                try:
                    async with asyncio.timeout(POLL_S):
                        await self._woken.wait()
                except TimeoutError:
                    pass
                self._woken.clear()
                try:
                    await self.send_due()
                except Unavailable:
                    await asyncio.sleep(RETRY_S)
        finally:
            for task in self._in_flight.values():
                task.cancel()

    async def send_due(self) -> None:
        """One look at what is due; each device's commands go out in a task of their own."""
        held = {each: ref for each, ref in self._gateway.refs.items() if each not in self._in_flight}
        if not held:
            return
        mine = await self._door.holding({each: self._gateway.held[each] for each in held})
        async with self._database.read() as session:
            due = await queries.commands_due_many(session, limit=DUE_MAX, device_ids=mine)
        by_device: dict[int, list[Command]] = {}
        for command in due:
            by_device.setdefault(command.device_id, []).append(command)
        for device_id, commands in by_device.items():
            task = asyncio.create_task(self._send(held[device_id], commands))
            self._in_flight[device_id] = task
            task.add_done_callback(partial(self._ended, device_id))

    async def settle(self) -> None:
        """Wait until everything that is out has its answer, or none; for shut-down and tests."""
        while self._in_flight:
            await asyncio.wait(list(self._in_flight.values()))

    def _ended(self, device_id: int, task: asyncio.Task[None]) -> None:
        if self._in_flight.get(device_id) is task:
            del self._in_flight[device_id]
        if not task.cancelled() and (bug := task.exception()) is not None:
            log.error("sending commands failed", exc_info=bug, extra={"device_id": device_id})

    async def _send(self, ref: ChargePointRef, commands: list[Command]) -> None:
        try:
            for command in commands:
                await self._database.transact(service.mark_sent_many, [command.id])
                done, error = await self._ask(ref, command)
                await self._database.transact(
                    service.answer_command, ref.device_id, command.id, done=done, error=error
                )
        except (NotConnected, NoAnswer, Unavailable) as why:
            # It stays due, and goes out again until it expires.
            log.info("a command waits", extra={"device_id": ref.device_id, "why": str(why)})

    async def _ask(self, ref: ChargePointRef, command: Command) -> tuple[bool, str]:
        try:
            request = await self._door.request_for(ref, command)
            if request is None:
                return True, ""
            answer = await self._gateway.ask(ref.device_id, request)
        except (CallFailed, Violation, KeyError, ValueError, TypeError) as wrong:
            return False, str(wrong)
        except Refusal as refusal:
            if isinstance(refusal, Unavailable):
                raise
            return False, refusal.code
        if is_yes(answer):
            return True, ""
        return False, str(getattr(answer, "status", "refused"))
