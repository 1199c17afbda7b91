"""What the gateway keeps in memory and how long it waits, each with its unit."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayLimits:
    """Bounds of one gateway process."""

    set_messages_max: int = 4_096  # One commit.
    queue_messages_max: int = 50_000  # Received and not yet stored; above it nothing more is taken.
    queue_messages_stop: int = 20_000  # Devices are told to stop from here ...
    queue_messages_resume: int = 5_000  # ... to here.
    store_retry_s_max: float = 2.0
    parked_retry_s: float = 30.0
    greetings_max: int = 1_024  # HELLO waiting for a look into the store; devices repeat theirs.
    lookups_max: int = 1_024  # Unknown devices waiting to be looked up.
    lookup_rate_s: float = 200.0
    unknown_kept_s: float = 10.0  # So long a device that nobody knows is not looked up again.
    unknown_devices_max: int = 10_000
    keys_kept_s: float = 60.0  # So long after a key was revoked, at most, it still opens a session.
    datagrams_per_turn_max: int = 256
    connections_max: int = 5_000
    connection_silent_s: float = 10.0  # A connection to which nothing authentic came is closed after this.
    connection_idle_s: float = 600.0
    connection_unsent_bytes_max: int = 262_144
