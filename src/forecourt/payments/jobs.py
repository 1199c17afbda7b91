"""What the clock asks of payments."""

from forecourt.payments import flows


async def poll(desk: flows.Desk, owner: str) -> None:
    """Nothing stays UNKNOWN for want of asking; every second or two."""
    while await flows.ask_due(desk, owner) == flows.DUE_MAX:
        pass
    while await flows.refund_due(desk, owner) == flows.DUE_MAX:
        pass
