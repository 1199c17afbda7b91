"""Drivers and attendants at work while things break, and the reckoning of what came of it."""

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import httpx
import pytest
from tests.journeys.rig import Rig

FREE_GUNS = (1, 3, 4, 5)  # Released by the station itself: they sell with and without a centre.
WISH_E4 = {1: (4_0000, 20_0000), 3: (4_0000, 30_0000), 4: (2_0000, 9_0000), 5: (4000, 1_5000)}
PATIENCE_S = 240.0  # Met at once where nothing is wrong; a busy machine takes minutes to start a process.
RETRY_S = 0.25
TOP_UP_FEN = 1_000_00
SEED = int(os.environ.get("SEED", "20261122"))
SOAKING = os.environ.get("FORECOURT_SOAK") == "1"


MARKS = {
    "embedded": [],
    "mariadb": [pytest.mark.mariadb, pytest.mark.amqp, pytest.mark.redis],
    "postgresql": [pytest.mark.postgresql, pytest.mark.amqp, pytest.mark.redis],
}


def on(*backends: str) -> pytest.MarkDecorator:
    """Where a journey tells most for its time; a soak runs it everywhere."""
    names = tuple(MARKS) if SOAKING else backends
    return pytest.mark.parametrize(
        "rig", [pytest.param(name, marks=MARKS[name]) for name in names], indirect=True
    )


def patiently(look: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    """Look until there is something; a world that does not answer yet is only not ready yet."""
    end, last = time.monotonic() + patience_s, ""
    while True:
        try:
            if found := look():
                return found
        except (httpx.TransportError, OSError, AssertionError) as why:
            last = f"; last: {why!r:.600}"
        if time.monotonic() > end:
            raise AssertionError(f"waited {patience_s:g} s in vain: {what}{last}")
        time.sleep(0.3)


@dataclass(frozen=True, slots=True)
class Counted:
    """A dispenser's own counters."""

    totalizer_e4: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Reckoning:
    """What dispensers counted since it began, against what the centre has."""

    rig: Rig
    before: dict[int, Counted]
    known: frozenset[str]

    @classmethod
    def begin(cls, rig: Rig) -> Self:
        known = patiently(lambda: [{sale["id"] for sale in rig.sales()}], "the sales so far")
        return cls(rig, counted(rig), frozenset(known[0]))

    def fills(self) -> int:
        """How many fills have ended since it began."""
        return sum(now.sequence - self.before[gun].sequence for gun, now in counted(self.rig).items())

    def sales(self) -> list[dict[str, Any]]:
        return [sale for sale in self.rig.sales() if sale["id"] not in self.known]

    def agree(self) -> list[dict[str, Any]]:
        """Every fill is one sale: as many, and per nozzle as much as its totalizer ran. Gives them."""
        patiently(
            lambda: not any(busy(gun) for gun in guns(self.rig)), "the guns hang, their sales are taken"
        )
        ended = self.fills()
        patiently(lambda: len(self.sales()) >= ended, f"{ended} fills are sales")
        sales = self.sales()
        assert len(sales) == ended, f"{ended} fills became {len(sales)} sales"
        for gun, now in counted(self.rig).items():
            ran_e4 = now.totalizer_e4 - self.before[gun].totalizer_e4
            sold = [sale for sale in sales if sale["nozzle_id"] == self.rig.nozzle(gun)]
            assert len(sold) == now.sequence - self.before[gun].sequence, f"gun {gun}: number of sales"
            assert sum(sale["quantity_e4"] for sale in sold) == ran_e4, f"gun {gun}: quantity"
        return sales


def guns(rig: Rig) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rig.station(do="guns")["guns"]
    return found


def busy(gun: dict[str, Any]) -> bool:
    return bool(gun["busy"] or gun["sales_waiting"])


def counted(rig: Rig) -> dict[int, Counted]:
    return {gun["gun"]: Counted(gun["totalizer_e4"], gun["last_sequence"]) for gun in guns(rig)}


def top_up(rig: Rig) -> int:
    """Cash into the member's wallet, of which journeys before this one have spent; gives what is in it."""
    body = {"station_id": rig.facts["station_id"], "amount_fen": TOP_UP_FEN}
    key = f"top-up-{time.monotonic_ns()}"
    answer = rig.post(f"/members/{rig.facts['member_id']}/topups", body, key)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["available_fen"])


