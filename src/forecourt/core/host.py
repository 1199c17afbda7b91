"""What every process of the centre stands on, opened from the settings and closed in order."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from forecourt.core.bus import Bus
from forecourt.core.bus.opening import open_bus
from forecourt.core.cache import Cache, open_cache
from forecourt.core.db import Database
from forecourt.core.live import LiveHub, open_transport
from forecourt.core.passwords import Passwords
from forecourt.core.settings import Settings
from forecourt.core.vault import Vault
from forecourt_kit.clock import Clock
from forecourt_kit.disk import Disk
from forecourt_kit.ids import TimeOrderedIds
from forecourt_kit.random import Random

MASTER_KEY_FILE = "master.key"
KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The machine, as a process hands it in."""

    clock: Clock
    random: Random
    disk: Disk


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The open parts. One of each a process; modules get what they need of it as arguments."""

    settings: Settings
    ports: Ports
    database: Database
    bus: Bus
    cache: Cache
    hub: LiveHub
    vault: Vault
    passwords: Passwords


@asynccontextmanager
async def open_host(settings: Settings, ports: Ports) -> AsyncIterator[Host]:
    """Open everything; nothing connects before its first use, except that SQLite's folder is made."""
    ports.disk.make_directory(settings.data_dir, 0o700)
    ids = TimeOrderedIds(ports.clock, ports.random, settings.node or None)
    database = Database.open(settings.database, ports.clock, ids, ports.random)
    bus = open_bus(settings.bus_url, database, prefix=settings.namespace)
    cache = open_cache(settings.cache_url, ports.clock, prefix=settings.namespace)
    transport = open_transport(settings.bus_url, settings.cache_url, prefix=settings.namespace)
    passwords = Passwords(ports.random)
    try:
        yield Host(
            settings=settings,
            ports=ports,
            database=database,
            bus=bus,
            cache=cache,
            hub=LiveHub(database, transport),
            vault=Vault({1: _master_key(settings, ports)}, 1, ports.random),
            passwords=passwords,
        )
    finally:
        passwords.close()
        if transport is not None:
            await transport.close()
        await cache.close()
        await bus.close()
        await database.close()


def _master_key(settings: Settings, ports: Ports) -> bytes:
    """From the settings, else from its file, which the first start writes."""
    given = settings.master_key.reveal()
    if given:
        return bytes.fromhex(given)
    path = settings.data_dir / MASTER_KEY_FILE
    if not ports.disk.exists(path):
        ports.disk.replace(path, ports.random.bytes(KEY_BYTES).hex().encode(), 0o600)
    return bytes.fromhex(ports.disk.read(path).decode())
