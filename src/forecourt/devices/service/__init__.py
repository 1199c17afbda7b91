"""Verbs of devices: the registry, the inbox, commands."""

from forecourt.devices.service.commands import (
    answer_command,
    expire_commands,
    mark_sent_many,
    queue_command,
    queue_for_nozzle,
)
from forecourt.devices.service.inbox import forget_done, keep_many, park_many, replay, store_messages
from forecourt.devices.service.registry import (
    bind_nozzles,
    enrol,
    new_enrolment,
    password_fits,
    psk_context,
    register_device,
    revoke,
    rotate_key,
)

__all__ = [
    "answer_command",
    "bind_nozzles",
    "enrol",
    "expire_commands",
    "forget_done",
    "keep_many",
    "mark_sent_many",
    "new_enrolment",
    "park_many",
    "password_fits",
    "psk_context",
    "queue_command",
    "queue_for_nozzle",
    "register_device",
    "replay",
    "revoke",
    "rotate_key",
    "store_messages",
]
