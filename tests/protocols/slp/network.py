"""A lossy network in virtual time with devices and a server on it: everything from one seed."""

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from forecourt_protocols.slp.device import DeviceConfig, DeviceSession
from forecourt_protocols.slp.doorkeeper import WelcomeTerms
from forecourt_protocols.slp.events import (
    Address,
    Command,
    Committed,
    DeviceEvent,
    Disconnected,
    EpochJump,
    HelloAccepted,
    JournalState,
    Message,
    Outbound,
    ServerEvent,
)
from forecourt_protocols.slp.server import Server
from forecourt_protocols.slp.server_session import ServerConfig

SECRET = b"r" * 32


@dataclass(frozen=True)
class Weather:
    """Chances of one datagram, each way, and its delay in seconds."""

    loss: float = 0.0
    double: float = 0.0
    flip: float = 0.0
    delay_s: tuple[float, float] = (0.02, 0.03)


CALM = Weather()
STORM = Weather(loss=0.30, double=0.05, flip=0.02, delay_s=(0.01, 0.12))


@dataclass
class Journal:
    """The station's disk: what is on it outlives the agent."""

    incarnation: bytes = b"inc1"
    epoch: int = 0
    records: dict[int, Outbound] = field(default_factory=dict)
    last_mid: int = 0

    def append(self, body: bytes, record_class: int = 2, channel: int = 1) -> int:
        self.last_mid += 1
        self.records[self.last_mid] = Outbound(self.last_mid, record_class, channel, 2, body)
        return self.last_mid

    def state(self) -> JournalState:
        self.epoch += 1
        oldest = min(self.records, default=self.last_mid + 1)
        return JournalState(self.epoch, self.incarnation, oldest, self.last_mid + 1)


