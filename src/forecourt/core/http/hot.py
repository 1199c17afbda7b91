"""Endpoints outside the framework's dependencies, for the few that must be fast; declared all the same."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from forecourt.core.errors import Invalid
from forecourt.core.http.permissions import Declaration, Require, SignedIn, actor_of, actor_with

T = TypeVar("T")


class HotRoute(Route):
    """A plain Starlette route that names its permission and its place in the OpenAPI document.

    The permission is asked before `endpoint` runs; the endpoint finds the actor with `actor_of(request)`.
    `operation` is the OpenAPI operation object (summary, requestBody, responses …).
    """

    def __init__(
        self,
        path: str,
        endpoint: Callable[[Request], Awaitable[Response]],
        *,
        methods: Sequence[str],
        declaration: Declaration,
        operation: dict[str, Any],
    ) -> None:
        async def declared(request: Request) -> Response:
            if isinstance(declaration, Require):
                await actor_with(request, declaration.permission)
            elif isinstance(declaration, SignedIn):
                await actor_of(request)
            return await endpoint(request)

        super().__init__(path, declared, methods=list(methods), name=getattr(endpoint, "__name__", path))
        self.declaration = declaration
        self.operation = operation


async def decoded(request: Request, decoder: msgspec.json.Decoder[T]) -> T:
    """The body as a msgspec struct (declare it with `forbid_unknown_fields=True`). Raises `Invalid`."""
    try:
        return decoder.decode(await request.body())
    except (msgspec.DecodeError, ValueError) as error:
        field = {"path": "body", "code": "invalid", "message": str(error)[:300]}
        raise Invalid(fields=[field]) from error
