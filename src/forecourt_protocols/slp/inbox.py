"""What the centre sends to a device: each command handed up once, over all sessions."""

from forecourt_protocols.slp import limits, messages
from forecourt_protocols.slp.errors import Malformed
from forecourt_protocols.slp.events import Command, DeviceEvent, Push
from forecourt_protocols.slp.messages import Record, RecordClass
from forecourt_protocols.slp.window import Receiver


class _CommandSeen:
    """A command that came in: `mid` is its id in the present session, 0 while it has none."""

    __slots__ = ("handled", "mid")

    def __init__(self, mid: int) -> None:
        self.mid = mid
        self.handled = False


class CommandInbox:
    """Message ids downwards are the session's own, so commands are told apart by their command id."""

    __slots__ = ("_commands", "_receiver")

    def __init__(self) -> None:
        self._receiver = Receiver(0)
        self._commands: dict[int, _CommandSeen] = {}  # The newest few, oldest first.

    def new_session(self) -> None:
        self._receiver = Receiver(0)
        for seen in self._commands.values():
            seen.mid = 0

    def take(self, record: Record) -> list[DeviceEvent]:
        """A record of class 1 to 3. Raises Malformed."""
        events: list[DeviceEvent] = []
        for whole in self._receiver.take(record) or ():
            if whole.rflags >> messages.CLASS_SHIFT == RecordClass.COMMAND:
                events += self._command(whole)
            else:
                self._receiver.commit(whole.mid)
                events.append(Push(whole.channel, whole.content_format, whole.body))
        return events

    def handled(self, command_id: int) -> bool:
        """True when the centre is to hear of it."""
        seen = self._commands.get(command_id)
        if seen is None or seen.handled:
            return False
        seen.handled = True
        return bool(seen.mid) and self._receiver.commit(seen.mid)

    def ack_block(self) -> bytes:
        receiver = self._receiver
        return messages.ACK_BLOCK.pack(
            receiver.base, receiver.bitmap, receiver.com_base, 0, limits.CREDIT_MAX
        )

    def fragment_ack(self, mid: int) -> Record | None:
        """Which fragments of an unfinished message are here."""
        have = self._receiver.fragments_of(mid)
        if not have:
            return None
        body = messages.FRAGMENT_ACK.pack(have)
        return Record(0, messages.LINK_CHANNEL, messages.LINK_FRAGMENT_ACK, mid, body)

    def _command(self, record: Record) -> list[DeviceEvent]:
        if len(record.body) < messages.COMMAND.size:
            self._receiver.commit(record.mid)
            raise Malformed("a command has no id")
        command_id, expires_at_ms = messages.COMMAND.unpack_from(record.body)
        seen = self._commands.get(command_id)
        if seen is not None:
            # It came in an earlier session, whose acknowledgement was lost: never hand it up twice.
            seen.mid = record.mid
            if seen.handled:
                self._receiver.commit(record.mid)
            return []
        while len(self._commands) >= limits.COMMAND_IDS_REMEMBERED:
            del self._commands[next(iter(self._commands))]
        self._commands[command_id] = _CommandSeen(record.mid)
        body = record.body[messages.COMMAND.size :]
        return [Command(command_id, expires_at_ms, record.channel, record.content_format, body)]
