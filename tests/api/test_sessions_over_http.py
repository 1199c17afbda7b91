"""Log-in, cookies, sessions, staff, terminals: as a browser or a script meets them."""

import asyncio

import httpx
from httpx import ASGITransport, AsyncClient
from tests.api.conftest import PASSWORD, World

from forecourt_kit.ids import to_public


def browser(world: World) -> AsyncClient:
    """Keeps cookies, as a browser on the console does."""
    return AsyncClient(
        transport=ASGITransport(world.app, client=("203.0.113.7", 5000)),
        base_url="http://t",
        headers={"origin": "http://t"},
    )


async def log_in(client: AsyncClient, account: str, password: str = PASSWORD) -> httpx.Response:
    return await client.post("/api/v1/session", json={"account": account, "password": password})


class TestLogIn:
    async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(self, world: World) -> None:
        async with browser(world) as client:
            answer = await log_in(client, "operator_admin@ours")
        assert answer.status_code == 200
        cookie = answer.headers["set-cookie"].lower()
        assert cookie.startswith("forecourt_session=")
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert "path=/" in cookie
        assert "secure" not in cookie  # Plain HTTP here; over TLS it is set.
        assert answer.json()["scope"] == {
            "kind": "operator",
            "operator_id": to_public(world.ours.operator_id),
            "device_id": None,
            "station_id": None,
        }
        assert "sites:write" in answer.json()["permissions"]

    async def test_over_tls_the_cookie_is_secure(self, world: World) -> None:
        transport = ASGITransport(world.app)
        async with AsyncClient(transport=transport, base_url="https://t") as client:
            answer = await log_in(client, "operator_admin@ours")
        assert "secure" in answer.headers["set-cookie"].lower()

    async def test_log_in_me_log_out(self, world: World) -> None:
        async with browser(world) as client:
            assert (await client.get("/api/v1/session")).status_code == 401
            told = (await log_in(client, "cashier@ours")).json()
            assert (await client.get("/api/v1/session")).json() == told
            token = client.cookies["forecourt_session"]
            assert (await client.delete("/api/v1/session")).status_code == 204
            assert "forecourt_session" not in client.cookies
            client.cookies.set("forecourt_session", token)
            assert (await client.get("/api/v1/session")).status_code == 401

    async def test_another_sites_page_can_neither_log_in_nor_write(self, world: World) -> None:
        async with browser(world) as client:
            await log_in(client, "operator_admin@ours")
            client.headers["origin"] = "https://evil.example"
            body = {"name": "Station"}
            for answer in (
                await client.post("/api/v1/stations", json=body),
                await log_in(client, "operator_admin@ours"),
                await client.delete("/api/v1/session"),
            ):
                assert (answer.status_code, answer.json()["code"]) == (403, "core.cross_site")
            assert (await client.get("/api/v1/session")).status_code == 200

    async def test_wrong_passwords_end_in_429_with_a_time_to_wait(self, world: World) -> None:
        async with browser(world) as client:
            for _ in range(10):
                answer = await log_in(client, "cashier@ours", "wrong one")
                assert (answer.status_code, answer.json()["code"]) == (401, "access.log_in_failed")
            answer = await log_in(client, "cashier@ours")
        assert (answer.status_code, answer.json()["code"]) == (429, "access.too_many_tries")
        assert int(answer.headers["retry-after"]) > 60


class TestOwnSessions:
    async def test_sessions_are_listed_and_ended_one_by_one(self, world: World) -> None:
        async with browser(world) as first, browser(world) as second:
            await log_in(first, "cashier@ours")
            await log_in(second, "cashier@ours")
            items = (await second.get("/api/v1/sessions")).json()["items"]
            assert len(items) == 3  # With the one that the world opened.
            assert [each["current"] for each in items] == [True, False, False]
            assert (await second.delete(f"/api/v1/sessions/{items[1]['id']}")).status_code == 204
            assert (await first.get("/api/v1/session")).status_code == 401
            assert (await second.get("/api/v1/session")).status_code == 200

    async def test_nobody_ends_anybody_elses(self, world: World) -> None:
        async with browser(world) as mine, browser(world) as theirs:
            await log_in(mine, "cashier@ours")
            await log_in(theirs, "auditor@ours")
            foreign = (await theirs.get("/api/v1/sessions")).json()["items"][0]["id"]
            assert (await mine.delete(f"/api/v1/sessions/{foreign}")).status_code == 404
            assert (await theirs.get("/api/v1/session")).status_code == 200

    async def test_a_new_password_must_not_be_weak(self, world: World) -> None:
        async with browser(world) as client:
            await log_in(client, "cashier@ours")
            change = {"old": PASSWORD, "new": "password1"}
            weak = await client.put("/api/v1/session/password", json=change)
            assert (weak.status_code, weak.json()["code"]) == (422, "access.password_too_weak")
            change["new"] = "another fine phrase"
            assert (await client.put("/api/v1/session/password", json=change)).status_code == 204
            assert (await log_in(client, "cashier@ours")).status_code == 401
            assert (await log_in(client, "cashier@ours", "another fine phrase")).status_code == 200


