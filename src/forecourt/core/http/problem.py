"""Every "no" in one shape: `application/problem+json` (RFC 9457) with a code, facts and the request id."""

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from http import HTTPStatus
from typing import Any, ClassVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from forecourt.core.errors import Invalid, NotFound, Refusal
from forecourt_kit import log as kit_log
from forecourt_kit.clock import rfc3339
from forecourt_kit.ids import to_public
from forecourt_kit.limits import ID_MAX

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 2  # Where a 503 or 429 does not say its own.
FIELDS_MAX = 20  # Wrong fields told in one answer.
FACT_DEPTH_MAX = 4
FACT_CHARS_MAX = 300

log = logging.getLogger(__name__)


class MethodNotAllowed(Refusal):
    """This address does not take this method."""

    status = HTTPStatus.METHOD_NOT_ALLOWED
    code = "core.method_not_allowed"


class BadRequest(Refusal):
    """The request cannot be read."""

    status = HTTPStatus.BAD_REQUEST
    code = "core.bad_request"


class Problem(Response):
    """A refusal on the wire."""

    media_type = MEDIA_TYPE
    charset: ClassVar[str] = ""  # type: ignore[misc]  # JSON is UTF-8; a parameter would be wrong.


def body_of(status: int, code: str, detail: str, facts: Mapping[str, Any], request_id: str) -> bytes:
    return json.dumps(
        {
            "type": f"urn:forecourt:problem:{code}",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "code": code,
            "detail": detail,
            "facts": facts,
            "request_id": request_id,
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()


def request_id() -> str:
    """Of the request being answered; empty outside one."""
    return str(kit_log.fields().get("request_id", ""))


def render(refusal: Refusal) -> Problem:
    headers = {"cache-control": "no-store"}
    retry_after_s = refusal.retry_after_s
    if refusal.status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}:
        told = refusal.facts.get("retry_after_s", retry_after_s or RETRY_AFTER_S)
        headers["retry-after"] = str(told)
    elif retry_after_s is not None:
        headers["retry-after"] = str(retry_after_s)
    if refusal.status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = 'Bearer realm="forecourt"'
    facts = {name: shown(name, value) for name, value in refusal.facts.items()}
    body = body_of(refusal.status, refusal.code, refusal.detail, facts, request_id())
    return Problem(body, refusal.status, headers)


def shown(name: str, value: Any, depth: int = 0) -> Any:
    """A fact as the outside sees it: ids as public text, times as RFC 3339, only what JSON carries."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        is_id = (name == "id" or name.endswith("_id")) and 0 <= value <= ID_MAX
        return (
            to_public(value) if is_id else int(value) if abs(value) < 2**53 else str(value)[:FACT_CHARS_MAX]
        )
    if isinstance(value, datetime):
        return rfc3339(value) if value.tzinfo else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if depth < FACT_DEPTH_MAX and isinstance(value, Mapping):
        return {str(key): shown(str(key), inner, depth + 1) for key, inner in value.items()}
    if depth < FACT_DEPTH_MAX and isinstance(value, list | tuple | set | frozenset):
        return [shown("", inner, depth + 1) for inner in value]
    return str(value)[:FACT_CHARS_MAX]


def invalid_fields(errors: Sequence[Mapping[str, Any]]) -> Invalid:
    """A validation error as a refusal: which fields, and why; never the value, which may be a secret."""
    fields = [
        {
            "path": ".".join(str(part) for part in error["loc"])[:FACT_CHARS_MAX],
            "code": str(error["type"]),
            "message": str(error["msg"])[:FACT_CHARS_MAX],
        }
        for error in errors[:FIELDS_MAX]
    ]
    return Invalid(fields=fields)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("refused", extra={"code": error.code, "detail": error.detail})
    return render(error)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return render(invalid_fields(error.errors()))


async def _http_error(_: Request, error: Exception) -> Response:
    """What the framework itself refuses: no such path, no such method, a body that is no JSON."""
    assert isinstance(error, HTTPException)
    refusal: Refusal
    if error.status_code == HTTPStatus.NOT_FOUND:
        refusal = NotFound("There is nothing at this address.")
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        refusal = MethodNotAllowed()
    else:
        refusal = BadRequest()
    answer = render(refusal)
    answer.status_code = error.status_code
    if error.headers and "Allow" in error.headers:
        answer.headers["allow"] = error.headers["Allow"]
    return answer


def install_problems(app: FastAPI) -> None:
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)


def refusals(*kinds: type[Refusal]) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of a route: every refusal it may give, by status, with its codes."""
    by_status: dict[int | str, list[type[Refusal]]] = {}
    for kind in kinds:
        by_status.setdefault(int(kind.status), []).append(kind)
    return {
        status: {
            "description": " · ".join(f"`{kind.code}` {(kind.__doc__ or '').strip()}" for kind in same),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, same in by_status.items()
    }


SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "type": "object",
    "description": "Why a request was refused (RFC 9457). `code` is stable; `detail` is for people.",
    "required": ["type", "title", "status", "code", "detail", "facts", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "facts": {"type": "object", "additionalProperties": True},
        "request_id": {"type": "string"},
    },
}
