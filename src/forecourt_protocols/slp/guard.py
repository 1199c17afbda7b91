"""What a server does to strangers: rate limits by source network, and cookies, in constant memory."""

from collections.abc import Callable
from zlib import crc32

from forecourt_protocols.slp import limits
from forecourt_protocols.slp.crypto import tags_equal
from forecourt_protocols.slp.events import Address
from forecourt_protocols.slp.framing import Header
from forecourt_protocols.slp.handshake import cookie_for
from forecourt_protocols.slp.messages import Hello
from forecourt_protocols.slp.timing import TokenBucket


def source_network(address: Address) -> str:
    """The /24 of an IPv4 address, the /48 of an IPv6 one."""
    host = str(address[0])
    if ":" in host:
        return ":".join(host.split(":")[:3])
    return host.rpartition(".")[0]


class SourceLimits:
    """One rate per source network. Networks share a fixed number of buckets: a flood makes no state."""

    __slots__ = ("_buckets", "_burst", "_rate_s")

    def __init__(self, rate_s: float, burst: float) -> None:
        self._rate_s = rate_s
        self._burst = burst
        self._buckets: list[TokenBucket | None] = [None] * limits.PREFIX_BUCKETS

    def allow(self, address: Address, now_s: float) -> bool:
        place = crc32(source_network(address).encode()) % limits.PREFIX_BUCKETS
        bucket = self._buckets[place]
        if bucket is None:
            bucket = self._buckets[place] = TokenBucket(self._rate_s, self._burst)
        return bucket.take(now_s)


class Cookies:
    """Stateless proof of address, good for one to two slots of 16 s."""

    __slots__ = ("_secret",)

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._secret = random_bytes(32)

    def make(self, header: Header, hello: Hello, address: Address, now_s: float) -> bytes:
        slot = int(now_s / limits.COOKIE_SLOT_S)
        return cookie_for(self._secret, slot, header, hello.client_random, _place(address))

    def good(self, header: Header, hello: Hello, address: Address, now_s: float) -> bool:
        slot = int(now_s / limits.COOKIE_SLOT_S)
        place = _place(address)
        return any(
            tags_equal(hello.cookie, cookie_for(self._secret, slot - age, header, hello.client_random, place))
            for age in (0, 1)
            if slot >= age
        )


def _place(address: Address) -> str:
    return "|".join(map(str, address))
