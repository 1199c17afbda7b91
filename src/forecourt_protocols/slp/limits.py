"""Every number of SLP/1 with its unit and its reason; docs/reference/slp.md prints the same ones."""

from typing import Final

DATAGRAM_BYTES_MAX: Final = 1200  # Fits IPv6's smallest MTU of 1,280 with UDP and IP headers.
DATAGRAM_BYTES_MIN: Final = 256  # A profile below this could not hold a HELLO's answer and one record.
HELLO_BYTES: Final = 160  # Padded, so that WELCOME (at most 160 bytes) never answers with more than came in.
RESETTABLE_BYTES_MIN: Final = (
    48  # A RESET has 40 bytes: always fewer than what provoked it. DATA has 54 or more.
)

WINDOW_MIDS: Final = 64  # The acknowledgement bitmap's width.
CREDIT_MAX: Final = 32  # Frames in flight; also what a device of 32 buffers can keep.
UNSTORED_MESSAGES_MAX: Final = 256  # Received from one device and not yet committed; above it credit is 0.
REPLAY_WINDOW_PNS: Final = 256  # Packet numbers remembered behind the highest.
MESSAGE_BYTES_MAX: Final = 65_535  # A larger thing is a file, not a message.
FRAGMENTS_MAX: Final = 64  # One u64 acknowledges them all.

RTT_FIRST_S: Final = 1.0  # The probe time-out before anything was measured.
PTO_S_MIN: Final = 0.2
PTO_S_MAX: Final = 5.0
PTO_VARIANCE_S_MIN: Final = 0.010
PTO_BACKOFF: Final = 1.5
PTO_QUICK_TRIES: Final = 8  # After these a silent peer is asked every SLOW_RETRY_S only.
SLOW_RETRY_S: Final = 30.0
FAST_RETRANSMIT_MIDS: Final = 3  # Later messages acknowledged before a hole counts as a loss.
FAST_RETRANSMIT_RTTS: Final = 1.25
ACK_DELAY_S: Final = 0.025  # Long enough for a group commit, so that one ACK tells both.

WINDOW_START_FRAMES: Final = 10.0
WINDOW_FRAMES_MIN: Final = 4.0
WINDOW_SHRINK: Final = 0.7
WINDOW_AFTER_PTO_FRAMES: Final = 2.0
FRAMES_PER_S: Final = 20
BURST_FACTOR: Final = 2  # A burst is two seconds' worth of frames.

KEEPALIVE_S: Final = 55  # Mobile NATs forget a UDP mapping after 60 s and more.
SILENCE_S: Final = 180.0  # Nothing heard for so long: the session is given up and a new HELLO sent.
HELLO_TRIES_MAX: Final = 8
RECONNECT_JITTER_S: Final = 30.0
RECONNECT_S_MAX: Final = 600.0
SESSION_FRAMES_MAX: Final = 1 << 20  # Then a new handshake brings fresh keys.
SESSION_AGE_S_MAX: Final = 86_400.0
SESSION_IDLE_S: Final = 600.0  # The server forgets a session that was silent for so long.

WELCOME_REPEAT_S: Final = 1.0
COOKIE_SLOT_S: Final = 16.0  # A cookie is good for 16 to 32 seconds.
HELLOS_PER_S: Final = 50  # Of one source network; they cost a MAC each.
HELLO_LOAD_PER_S: Final = 2_000  # Above so many HELLO a second from all, each must bring a cookie.
RESETS_PER_S: Final = 10  # To one source network.
STRANGE_ADDRESS_FRAMES_PER_S: Final = (
    50  # For a device's frames from an address not its own, before decryption.
)
UNPROVEN_ADDRESS_FACTOR: Final = 3  # Bytes out per byte in, until the address answered a challenge.
PREFIX_BUCKETS: Final = 4096  # Source networks share this many buckets: constant memory whatever comes.
COMMAND_BYTES_MAX: Final = 10_000  # With its id; fits 64 fragments of the smallest datagram.
COMMANDS_PER_DEVICE_MAX: Final = 64
COMMAND_IDS_REMEMBERED: Final = 256
MAILBOX_PROBES: Final = 3  # Unanswered probes after which pushes wait for the device's next frame.
