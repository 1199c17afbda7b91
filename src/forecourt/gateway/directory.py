"""The devices that this gateway knows: keys and owners in memory, looked up when a device first speaks."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from forecourt.devices.types import DeviceInfo, DeviceState, KeyRing
from forecourt.gateway.limits import GatewayLimits
from forecourt_kit.clock import Clock
from forecourt_kit.limits import ID_MAX
from forecourt_protocols.slp.timing import TokenBucket

FindKeyRing = Callable[[int], Awaitable[KeyRing | None]]
"""The device and its keys, or None when there is no such device."""

LOOKUP_RETRY_S = 1.0

logger = logging.getLogger(__name__)


class _Entry:
    __slots__ = ("fresh_until_s", "keys", "ring")

    def __init__(self, ring: KeyRing, fresh_until_s: float) -> None:
        self.ring = ring
        self.fresh_until_s = fresh_until_s
        active = ring.device.state is DeviceState.ACTIVE
        self.keys = {key.key_id: key.psk for key in ring.keys} if active else {}


class DeviceDirectory:
    """Answers at once, from memory. What is not there is looked up; `found` hears of the end of it.

    Junk with invented device numbers costs at most `lookup_rate_s` look-ups a second and bounded memory.
    """

    def __init__(self, find: FindKeyRing, clock: Clock, limits: GatewayLimits) -> None:
        self.found: Callable[[int], None] = _nobody
        self._find = find
        self._clock = clock
        self._limits = limits
        self._entries: dict[int, _Entry] = {}
        self._unknown_until_s: dict[int, float] = {}
        self._rate = TokenBucket(limits.lookup_rate_s, limits.lookup_rate_s)
        self._wanted: dict[int, None] = {}
        self._arrived = asyncio.Event()

    def key(self, device_id: int, key_id: int) -> bytes | None:
        """The key, when it is known and may be used; asked for each HELLO."""
        entry = self._entries.get(device_id)
        now_s = self._clock.monotonic_s()
        if entry is None or now_s >= entry.fresh_until_s:
            self._want(device_id, now_s)
        return entry.keys.get(key_id) if entry else None

    def looking_for(self, device_id: int) -> bool:
        """Whether `found` will be called if there is such a device."""
        return device_id in self._wanted

    def owner(self, device_id: int) -> DeviceInfo | None:
        entry = self._entries.get(device_id)
        return entry.ring.device if entry else None

    def put(self, ring: KeyRing) -> None:
        """Take a key ring that somebody has at hand."""
        fresh_until_s = self._clock.monotonic_s() + self._limits.keys_kept_s
        self._entries[ring.device.id] = _Entry(ring, fresh_until_s)
        self._unknown_until_s.pop(ring.device.id, None)

    def forget(self, device_id: int) -> None:
        """A device was revoked or its keys have changed: look again before its next session."""
        entry = self._entries.get(device_id)
        if entry is not None:
            entry.keys = {}
            entry.fresh_until_s = 0.0
        self._unknown_until_s.pop(device_id, None)

    async def run(self) -> None:
        """Look up what was asked for, one at a time, for ever."""
        while True:
            await self._arrived.wait()
            device_id = next(iter(self._wanted))
            try:
                ring = await self._find(device_id)
            except Exception:
                # The store is away; the device asks again, and so do we.
                logger.exception("device look-up failed", extra={"device_id": device_id})
                self._done(device_id)
                self.found(device_id)
                await asyncio.sleep(LOOKUP_RETRY_S)
                continue
            if ring is None:
                self._remember_unknown(device_id)
            else:
                self.put(ring)
            self._done(device_id)
            self.found(device_id)

    def _want(self, device_id: int, now_s: float) -> None:
        if device_id > ID_MAX:  # Nobody was ever given it, and no store could even be asked.
            return
        if device_id in self._wanted or self._unknown_until_s.get(device_id, 0.0) > now_s:
            return
        if len(self._wanted) < self._limits.lookups_max and self._rate.take(now_s):
            self._wanted[device_id] = None
            self._arrived.set()

    def _done(self, device_id: int) -> None:
        self._wanted.pop(device_id, None)
        if not self._wanted:
            self._arrived.clear()

    def _remember_unknown(self, device_id: int) -> None:
        self._entries.pop(device_id, None)
        while len(self._unknown_until_s) >= self._limits.unknown_devices_max:
            del self._unknown_until_s[next(iter(self._unknown_until_s))]
        self._unknown_until_s[device_id] = self._clock.monotonic_s() + self._limits.unknown_kept_s


def _nobody(_device_id: int) -> None:
    """Until a gateway listens."""
