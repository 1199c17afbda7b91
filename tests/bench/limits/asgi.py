"""As little HTTP as ASGI allows: one request in, one small JSON answer out."""

from typing import Any, NamedTuple

import msgspec
from starlette.types import Receive, Scope, Send

from forecourt_kit.ids import from_public

BEARER = len(b"Bearer ")
HEADERS = [(b"content-type", b"application/json")]
decode = msgspec.json.Decoder().decode
encode = msgspec.json.Encoder().encode


class Asked(NamedTuple):
    token: str
    key: str
    sale_id: int
    member_id: int


async def asked(scope: Scope, receive: Receive) -> Asked:
    """`POST /api/v1/sales/{sale}/payments` of a member's wallet."""
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    headers = dict(scope["headers"])
    sale = scope["path"].split("/")[4]
    token, key = headers[b"authorization"][BEARER:].decode(), headers[b"idempotency-key"].decode()
    return Asked(token, key, from_public(sale), from_public(decode(body)["member_id"]))


async def answer(send: Send, payment: str, amount_fen: int, sale: str) -> None:
    told: dict[str, Any] = {
        "id": payment,
        "state": "paid",
        "tender": "wallet",
        "amount_fen": amount_fen,
        "sale_ids": [sale],
    }
    body = encode(told)
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": 201, "headers": [*HEADERS, length]})
    await send({"type": "http.response.body", "body": body})
