# mypy: disable-error-code="untyped-decorator, misc"
"""Charging at the same station, by a client of others: priced, paid and booked like a litre."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from ocpp.routing import on
from ocpp.v16 import ChargePoint, call, call_result
from tests.journeys.rig import Rig, until
from tests.journeys.traffic import patiently, top_up
from websockets.asyncio.client import connect

CODE = "CP-1"
TAG = "CARD-1"
WH_START = 50_000
WH = 6_789  # 6.789 kWh at 1.38 yuan: 9.36882, so 9.37.
DUE_FEN = 9_37


class Charger(ChargePoint):
    """The package's client. It starts and stops when it is told to."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    @on("RemoteStartTransaction")
    def remote_start(self, **told: Any) -> Any:
        self.told.put_nowait(told)
        return call_result.RemoteStartTransaction(status="Accepted")

    @on("RemoteStopTransaction")
    def remote_stop(self, **told: Any) -> Any:
        self.told.put_nowait(told)
        return call_result.RemoteStopTransaction(status="Accepted")

    async def ready(self) -> None:
        boot = call.BootNotification(charge_point_model="Wallbox", charge_point_vendor="Others")
        assert (await self.call(boot)).status == "Accepted"
        await self.call(call.StatusNotification(connector_id=1, error_code="NoError", status="Preparing"))

    async def charge(self, id_tag: str, wh_start: int) -> None:
        """One whole transaction of `WH`, as quick as no battery is."""
        begun_at = datetime.now(UTC)
        begun = await self.call(
            call.StartTransaction(
                connector_id=1, id_tag=id_tag, meter_start=wh_start, timestamp=begun_at.isoformat()
            )
        )
        assert begun.id_tag_info["status"] == "Accepted"
        for seconds, wh in ((1, 2_000), (2, 5_000)):
            at = begun_at + timedelta(seconds=seconds)
            await self.call(
                call.MeterValues(
                    connector_id=1,
                    transaction_id=begun.transaction_id,
                    meter_value=[register(at, wh_start + wh)],
                )
            )
        await self.call(
            call.StopTransaction(
                meter_stop=wh_start + WH,
                timestamp=(begun_at + timedelta(seconds=3)).isoformat(),
                transaction_id=begun.transaction_id,
                reason="EVDisconnected",
                id_tag=id_tag,
            )
        )


def register(at: datetime, wh: int) -> dict[str, Any]:
    sampled = {"value": str(wh), "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
    return {"timestamp": at.isoformat(), "sampled_value": [sampled]}


@contextlib.asynccontextmanager
async def charger(rig: Rig) -> AsyncIterator[Charger]:
    pair = base64.b64encode(f"{CODE}:{rig.facts['charge_point_password']}".encode()).decode()
    async with connect(
        f"ws://127.0.0.1:{rig.ports['devices1']}/ocpp/{CODE}",
        subprotocols=["ocpp1.6"],  # type: ignore[list-item]
        additional_headers={"Authorization": f"Basic {pair}"},
        proxy=None,
    ) as socket:
        point = Charger(CODE, socket)
        listening = asyncio.create_task(point.start())
        try:
            yield point
        finally:
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening


def sales_of_connector(rig: Rig) -> dict[str, dict[str, Any]]:
    return {sale["id"]: sale for sale in rig.sales(nozzle_id=rig.facts["connector_id"])}


def _register_wh(known: set[str]) -> int:
    """The charger's energy register goes on where it stood."""
    return WH_START + WH * len(known)


def new_sale(rig: Rig, known: set[str]) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        return next((sale for sale_id, sale in sales_of_connector(rig).items() if sale_id not in known), None)

    sale: dict[str, Any] = patiently(look, "the energy is a sale")
    return sale


def test_a_card_charges_and_the_energy_is_paid_in_cash(rig: Rig) -> None:
    known = set(sales_of_connector(rig))

    async def story() -> None:
        async with charger(rig) as point:
            await point.ready()
            refused = await point.call(call.Authorize(id_tag="NOBODY"))
            assert refused.id_tag_info["status"] == "Invalid"
            allowed = await point.call(call.Authorize(id_tag=TAG))
            assert allowed.id_tag_info["status"] == "Accepted"
            await point.charge(TAG, _register_wh(known))

    asyncio.run(story())
    sale = new_sale(rig, known)
    assert (sale["unit"], sale["quantity_e4"], sale["due_fen"]) == ("kWh", WH * 10, DUE_FEN)
    assert sale["marks"] == []
    rig.pay(sale["id"], f"charging-cash-{rig.backend.name}", tender="cash")

    assert rig.until_sale(sale["id"], "paid")["tenders"] == ["cash"]
    postings = rig.get(f"/sales/{sale['id']}/timeline")["postings"]
    for side in ("debit", "credit"):
        assert sum(each["amount_fen"] for each in postings if each["side"] == side) == DUE_FEN
    assert set(sales_of_connector(rig)) - known == {sale["id"]}
    rig.verify()


def test_prepaid_by_wallet_started_from_afar_and_the_rest_is_free_again(rig: Rig) -> None:
    known, before_fen = set(sales_of_connector(rig)), top_up(rig)
    body = {
        "nozzle_id": rig.facts["connector_id"],
        "member_id": rig.facts["member_id"],
        "kind": "prepaid",
        "tender": "wallet",
        "preset": {"kind": "amount", "value": 50_00},
    }

    async def story() -> str:
        async with charger(rig) as point:
            await point.ready()
            answer = await asyncio.to_thread(rig.post, "/authorisations", body)
            assert answer.status_code == 201, answer.text
            assert (await asyncio.to_thread(rig.wallet))["available_fen"] == before_fen - 50_00
            async with asyncio.timeout(60):
                started = await point.told.get()
            granted: str = answer.json()["id"]
            assert started == {"id_tag": granted, "connector_id": 1}
            await point.charge(started["id_tag"], _register_wh(known))
            return granted

    granted = asyncio.run(story())
    paid = rig.until_sale(new_sale(rig, known)["id"], "paid")
    assert (paid["due_fen"], paid["tenders"]) == (DUE_FEN, ["wallet"])
    until(lambda: rig.get(f"/authorisations/{granted}")["state"] == "consumed", "it is consumed")
    assert rig.wallet()["available_fen"] == before_fen - DUE_FEN
    rig.verify()
