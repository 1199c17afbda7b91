"""What gateways ask of the registry, each in a transaction of its own."""

from forecourt.core.actor import System
from forecourt.core.db import Database
from forecourt.core.vault import Vault
from forecourt.devices import queries, service
from forecourt.devices.types import DeviceInfo, DeviceKey, KeyRing


async def find_key_ring(db: Database, vault: Vault, device_id: int) -> KeyRing | None:
    """A device with its keys, opened; None when there is no such device."""
    async with db.read() as session:
        sealed = await queries.find_sealed_keys(session, System(), device_id)
    if sealed is None:
        return None
    keys = tuple(
        DeviceKey(key_id, vault.open(held, service.psk_context(device_id, key_id)))
        for key_id, held in sealed.keys
    )
    return KeyRing(sealed.device, keys)


async def check_charge_point(db: Database, code: str, password: str | None) -> tuple[DeviceInfo | None, bool]:
    """The active charge point that connects under `code`, and whether the password is its own."""
    async with db.read() as session:
        found = await queries.find_charge_point(session, System(), code)
    if found is None:
        return None, False
    device, password_hash = found
    fits = password is not None and service.password_fits(device.id, password_hash, password)
    return device, fits