@dataclass(slots=True)
class Attendant:
    """Takes cash and wallets for every open sale; a key is repeated until an answer comes to it."""

    rig: Rig
    chance: random.Random
    name: str
    acknowledged: dict[str, dict[str, Any]] = field(default_factory=dict)
    surprises: list[str] = field(default_factory=list)
    told_to_wait: int = 0
    lost: int = 0
    broke: bool = False

    def work(self, stop: threading.Event) -> None:
        with httpx.Client(
            base_url=self.rig.client.base_url,
            headers=self.rig.client.headers,
            cookies=self.rig.client.cookies,
            timeout=30.0,
        ) as client:
            while not stop.is_set():
                for sale in self._open(client):
                    self._see_to(client, sale["id"], stop)
                time.sleep(RETRY_S)

    def _open(self, client: httpx.Client) -> list[dict[str, Any]]:
        answer = self._ask(client, "GET", "/sales?state=open&limit=20")
        if answer is None:
            return []
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    def _see_to(self, client: httpx.Client, sale_id: str, stop: threading.Event) -> None:
        tender = "cash" if self.broke or self.chance.random() < 0.6 else "wallet"
        body = {"tender": tender}
        if tender == "wallet":
            body["member_id"] = self.rig.facts["member_id"]
        key = f"{self.name}-{sale_id}-{self.chance.getrandbits(32):08x}"
        while not stop.is_set():
            answer = self._ask(client, "POST", f"/sales/{sale_id}/payments", body, key)
            if answer is not None:
                self.acknowledged[key] = answer.json()
                return
            if self.broke and tender == "wallet":
                return
            time.sleep(RETRY_S)

    def _ask(
        self, client: httpx.Client, method: str, path: str, body: object = None, key: str = ""
    ) -> httpx.Response | None:
        """None: to be asked again. Whatever a failing platform may not say is a surprise."""
        headers = {"idempotency-key": key} if key else {}
        try:
            answer = client.request(method, path, json=body, headers=headers)
        except httpx.TransportError:
            self.lost += 1
            return None
        if answer.is_success:
            return answer
        code = answer.json().get("code") if "json" in answer.headers.get("content-type", "") else ""
        if answer.status_code == 503 and code == "core.unavailable" and "retry-after" in answer.headers:
            self.told_to_wait += 1
        elif code == "ledger.insufficient_funds":
            self.broke = True
        else:
            self.surprises.append(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return None


@dataclass(slots=True)
class Traffic:
    """Drivers at the free guns and one attendant, each in a thread of its own."""

    rig: Rig
    attendant: Attendant
    chance: random.Random
    driving: threading.Event = field(default_factory=threading.Event)
    stop: threading.Event = field(default_factory=threading.Event)
    faults: list[BaseException] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        self.driving.set()
        for act in (self._drive, lambda: self.attendant.work(self.stop)):
            thread = threading.Thread(target=self._kept, args=(act,), daemon=True)
            thread.start()
            self.threads.append(thread)

    def end(self) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join(60)

    def _kept(self, act: Callable[[], None]) -> None:
        try:
            act()
        except BaseException as fault:  # noqa: BLE001 - a thread must not die unheard.
            self.faults.append(fault)

    def _drive(self) -> None:
        while not self.stop.is_set():
            if self.driving.is_set():
                drive(self.rig, self.chance)
            time.sleep(0.2)


def drive(rig: Rig, chance: random.Random) -> None:
    """A vehicle to every free gun that hangs."""
    for gun in guns(rig):
        if gun["gun"] in FREE_GUNS and gun["state"] == "idle" and not busy(gun):
            least, most = WISH_E4[gun["gun"]]
            rig.station(do="fill", gun=gun["gun"], quantity_e4=chance.randrange(least, most, 100))


@contextmanager
def traffic(rig: Rig, name: str) -> Iterator[Traffic]:
    """While the block runs there is traffic; afterwards every fill is paid, once, and all books agree."""
    reckoning = Reckoning.begin(rig)
    before_fen = top_up(rig)
    chance = random.Random(f"{SEED} {name}")
    run = Traffic(rig, Attendant(rig, random.Random(f"{SEED} {name} till"), name), chance)
    run.start()
    try:
        yield run
        run.driving.clear()
        sales = reckoning.agree()
        patiently(lambda: all(sale["state"] == "paid" for sale in reckoning.sales()), "everything is paid")
        assert sales
    finally:
        run.end()
    assert run.faults == []
    assert run.attendant.surprises == []
    _payments_agree(rig, reckoning.sales(), run.attendant.acknowledged, before_fen)
    for process_name, process in rig.processes.items():
        assert process.poll() is None, f"{process_name} ended by itself: {process.returncode}"
    rig.verify()


def _payments_agree(
    rig: Rig, sales: list[dict[str, Any]], acknowledged: dict[str, dict[str, Any]], before_fen: int
) -> None:
    """What was acknowledged exists, once, and nothing else was taken."""
    of_sale: dict[str, list[dict[str, Any]]] = {}
    for payment in acknowledged.values():
        kept = rig.get(f"/payments/{payment['id']}")
        assert (kept["state"], kept["amount_fen"]) == ("paid", payment["amount_fen"])
        of_sale.setdefault(payment["sale_ids"][0], []).append(payment)
    for sale in sales:
        (payment,) = of_sale[sale["id"]]
        assert (sale["state"], sale["paid_fen"], sale["refunded_fen"]) == ("paid", sale["due_fen"], 0)
        assert (sale["tenders"], payment["amount_fen"]) == ([payment["tender"]], sale["due_fen"])
    spent_fen = sum(each["amount_fen"] for each in acknowledged.values() if each["tender"] == "wallet")
    assert rig.wallet()["available_fen"] == before_fen - spent_fen
