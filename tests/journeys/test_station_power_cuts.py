"""The station agent ends at the worst moments between two facts; an authorisation still ends once."""

import pytest
from tests.journeys.rig import GUNS, Rig
from tests.journeys.traffic import Reckoning, busy, guns, on, patiently, top_up

from forecourt_edge.crash import CRASH_VARIABLE, EXIT_CODE

pytestmark = on("embedded")

GUN = 2  # Waits for the centre's word.
PRESET_FEN = 50_00
WISH_E4 = 3_0000
NEW_PRICE_E4 = 52_900


@pytest.mark.parametrize(
    ("point", "fills"),
    [
        ("after_authorisation_noted", 0),  # The dispenser never heard of it: it ends with nothing drawn.
        ("after_release_sent", 1),
        ("after_command_result", 1),
    ],
)
def test_an_authorisation_ends_exactly_once(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, point: str, fills: int
) -> None:
    reckoning, before_fen = Reckoning.begin(rig), top_up(rig)
    _cut_at(rig, monkeypatch, point)
    body = {
        "nozzle_id": rig.nozzle(GUN),
        "member_id": rig.facts["member_id"],
        "kind": "prepaid",
        "tender": "wallet",
        "preset": {"kind": "amount", "value": PRESET_FEN},
    }
    answer = rig.post("/authorisations", body)
    assert answer.status_code == 201, answer.text
    path = f"/authorisations/{answer.json()['id']}"
    _dead_then_up(rig)
    if fills:
        patiently(lambda: rig.gun(GUN)["state"] == "authorised", "the gun is released")
        rig.station(do="fill", gun=GUN, quantity_e4=WISH_E4)

    patiently(lambda: rig.get(path)["state"] == "consumed", "the authorisation has ended")

    sales = reckoning.agree()
    assert len(sales) == fills
    spent_fen = sum(rig.until_sale(sale["id"], "paid")["due_fen"] for sale in sales)
    assert rig.wallet()["available_fen"] == before_fen - spent_fen
    rig.verify()


def test_a_price_is_brought_although_the_power_went(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    _cut_at(rig, monkeypatch, "after_price_noted")
    price = {"product_id": rig.facts["products"][2], "unit_price_e4": NEW_PRICE_E4}
    answer = rig.post(f"/stations/{rig.facts['station_id']}/prices", price)
    assert answer.status_code == 201, answer.text
    _dead_then_up(rig)

    patiently(lambda: not _nozzle(rig, 3)["price_pending"], "the nozzle has acknowledged")
    sale = rig.fill(3, quantity_e4=WISH_E4)

    assert (sale["unit_price_e4"], sale["marks"]) == (NEW_PRICE_E4, [])
    assert rig.gun(3)["unit_price_e4"] == NEW_PRICE_E4 != GUNS[2][3]
    rig.verify()


def _cut_at(rig: Rig, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    """Start the station agent anew, to end at `point`; it is on line when this returns."""
    patiently(lambda: not any(busy(gun) for gun in guns(rig)), "the guns hang, their sales are taken")
    monkeypatch.setenv(CRASH_VARIABLE, point)
    rig.kill("edge")
    before = _nozzle(rig, GUN)["updated_at"]
    rig.start("edge")
    monkeypatch.delenv(CRASH_VARIABLE)
    patiently(lambda: _nozzle(rig, GUN)["updated_at"] != before, "the station agent is on line")


def _dead_then_up(rig: Rig) -> None:
    patiently(lambda: rig.processes["edge"].poll() is not None, "the power went")
    assert rig.processes["edge"].returncode == EXIT_CODE
    rig.start("edge")


def _nozzle(rig: Rig, gun: int) -> dict[str, object]:
    items = rig.get(f"/stations/{rig.facts['station_id']}/forecourt")["items"]
    return next(item for item in items if item["id"] == rig.nozzle(gun))
