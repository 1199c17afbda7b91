"""Invented device numbers cost the store nothing that a real device would have to wait for."""

from forecourt.devices.types import KeyRing
from forecourt.gateway.directory import DeviceDirectory
from forecourt.gateway.limits import GatewayLimits
from forecourt_kit.clock import ManualClock
from forecourt_kit.limits import ID_MAX


async def nobody(_: int) -> KeyRing | None:
    return None


def test_a_number_that_no_device_can_have_is_not_looked_up() -> None:
    """SLP/1 has 64 bits for it, ids have 63: a store refuses to be asked, which looks like a store away."""
    directory = DeviceDirectory(nobody, ManualClock(), GatewayLimits())
    for device_id in (ID_MAX + 1, 2**64 - 1):
        assert directory.key(device_id, 1) is None
        assert not directory.looking_for(device_id)
    assert directory.key(ID_MAX, 1) is None
    assert directory.looking_for(ID_MAX)
