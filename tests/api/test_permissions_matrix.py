"""Every role against every endpoint, made from what the endpoints themselves declare."""

import re
from typing import Any

from tests.api.conftest import World

from forecourt.access.rules import PERMISSIONS, TERMINAL_PERMISSIONS
from forecourt.api.openapi import document
from forecourt_kit.ids import to_public

NOBODYS = to_public(123456789)


def operations(world: World) -> list[tuple[str, str, str]]:
    """(method, path with ids that nobody has, x-permission) of every documented operation."""
    paths: dict[str, Any] = document(world.app)["paths"]
    return [
        (method.upper(), re.sub(r"\{[^}]+\}", NOBODYS, path), operation["x-permission"])
        for path, item in paths.items()
        for method, operation in item.items()
    ]


async def test_a_role_passes_exactly_where_it_holds_the_permission(world: World) -> None:
    held: dict[str, frozenset[str]] = {role.value: frozenset(names) for role, names in PERMISSIONS.items()}
    held["terminal"] = frozenset(TERMINAL_PERMISSIONS)
    tokens = {**world.ours.tokens, "platform_admin": world.platform_token}
    cells = 0
    for role, token in tokens.items():
        async with world.client(token) as client:
            for method, path, permission in operations(world):
                if permission in {"public", "signed-in"}:
                    continue
                answer = await client.request(method, path, headers={"Idempotency-Key": "matrix-0001"})
                allowed = permission in held[role]
                told = (
                    f"{role} {method} {path} asks {permission}, got {answer.status_code} {answer.text[:200]}"
                )
                if allowed:
                    assert answer.status_code != 401, told
                    assert f'"need":"{permission}"' not in answer.text, told
                else:
                    assert answer.status_code == 403, told
                    assert answer.json()["facts"] == {"need": permission}, told
                cells += 1
    assert cells > 200


async def test_without_a_session_only_public_endpoints_answer(world: World) -> None:
    async with world.client() as client:
        for method, path, permission in operations(world):
            answer = await client.request(method, path)
            told = f"{method} {path} asks {permission}, got {answer.status_code}"
            assert (answer.status_code == 401) == (permission != "public"), told


async def test_every_permission_that_is_asked_is_held_by_some_role_and_none_is_made_up(world: World) -> None:
    asked = {permission for _, _, permission in operations(world)} - {"public", "signed-in"}
    given = {name for names in PERMISSIONS.values() for name in names} | TERMINAL_PERMISSIONS
    assert asked - given == set(), "nobody may do this: give it to a role in access/rules.py"


async def test_a_stranger_is_told_that_there_is_no_such_thing(world: World) -> None:
    """Every GET that names a thing by id, asked with the other operator's ids."""
    ids = {
        "station_id": world.theirs.station.id,
        "nozzle_id": world.theirs.nozzle.id,
        "device_id": world.theirs.device_id,
        "operator_id": world.theirs.operator_id,
    }
    seen = 0
    async with world.client(world.ours.tokens["operator_admin"]) as client:
        for path, item in document(world.app)["paths"].items():
            names = re.findall(r"\{([^}]+)\}", path)
            if "get" not in item or not names or not set(names) <= ids.keys():
                continue
            filled = re.sub(r"\{([^}]+)\}", lambda match: to_public(ids[match[1]]), path)
            answer = await client.get(filled)
            nothing = answer.status_code == 200 and not any(answer.json().values())
            assert answer.status_code == 404 or nothing, (filled, answer.text)
            seen += 1
        for path in (
            "/api/v1/stations",
            "/api/v1/devices",
            "/api/v1/staff",
            "/api/v1/operators",
            "/api/v1/audit",
        ):
            text = (await client.get(path)).text
            assert "theirs" not in text, path
            assert "ours" in text, path
    assert seen >= 5
