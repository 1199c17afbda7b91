"""A process that plays many tills: HTTP/1.1 on kept-alive connections, one request in flight on each."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from typing import cast

import uvloop
from tests.bench.children import questions, say
from tests.bench.figures import percentile

HEADERS_END = b"\r\n\r\n"
LENGTH = b"content-length: "


class Till(asyncio.Protocol):
    """Sends the next request as soon as the last is answered."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._answer = b""
        self._sent_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, end, body = self._answer.partition(HEADERS_END)
        if not end or len(body) < int(head.lower().partition(LENGTH)[2].partition(b"\r\n")[0]):
            return
        self._load.latencies_s.append(time.perf_counter() - self._sent_s)
        status = head[9:12].decode()
        self._load.statuses[status] += 1
        if status != "201":
            self._load.refused = body.decode()
        self._answer = b""
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.left(self)

    def _next(self) -> None:
        request = next(self._load.requests, None)
        if request is None:
            self._transport.close()
            return
        self._sent_s = time.perf_counter()
        self._transport.write(request)


class Load:
    def __init__(self, requests: Iterator[bytes], connections: int) -> None:
        self.requests = requests
        self.latencies_s: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.refused = ""
        self._open = connections
        self._over = asyncio.Event()

    def left(self, till: Till) -> None:
        self._open -= 1
        if not self._open:
            self._over.set()

    async def over(self) -> None:
        await self._over.wait()


def request_of(token: str, sale: str, member: str, key: str) -> bytes:
    body = b'{"tender":"wallet","member_id":"%s"}' % member.encode()
    head = (
        f"POST /api/v1/sales/{sale}/payments HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n"
        f"Idempotency-Key: {key}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def main() -> None:
    say(ready=True)
    requests: list[bytes] = []
    async for asked in questions():
        if "checkouts" in asked:
            requests = [request_of(asked["token"], *each) for each in asked["checkouts"]]
            say(prepared=len(requests))
            continue
        load = Load(iter(requests), asked["connections"])
        loop = asyncio.get_running_loop()
        for _ in range(asked["connections"]):
            await loop.create_connection(lambda: Till(load), "127.0.0.1", asked["port"])  # noqa: B023
        await load.over()
        say(
            statuses=load.statuses,
            refused=load.refused,
            p50_ms=percentile(load.latencies_s, 0.5) * 1000,
            p99_ms=percentile(load.latencies_s, 0.99) * 1000,
        )


if __name__ == "__main__":
    uvloop.run(main())
