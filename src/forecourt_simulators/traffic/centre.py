"""The centre as an attendant's terminal sees it, and the payers' phones; over HTTP that the caller brings."""

from dataclasses import dataclass, field
from typing import Any, Protocol

API = "/api/v1"
UNAUTHENTICATED, SERVER_ERRORS, ERRORS = 401, 500, 400


class CentreRefused(Exception):
    """The centre says no: problem+json with its stable code."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{status} {code}")
        self.status, self.code = status, code


class CentreAway(Exception):
    """No answer, or an answer that says: later."""


@dataclass(frozen=True, slots=True)
class Reply:
    """`content` is empty when the body is no JSON object."""

    status: int
    content: dict[str, Any]


class Ask(Protocol):
    """One HTTP request to one server, with its session. Raises CentreAway when there is no answer."""

    async def __call__(
        self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]
    ) -> Reply: ...


@dataclass(frozen=True, slots=True)
class LogIn:
    """Of a member of staff; none when `ask` carries a terminal's token."""

    login: str
    password: str = field(repr=False)


class Centre:
    """Logs in when it must, also again when the session has ended."""

    def __init__(self, ask: Ask, log_in: LogIn | None = None) -> None:
        self._ask, self._log_in = ask, log_in

    async def open_sales(self, limit: int) -> list[dict[str, Any]]:
        """Sales that wait to be paid. Raises CentreRefused, CentreAway."""
        answer = await self._say("GET", f"/sales?state=open&limit={limit}")
        items: list[dict[str, Any]] = answer["items"]
        return items

    async def pay(self, sale_id: str, body: dict[str, Any], key: str) -> dict[str, Any]:
        """Start or make a payment of a sale; the same key again gives the same payment."""
        return await self._say("POST", f"/sales/{sale_id}/payments", body, key)

    async def _say(
        self, method: str, path: str, body: dict[str, Any] | None = None, key: str | None = None
    ) -> dict[str, Any]:
        headers = {} if key is None else {"Idempotency-Key": key}
        reply = await self._ask(method, API + path, body, headers)
        if reply.status == UNAUTHENTICATED and self._log_in is not None:
            who = {"account": self._log_in.login, "password": self._log_in.password}
            _checked(await self._ask("POST", f"{API}/session", who, {}))
            reply = await self._ask(method, API + path, body, headers)
        return _checked(reply)


class Payers:
    """The payers' phones: the control API of the channel simulator."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def scan(self, qr_text: str, payer: str) -> bool:
        """Pay what this QR asks for; False when the channel does not (any more) want it."""
        reply = await self._ask("POST", "/_control/pay", {"code_url": qr_text, "payer": payer}, {})
        return reply.status < ERRORS


def _checked(reply: Reply) -> dict[str, Any]:
    if reply.status >= SERVER_ERRORS:
        raise CentreAway(f"{reply.status}")
    if reply.status >= ERRORS:
        raise CentreRefused(reply.status, str(reply.content.get("code", "")))
    return reply.content
