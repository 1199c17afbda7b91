"""The device session's states as a table; docs/reference/slp.md draws it."""

from enum import StrEnum
from typing import Final


class DeviceState(StrEnum):
    IDLE = "idle"  # Never connected, or waiting to come back.
    GREETING = "greeting"  # HELLO is out.
    CONNECTED = "connected"
    HELD = "held"  # Connected, but the journal is older than what the centre has: nothing is sent from it.


class DeviceTrigger(StrEnum):
    CONNECT = "connect"  # The caller brings a new epoch.
    RETRY = "retry"  # HELLO again, with a cookie.
    WELCOME = "welcome"
    BEHIND = "behind"  # WELCOME tells of ids that this journal has yet to give.
    TURNED_AWAY = "turned away"  # WELCOME names another epoch or another place.
    NO_ANSWER = "no answer"  # Eight HELLO went unanswered.
    LOST = "lost"  # RESET, CLOSE, silence, or keys grown old.


TRANSITIONS: Final[dict[tuple[DeviceState, DeviceTrigger], DeviceState]] = {
    (DeviceState.IDLE, DeviceTrigger.CONNECT): DeviceState.GREETING,
    (DeviceState.GREETING, DeviceTrigger.RETRY): DeviceState.GREETING,
    (DeviceState.GREETING, DeviceTrigger.WELCOME): DeviceState.CONNECTED,
    (DeviceState.GREETING, DeviceTrigger.BEHIND): DeviceState.HELD,
    (DeviceState.GREETING, DeviceTrigger.TURNED_AWAY): DeviceState.IDLE,
    (DeviceState.GREETING, DeviceTrigger.NO_ANSWER): DeviceState.IDLE,
    (DeviceState.GREETING, DeviceTrigger.LOST): DeviceState.IDLE,
    (DeviceState.CONNECTED, DeviceTrigger.LOST): DeviceState.IDLE,
    (DeviceState.HELD, DeviceTrigger.LOST): DeviceState.IDLE,
}
