"""Commands on their way to station agents: what is due for those connected here, over SLP/1."""

import asyncio
import logging

import msgspec

from forecourt.core.db import Database
from forecourt.core.errors import Unavailable
from forecourt.devices import queries, service
from forecourt.devices.types import Command, CommandKind
from forecourt.gateway.slp import SlpGateway
from forecourt_kit.ids import to_public
from forecourt_protocols.slp.events import DeviceConnected, DeviceGone, ServerEvent

POLL_S = 0.25
DUE_MAX = 200
RETRY_S = 2.0
GIVEN_MAX = 50_000  # Subjects remembered; a forgotten one is only not withdrawn.
CHANNEL = 0
FORMAT_JSON = 2

# The agent's words for what it is told (docs/reference/station-records.md).
WORDS = {
    CommandKind.SET_PRICE: "price.set",
    CommandKind.AUTHORISE: "authorise",
    CommandKind.STOP: "stop",
    CommandKind.RELEASE: "release",
}

log = logging.getLogger(__name__)


class AgentCommands:
    """One for the process. A command is given to the link once; the link repeats it until it is handled."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._slp: SlpGateway | None = None
        self._connected: set[int] = set()
        self._given: dict[tuple[int, str], int] = {}  # The newest command of each (device, subject).

    def attach(self, slp: SlpGateway) -> None:
        self._slp = slp

    def hear(self, event: ServerEvent) -> None:
        """What the link tells: who is connected, and what a person should know."""
        if isinstance(event, DeviceConnected):
            self._connected.add(event.device_id)
        elif isinstance(event, DeviceGone):
            self._connected.discard(event.device_id)
        else:
            log.warning("a device's journal or store went back in time", extra={"event": repr(event)})

    async def run(self) -> None:
        """Send what is due, for ever."""
        while True:
            try:
                await self.send_due()
            except Unavailable:
                await asyncio.sleep(RETRY_S)
            await asyncio.sleep(POLL_S)

    async def send_due(self) -> int:
        """One look at what is due. Gives how many commands went to the link."""
        assert self._slp is not None
        if not self._connected:
            return 0
        async with self._database.read() as session:
            due = await queries.commands_due_many(session, limit=DUE_MAX, device_ids=self._connected)
        given = [command.id for command in due if command.kind in WORDS and self._give(command)]
        if given:
            await self._database.transact(service.mark_sent_many, given)
        return len(given)

    def _give(self, command: Command) -> bool:
        """Hand one to the link; what it supersedes is not repeated any more. False: the mailbox is full."""
        assert self._slp is not None
        name = (command.device_id, command.subject)
        before = self._given.get(name)
        if before is not None and before < command.id:
            self._slp.withdraw_command(command.device_id, before)
        if not self._slp.send_command(
            command.device_id,
            command.id,
            CHANNEL,
            FORMAT_JSON,
            body_of(command),
            expires_at=command.expires_at,
        ):
            return False
        self._given[name] = command.id
        if len(self._given) > GIVEN_MAX:
            self._given.pop(next(iter(self._given)))
        return True


def body_of(command: Command) -> bytes:
    """A command in the agent's words."""
    body = {
        **{name: value for name, value in command.body.items() if name not in {"nozzle_id", "nozzle_number"}},
        "nozzle": command.body["nozzle_number"],
        "command": WORDS[command.kind],
        "command_id": to_public(command.id),
    }
    return msgspec.json.encode(body)
