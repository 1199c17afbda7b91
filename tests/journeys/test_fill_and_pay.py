"""Whole stories at one station: a vehicle at the nozzle becomes settled money."""

import pytest
from tests.journeys.rig import GUNS, Rig, until

from forecourt_kit.price import amount_fen

PRICE_95 = GUNS[1][3]


def key(name: str, rig: Rig) -> str:
    return f"{name}-{rig.backend.name}"


@pytest.fixture(autouse=True)
def _books_agree(rig: Rig) -> object:
    yield
    rig.verify()


def test_fill_then_pay_by_qr(rig: Rig) -> None:
    sale = rig.fill(1, quantity_e4=20_0000, keypad=True)
    assert (sale["state"], sale["due_fen"], sale["marks"]) == ("open", 157_00, [])

    asked = rig.pay(sale["id"], key("qr-0001", rig), tender="wechat", product="native")
    assert asked["state"] == "pending"
    assert asked["qr_svg"].startswith("<svg")
    rig.scan(asked["qr_text"])

    paid = rig.until_sale(sale["id"], "paid")
    assert (paid["paid_fen"], paid["tenders"]) == (157_00, ["wechat"])
    story = rig.get(f"/sales/{sale['id']}/timeline")
    kinds = {entry["kind"] for entry in story["entries"]}
    assert {"device_message", "delivery", "price", "payment", "attempt"} <= kinds
    debits = sum(line["amount_fen"] for line in story["postings"] if line["side"] == "debit")
    credited = sum(line["amount_fen"] for line in story["postings"] if line["side"] == "credit")
    assert debits == credited == 2 * 157_00


def test_a_preset_of_200_yuan_costs_200_yuan(rig: Rig) -> None:
    sale = rig.fill(1, amount_fen=200_00, keypad=True)

    assert (sale["due_fen"], sale["quantity_e4"], sale["marks"]) == (200_00, 25_4800, [])


@pytest.mark.parametrize(("gun", "unit"), [(3, "kg"), (4, "Nm3"), (5, "kg")])
def test_every_energy_is_one_kind_of_sale(rig: Rig, gun: int, unit: str) -> None:
    sale = rig.fill(gun, amount_fen=60_00, keypad=True)
    paid = rig.pay(sale["id"], key(f"energy-{gun}", rig), tender="cash")

    assert (sale["unit"], sale["due_fen"], sale["marks"]) == (unit, 60_00, [])
    assert paid["state"] == "paid"


def test_prepaid_by_wallet_the_rest_is_free_again(rig: Rig) -> None:
    before = rig.wallet()["available_fen"]
    granted = authorise(rig, tender="wallet", kind="prepaid", preset={"kind": "amount", "value": 100_00})
    assert rig.wallet()["available_fen"] == before - 100_00

    sale = rig.fill(2, quantity_e4=5_0000)

    paid = rig.until_sale(sale["id"], "paid")
    assert (paid["due_fen"], paid["tenders"]) == (amount_fen(paid["quantity_e4"], PRICE_95), ["wallet"])
    assert rig.wallet()["available_fen"] == before - paid["due_fen"]
    assert rig.get(f"/authorisations/{granted['id']}")["state"] == "consumed"


def test_prepaid_by_wechat_the_rest_is_refunded(rig: Rig) -> None:
    refunded = channel_totals(rig)["refunded_fen"]
    granted = authorise(rig, tender="wechat", kind="prepaid", preset={"kind": "amount", "value": 100_00})
    pay_ahead(rig, granted)

    sale = rig.fill(2, quantity_e4=5_0000)

    paid = rig.until_sale(sale["id"], "paid")
    assert paid["tenders"] == ["wechat"]
    rest_fen = 100_00 - paid["due_fen"]
    until(lambda: channel_totals(rig)["refunded_fen"] == refunded + rest_fen, "the rest went back")


def test_prepaid_and_nothing_drawn_all_goes_back(rig: Rig) -> None:
    refunded = channel_totals(rig)["refunded_fen"]
    granted = authorise(rig, tender="wechat", kind="prepaid", preset={"kind": "amount", "value": 50_00})
    pay_ahead(rig, granted)
    rig.station(do="lift", gun=2)
    until(lambda: rig.gun(2)["state"] not in {"idle", "lifted", "calling"}, "the gun is released")
    rig.station(do="hang_up", gun=2)

    until(lambda: channel_totals(rig)["refunded_fen"] == refunded + 50_00, "all went back")


def test_a_bound_payer_is_charged_at_hang_up(rig: Rig) -> None:
    before = rig.wallet()["available_fen"]
    authorise(rig, tender="wallet", kind="bound", preset={"kind": "full"}, limit_fen=300_00)

    sale = rig.fill(2, quantity_e4=10_0000)

    paid = rig.until_sale(sale["id"], "paid")
    assert paid["due_fen"] == amount_fen(paid["quantity_e4"], PRICE_95) < 300_00
    assert rig.wallet()["available_fen"] == before - paid["due_fen"]


