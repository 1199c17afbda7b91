"""What every request passes first and every answer last: id, time, safe headers, no way to fall through."""

import logging
import re
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from forecourt.core.http.metrics import HttpMetrics
from forecourt.core.http.problem import MEDIA_TYPE, body_of
from forecourt_kit.clock import Clock
from forecourt_kit.log import bound
from forecourt_kit.random import Random

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
REQUEST_ID_BYTES = 12

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
"""Scripts only from our own files, never inline. Inline *styles* stay: widgets place themselves so."""

SAFE_HEADERS: list[tuple[bytes, bytes]] = [
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
NO_STORE = (b"cache-control", b"no-store")

log = logging.getLogger(__name__)


class Envelope:
    """The outermost ASGI middleware. `secure` adds HSTS, for deployments that are reached over TLS."""

    def __init__(
        self, app: ASGIApp, *, clock: Clock, random: Random, metrics: HttpMetrics, secure: bool = False
    ) -> None:
        self._app = app
        self._clock = clock
        self._random = random
        self._metrics = metrics
        self._headers = list(SAFE_HEADERS)
        if secure:
            self._headers.append((b"strict-transport-security", b"max-age=31536000"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _given_id(scope) or self._random.token(REQUEST_ID_BYTES)
        started_s = self._clock.monotonic_s()
        status = 0

        async def send_enveloped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": self._enveloped(scope, message, request_id)}
            await send(message)

        with bound(request_id=request_id):
            try:
                await self._app(scope, receive, send_enveloped)
            except Exception:
                # The last resort: a bug must answer something, and say nothing of itself to the outside.
                log.exception("a request failed", extra={"method": scope["method"], "path": scope["path"]})
                if status:
                    raise  # Half an answer is out; the server cuts the connection.
                await _send_failure(send_enveloped, request_id)
        self._metrics.observe(scope, status, self._clock.monotonic_s() - started_s)

    def _enveloped(
        self, scope: Scope, message: MutableMapping[str, Any], request_id: str
    ) -> list[tuple[bytes, bytes]]:
        given = list(message.get("headers", ()))
        names = {name.lower() for name, _ in given}
        added = [pair for pair in self._headers if pair[0] not in names]
        if b"cache-control" not in names and scope["path"].startswith("/api/"):
            added.append(NO_STORE)
        return [*given, *added, (b"x-request-id", request_id.encode())]


def _given_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return value.decode("ascii") if REQUEST_ID.fullmatch(value) else None
    return None


async def _send_failure(send: Send, request_id: str) -> None:
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    body = body_of(status, "core.internal", "Something failed here; it was recorded.", {}, request_id)
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode()), NO_STORE]
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": body})
