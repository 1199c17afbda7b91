"""Verbs of charging: what charge points tell, who may charge, and what a person settles."""

from forecourt.charging.service.sessions import ask_stop
from forecourt.charging.service.settling import (
    call_charge_point,
    dismiss_stray_stop,
    end_by_hand,
    match_stray_stop,
    stop_remotely,
)
from forecourt.charging.service.showing import Live, nobody
from forecourt.charging.service.telling import (
    authorise,
    boot,
    connected,
    disconnected,
    note,
    park,
    read,
    report_settings,
    start,
    status,
    stop,
)
from forecourt.charging.service.tokens import add_token, authorise_by_token, set_token_state

__all__ = [
    "Live",
    "add_token",
    "ask_stop",
    "authorise",
    "authorise_by_token",
    "boot",
    "call_charge_point",
    "connected",
    "disconnected",
    "dismiss_stray_stop",
    "end_by_hand",
    "match_stray_stop",
    "nobody",
    "note",
    "park",
    "read",
    "report_settings",
    "set_token_state",
    "start",
    "status",
    "stop",
    "stop_remotely",
]
