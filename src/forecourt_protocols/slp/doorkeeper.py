"""HELLO at the platform's end: who may have a session, who must prove an address first, who is sent back."""

from collections.abc import Callable
from dataclasses import dataclass

from forecourt_protocols.slp import crypto, handshake, limits, messages
from forecourt_protocols.slp.errors import Malformed
from forecourt_protocols.slp.events import (
    Address,
    HelloAccepted,
    HelloUnknown,
    JournalRolledBack,
    MessagesMissing,
    ServerEvent,
)
from forecourt_protocols.slp.framing import EPOCH_MAX, Header
from forecourt_protocols.slp.guard import Cookies, SourceLimits
from forecourt_protocols.slp.server_session import (
    JournalSide,
    KeyLookup,
    ServerConfig,
    ServerDevice,
    ServerSession,
)
from forecourt_protocols.slp.timing import TokenBucket

_PENDING_S = 30.0  # A welcomed session that nobody uses is forgotten.
_ANSWER_S = 5.0  # A HELLO not answered by the application for so long is reported again.


@dataclass(frozen=True, slots=True, kw_only=True)
class WelcomeTerms:
    """What the application adds to WELCOME.

    `highest_mid`: the highest message id of this device and incarnation that is durable, None when there is
    none. It need not be free of holes below: it only shows whether a journal or the store went back in time.
    `redirect`: "host:port" when another gateway serves this device.
    """

    highest_mid: int | None
    config_version: int = 0
    script_version: int = 0
    redirect: str = ""