def test_a_short_limit_is_refused_before_flow(rig: Rig) -> None:
    body = {
        "nozzle_id": rig.nozzle(2),
        "kind": "bound",
        "tender": "wallet",
        "member_id": rig.facts["member_id"],
        "preset": {"kind": "full"},
        "limit_fen": 5_000_00,
    }
    refused = rig.post("/authorisations", body)

    assert (refused.status_code, refused.json()["code"]) == (409, "ledger.insufficient_funds")


def test_code_pay_that_stays_unclear_ends_in_a_reverse(rig: Rig) -> None:
    sale = rig.fill(1, quantity_e4=2_0000, keypad=True)
    rig.channel("POST", "faults", {"kind": "userpaying", "operation": "code"})
    asked = rig.pay(
        sale["id"], key("code-0001", rig), tender="wechat", product="code", payer_code="139876543210987654"
    )
    assert asked["state"] == "pending"
    assert rig.sale(sale["id"])["state"] == "paying"

    assert rig.until_sale(sale["id"], "open")["paid_fen"] == 0
    assert rig.get(f"/payments/{asked['id']}")["state"] == "closed"
    rig.pay(sale["id"], key("code-0002", rig), tender="cash")


def test_two_payers_one_sale_the_second_gets_his_money_back(rig: Rig) -> None:
    refunded = channel_totals(rig)["refunded_fen"]
    sale = rig.fill(1, quantity_e4=3_0000, keypad=True)
    first = rig.pay(sale["id"], key("two-0001", rig), tender="wechat", product="native")
    second = rig.pay(sale["id"], key("two-0002", rig), tender="wechat", product="native")
    rig.scan(first["qr_text"])
    rig.scan(second["qr_text"])

    rig.until_sale(sale["id"], "paid")
    until(lambda: channel_totals(rig)["refunded_fen"] == refunded + sale["due_fen"], "one went back")


def test_a_price_change_without_touching_the_dispenser(rig: Rig) -> None:
    sale = rig.fill(4, quantity_e4=10_0000, keypad=True)
    assert sale["unit_price_e4"] == GUNS[3][3]
    set_price(rig, 4, 44_500)
    until(lambda: not nozzle(rig, 4)["price_pending"], "the nozzle has acknowledged")

    changed = rig.fill(4, quantity_e4=10_0000, keypad=True)

    assert (changed["unit_price_e4"], changed["due_fen"], changed["marks"]) == (44_500, 44_50, [])


def test_a_nozzle_that_does_not_acknowledge_sells_at_its_old_price_and_says_so(rig: Rig) -> None:
    rig.station(do="fault", gun=5, kind="price_not_acknowledged", on=True)
    set_price(rig, 5, 360_000)
    until(lambda: nozzle(rig, 5)["price_pending"], "the price waits at the nozzle")

    sale = rig.fill(5, quantity_e4=1_0000, keypad=True)

    assert (sale["unit_price_e4"], sale["due_fen"]) == (350_000, 35_00)
    assert "price_pending" in sale["marks"]
    rig.station(do="fault", gun=5, kind="price_not_acknowledged", on=False)


def authorise(rig: Rig, **body: object) -> dict[str, str]:
    until(lambda: nozzle(rig, 2)["state"] in {"idle", "ended"}, "nozzle 2 is free")
    body = {"nozzle_id": rig.nozzle(2), "member_id": rig.facts["member_id"], **body}
    if body["tender"] != "wallet":
        del body["member_id"]
    answer = rig.post("/authorisations", body)
    assert answer.status_code == 201, answer.text
    granted: dict[str, str] = answer.json()
    return granted


def pay_ahead(rig: Rig, granted: dict[str, str]) -> None:
    rig.scan(rig.get(f"/payments/{granted['payment_id']}")["qr_text"])
    until(lambda: rig.get(f"/authorisations/{granted['id']}")["state"] == "granted", "it is granted")


def channel_totals(rig: Rig) -> dict[str, int]:
    (mine,) = rig.channel("GET", "totals")["merchants"].values()
    return mine  # type: ignore[no-any-return]


def nozzle(rig: Rig, gun: int) -> dict[str, object]:
    items = rig.get(f"/stations/{rig.facts['station_id']}/forecourt")["items"]
    return next(item for item in items if item["id"] == rig.nozzle(gun))


def set_price(rig: Rig, gun: int, unit_price_e4: int) -> None:
    body = {"product_id": rig.facts["products"][gun - 1], "unit_price_e4": unit_price_e4}
    answer = rig.post(f"/stations/{rig.facts['station_id']}/prices", body)
    assert answer.status_code == 201, answer.text
