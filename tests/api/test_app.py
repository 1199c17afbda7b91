"""The process's own pages: documents, health, metrics, front ends."""

import json
import re
from pathlib import Path

import pytest
from starlette.routing import Route
from tests.api.conftest import World

from forecourt.api.app import build_api
from forecourt.api.openapi import document
from forecourt.api.services import Services
from forecourt.core.errors import Unavailable
from forecourt.core.http.permissions import UndeclaredEndpoint


async def test_config_is_for_everybody(world: World) -> None:
    async with world.client() as client:
        answer = await client.get("/api/v1/config")
    assert answer.json() == {
        "version": "1.2.3",
        "demo": False,
        "locale": "zh-CN",
        "locales": ["zh-CN", "en"],
        "currency": "CNY",
    }


async def test_health_and_readiness(world: World) -> None:
    async with world.client() as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        ready = await client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["checks"] == {"database": {"ok": True, "detail": ""}}


async def test_a_dependency_that_is_down_is_told(world: World) -> None:
    async def down() -> None:
        raise Unavailable("The broker does not answer.")

    app = build_api(
        Services(db=world.db, vault=world.vault, passwords=world.passwords, version="1", checks={"bus": down})
    )
    world.app = app
    async with world.client() as client:
        answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["bus"]["ok"] is False


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/metrics"])
async def test_documents_and_metrics_ask_a_permission_outside_the_demo(world: World, path: str) -> None:
    async with world.client() as client:
        assert (await client.get(path)).status_code == 401
    async with world.client(world.platform_token) as client:
        assert (await client.get(path)).status_code == 200
    world.app = build_api(
        Services(db=world.db, vault=world.vault, passwords=world.passwords, version="1", demo=True)
    )
    async with world.client() as client:
        assert (await client.get(path)).status_code == 200


def test_the_document_tells_permissions_problems_and_hot_routes(world: World) -> None:
    told = document(world.app)
    for path, item in told["paths"].items():
        for method, operation in item.items():
            assert operation["x-permission"], (method, path)
            assert operation["operationId"], (method, path)
    text = json.dumps(told)
    assert "HTTPValidationError" not in text
    checkout = told["paths"]["/api/v1/sales/{sale_id}/payments"]["post"]
    assert checkout["x-permission"] == "sales:take"
    ids = [operation["operationId"] for item in told["paths"].values() for operation in item.values()]
    assert len(ids) == len(set(ids))
    for reference in set(re.findall(r"#/components/schemas/(\w+)", text)):
        assert reference in told["components"]["schemas"], reference


def test_an_undeclared_route_is_not_served(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten = Route("/forgotten", lambda _: None)
    monkeypatch.setattr("forecourt.api.app.HOT", (forgotten,))
    services = Services(db=world.db, vault=world.vault, passwords=world.passwords, version="1")
    with pytest.raises(UndeclaredEndpoint, match="/forgotten"):
        build_api(services)


class TestFrontEnds:
    async def test_a_missing_build_says_what_to_do(self, world: World) -> None:
        async with world.client() as client:
            answer = await client.get("/console/")
        assert answer.status_code == 503
        assert "make web" in answer.text

    async def test_pages_fall_back_to_the_index_and_assets_last_for_ever(
        self, world: World, tmp_path: Path
    ) -> None:
        console = tmp_path / "web" / "console"
        (console / "assets").mkdir(parents=True)
        (console / "index.html").write_text("<title>Console</title>")
        (console / "assets" / "app-1a2b.js").write_text("let a = 1;" * 500)
        (tmp_path / "secret.txt").write_text("secret")
        (console / "link.txt").symlink_to(tmp_path / "secret.txt")
        async with world.client() as client:
            index = await client.get("/console/")
            deep = await client.get("/console/sales/01jd3x5c8mqr7?state=paid")
            asset = await client.get("/console/assets/app-1a2b.js", headers={"accept-encoding": "gzip"})
            missing = await client.get("/console/assets/app-0000.js")
            again = await client.get("/console/", headers={"if-none-match": index.headers["etag"]})
            for escape in ("/console/../secret.txt", "/console/%2e%2e/secret.txt", "/console/link.txt"):
                assert "secret" not in (await client.get(escape)).text.replace("secret.txt", "")
            written = await client.post("/console/")
            bare = await client.get("/console")
            home = await client.get("/")
        assert index.text == deep.text == "<title>Console</title>"
        assert index.headers["cache-control"] == "no-cache"
        assert "immutable" in asset.headers["cache-control"]
        assert asset.headers["content-encoding"] == "gzip"
        assert asset.text.startswith("let a")
        assert asset.headers["content-type"].startswith("text/javascript")
        assert missing.status_code == 404
        assert again.status_code == 304
        assert written.status_code == 405
        assert bare.headers["location"].endswith("/console/")
        assert home.headers["location"] == "/console/"
