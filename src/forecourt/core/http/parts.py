"""Parts that the process wires in, asked for by type: a route names what it needs and no global holds it."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

from fastapi import Depends, FastAPI, Request
from starlette.requests import HTTPConnection

from forecourt.core.db import Database

T = TypeVar("T")


def provide(app: FastAPI, *parts: object, **named: object) -> None:
    """Put parts into an application, each under its own class (or `kind=part` pairs in `named`)."""
    held: dict[Any, object] = app.state.__dict__["_state"].setdefault("parts", {})
    held.update({type(part): part for part in parts})
    held.update(named)


def part_of(connection: HTTPConnection, kind: type[T]) -> T:
    """For hot routes. KeyError: the process did not wire it in, a bug."""
    found = connection.app.state.parts[kind]
    assert isinstance(found, kind)
    return found


def part(kind: type[T]) -> Callable[[Request], Awaitable[T]]:
    """`db: Annotated[Database, Depends(part(Database))]`."""

    async def wired(request: Request) -> T:
        return part_of(request, kind)

    return wired


Db = Annotated[Database, Depends(part(Database))]
