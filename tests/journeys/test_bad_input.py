"""Junk, forgeries and nonsense at the real doors: nothing happens, or a person is asked."""

import json
import random
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from tests.journeys.rig import Rig, until
from tests.journeys.traffic import SEED, on, patiently
from tests.private_servers import free_port

from forecourt_kit.clock import SystemClock
from forecourt_kit.ids import from_public
from forecourt_kit.random import SystemRandom
from forecourt_protocols.slp.device import DeviceConfig, DeviceSession
from forecourt_protocols.slp.events import JournalState, Outbound
from forecourt_protocols.slp.state import DeviceState

pytestmark = on("embedded", "postgresql")

JUNK_DATAGRAMS = 3_000
SILENCE_S = 0.5
WELCOME_TURNS_MAX = 300  # Of at most 0.1 s each.
LIES = (
    "wrong_key",
    "unknown_serial",
    "unsigned",
    "stale",
    "flipped_body",
    "wrong_merchant",
    "wrong_amount",
    "wrong_key_of_content",
)
BAD_AMOUNTS = ("-1", "0", "1.5", '"1"', "true", "1e400", "NaN", "100000000000000000000000", "[1]", "{}")


class TestTheLink:
    def test_junk_gets_no_answer_and_no_harm(self, rig: Rig) -> None:
        chance = random.Random(f"{SEED} junk")
        with _udp(rig) as line:
            for _ in range(JUNK_DATAGRAMS):
                line.send(_junk(chance))
            assert _answers(line) == []
        log = rig.folder / ("centre.log" if rig.backend.is_embedded else "gateway1.log")
        until(lambda: "refused at the link" in log.read_text(), "it was counted")
        _serves(rig)

    def test_a_wrong_key_gets_no_answer_and_the_right_one_does(self, rig: Rig) -> None:
        agent = _register_agent(rig)
        with _udp(rig) as line:
            wrong = Device(agent["device"]["id"], bytes(32), line)
            wrong.say_hello()
            assert _answers(line) == []
        with _udp(rig) as line:
            right = Device(agent["device"]["id"], bytes.fromhex(agent["psk_hex"]), line)
            right.connect()

    def test_replayed_flipped_and_cut_frames_have_no_effect(self, rig: Rig) -> None:
        agent = _register_agent(rig)
        held = len(_held(rig))
        with _udp(rig) as line:
            device = Device(agent["device"]["id"], bytes.fromhex(agent["psk_hex"]), line)
            device.connect()
            frames = device.tell(_nothing_drawn())
            patiently(lambda: len(_held(rig)) == held + 1, "it arrived")
        with _udp(rig) as stranger:  # Recorded on the way, sent again from elsewhere.
            for frame in frames:
                for bad in (frame, frame[:-1], frame[:40], _flipped(frame)):
                    stranger.send(bad)
            assert _answers(stranger) == []
        assert len(_held(rig)) == held + 1
        _serves(rig)
        _reject_all(rig)


class TestTheChannelsNotifications:
    @pytest.mark.parametrize("how", LIES)
    def test_a_lie_is_refused_and_changes_nothing(self, rig: Rig, how: str) -> None:
        sale = _open_sale(rig)
        asked = rig.pay(sale["id"], f"lie-{how}-{sale['id']}", tender="wechat", product="native")
        numbers = {order["code_url"]: order["out_trade_no"] for order in _orders(rig)}
        forged = {"out_trade_no": numbers[asked["qr_text"]], "how": how, "url": _notify_url(rig)}

        status = rig.channel("POST", "forge", forged)["status"]

        # Rightly signed, a wrong amount is kept as evidence: repeating it would not make it right.
        assert status == 200 if how == "wrong_amount" else 400 <= status < 500, status
        # A wrong amount makes it UNKNOWN until the channel, asked again, says that nothing was paid.
        until(lambda: rig.get(f"/payments/{asked['id']}")["state"] == "pending", "nothing was paid")
        assert rig.sale(sale["id"])["paid_fen"] == 0
        closed = rig.client.post(f"/payments/{asked['id']}/close")
        assert closed.status_code == 200, closed.text


class TestAmounts:
    @pytest.mark.parametrize("amount", BAD_AMOUNTS)
    def test_what_is_no_amount_is_422_with_a_code(self, rig: Rig, amount: str) -> None:
        sale, member = _open_sale(rig), rig.facts["member_id"]
        before_fen = rig.wallet()["available_fen"]
        station, nozzle = rig.facts["station_id"], rig.nozzle(2)
        preset = f'{{"kind": "amount", "value": {amount}}}'
        asks = {
            f"/sales/{sale['id']}/payments": f'{{"tender": "cash", "amount_fen": {amount}}}',
            f"/members/{member}/topups": f'{{"station_id": "{station}", "amount_fen": {amount}}}',
            f"/sales/{sale['id']}/refunds": f'{{"reason": "x", "amount_fen": {amount}}}',
            "/authorisations": f'{{"nozzle_id": "{nozzle}", "kind": "prepaid", "tender": "wallet", '
            f'"member_id": "{member}", "preset": {preset}}}',
        }
        for path, body in asks.items():
            headers = {"idempotency-key": f"amount-{time.monotonic_ns()}", "content-type": "application/json"}
            answer = rig.client.post(path, content=body, headers=headers)
            assert answer.status_code == 422, (path, amount, answer.text)
            assert answer.json()["code"] == "core.invalid", (path, amount)

        assert rig.sale(sale["id"])["paid_fen"] == 0
        assert rig.wallet()["available_fen"] == before_fen