class Store:
    """The centre's disk: the inbox, unique by (device, incarnation, mid)."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, bytes, int], Message] = {}
        self.order: list[Message] = []

    def commit(self, messages: list[Message]) -> None:
        for message in messages:
            key = (message.device_id, message.incarnation, message.mid)
            if key not in self.rows:
                self.rows[key] = message
                self.order.append(message)

    def highest_mid(self, device_id: int, incarnation: bytes) -> int | None:
        return max((key[2] for key in self.rows if key[:2] == (device_id, incarnation)), default=None)


class World:
    """Events in the order of virtual time."""

    def __init__(self, seed: int, weather: Weather = CALM) -> None:
        self.chance = random.Random(seed)
        self.weather = weather
        self.now_s = 1000.0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def at(self, delay_s: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self.now_s + delay_s, next(self._order), act))

    def carry(self, data: bytes, deliver: Callable[[bytes], None]) -> None:
        copies = 0 if self.chance.random() < self.weather.loss else 1
        if copies and self.chance.random() < self.weather.double:
            copies = 2
        for _ in range(copies):
            sent = data
            if self.chance.random() < self.weather.flip:
                spoilt = bytearray(data)
                spoilt[self.chance.randrange(len(data))] ^= 1 << self.chance.randrange(8)
                sent = bytes(spoilt)
            self.at(self.chance.uniform(*self.weather.delay_s), partial(deliver, sent))

    def run(self, for_s: float, until: Callable[[], bool] = lambda: False) -> bool:
        end_s = self.now_s + for_s
        while self._queue and self._queue[0][0] <= end_s:
            if until():
                return True
            self.now_s, _, act = heapq.heappop(self._queue)
            act()
        if not until():
            self.now_s = max(self.now_s, end_s)
        return until()


class Centre:
    """A gateway process: kill it and a new one starts with nothing but the store."""

    def __init__(
        self, world: World, keys: dict[int, bytes], store: Store, *, commit_s: float = 0.004, rate: int = 20
    ) -> None:
        self.world, self.store, self.keys, self.commit_s, self.rate = world, store, keys, commit_s, rate
        self.stations: dict[Address, Station] = {}
        self.events: list[ServerEvent] = []
        self.live: list[Message] = []
        self.alive = True
        self.store_works = True
        self.generation = 0
        self._waiting: list[Message] = []
        self._committing = False
        self._timer_s: float | None = None
        self.start()

    def start(self) -> None:
        self.generation += 1
        self.alive = True
        self._waiting, self._committing, self._timer_s = [], False, None
        chance = self.world.chance
        self.server = Server(
            ServerConfig(reset_secret=SECRET, rate_frames_s=self.rate),
            lambda device_id, key_id: self.keys.get(device_id) if key_id == 1 else None,
            chance.randbytes,
            lambda: int(self.world.now_s * 1000),
        )

    def kill(self) -> None:
        self.alive = False
        self.generation += 1

    def receive(self, data: bytes, address: Address) -> None:
        if not self.alive:
            return
        receipt = self.server.receive(data, self.world.now_s, address)
        self.live += receipt.live
        self._waiting += receipt.messages
        self._hear(receipt.events)
        self._commit()
        self.turn()

    def _hear(self, events: list[ServerEvent]) -> None:
        self.events += events
        for event in events:
            if isinstance(event, HelloAccepted):
                mid = self.store.highest_mid(event.device_id, event.incarnation)
                self.events += self.server.welcome(event, WelcomeTerms(highest_mid=mid), self.world.now_s)

    def _commit(self) -> None:
        if self._committing or not self._waiting or not self.store_works:
            return
        batch, self._waiting, self._committing = self._waiting, [], True
        generation = self.generation

        def durable() -> None:
            self.store.commit(batch)  # The commit happens even when the process dies right after it.
            if generation == self.generation:
                self._committing = False
                self.server.committed(batch)
                self._commit()
                self.turn()

        def begin() -> None:
            if generation == self.generation or self.world.chance.random() < 0.5:
                durable()

        self.world.at(self.commit_s, begin)

    def resume_store(self) -> None:
        self.store_works = True
        self._commit()

    def turn(self) -> None:
        self._hear(self.server.poll(self.world.now_s))
        for data, address in self.server.datagrams_to_send():
            station = self.stations.get(address)
            if station is not None:
                self.world.carry(data, station.receive)
        due_s = self.server.next_timeout_s(self.world.now_s)
        if due_s is not None and (self._timer_s is None or due_s < self._timer_s):
            self._timer_s = due_s
            generation = self.generation
            self.world.at(max(due_s - self.world.now_s, 0.0005), lambda: self._wake(generation))

    def _wake(self, generation: int) -> None:
        if generation == self.generation:
            self._timer_s = None
            self.turn()


class Station:
    """An agent with its journal; kill it and a new one starts from the journal."""

    def __init__(self, world: World, centre: Centre, device_id: int, journal: Journal | None = None) -> None:
        self.world, self.centre, self.device_id = world, centre, device_id
        self.psk = centre.keys.setdefault(device_id, device_id.to_bytes(2, "big") * 16)
        self.journal = journal or Journal()
        self.events: list[DeviceEvent] = []
        self.commands: list[Command] = []
        self.datagrams_sent = 0
        self.auto_handle = True
        self.address: Address = ("192.0.2.1", 0)
        self.move(("192.0.2.1", 10_000 + device_id))
        self._generation = 0
        self.start()

    def move(self, address: Address) -> None:
        self.centre.stations.pop(self.address, None)
        self.address = address
        self.centre.stations[address] = self

    def start(self) -> None:
        self._generation += 1
        self._timer_s: float | None = None
        config = DeviceConfig(device_id=self.device_id, key_id=1, psk=self.psk)
        self.session = DeviceSession(config, self.world.chance.randbytes)
        self.connect()

    def kill(self) -> None:
        self._generation += 1

    def connect(self) -> None:
        self.session.connect(self.world.now_s, self.journal.state())
        self.turn()

    def append(self, body: bytes, record_class: int = 2) -> int:
        mid = self.journal.append(body, record_class)
        self.turn()
        return mid

    def receive(self, data: bytes) -> None:
        self._hear(self.session.receive(data, self.world.now_s))
        self.turn()

    def _hear(self, events: list[DeviceEvent]) -> None:
        for event in events:
            self.events.append(event)
            if isinstance(event, Committed):
                for mid in [mid for mid in self.journal.records if mid <= event.com_base]:
                    del self.journal.records[mid]
            elif isinstance(event, Command):
                self.commands.append(event)
                if self.auto_handle:
                    self.session.handled(event.command_id)
            elif isinstance(event, EpochJump):
                self.journal.epoch = event.epoch - 1
            elif isinstance(event, Disconnected):
                self.world.at(event.retry_in_s, partial(self._again, self._generation))

    def _again(self, generation: int) -> None:
        if generation == self._generation:
            self.connect()

    def turn(self) -> None:
        now_s = self.world.now_s
        room = self.session.room()
        if room:
            after = self.session.read_after
            mids = sorted(mid for mid in self.journal.records if mid > after)[:room]
            self.session.push([self.journal.records[mid] for mid in mids])
        for data in self.session.datagrams_to_send(now_s):
            self.datagrams_sent += 1
            self.world.carry(data, partial(self._arrive, self.address))
        due_s = self.session.next_timeout_s(now_s)
        if due_s is not None and (self._timer_s is None or due_s < self._timer_s):
            self._timer_s = due_s
            generation = self._generation
            self.world.at(max(due_s - now_s, 0.0005), lambda: self._wake(generation))

    def _arrive(self, address: Address, data: bytes) -> None:
        self.centre.receive(data, address)

    def _wake(self, generation: int) -> None:
        if generation == self._generation:
            self._timer_s = None
            self._hear(self.session.poll(self.world.now_s))
            self.turn()


def bodies(store: Store, device_id: int) -> list[bytes]:
    return [message.body for message in store.order if message.device_id == device_id]
