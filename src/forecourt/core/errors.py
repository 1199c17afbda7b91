"""Business refusals: understood and declined. A bug is any other exception; it is never caught here."""

from http import HTTPStatus
from typing import ClassVar


class Refusal(Exception):
    """A request that was understood and declined; carries its HTTP status, a stable code and facts.

    `code` is part of the API (`module.reason`); `facts` are shown to the caller, so never secrets.
    """

    status: ClassVar[HTTPStatus] = HTTPStatus.CONFLICT
    code: ClassVar[str] = "core.refused"
    retry_after_s: ClassVar[int | None] = None

    def __init__(self, detail: str = "", **facts: object) -> None:
        super().__init__(f"{self.code} {detail} {facts}")
        self.detail = detail or (type(self).__doc__ or "").strip().splitlines()[0]
        self.facts = facts


class Forbidden(Refusal):
    """You may not do this."""

    status = HTTPStatus.FORBIDDEN
    code = "core.forbidden"


class Unauthenticated(Refusal):
    """Log in first."""

    status = HTTPStatus.UNAUTHORIZED
    code = "core.unauthenticated"


class NotFound(Refusal):
    """There is no such thing, or it is not yours to see."""

    status = HTTPStatus.NOT_FOUND
    code = "core.not_found"


class Invalid(Refusal):
    """The request does not have the declared form."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "core.invalid"


class IdempotencyKeyReused(Refusal):
    """This idempotency key was used before, for a different request."""

    code = "core.idempotency_key_reused"


class IdempotencyKeyMissing(Refusal):
    """Send an Idempotency-Key header of 8 to 64 characters."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "core.idempotency_key_missing"


class Unavailable(Refusal):
    """A part the platform stands on does not answer. Nothing was done; try again."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "core.unavailable"
    retry_after_s = 2


class TooManyRequests(Refusal):
    """Too many requests; wait before the next."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "core.too_many_requests"
    retry_after_s = 5


class PayloadTooLarge(Refusal):
    """The request body is larger than the limit."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = "core.payload_too_large"