class TestEvidenceThatDoesNotAddUp:
    def test_a_nozzle_that_nobody_registered_is_held_for_a_person(self, rig: Rig, tmp_path: Path) -> None:
        agent = _register_agent(rig)
        sales, held = len(rig.sales()), {each["id"] for each in _held(rig)}
        with _Station(rig, tmp_path, agent, nozzle=77) as control:
            _order(control, do="fill", gun=1, quantity_e4=3_0000)
            (found,) = patiently(
                lambda: [each for each in _held(rig) if each["id"] not in held], "the delivery is held"
            )
        assert (found["nozzle_number"], found["nozzle_id"], found["state"]) == (77, None, "held")
        assert found["marks"] == ["unknown_nozzle"]
        assert found["quantity_e4"] >= 3_0000
        assert len(rig.sales()) == sales

        released = rig.post(f"/deliveries/{found['id']}/release", {"reason": "it was there"})
        assert (released.status_code, released.json()["code"]) == (409, "deliveries.release_needs_nozzle")
        rejected = rig.post(f"/deliveries/{found['id']}/reject", {"reason": "not ours"})
        assert (rejected.status_code, rejected.json()["state"]) == (200, "rejected")
        assert found["id"] not in {each["id"] for each in _held(rig)}
        rig.verify()

    @pytest.mark.parametrize(
        ("by_e4", "mark"), [(500_0000, "totalizer_mismatch"), (-400_0000, "totalizer_backwards")]
    )
    def test_a_totalizer_that_jumps_during_a_fill_holds_it(self, rig: Rig, by_e4: int, mark: str) -> None:
        if by_e4 < 0:
            rig.station(do="fault", gun=4, kind="totalizer_jump", by_e4=-by_e4 * 2)
        known, held = {sale["id"] for sale in rig.sales()}, {each["id"] for each in _held(rig)}
        rig.station(do="fill", gun=4, quantity_e4=60_0000)
        until(lambda: rig.gun(4)["state"] == "fuelling", "it flows")
        rig.station(do="fault", gun=4, kind="totalizer_jump", by_e4=by_e4)

        (found,) = patiently(
            lambda: [each for each in _held(rig) if each["id"] not in held], "the delivery is held"
        )
        assert mark in found["marks"]
        assert {sale["id"] for sale in rig.sales()} == known

        released = rig.post(f"/deliveries/{found['id']}/release", {"reason": "the display was read"})
        assert released.status_code == 200, released.text
        sale = rig.new_sale(4, known)
        assert sale["quantity_e4"] == found["quantity_e4"]
        assert mark in sale["marks"]
        rig.pay(sale["id"], f"jump-{sale['id']}", tender="cash")
        rig.verify()

    def test_what_ran_between_two_fills_is_marked(self, rig: Rig) -> None:
        rig.fill(4, quantity_e4=2_0000)
        rig.station(do="fault", gun=4, kind="totalizer_jump", by_e4=7_0000)

        assert "totalizer_gap" in rig.fill(4, quantity_e4=2_0000)["marks"]
        rig.verify()


class Device:
    """A station agent's end of SLP/1 on a socket of the test, to keep what it sends."""

    def __init__(self, public_id: str, psk: bytes, line: socket.socket) -> None:
        config = DeviceConfig(device_id=from_public(public_id), key_id=1, psk=psk)
        self._session = DeviceSession(config, SystemRandom().bytes)
        self._clock, self._line = SystemClock(), line

    def say_hello(self) -> None:
        state = JournalState(epoch=1, incarnation=SystemRandom().bytes(4), oldest_mid=1, next_mid=1)
        self._session.connect(self._clock.monotonic_s(), state)
        self._send()

    def connect(self) -> None:
        self.say_hello()
        for _ in range(WELCOME_TURNS_MAX):
            if self._session.state is DeviceState.CONNECTED:
                return
            self._turn()
        raise AssertionError("no WELCOME")

    def tell(self, body: bytes) -> list[bytes]:
        """One money record; gives the frames it went in."""
        self._session.push([Outbound(1, 2, 77, 2, body)])
        sent = self._send()
        for _ in range(10):
            self._turn()
        return sent

    def _turn(self) -> None:
        self._line.settimeout(0.1)
        try:
            self._session.receive(self._line.recv(2_048), self._clock.monotonic_s())
        except TimeoutError:
            now_s = self._clock.monotonic_s()
            due_s = self._session.next_timeout_s(now_s)
            if due_s is not None and now_s >= due_s:
                self._session.poll(now_s)
        self._send()

    def _send(self) -> list[bytes]:
        frames = self._session.datagrams_to_send(self._clock.monotonic_s())
        for frame in frames:
            self._line.send(frame)
        return frames


