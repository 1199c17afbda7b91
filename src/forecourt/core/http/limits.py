"""Limits before the framework sees a request: bytes, depth, time, headers, and whose page sent it.

A body is read here, at most `BODY_BYTES_MAX` of it and for at most `BODY_TIMEOUT_S`, so that nothing behind
has to be careful: what arrives there is small, whole, and shallow.
"""

import asyncio
import re
from dataclasses import dataclass
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from forecourt.core.errors import Forbidden, Invalid, PayloadTooLarge, Refusal
from forecourt.core.http.problem import render

BODY_BYTES_MAX = 1024 * 1024
BODY_TIMEOUT_S = 30.0
JSON_DEPTH_MAX = 32
JSON_DIGITS_MAX = 400  # Longest run of digits outside text; Python itself would stop at 4,300.
HEADERS_MAX = 64
HEADER_BYTES_MAX = 16 * 1024
TARGET_BYTES_MAX = 4 * 1024  # Path and query together.

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
BRACKETS = re.compile(rb"[\[\]{}]")
LONG_NUMBER = re.compile(rb"[0-9]{%d}" % (JSON_DIGITS_MAX + 1))


class HeadersTooLarge(Refusal):
    """Too many headers, or too long an address."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    code = "core.headers_too_large"


class BodyTooSlow(Refusal):
    """The request body did not arrive in time."""

    status = HTTPStatus.REQUEST_TIMEOUT
    code = "core.body_too_slow"


class CrossSite(Forbidden):
    """A page of another site may not do this."""

    code = "core.cross_site"


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits in force; `trusted_origins` are other origins whose pages may write (`https://host[:port]`)."""

    body_bytes_max: int = BODY_BYTES_MAX
    body_timeout_s: float = BODY_TIMEOUT_S
    trusted_origins: frozenset[str] = frozenset()


class RequestLimits:
    """ASGI middleware; stands inside `Envelope`, so that its refusals carry a request id too."""

    def __init__(self, app: ASGIApp, *, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            headers = _checked_headers(scope)
            if scope["method"] not in SAFE_METHODS:
                check_origin(headers, self._limits.trusted_origins)
            body = await self._read(headers, receive)
        except Refusal as refusal:
            answer = render(refusal)
            answer.headers["connection"] = "close"  # What follows on this connection is not worth reading.
            await answer(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)

    async def _read(self, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        length = headers.get(b"content-length")
        if length is None and b"transfer-encoding" not in headers:
            return b""
        if length is not None and (not length.isdigit() or int(length[:20]) > self._limits.body_bytes_max):
            raise PayloadTooLarge(bytes_max=self._limits.body_bytes_max)
        try:
            async with asyncio.timeout(self._limits.body_timeout_s):
                body = await _gather(receive, self._limits.body_bytes_max)
        except TimeoutError:
            raise BodyTooSlow(timeout_s=int(self._limits.body_timeout_s)) from None
        if b"json" in headers.get(b"content-type", b""):
            check_json_shape(body)
        return body


def _checked_headers(scope: Scope) -> dict[bytes, bytes]:
    pairs = scope["headers"]
    if len(pairs) > HEADERS_MAX or sum(len(name) + len(value) for name, value in pairs) > HEADER_BYTES_MAX:
        raise HeadersTooLarge(headers_max=HEADERS_MAX, bytes_max=HEADER_BYTES_MAX)
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > TARGET_BYTES_MAX:
        raise HeadersTooLarge(target_bytes_max=TARGET_BYTES_MAX)
    return dict(pairs)


def check_origin(headers: dict[bytes, bytes], trusted: frozenset[str]) -> None:
    """Refuse a write that a browser sends from another site's page (CSRF).

    Browsers say where a request comes from, in `Sec-Fetch-Site` or `Origin`; what says neither is no browser,
    and holds no cookie that somebody else could make it send.
    """
    origin = headers.get(b"origin", b"").decode("latin-1")
    site = headers.get(b"sec-fetch-site")
    if origin in trusted or site in {b"same-origin", b"none"}:
        return
    if site is not None:
        raise CrossSite
    if origin and origin.partition("://")[2] != headers.get(b"host", b"").decode("latin-1"):
        raise CrossSite


async def _gather(receive: Receive, bytes_max: int) -> bytes:
    chunks = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BodyTooSlow("The connection ended before the request did.")
        chunks += message.get("body", b"")
        if len(chunks) > bytes_max:
            raise PayloadTooLarge(bytes_max=bytes_max)
        more = message.get("more_body", False)
    return bytes(chunks)


def check_json_shape(body: bytes) -> None:
    """Refuse JSON that would cost the parser more than its size: deep nesting, endless digits."""
    if len(body) <= JSON_DEPTH_MAX:
        return
    opens = body.count(b"[") + body.count(b"{")
    if opens <= JSON_DEPTH_MAX and len(body) <= JSON_DIGITS_MAX:
        return
    bare = QUOTED.sub(b"", body)
    if LONG_NUMBER.search(bare):
        raise Invalid("A number has too many digits.", digits_max=JSON_DIGITS_MAX)
    depth = 0
    for bracket in BRACKETS.findall(bare):
        depth += 1 if bracket in b"[{" else -1
        if depth > JSON_DEPTH_MAX:
            raise Invalid("The document is nested too deep.", depth_max=JSON_DEPTH_MAX)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give the body once, then what the connection says (that it ended)."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