class Doorkeeper:
    """Bytes out never exceed bytes in here, and nothing is kept for who has not proven a key."""

    def __init__(
        self,
        config: ServerConfig,
        keys: KeyLookup,
        random_bytes: Callable[[int], bytes],
        unix_ms: Callable[[], int],
        devices: dict[int, ServerDevice],
        out: list[tuple[bytes, Address]],
        count: Callable[[str], None],
    ) -> None:
        self._config = config
        self._keys = keys
        self._random_bytes = random_bytes
        self._unix_ms = unix_ms
        self._devices = devices
        self._out = out
        self._count = count
        self._cookies = Cookies(random_bytes)
        self._hellos = SourceLimits(config.hellos_per_s, config.hellos_per_s * limits.BURST_FACTOR)
        self._resets = SourceLimits(limits.RESETS_PER_S, limits.RESETS_PER_S)
        self._load = TokenBucket(config.hello_load_per_s, config.hello_load_per_s)

    def hello(
        self, header: Header, frame: bytes, address: Address, now_s: float
    ) -> HelloAccepted | HelloUnknown | None:
        """Check a HELLO; an answer that needs no application goes out at once."""
        if not self._hellos.allow(address, now_s):
            self._count("too many HELLO")
            return None
        psk = self._keys(header.device_id, header.key_id)
        if psk is None:
            self._count("unknown device")
            return HelloUnknown(header.device_id, frame, address)
        try:
            hello = handshake.open_hello(psk, frame)
        except Malformed as fault:
            self._count(f"malformed: {fault}")
            return None
        if hello is None:
            self._count("bad tag")
            return None
        if not self._fit(hello):
            self._count("HELLO refused")
            return None
        return self._admit(header, hello, psk, address, now_s)

    @staticmethod
    def _fit(hello: messages.Hello) -> bool:
        return (
            bool(hello.suites & messages.SUITE_BIT_AES_128_GCM)
            and hello.datagram_bytes_max >= limits.DATAGRAM_BYTES_MIN
            and 1 <= hello.oldest_mid <= hello.next_mid
        )

    def _admit(
        self, header: Header, hello: messages.Hello, psk: bytes, address: Address, now_s: float
    ) -> HelloAccepted | None:
        busy = not self._load.take(now_s)
        device = self._devices.get(header.device_id)
        this = (header.epoch, hello.client_random)
        if device is not None and device.hello == this and device.welcome:
            # The same HELLO again, or somebody's copy of it: the same answer, and no address moves.
            if now_s - device.welcome_at_s >= limits.WELCOME_REPEAT_S:
                device.welcome_at_s = now_s
                self._out.append((device.welcome, address))
            return None
        rolled_back = device is not None and header.epoch <= device.last_epoch
        if (busy or rolled_back) and not self._cookies.good(header, hello, address, now_s):
            cookie = self._cookies.make(header, hello, address, now_s)
            self._out.append((handshake.seal_retry(psk, header, hello.client_random, cookie), address))
            return None
        if rolled_back:
            assert device is not None
            self._send_back(header, hello, psk, address, device.last_epoch)
            return None
        if device is None:
            device = self._devices[header.device_id] = ServerDevice(header.device_id)
        if device.hello == this and now_s - device.hello_at_s < _ANSWER_S:
            return None  # The application is looking for the answer.
        device.hello, device.hello_at_s, device.welcome = this, now_s, b""
        return HelloAccepted(
            header.device_id,
            header.key_id,
            header.epoch,
            hello.client_random,
            address,
            hello.incarnation,
            hello.firmware_id,
            hello.boot_reason,
            hello.oldest_mid,
            hello.next_mid,
            hello.datagram_bytes_max,
            hello.window,
        )

    def _send_back(
        self, header: Header, hello: messages.Hello, psk: bytes, address: Address, last_epoch: int
    ) -> None:
        """WELCOME that makes no session and tells the epoch to jump to."""
        self._count("epoch rolled back")
        server_random = self._random_bytes(crypto.RANDOM_BYTES)
        randoms = hello.client_random + server_random
        keys = handshake.SessionKeys(psk, randoms, header.device_id, header.epoch, header.key_id)
        welcome = self._welcome(header.device_id, header.epoch, WelcomeTerms(highest_mid=None), 0, 0)
        jump = handshake.seal_welcome(
            keys.sealer(crypto.DOWN), server_random, welcome(min(last_epoch + 1, EPOCH_MAX))
        )
        self._out.append((jump, address))

    def welcome(
        self, hello: HelloAccepted, terms: WelcomeTerms, credit: int, now_s: float
    ) -> list[ServerEvent]:
        """Make the session that this HELLO asked for; it counts once an authentic frame comes in."""
        device = self._devices.get(hello.device_id)
        psk = self._keys(hello.device_id, hello.key_id)
        if device is None or device.hello != (hello.epoch, hello.client_random) or psk is None:
            return []  # A later HELLO has taken its place, or the key was revoked meanwhile.
        journal, events = self._enter_journal(device, hello, terms.highest_mid)
        server_random = self._random_bytes(crypto.RANDOM_BYTES)
        randoms = hello.client_random + server_random
        keys = handshake.SessionKeys(psk, randoms, hello.device_id, hello.epoch, hello.key_id)
        make = self._welcome(hello.device_id, hello.epoch, terms, journal.com_base, credit)
        device.welcome = handshake.seal_welcome(keys.sealer(crypto.DOWN), server_random, make(0))
        device.welcome_at_s = now_s
        device.last_epoch = max(device.last_epoch, hello.epoch)
        self._out.append((device.welcome, hello.address))
        if not terms.redirect:
            device.pending_until_s = now_s + _PENDING_S
            device.pending = ServerSession(
                device,
                journal,
                keys,
                hello.address,
                self._out,
                datagram_bytes_max=min(hello.datagram_bytes_max, self._config.datagram_bytes_max),
                frames_per_s_max=self._config.frames_per_s_max,
            )
        return events

    def reset(self, header: Header, frame_bytes: int, address: Address, now_s: float) -> None:
        """Tell a device of ours that we have lost its session; nobody else can say so."""
        if frame_bytes < limits.RESETTABLE_BYTES_MIN or self._keys(header.device_id, header.key_id) is None:
            self._count("unknown device")
        elif not self._resets.allow(address, now_s):
            self._count("too many RESET")
        else:
            self._count("reset")
            token = crypto.reset_token(self._config.reset_secret, header.device_id, header.epoch)
            self._out.append((crypto.seal_reset(token, header), address))

    def _welcome(
        self, device_id: int, epoch: int, terms: WelcomeTerms, com_base: int, credit: int
    ) -> Callable[[int], messages.Welcome]:
        config = self._config

        def make(epoch_jump: int) -> messages.Welcome:
            return messages.Welcome(
                server_time_ms=self._unix_ms(),
                com_base=com_base,
                keepalive_s=config.keepalive_s,
                pto_max_ms=config.pto_max_ms,
                rate_frames_s=config.rate_frames_s,
                datagram_bytes_max=config.datagram_bytes_max,
                credit=credit,
                config_version=terms.config_version,
                script_version=terms.script_version,
                epoch_jump=epoch_jump,
                reset_token=crypto.reset_token(config.reset_secret, device_id, epoch),
                redirect=terms.redirect,
            )

        return make

    @staticmethod
    def _enter_journal(
        device: ServerDevice, hello: HelloAccepted, highest_mid: int | None
    ) -> tuple[JournalSide, list[ServerEvent]]:
        """Take up this journal where it was left, and see whether it or the store went back in time.

        A device discards only what it was told is committed, so everything below its oldest id is.
        """
        discarded = hello.oldest_mid - 1
        journal = device.journal
        if journal.incarnation != hello.incarnation:
            journal = JournalSide(hello.incarnation, discarded)
        known = max(highest_mid or 0, journal.receiver.base)
        journal.held_at_mid = known if hello.next_mid <= known else 0
        if journal.held_at_mid:
            return journal, [JournalRolledBack(hello.device_id, hello.next_mid, known)]
        journal.receiver.skip_to(discarded)
        if highest_mid is not None and highest_mid < discarded:
            return journal, [MessagesMissing(hello.device_id, highest_mid + 1, discarded)]
        return journal, []