class TestStaff:
    async def test_an_administrator_takes_on_changes_and_disables(self, world: World) -> None:
        body = {"login": "new.cashier", "name": "新员工", "role": "cashier", "password": PASSWORD}
        async with world.client(world.ours.tokens["operator_admin"]) as client, browser(world) as person:
            made = await client.post("/api/v1/staff", json=body)
            assert made.status_code == 201, made.text
            assert "password" not in made.text
            assert (await client.post("/api/v1/staff", json=body)).json()["code"] == "access.login_taken"
            assert (await log_in(person, "new.cashier")).status_code == 200
            path = f"/api/v1/staff/{made.json()['id']}"
            assert (await client.patch(path, json={"disabled": True})).json()["disabled"] is True
            assert (await person.get("/api/v1/session")).status_code == 401
            trail = (await client.get("/api/v1/audit")).json()["items"]
        assert [each["action"] for each in trail[:3]] == [
            "access.change_staff",
            "access.log_in",
            "access.create_staff",
        ]

    async def test_a_role_or_tenant_cannot_be_smuggled_in(self, world: World) -> None:
        base = {"login": "sneaky", "name": "S", "role": "cashier", "password": PASSWORD}
        async with world.client(world.ours.tokens["operator_admin"]) as client:
            for more, status in (
                ({"role": "platform_admin"}, 403),
                ({"operator_id": to_public(world.theirs.operator_id)}, 403),
                ({"disabled": False}, 422),
                ({"password_hash": "x"}, 422),
            ):
                answer = await client.post("/api/v1/staff", json={**base, **more})
                assert answer.status_code == status, (more, answer.text)

    async def test_the_platform_opens_an_operator(self, world: World) -> None:
        body = {
            "code": "third",
            "name": "Third",
            "admin_login": "admin@third",
            "admin_name": "Admin",
            "admin_password": PASSWORD,
        }
        async with world.client(world.platform_token) as client, browser(world) as person:
            made = await client.post("/api/v1/operators", json=body)
            assert made.status_code == 201, made.text
            assert (await log_in(person, "admin@third")).status_code == 200
            listed = (await person.get("/api/v1/operators")).json()["items"]
        assert [each["code"] for each in listed] == ["third"]

    async def test_a_bootstrap_code_is_worthless_once_there_is_an_administrator(self, world: World) -> None:
        body = {"code": "whatever", "login": "root2", "name": "R", "password": PASSWORD}
        async with world.client() as client:
            answer = await client.post("/api/v1/bootstrap", json=body)
        assert (answer.status_code, answer.json()["code"]) == (401, "access.code_unknown")


