"""What a gun may do next, as a table; docs/reference/lanfeng.md describes the same behaviour in words."""

from enum import StrEnum

from forecourt_protocols.lanfeng.commands import GunState

S = GunState


class Event(StrEnum):
    LIFT = "lift"
    HANG_UP = "hang_up"
    RELEASE = "release"
    STOP = "stop"
    FLOW = "flow"
    CLOSE = "close"
    OPEN = "open"


NEXT: dict[tuple[GunState, Event], GunState] = {
    (S.IDLE, Event.LIFT): S.CALLING,
    (S.IDLE, Event.RELEASE): S.AUTHORISED,
    (S.IDLE, Event.CLOSE): S.CLOSED,
    (S.CALLING, Event.RELEASE): S.STARTED,
    (S.CALLING, Event.HANG_UP): S.IDLE,
    (S.AUTHORISED, Event.LIFT): S.STARTED,
    (S.AUTHORISED, Event.STOP): S.IDLE,
    (S.STARTED, Event.FLOW): S.FUELLING,
    (S.STARTED, Event.STOP): S.SUSPENDED,
    (S.STARTED, Event.HANG_UP): S.IDLE,
    (S.FUELLING, Event.FLOW): S.FUELLING,
    (S.FUELLING, Event.STOP): S.SUSPENDED,
    (S.FUELLING, Event.HANG_UP): S.IDLE,
    (S.SUSPENDED, Event.HANG_UP): S.IDLE,
    (S.CLOSED, Event.OPEN): S.IDLE,
}

RUNNING = frozenset({S.STARTED, S.FUELLING, S.SUSPENDED})
"""Lifted after a release: leaving these makes a sale."""
