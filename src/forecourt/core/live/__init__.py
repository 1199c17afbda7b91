"""What screens see at once: live values that are never stored, and durable events with a place to resume."""

from forecourt.core.live.hub import LiveHub
from forecourt.core.live.opening import open_transport
from forecourt.core.live.types import Lost, Update, Wanted

__all__ = ["LiveHub", "Lost", "Update", "Wanted", "open_transport"]