class TestTerminals:
    async def test_a_terminal_enrols_and_knows_itself(self, world: World) -> None:
        async with world.client(world.ours.tokens["operator_admin"]) as admin, browser(world) as pillar:
            body = {"station_id": to_public(world.ours.station.id), "kind": "terminal", "name": "Pillar 2"}
            made = (await admin.post("/api/v1/devices", json=body)).json()
            answer = await pillar.post("/api/v1/terminals/enrol", json={"code": made["enrolment"]["code"]})
            assert answer.status_code == 201
            assert "forecourt_device=" in answer.headers["set-cookie"]
            me = (await pillar.get("/api/v1/terminals/me")).json()
            assert me == {
                "terminal_id": made["device"]["id"],
                "name": "Pillar 2",
                "station": {
                    "id": to_public(world.ours.station.id),
                    "name": "Station ours",
                    "timezone": "Asia/Shanghai",
                },
                "nozzles": [{"id": to_public(world.ours.nozzle.id), "number": 1}],
            }
            assert (await pillar.get("/api/v1/session")).json()["scope"]["kind"] == "device"
            assert (await pillar.get("/api/v1/devices")).status_code == 403
            again = await pillar.post("/api/v1/terminals/enrol", json={"code": made["enrolment"]["code"]})
            assert (again.status_code, again.json()["code"]) == (401, "devices.enrolment_refused")
            revoked = await admin.post(f"/api/v1/devices/{made['device']['id']}/revoke")
            assert revoked.json()["state"] == "revoked"
            assert (await pillar.get("/api/v1/terminals/me")).status_code == 401

    async def test_a_person_is_no_terminal(self, world: World) -> None:
        async with world.client(world.ours.tokens["cashier"]) as client:
            assert (await client.get("/api/v1/terminals/me")).status_code == 403

    async def test_secrets_are_in_the_first_answer_only(self, world: World) -> None:
        body = {"station_id": to_public(world.ours.station.id), "kind": "station_agent", "name": "Agent"}
        async with world.client(world.ours.tokens["operator_admin"]) as client:
            made = (await client.post("/api/v1/devices", json=body)).json()
            assert len(made["psk_hex"]) == 64
            listed = await client.get("/api/v1/devices")
            audit = await client.get("/api/v1/audit")
            rotated = (await client.post(f"/api/v1/devices/{made['device']['id']}/key")).json()
        assert made["psk_hex"] not in listed.text + audit.text
        assert (rotated["key_id"], rotated["psk_hex"] == made["psk_hex"]) == (2, False)

    async def test_a_station_is_set_up_over_http(self, world: World) -> None:
        async with world.client(world.ours.tokens["operator_admin"]) as client:
            station = (await client.post("/api/v1/stations", json={"name": "LNG", "day_cut_min": 480})).json()
            base = f"/api/v1/stations/{station['id']}"
            dispenser = (await client.post(f"{base}/dispensers", json={"number": 1})).json()
            product = {"code": "LNG", "name": "液化天然气", "energy": "lng", "unit": "kg"}
            sold = (await client.post("/api/v1/products", json=product)).json()
            tank = {"number": 1, "product_id": sold["id"], "capacity_e4": 10**9}
            holds = (await client.post(f"{base}/tanks", json=tank)).json()
            body = {"number": 1, "energy": "lng", "unit": "kg", "dispenser_id": dispenser["id"]}
            nozzle = (await client.post(f"{base}/nozzles", json=body)).json()
            supply = {"product_id": sold["id"], "tank_id": holds["id"]}
            put = await client.put(f"/api/v1/nozzles/{nozzle['id']}/supply", json=supply)
            assert put.status_code == 200, put.text
            shown = (await client.get(f"/api/v1/nozzles/{nozzle['id']}")).json()
            assert shown["product"]["name"] == "液化天然气"
            listed = (await client.get("/api/v1/stations?limit=1")).json()
            rest = (await client.get(f"/api/v1/stations?limit=1&cursor={listed['next_cursor']}")).json()
        assert [each["name"] for each in listed["items"] + rest["items"]] == ["LNG", "Station ours"]
        assert (listed["items"][0]["energies"], listed["items"][0]["nozzle_count"]) == (["lng"], 1)


async def test_requests_at_once_each_get_their_own_answer(world: World) -> None:
    tokens = [world.ours.tokens["cashier"], world.theirs.tokens["cashier"], "nobody", world.platform_token]
    async with world.client() as client:
        answers = await asyncio.gather(
            *(
                client.get("/api/v1/session", headers={"authorization": f"Bearer {token}"})
                for token in tokens * 5
            )
        )
    assert [answer.json().get("login") for answer in answers] == [
        "cashier@ours",
        "cashier@theirs",
        None,
        "platform_admin",
    ] * 5


async def test_odd_ids_and_limits_are_answered_without_internals(world: World) -> None:
    async with world.client(world.ours.tokens["operator_admin"]) as client:
        for path in ("/api/v1/devices/%00", "/api/v1/devices/0000000000000", "/api/v1/stations?limit=0"):
            answer = await client.get(path)
            assert answer.status_code in {404, 422}, path
            assert "Traceback" not in answer.text
