"""A serial line with its guns: bytes in, bytes out, and the faults of the line itself."""

from dataclasses import dataclass, field

from forecourt_kit.random import Random
from forecourt_protocols.lanfeng.framing import BadFrame, FrameReader
from forecourt_protocols.lanfeng.messages import BadMessage, decode_request, encode_answer
from forecourt_simulators.station.gun import Gun
from forecourt_simulators.station.setup import LineSetup

PERCENT = 100
NOISE_BYTES_MAX = 6


@dataclass(slots=True)
class LineFaults:
    """How bad the line is; per cent of answers, guns that stay silent, guns without power."""

    lost_percent: int = 0
    flipped_percent: int = 0
    noise_percent: int = 0
    silent: set[int] = field(default_factory=set)
    dark: dict[int, int] = field(default_factory=dict)  # Gun → microseconds until the power returns.


@dataclass(slots=True)
class Line:
    """All guns of one line."""

    guns: dict[int, Gun]
    random: Random
    faults: LineFaults = field(default_factory=LineFaults)
    _reader: FrameReader = field(default_factory=FrameReader)

    @classmethod
    def installed(cls, setup: LineSetup, random: Random) -> "Line":
        return cls(guns={gun.gun: Gun.installed(gun) for gun in setup.guns}, random=random)

    def receive(self, data: bytes) -> bytes:
        """What the guns put on the line in answer to these bytes."""
        sent = b""
        for heard in self._reader.receive(data):
            if isinstance(heard, BadFrame):
                continue
            gun = self.guns.get(heard.gun)
            if gun is None or heard.gun in self.faults.silent or heard.gun in self.faults.dark:
                continue
            try:
                answer = gun.answer(decode_request(heard))
            except BadMessage:
                continue
            if answer is not None:
                sent += self._spoil(encode_answer(heard.gun, answer))
        return sent

    def advance(self, elapsed_us: int) -> None:
        """Let time pass for every gun that has power."""
        for number, gun in self.guns.items():
            if number in self.faults.dark:
                self.faults.dark[number] -= elapsed_us
                if self.faults.dark[number] <= 0:
                    del self.faults.dark[number]
            else:
                gun.advance(elapsed_us)

    def lose_power(self, gun: int, for_us: int) -> None:
        self.guns[gun].lose_power()
        self.faults.dark[gun] = for_us

    def _spoil(self, sent: bytes) -> bytes:
        if self.random.below(PERCENT) < self.faults.lost_percent:
            return b""
        if self.random.below(PERCENT) < self.faults.flipped_percent:
            at = self.random.below(len(sent))
            sent = sent[:at] + bytes((sent[at] ^ 1 << self.random.below(8),)) + sent[at + 1 :]
        if self.random.below(PERCENT) < self.faults.noise_percent:
            sent = self.random.bytes(1 + self.random.below(NOISE_BYTES_MAX)) + sent
        return sent
