"""How long secrets live, and what may become of a command."""

from datetime import timedelta

from forecourt.devices.types import CommandEvent, CommandState, DeviceKind

PSK_BYTES = 32  # SLP/1 derives its traffic keys from it (docs/reference/slp.md).
PASSWORD_BYTES = 15  # 20 characters of base64url: the longest that every OCPP 1.6 charge point takes.
PREVIOUS_KEY_LIFE = timedelta(hours=24)
ENROLMENT_LIFE = timedelta(minutes=10)
ENROLMENT_CHARS = 10  # 50 bits, typed by a person within ten minutes and 20 tries an address.
NOZZLES_PER_TERMINAL_MAX = 64

KEYED = frozenset({DeviceKind.STATION_AGENT})

COMMAND_TRANSITIONS: dict[tuple[CommandState, CommandEvent], CommandState] = {
    (CommandState.QUEUED, CommandEvent.SEND): CommandState.SENT,
    (CommandState.SENT, CommandEvent.SEND): CommandState.SENT,
    (CommandState.QUEUED, CommandEvent.EXPIRE): CommandState.EXPIRED,
    (CommandState.SENT, CommandEvent.EXPIRE): CommandState.EXPIRED,
    (CommandState.QUEUED, CommandEvent.ACKNOWLEDGE): CommandState.ACKNOWLEDGED,
    (CommandState.SENT, CommandEvent.ACKNOWLEDGE): CommandState.ACKNOWLEDGED,
    (CommandState.QUEUED, CommandEvent.REFUSE): CommandState.FAILED,
    (CommandState.SENT, CommandEvent.REFUSE): CommandState.FAILED,
}
"""An answer may overtake the note that the command was sent. What has ended does not change any more."""

INBOX_TRIES_MAX = 5  # Then a message is parked: something in it or about it breaks whoever takes it.
INBOX_LEASE = timedelta(seconds=20)  # A worker that died holds up its devices for so long.
INBOX_SET_MAX = 500
INBOX_KEPT = timedelta(days=7)  # Done messages; the evidence itself lives on in deliveries.


def ended_by(event: CommandEvent) -> tuple[frozenset[CommandState], CommandState]:
    """From which states an event leads where."""
    sources = frozenset(state for state, seen in COMMAND_TRANSITIONS if seen is event)
    targets = {after for (_, seen), after in COMMAND_TRANSITIONS.items() if seen is event}
    assert len(targets) == 1
    return sources, targets.pop()
