"""One application with every kind of endpoint, asked the way a careless or hostile client asks."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any

import httpx
import msgspec
import pytest
from fastapi import Depends, FastAPI
from httpx import ASGITransport, AsyncClient
from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

from forecourt.core.actor import Actor, Operator, OperatorId, Permission
from forecourt.core.errors import Refusal, Unauthenticated, Unavailable
from forecourt.core.http import (
    Credentials,
    HotRoute,
    IdempotencyKey,
    IdOut,
    In,
    Out,
    PublicId,
    check_declarations,
    public,
    refusals,
    require,
    signed_in,
)
from forecourt.core.http.envelope import Envelope
from forecourt.core.http.fields import AmountFen, Instant, InstantOut, Name
from forecourt.core.http.hot import decoded
from forecourt.core.http.limits import JSON_DEPTH_MAX, Limits, RequestLimits
from forecourt.core.http.metrics import HttpMetrics, exposition
from forecourt.core.http.permissions import UndeclaredEndpoint, actor_of, declare
from forecourt.core.http.problem import install_problems
from forecourt_kit.clock import ManualClock
from forecourt_kit.ids import to_public
from forecourt_kit.random import SeededRandom

READ = Permission("things:read")
BODY_BYTES_MAX = 4096


class TooDear(Refusal):
    """It costs more than you have."""

    code = "things.too_dear"


class ThingIn(In):
    amount_fen: AmountFen
    name: Name = "thing"
    at: Instant | None = None


class ThingOut(Out):
    id: IdOut
    amount_fen: int
    at: InstantOut | None


class HotIn(msgspec.Struct, forbid_unknown_fields=True):
    amount_fen: Annotated[int, msgspec.Meta(ge=1, le=10**13)]


async def authenticate(credentials: Credentials) -> Actor:
    held = {"all": frozenset({READ}), "none": frozenset[Permission]()}.get(credentials.token)
    if held is None:
        raise Unauthenticated
    return Actor(scope=Operator(OperatorId(7)), subject="tester", permissions=held)


def build() -> tuple[FastAPI, CollectorRegistry]:
    app = FastAPI(openapi_url=None)
    app.state.authenticate = authenticate
    registry = CollectorRegistry()
    install_problems(app)
    app.add_middleware(
        RequestLimits, limits=Limits(BODY_BYTES_MAX, 0.2, frozenset({"https://friend.example"}))
    )
    app.add_middleware(
        Envelope, clock=ManualClock(), random=SeededRandom(1), metrics=HttpMetrics(registry), secure=True
    )

    @app.post("/api/things", dependencies=[Depends(public())], responses=refusals(TooDear))
    async def make_thing(body: ThingIn) -> ThingOut:
        return ThingOut(id=5, amount_fen=body.amount_fen, at=body.at)

    @app.get("/api/things/{thing_id}")
    async def get_thing(
        thing_id: PublicId, actor: Annotated[Actor, Depends(require(READ))]
    ) -> dict[str, Any]:
        return {"subject": actor.subject, "number": thing_id}

    @app.post("/api/keyed", dependencies=[Depends(public())])
    async def keyed(key: IdempotencyKey) -> str:
        return key

    @app.get("/api/dear", dependencies=[Depends(public())])
    async def dear() -> None:
        raise TooDear("no", asked_fen=10, sale_id=17, at=datetime(2026, 1, 1, tzinfo=UTC), who={"x_id": 3})

    @app.get("/api/down", dependencies=[Depends(public())])
    async def down() -> None:
        raise Unavailable

    @app.get("/api/bug", dependencies=[Depends(public())])
    async def bug() -> None:
        raise RuntimeError("secret inside")

    @app.get("/api/me", dependencies=[Depends(signed_in())])
    async def me() -> None:
        return None

    async def hot(request: Request) -> Response:
        body = await decoded(request, msgspec.json.Decoder(HotIn))
        return JSONResponse({"subject": (await actor_of(request)).subject, "amount_fen": body.amount_fen})

    app.router.routes.append(
        HotRoute("/api/hot", hot, methods=["POST"], declaration=require(READ), operation={"summary": "hot"})
    )
    return app, registry


@pytest.fixture
async def client() -> AsyncIterator[AsyncClient]:
    app, _ = build()
    async with AsyncClient(transport=ASGITransport(app), base_url="http://t") as opened:
        yield opened


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert set(body) == {"type", "title", "status", "code", "detail", "facts", "request_id"}
    assert body["status"] == answer.status_code
    assert body["request_id"] == answer.headers["x-request-id"]
    return answer.status_code, body["code"]


class TestProblems:
    async def test_a_refusal_carries_code_and_facts_as_the_outside_sees_them(
        self, client: AsyncClient
    ) -> None:
        answer = await client.get("/api/dear")
        assert problem(answer) == (409, "things.too_dear")
        assert answer.json()["facts"] == {
            "asked_fen": 10,
            "sale_id": to_public(17),
            "at": "2026-01-01T00:00:00.000000Z",
            "who": {"x_id": to_public(3)},
        }

    async def test_unavailable_says_when_to_come_back(self, client: AsyncClient) -> None:
        answer = await client.get("/api/down")
        assert problem(answer) == (503, "core.unavailable")
        assert answer.headers["retry-after"] == "2"

    async def test_a_bug_is_told_by_code_and_nothing_else(self, client: AsyncClient) -> None:
        answer = await client.get("/api/bug")
        assert problem(answer) == (500, "core.internal")
        assert "secret" not in answer.text
        assert "RuntimeError" not in answer.text

    async def test_an_unknown_address_and_method_have_the_same_shape(self, client: AsyncClient) -> None:
        assert problem(await client.get("/api/nothing")) == (404, "core.not_found")
        answer = await client.delete("/api/things")
        assert problem(answer) == (405, "core.method_not_allowed")
        assert answer.headers["allow"] == "POST"

    async def test_a_request_id_is_accepted_when_harmless_and_made_otherwise(
        self, client: AsyncClient
    ) -> None:
        given = await client.get("/api/dear", headers={"x-request-id": "till-7.0001"})
        assert given.json()["request_id"] == "till-7.0001"
        made = await client.get("/api/dear", headers={"x-request-id": 'x"\tinjected'})
        assert len(made.json()["request_id"]) == 16


BAD_AMOUNTS = [
    "-1",
    "0",
    "NaN",
    "1e400",
    "1.0",
    '"1"',
    "true",
    "1" + "0" * 23,
    "null",
    "-Infinity",
    "1" * 500,
    "[]",
]


class TestStrictBodies:
    @pytest.mark.parametrize("amount", BAD_AMOUNTS)
    async def test_an_amount_that_is_no_whole_fen_within_bounds_is_422(
        self, client: AsyncClient, amount: str
    ) -> None:
        headers = {"content-type": "application/json"}
        body = f'{{"amount_fen": {amount}}}'
        for path, more in (("/api/things", {}), ("/api/hot", bearer("all"))):
            answer = await client.post(path, content=body, headers={**headers, **more})
            assert problem(answer) == (422, "core.invalid"), path

    async def test_the_wrong_field_is_named_and_its_value_is_not_echoed(self, client: AsyncClient) -> None:
        answer = await client.post("/api/things", json={"amount_fen": "hunter2"})
        field = answer.json()["facts"]["fields"][0]
        assert (field["path"], field["code"]) == ("body.amount_fen", "int_type")
        assert "hunter2" not in answer.text

    async def test_a_field_that_was_not_asked_for_is_refused(self, client: AsyncClient) -> None:
        answer = await client.post("/api/things", json={"amount_fen": 1, "operator_id": 2})
        assert problem(answer) == (422, "core.invalid")
        assert answer.json()["facts"]["fields"][0]["path"] == "body.operator_id"
        hot = await client.post("/api/hot", json={"amount_fen": 1, "x": 1}, headers=bearer("all"))
        assert problem(hot) == (422, "core.invalid")

    @pytest.mark.parametrize("name", ["a\nb", "a\u202eb", "", "x" * 81])
    async def test_words_for_people_hold_no_control_characters(self, client: AsyncClient, name: str) -> None:
        answer = await client.post("/api/things", json={"amount_fen": 1, "name": name})
        assert problem(answer) == (422, "core.invalid")

    @pytest.mark.parametrize("at", ["2026-01-01T00:00:00", 1767225600, "yesterday"])
    async def test_a_time_needs_its_offset(self, client: AsyncClient, at: object) -> None:
        assert (await client.post("/api/things", json={"amount_fen": 1, "at": at})).status_code == 422

    async def test_times_and_ids_leave_in_one_form(self, client: AsyncClient) -> None:
        answer = await client.post("/api/things", json={"amount_fen": 1, "at": "2026-01-01T08:00:00+08:00"})
        assert answer.json() == {"id": to_public(5), "amount_fen": 1, "at": "2026-01-01T00:00:00.000000Z"}

    async def test_broken_json_is_a_4xx(self, client: AsyncClient) -> None:
        for body in (b"{", b'{"amount_fen": 1}}', b"\xff\xfe", b"nope"):
            answer = await client.post(
                "/api/things", content=body, headers={"content-type": "application/json"}
            )
            assert problem(answer)[0] in {400, 422}, body

    @pytest.mark.parametrize("key", [None, "short", "x" * 65, "with blank 1", "ключключ"])
    async def test_an_idempotency_key_has_8_to_64_printable_characters(
        self, client: AsyncClient, key: str | None
    ) -> None:
        headers = [(b"Idempotency-Key", key.encode())] if key is not None else []
        answer = await client.post("/api/keyed", headers=headers)
        assert problem(answer) == (422, "core.idempotency_key_missing")

    async def test_a_good_idempotency_key_passes(self, client: AsyncClient) -> None:
        answer = await client.post("/api/keyed", headers={"Idempotency-Key": "till-7:0001"})
        assert answer.json() == "till-7:0001"


class TestLimits:
    async def test_a_body_over_the_limit_is_413_before_it_is_read(self, client: AsyncClient) -> None:
        answer = await client.post("/api/things", content=b"x" * (BODY_BYTES_MAX + 1))
        assert problem(answer) == (413, "core.payload_too_large")
        assert answer.headers["connection"] == "close"

    async def test_a_body_that_does_not_say_its_length_is_cut_at_the_limit(self, client: AsyncClient) -> None:
        given = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal given
            while True:
                given += 1024
                yield b"x" * 1024

        answer = await client.post("/api/things", content=endless())
        assert problem(answer) == (413, "core.payload_too_large")
        assert given <= BODY_BYTES_MAX + 2048

    async def test_a_body_that_never_ends_is_given_up(self) -> None:
        app, _ = build()
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            if not sent:
                sent.append("asked")
                return {"type": "http.request", "body": b"{", "more_body": True}
            await asyncio.sleep(60)
            raise AssertionError("nobody waits that long")

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/api/things",
            "raw_path": b"/api/things",
            "query_string": b"",
            "headers": [(b"content-length", b"10"), (b"host", b"t")],
        }
        await app(scope, receive, send)
        assert sent[1]["status"] == 408

    @pytest.mark.parametrize(
        "body", [b"[" * 100_000, b'{"a":' * 3_000, b"[" * (JSON_DEPTH_MAX + 1) + b"]" * 40]
    )
    async def test_deep_json_is_refused_before_the_parser(self, client: AsyncClient, body: bytes) -> None:
        answer = await client.post(
            "/api/things", content=body[:BODY_BYTES_MAX], headers={"content-type": "application/json"}
        )
        assert problem(answer) == (422, "core.invalid")

    async def test_brackets_inside_text_are_no_depth(self, client: AsyncClient) -> None:
        answer = await client.post("/api/things", json={"amount_fen": 1, "name": '[[{"' * 20})
        assert answer.status_code == 200

    async def test_too_many_headers_or_too_long_an_address_are_refused(self, client: AsyncClient) -> None:
        many = {f"x-{number}": "1" for number in range(70)}
        assert problem(await client.get("/api/dear", headers=many)) == (431, "core.headers_too_large")
        assert problem(await client.get("/api/dear?" + "x" * 5000))[0] == 431


class TestCrossSite:
    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({}, 200),
            ({"origin": "http://t"}, 200),
            ({"origin": "https://evil.example"}, 403),
            ({"origin": "null"}, 403),
            ({"origin": "https://friend.example", "sec-fetch-site": "cross-site"}, 200),
            ({"sec-fetch-site": "same-origin"}, 200),
            ({"sec-fetch-site": "same-site", "origin": "http://t"}, 403),
            ({"sec-fetch-site": "cross-site"}, 403),
        ],
    )
    async def test_only_our_own_pages_may_write(
        self, client: AsyncClient, headers: dict[str, str], status: int
    ) -> None:
        answer = await client.post("/api/things", json={"amount_fen": 1}, headers=headers)
        assert answer.status_code == status
        if status == 403:
            assert problem(answer) == (403, "core.cross_site")

    async def test_reading_is_not_writing(self, client: AsyncClient) -> None:
        answer = await client.get("/api/me", headers={**bearer("all"), "origin": "https://evil.example"})
        assert answer.status_code == 200
        assert "access-control-allow-origin" not in answer.headers


class TestPermissions:
    @pytest.mark.parametrize(
        ("method", "path"), [("GET", f"/api/things/{to_public(5)}"), ("POST", "/api/hot")]
    )
    async def test_without_session_401_without_permission_403(
        self, client: AsyncClient, method: str, path: str
    ) -> None:
        body = {"json": {"amount_fen": 1}} if method == "POST" else {}
        assert problem(await client.request(method, path, **body)) == (401, "core.unauthenticated")  # type: ignore[arg-type]
        nobody = await client.request(method, path, headers=bearer("x"), **body)  # type: ignore[arg-type]
        assert problem(nobody) == (401, "core.unauthenticated")
        powerless = await client.request(method, path, headers=bearer("none"), **body)  # type: ignore[arg-type]
        assert problem(powerless) == (403, "core.forbidden")
        allowed = await client.request(method, path, headers=bearer("all"), **body)  # type: ignore[arg-type]
        assert allowed.json()["subject"] == "tester"

    async def test_a_malformed_id_is_422_and_its_text_is_strict(self, client: AsyncClient) -> None:
        for text in ("5", "0" * 12 + "L", "0" * 14, "z" * 13):
            assert (await client.get(f"/api/things/{text}", headers=bearer("all"))).status_code == 422

    async def test_a_terminals_page_uses_the_terminals_cookie(self, client: AsyncClient) -> None:
        cookies = "forecourt_session=none; forecourt_device=all"
        path = f"/api/things/{to_public(5)}"
        assert (await client.get(path, headers={"cookie": cookies})).status_code == 403
        on_pillar = {"cookie": cookies, "referer": "http://t/device/pillar?x=1"}
        assert (await client.get(path, headers=on_pillar)).status_code == 200

    def test_an_endpoint_without_a_declaration_fails_the_build(self) -> None:
        async def plain(_: Request) -> Response:
            return PlainTextResponse("")

        app, _ = build()
        check_declarations(app)

        @app.get("/forgotten")
        async def forgotten() -> None:
            return None

        app.router.routes.append(Route("/hot-and-forgotten", plain))
        app.router.routes.append(Mount("/mounted", PlainTextResponse("")))
        with pytest.raises(UndeclaredEndpoint) as told:
            check_declarations(app)
        for path in ("/forgotten", "/hot-and-forgotten", "/mounted"):
            assert path in str(told.value)

    def test_a_declared_mount_passes(self) -> None:
        app, _ = build()
        app.router.routes.append(declare(Mount("/files", PlainTextResponse("")), public()))
        check_declarations(app)


class TestEnvelope:
    async def test_every_answer_is_safe_to_show(self, client: AsyncClient) -> None:
        for path in ("/api/dear", "/api/bug", "/nothing"):
            headers = (await client.get(path)).headers
            assert "script-src 'self';" in headers["content-security-policy"]
            assert (
                "unsafe-inline" not in headers["content-security-policy"].split("script-src")[1].split(";")[0]
            )
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert headers["strict-transport-security"]
            assert headers["cache-control"] == "no-store"

    async def test_metrics_count_by_route_and_a_scanner_adds_one_label(self) -> None:
        app, registry = build()
        async with AsyncClient(transport=ASGITransport(app), base_url="http://t") as client:
            for number in range(5):
                await client.get(f"/api/scan/{number}")
            await client.get("/api/dear")
        text = bytes(exposition(registry).body).decode()
        assert 'forecourt_http_requests_total{method="GET",route="(none)",status="404"} 5.0' in text
        assert 'forecourt_http_requests_total{method="GET",route="/api/dear",status="409"} 1.0' in text
        assert "/api/scan" not in text


def test_refusals_document_each_no() -> None:
    told = refusals(TooDear, Unavailable)
    assert "`things.too_dear` It costs more than you have." in told[409]["description"]
    assert list(json.loads(json.dumps(told[503]["content"]))) == ["application/problem+json"]