class _Station:
    """A second station agent with dispensers of its own, under a nozzle number of the test's choice."""

    def __init__(self, rig: Rig, folder: Path, agent: dict[str, Any], *, nozzle: int) -> None:
        self._rig, self._folder = rig, folder
        self._line, self._control = free_port(), free_port()
        text = (rig.folder / "edge.toml").read_text()
        head = text[: text.index("[[line]]")]
        head = head.replace(rig.facts["agent_id"], agent["device"]["id"])
        head = head.replace(rig.facts["psk"], agent["psk_hex"]).replace(
            str(rig.folder / "agent"), str(folder / "agent")
        )
        line = f'[[line]]\nname = "line1"\nport = "tcp://127.0.0.1:{self._line}"\n'
        gun = f'[[line.nozzle]]\nnozzle = {nozzle}\ngun = 1\nproduct = "x"\nunit = "L"\n'
        (folder / "edge.toml").write_text(head + line + gun)

    def __enter__(self) -> int:
        words = ["--kind", "petrol", "--tcp", f"127.0.0.1:{self._line}", "--speed", "30"]
        words += ["--control", f"127.0.0.1:{self._control}"]
        self._rig.spawn("station2", "forecourt_simulators.main", "station", *words)
        patiently(lambda: _order(self._control, do="guns"), "the second station answers")
        config = str(self._folder / "edge.toml")
        self._rig.spawn("edge2", "forecourt_edge.main", "run", "--config", config)
        return self._control

    def __exit__(self, *_: object) -> None:
        self._rig.kill("edge2")
        self._rig.kill("station2")


def _udp(rig: Rig) -> socket.socket:
    line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    line.connect(("127.0.0.1", rig.ports["slp1"]))
    return line


def _answers(line: socket.socket) -> list[bytes]:
    line.settimeout(SILENCE_S)
    try:
        return [line.recv(2_048)]
    except TimeoutError:
        return []


def _junk(chance: random.Random) -> bytes:
    """Noise of every size; half of it begins like a frame."""
    noise = chance.randbytes(chance.choice((0, 1, 23, 24, 40, 48, 160, 400, 1_200, 1_400)))
    if chance.random() < 0.5 and len(noise) >= 24:
        body_bytes = max(0, len(noise) - 40)
        start = bytes((0xB1, chance.randrange(1, 11), 0, chance.choice((0, 1, 2, 64))))
        noise = start + noise[4:20] + body_bytes.to_bytes(2) + b"\x01\x00" + noise[24:]
    return noise


def _flipped(frame: bytes) -> bytes:
    return frame[:-3] + bytes((frame[-3] ^ 4,)) + frame[-2:]


def _nothing_drawn() -> bytes:
    return (
        b'{"kind":"delivery.ended","identity":"77:1:1","nozzle":77,"product":"x","unit":"L",'
        b'"quantity_e4":10000,"device_unit_price_e4":78500,"device_amount_fen":785,"preset":null,'
        b'"totalizer_before_e4":0,"totalizer_after_e4":10000,"totalizer_modulus_e4":10000000000,'
        b'"started_at":"2026-11-22T01:00:00Z","ended_at":"2026-11-22T01:01:00Z","device_sequence":1,'
        b'"authorisation_id":null,"purpose":"sale","detail":{}}'
    )


def _register_agent(rig: Rig) -> dict[str, Any]:
    body = {"station_id": rig.facts["station_id"], "kind": "station_agent", "name": "second"}
    answer = rig.post("/devices", body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def _held(rig: Rig) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = rig.get("/deliveries/held")["items"]
    return items


def _reject_all(rig: Rig) -> None:
    for each in _held(rig):
        assert rig.post(f"/deliveries/{each['id']}/reject", {"reason": "a test's"}).status_code == 200


def _serves(rig: Rig) -> None:
    """All lives, and a fill still becomes a sale."""
    for name in rig.centre:
        assert rig.processes[name].poll() is None, f"{name} ended by itself"
    rig.fill(1, quantity_e4=1_0000)


def _open_sale(rig: Rig) -> dict[str, Any]:
    found = rig.sales(state="open")
    return found[0] if found else rig.fill(1, quantity_e4=1_0000)


def _orders(rig: Rig) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rig.channel("GET", "orders")["orders"]
    return found


def _notify_url(rig: Rig) -> str:
    mchid = next(iter(rig.channel("GET", "totals")["merchants"]))
    return f"http://127.0.0.1:{rig.ports['http']}/api/v1/notify/wechat/{mchid}"


def _order(port: int, **order: Any) -> dict[str, Any]:
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(json.dumps(order).encode() + b"\n")
        answer: dict[str, Any] = json.loads(connection.makefile().readline())
    assert answer["ok"], answer
    return answer
