"""Charging over HTTP: each operator sees its own, and what is not of the form is refused with a code."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from tests.charging.world import ChargingWorld, open_world

from forecourt.charging import service
from forecourt.charging.routes import router
from forecourt.charging.types import CHARGING_READ, CHARGING_WRITE, Boot
from forecourt.core.actor import Actor
from forecourt.core.db import Database
from forecourt.core.errors import Unauthenticated
from forecourt.core.http import Credentials, check_declarations, provide
from forecourt.core.http.problem import install_problems
from forecourt.devices import queries as devices
from forecourt_kit.clock import rfc3339
from forecourt_kit.ids import to_public


@pytest.fixture
async def world(sqlite_database: Database) -> ChargingWorld:
    return await open_world(sqlite_database)


@pytest.fixture
async def ours(world: ChargingWorld) -> AsyncIterator[AsyncClient]:
    async with client(world, "ours") as opened:
        yield opened


@pytest.fixture
async def theirs(world: ChargingWorld) -> AsyncIterator[AsyncClient]:
    async with client(world, "theirs") as opened:
        yield opened


def client(world: ChargingWorld, token: str) -> AsyncClient:
    both = frozenset({CHARGING_READ, CHARGING_WRITE})
    actors: dict[str, Actor] = {
        "ours": replace(world.actor, permissions=both),
        "theirs": replace(world.stranger, permissions=both),
        "reader": replace(world.actor, permissions=frozenset({CHARGING_READ})),
    }

    async def authenticate(credentials: Credentials) -> Actor:
        if credentials.token not in actors:
            raise Unauthenticated
        return actors[credentials.token]

    app = FastAPI(openapi_url=None)
    install_problems(app)
    provide(app, world.database)
    app.state.authenticate = authenticate
    app.include_router(router)
    check_declarations(app)
    headers = {"authorization": f"Bearer {token}"}
    return AsyncClient(transport=ASGITransport(app), base_url="http://test", headers=headers)


async def rows(asked: AsyncClient, what: str) -> list[Any]:
    answer = await asked.get(f"/charging/{what}")
    assert answer.status_code == 200
    (found,) = answer.json().values()
    return list(found)


class TestSessions:
    async def test_each_operator_sees_its_own(
        self, world: ChargingWorld, ours: AsyncClient, theirs: AsyncClient
    ) -> None:
        await world.start()
        (mine,) = await rows(ours, "transactions")
        assert (mine["state"], mine["verdict"]) == ("open", "invalid")
        assert await rows(theirs, "transactions") == []
        assert await rows(ours, "transactions?state=ended") == []
        assert (await ours.get(f"/charging/transactions/{mine['id']}")).json()["id"] == mine["id"]
        refused = await theirs.get(f"/charging/transactions/{mine['id']}")
        assert (refused.status_code, refused.json()["code"]) == (404, "charging.transaction_not_found")

    async def test_a_person_ends_what_was_left_open(self, world: ChargingWorld, ours: AsyncClient) -> None:
        await world.start(meter_wh=1_000)
        (mine,) = await rows(ours, "transactions")
        asked = await ours.post(f"/charging/transactions/{mine['id']}/stop")
        assert asked.status_code == 202
        now = rfc3339(world.database.clock.now())
        for bad in (-1, 1.5, "7", None, 10**16):
            body = {"meter_stop_wh": bad, "ended_at": now}
            assert (await ours.post(f"/charging/transactions/{mine['id']}/end", json=body)).status_code == 422
        body = {"meter_stop_wh": 2_000, "ended_at": now}
        ended = await ours.post(f"/charging/transactions/{mine['id']}/end", json=body)
        assert (ended.status_code, ended.json()["state"]) == (200, "ended")
        assert ended.json()["delivery_id"]
        again = await ours.post(f"/charging/transactions/{mine['id']}/end", json=body)
        assert (again.status_code, again.json()["code"]) == (409, "charging.transaction_ended")

    async def test_a_reader_may_not_write(self, world: ChargingWorld) -> None:
        async with client(world, "reader") as reader, client(world, "nobody") as nobody:
            assert (await reader.post("/charging/tokens", json={"tag": "A"})).status_code == 403
            assert (await nobody.get("/charging/tokens")).status_code == 401


class TestStrayStops:
    async def test_matched_or_dismissed_once(
        self, world: ChargingWorld, ours: AsyncClient, theirs: AsyncClient
    ) -> None:
        await world.start()
        await world.stop(-1, 2_000)
        await world.stop(-2, 3_000)
        assert await rows(theirs, "stray-stops") == []
        first, second = await rows(ours, "stray-stops")
        (mine,) = await rows(ours, "transactions")
        refused = await theirs.post(f"/charging/stray-stops/{second['id']}/dismiss")
        assert refused.status_code == 404
        matched = await ours.post(
            f"/charging/stray-stops/{first['id']}/match", json={"charging_id": mine["id"]}
        )
        assert matched.json()["meter_stop_wh"] == 2_000
        assert (await ours.post(f"/charging/stray-stops/{second['id']}/dismiss")).status_code == 204
        assert await rows(ours, "stray-stops") == []


class TestTokens:
    async def test_registered_blocked_and_seen_by_their_operator(
        self, ours: AsyncClient, theirs: AsyncClient
    ) -> None:
        made = await ours.post("/charging/tokens", json={"tag": "04A1B2C3"})
        assert (made.status_code, made.json()["state"]) == (201, "active")
        taken = await ours.post("/charging/tokens", json={"tag": "04A1B2C3"})
        assert (taken.status_code, taken.json()["code"]) == (409, "charging.token_taken")
        assert (await theirs.post("/charging/tokens", json={"tag": "04A1B2C3"})).status_code == 201
        for bad in ("", "x" * 21, "with blank", "中"):
            assert (await ours.post("/charging/tokens", json={"tag": bad})).status_code == 422
        path = f"/charging/tokens/{made.json()['id']}"
        assert (await theirs.patch(path, json={"state": "blocked"})).status_code == 404
        assert (await ours.patch(path, json={"state": "blocked"})).json()["state"] == "blocked"
        assert len(await rows(ours, "tokens")) == 1


class TestChargePoints:
    async def test_asked_something_of_ocpp(
        self, world: ChargingWorld, ours: AsyncClient, theirs: AsyncClient
    ) -> None:
        await world.database.transact(service.boot, world.ref, world.frame(), Boot(vendor="V", model="M"))
        listed = f"stations/{to_public(world.station_id)}/charge-points"
        ((found),) = await rows(ours, listed)
        assert (found["vendor"], found["registration"]) == ("V", "accepted")
        assert await rows(theirs, listed) == []
        path = f"/charging/charge-points/{found['device_id']}/calls"
        reset = {"action": "Reset", "payload": {"type": "Soft"}}
        assert (await ours.post(path, json=reset)).status_code == 202
        assert (await theirs.post(path, json=reset)).status_code == 404
        for action, payload in (
            ("Reset", {"type": "Sideways"}),
            ("Reset", {}),
            ("RemoteStartTransaction", {"idTag": "A"}),
            ("BootNotification", {}),
            ("Fly", {}),
        ):
            refused = await ours.post(path, json={"action": action, "payload": payload})
            assert (refused.status_code, refused.json()["code"]) == (422, "charging.call_refused")
        async with world.database.read() as session:
            (due,) = await devices.commands_due_many(session, limit=10)
        assert due.body == reset
