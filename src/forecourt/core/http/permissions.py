"""Who may call an endpoint, said where the endpoint stands; one that says nothing fails the build."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Mount

from forecourt.core.actor import Actor, Permission
from forecourt.core.errors import Forbidden, Unauthenticated

STAFF_COOKIE = "forecourt_session"
DEVICE_COOKIE = "forecourt_device"
DEVICE_PAGES = "/device/"
TOKEN_CHARS_MAX = 128

_ACTOR = "forecourt.actor"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request offers: an opaque token, from the cookie or as a bearer."""

    token: str = field(repr=False)
    by_cookie: bool


class Authenticate(Protocol):
    """Turns a token into an actor; `access` implements it, the process wires it in."""

    async def __call__(self, credentials: Credentials) -> Actor:
        """Raises `Unauthenticated` when the token opens nothing (any more)."""
        ...


class Declaration:
    """What an endpoint asks of its caller. `shown` is what OpenAPI tells as `x-permission`."""

    shown: str
    strictness: int  # Of several on one endpoint the strictest counts; all of them are asked.


class Require(Declaration):
    """A caller who holds one permission."""

    strictness = 2

    def __init__(self, permission: Permission) -> None:
        self.permission = permission
        self.shown = permission

    async def __call__(self, request: Request) -> Actor:
        return await actor_with(request, self.permission)


class SignedIn(Declaration):
    """Any caller who is logged in."""

    shown = "signed-in"
    strictness = 1

    async def __call__(self, request: Request) -> Actor:
        return await actor_of(request)


class Public(Declaration):
    """Anyone."""

    shown = "public"
    strictness = 0

    async def __call__(self) -> None:
        return None


def require(permission: Permission) -> Require:
    """`actor: Annotated[Actor, Depends(require(SITES_READ))]`."""
    return Require(permission)


def signed_in() -> SignedIn:
    """`actor: Annotated[Actor, Depends(signed_in())]`: what everyone may do with their own session."""
    return SignedIn()


def public() -> Public:
    """`dependencies=[Depends(public())]`: log-in, runtime configuration, a channel's notifications."""
    return Public()


def credentials_of(connection: HTTPConnection) -> Credentials | None:
    """The token of a request: a bearer first, else a cookie.

    One browser may hold both cookies, a person's and a terminal's (a demo on one machine). A terminal's pages
    lie under `/device/`, and same-origin requests name their page.
    """
    scheme, _, bearer = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and 0 < len(bearer) <= TOKEN_CHARS_MAX:
        return Credentials(bearer, by_cookie=False)
    names = [STAFF_COOKIE, DEVICE_COOKIE]
    if urlsplit(connection.headers.get("referer", "")).path.startswith(DEVICE_PAGES):
        names.reverse()
    for name in names:
        token = connection.cookies.get(name)
        if token and len(token) <= TOKEN_CHARS_MAX:
            return Credentials(token, by_cookie=True)
    return None


async def actor_of(connection: HTTPConnection) -> Actor:
    """Who calls. Raises `Unauthenticated`."""
    known = connection.scope.get(_ACTOR)
    if known is not None:
        return known  # type: ignore[no-any-return]
    credentials = credentials_of(connection)
    if credentials is None:
        raise Unauthenticated
    authenticate: Authenticate = connection.app.state.authenticate
    actor = await authenticate(credentials)
    connection.scope[_ACTOR] = actor
    return actor


async def actor_with(connection: HTTPConnection, permission: Permission) -> Actor:
    """Who calls, if they may. Raises `Unauthenticated` or `Forbidden`. For hot routes and streams."""
    actor = await actor_of(connection)
    if not actor.may(permission):
        raise Forbidden(need=permission)
    return actor


async def still_allowed(connection: HTTPConnection, permission: Permission) -> bool:
    """Ask again, for a stream that outlives its first permission."""
    connection.scope.pop(_ACTOR, None)
    try:
        await actor_with(connection, permission)
    except (Unauthenticated, Forbidden):
        return False
    return True


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One declared endpoint of an application."""

    path: str
    methods: tuple[str, ...]
    declaration: Declaration
    route: Any


class UndeclaredEndpoint(Exception):
    """An endpoint does not say who may call it. A bug, told when the application is built."""


def endpoints(app: FastAPI) -> list[Endpoint]:
    """Every endpoint with its declaration.

    Raises:
        UndeclaredEndpoint: names those without, hot routes, mounts and streams included.
    """
    found, undeclared = [], []
    for context in iter_route_contexts(app.routes):
        path = str(context.path or getattr(context.route, "path", "?"))
        methods = tuple(sorted((context.methods or {"GET"}) - {"HEAD"}))
        declaration = _declaration_of(context)
        if declaration is None:
            undeclared.append(f"{'/'.join(methods)} {path}")
        else:
            found.append(Endpoint(path, methods, declaration, context))
    if undeclared:
        raise UndeclaredEndpoint(
            "say who may call it with require(), signed_in() or public(): " + ", ".join(undeclared)
        )
    return found


def check_declarations(app: FastAPI) -> None:
    """Called by every process that builds an application. Raises `UndeclaredEndpoint`."""
    endpoints(app)


def declare(route: BaseRoute, declaration: Declaration) -> BaseRoute:
    """Give a Starlette route or mount its declaration. A mount can only be public: nothing checks inside."""
    assert isinstance(declaration, Public) or not isinstance(route, Mount)
    route.declaration = declaration  # type: ignore[attr-defined]
    return route


def _declaration_of(context: Any) -> Declaration | None:
    own = getattr(context.original_route, "declaration", None)
    if isinstance(own, Declaration):
        return own
    dependant = getattr(context, "dependant", None)
    declared = list(_declarations(dependant)) if isinstance(dependant, Dependant) else []
    return max(declared, key=lambda each: each.strictness, default=None)


def _declarations(dependant: Dependant) -> Iterator[Declaration]:
    for inner in dependant.dependencies:
        if isinstance(inner.call, Declaration):
            yield inner.call
        yield from _declarations(inner)
