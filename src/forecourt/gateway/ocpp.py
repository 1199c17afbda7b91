"""`/ocpp/<charge point id>`: WebSocket connections of charge points. It decides nothing; doors answer.

One connection is one loop: a frame in, its answer out, the next frame. That order is the protocol's (one CALL
at a time) and is the back-pressure as well: a charge point that talks too fast waits in its own socket.
"""

import asyncio
import base64
import binascii
import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Protocol

from starlette.responses import Response
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from forecourt.charging.doors import ChargePointRef, Ocpp16Door, RawFrame
from forecourt.core.db import Database
from forecourt.core.errors import Unavailable
from forecourt.devices import flows
from forecourt_kit.clock import Clock
from forecourt_kit.random import Random
from forecourt_protocols.ocpp.calls import Calls, TooManyCalls
from forecourt_protocols.ocpp.framing import (
    Call,
    CallError,
    CallResult,
    ErrorCode,
    Frame,
    Violation,
    is_answer,
    pack,
    unpack,
)
from forecourt_protocols.ocpp.v16.actions import SUBPROTOCOL, answer_of, call
from forecourt_protocols.ocpp.v16.messages import Message

CODE_CHARS_MAX = 64
PASSWORD_CHARS_MAX = 128
CONNECTION_ID_BYTES = 8
RETRY_AFTER_S = 5

NORMAL, PROTOCOL_ERROR, TRY_AGAIN_LATER = 1000, 1002, 1013  # Close codes of RFC 6455 and its registry.

log = logging.getLogger(__name__)


class NotAdmitted(StrEnum):
    """Why nobody may connect here under a code."""

    UNKNOWN = "unknown"  # No active charge point has this code.
    WRONG_SECRET = "wrong_secret"  # noqa: S105  (A reason, not a secret.)


def registry(database: Database) -> "Admit":
    """Admit by the registry of devices."""

    async def admit(code: str, password: str | None) -> ChargePointRef | NotAdmitted:
        device, fits = await flows.check_charge_point(database, code, password)
        if device is None:
            return NotAdmitted.UNKNOWN
        if not fits:
            return NotAdmitted.WRONG_SECRET
        return ChargePointRef(
            operator_id=device.operator_id, station_id=device.station_id, device_id=device.id
        )

    return admit


class Admit(Protocol):
    async def __call__(self, code: str, password: str | None) -> ChargePointRef | NotAdmitted:
        """Ask the registry. Raises `Unavailable`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OcppLimits:
    connections_max: int = 5_000
    admissions_max: int = 64  # Handshakes being checked at once; passwords are costly to check.
    frames_per_s: float = 20.0
    frames_burst: int = 200
    idle_s: float = 900.0  # Silence after which a connection is given up; pings find dead peers sooner.
    send_s: float = 10.0  # A peer that does not take its answer in this time is gone.


class NotConnected(ConnectionError):
    """The charge point is not connected to this process."""


class NoAnswer(ConnectionError):
    """A CALL of ours got no answer in time. The charge point may have done what it asked, or not."""


class CallFailed(RuntimeError):
    """A CALL of ours got an error or an unreadable answer; the text says which."""


class Connection:
    """One charge point's connection: what is sent, and what is asked."""

    def __init__(
        self, socket: WebSocket, ref: ChargePointRef, clock: Clock, random: Random, send_s: float
    ) -> None:
        self.ref = ref
        self.id = random.bytes(CONNECTION_ID_BYTES)
        self._socket = socket
        self._clock = clock
        self._random = random
        self._send_s = send_s
        self._calls: Calls[asyncio.Future[Message]] = Calls()
        self._timer: asyncio.Task[None] | None = None
        self.frames = 0

    @property
    def name(self) -> str:
        return self.id.hex()

    async def send(self, frame: Frame) -> None:
        """Raises `NotConnected` when the peer is gone, or takes nothing any more."""
        try:
            async with asyncio.timeout(self._send_s):
                await self._socket.send_text(pack(frame))
        except (WebSocketDisconnect, RuntimeError, OSError) as gone:
            raise NotConnected(f"charge point {self.ref.device_id} has gone") from gone

    async def close(self, code: int) -> None:
        if self._socket.application_state is WebSocketState.CONNECTED:
            try:
                async with asyncio.timeout(self._send_s):
                    await self._socket.close(code)
            except (WebSocketDisconnect, RuntimeError, OSError):
                log.debug("closing a connection that is gone", extra={"connection": self.name})

    async def ask(self, request: Message) -> Message:
        """Send a CALL after those before it, and wait for its answer.

        Raises:
            CallFailed, NoAnswer, NotConnected.
        """
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        try:
            self._calls.ask(call(self._random.token(), request), answer)
        except TooManyCalls as full:
            raise CallFailed(str(full)) from full
        await self._send_next()
        return await answer

    async def hear(self, frame: CallResult | CallError) -> None:
        """Give an answer to whoever asked; one that nobody waits for is dropped."""
        found = self._calls.answered(frame)
        if found is None:
            return
        asked, waiting = found
        if not waiting.done():
            try:
                if isinstance(frame, CallError):
                    waiting.set_exception(CallFailed(f"{frame.code}: {frame.description}"))
                else:
                    waiting.set_result(answer_of(asked, frame))
            except Violation as wrong:
                waiting.set_exception(CallFailed(str(wrong)))
        await self._send_next()

    def gone(self) -> None:
        """Tell everybody who still waits."""
        if self._timer is not None:
            self._timer.cancel()
        for waiting in self._calls.forget():
            if not waiting.done():
                waiting.set_exception(NotConnected(f"charge point {self.ref.device_id} has gone"))

    async def _send_next(self) -> None:
        due = self._calls.next(self._clock.monotonic_s())
        if due is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.create_task(self._give_up_on(due))
        try:
            await self.send(due)
        except NotConnected:
            self.gone()
            raise

    async def _give_up_on(self, asked: Call) -> None:
        await asyncio.sleep(self._calls.timeout_s)
        if self._calls.pending is not asked:
            return
        self._timer = None
        late = self._calls.expired(float("inf"))
        if late is not None and not late[1].done():
            late[1].set_exception(NoAnswer(f"no answer within {self._calls.timeout_s:g} s"))
        await self._send_next()


class OcppGateway:
    """All charge points connected to this process."""

    def __init__(
        self, door: Ocpp16Door, admit: Admit, clock: Clock, random: Random, limits: OcppLimits | None = None
    ) -> None:
        self._door = door
        self._admit = admit
        self._clock = clock
        self._random = random
        self.limits = limits or OcppLimits()
        self._held: dict[int, Connection] = {}
        self._admitting = 0
        self._closing = False
        self.counters: dict[str, int] = {}

    @property
    def routes(self) -> list[WebSocketRoute]:
        return [WebSocketRoute("/ocpp/{code:path}", self.serve)]

    @property
    def held(self) -> dict[int, str]:
        """Which charge points are connected here, and by which connection."""
        return {device_id: each.name for device_id, each in self._held.items()}

    @property
    def refs(self) -> dict[int, ChargePointRef]:
        return {device_id: each.ref for device_id, each in self._held.items()}

    async def ask(self, device_id: int, request: Message) -> Message:
        """Send a CALL to a charge point that is connected here.

        Raises:
            CallFailed, NoAnswer, NotConnected.
        """
        connection = self._held.get(device_id)
        if connection is None:
            raise NotConnected(f"charge point {device_id} is not connected here")
        answer = await connection.ask(request)
        await self._door.told(connection.ref, answer)
        return answer

    async def close(self) -> None:
        """Shut down: charge points go elsewhere, and no new ones are taken."""
        self._closing = True
        await asyncio.gather(*(each.close(TRY_AGAIN_LATER) for each in list(self._held.values())))

    async def serve(self, socket: WebSocket) -> None:
        """One connection, from its handshake to its end."""
        try:
            ref = await self._admitted(socket)
            if ref is None:
                return
            if SUBPROTOCOL not in socket.scope["subprotocols"]:
                # OCPP-J 1.6, section 3.2: finish the handshake without a subprotocol, then close at once.
                self._count("subprotocol_refused")
                await socket.accept()
                await socket.close(PROTOCOL_ERROR)
                return
            connection = Connection(socket, ref, self._clock, self._random, self.limits.send_s)
            await self._hold(connection, socket)
        except Unavailable:
            self._count("unavailable")
            await _deny(socket, HTTPStatus.SERVICE_UNAVAILABLE)

    async def _admitted(self, socket: WebSocket) -> ChargePointRef | None:
        code = socket.path_params["code"].removesuffix("/")
        full = len(self._held) >= self.limits.connections_max
        if self._closing or full or self._admitting >= self.limits.admissions_max:
            self._count("turned_away")
            await _deny(socket, HTTPStatus.SERVICE_UNAVAILABLE)
            return None
        user, password = _credentials(socket)
        self._admitting += 1
        try:
            admitted = await self._admit(code, password if user == code else None) if _is_code(code) else None
        finally:
            self._admitting -= 1
        if isinstance(admitted, ChargePointRef):
            return admitted
        if admitted is NotAdmitted.WRONG_SECRET:
            self._count("wrong_secret")
            await _deny(socket, HTTPStatus.UNAUTHORIZED)
        else:
            self._count("unknown_charge_point")
            await _deny(socket, HTTPStatus.NOT_FOUND)
        return None

    async def _hold(self, connection: Connection, socket: WebSocket) -> None:
        """Take over from an older connection of the same charge point, and talk until this one ends."""
        ref = connection.ref
        await self._door.connected(ref, connection.name)
        await socket.accept(SUBPROTOCOL)
        older, self._held[ref.device_id] = self._held.get(ref.device_id), connection
        if older is not None:
            self._count("taken_over")
            older.gone()
            await older.close(NORMAL)
        self._count("connected")
        try:
            await self._talk(connection, socket)
        finally:
            connection.gone()
            if self._held.get(ref.device_id) is connection:
                del self._held[ref.device_id]
            try:
                await self._door.disconnected(ref, connection.name)
            except Unavailable:
                log.warning("nobody could note that a charge point left", extra={"device_id": ref.device_id})

    async def _talk(self, connection: Connection, socket: WebSocket) -> None:
        bucket = Bucket(self.limits.frames_per_s, self.limits.frames_burst, self._clock.monotonic_s)
        while True:
            try:
                async with asyncio.timeout(self.limits.idle_s):
                    message = await socket.receive()
            except TimeoutError:
                self._count("idle")
                await connection.close(NORMAL)
                return
            if message["type"] == "websocket.disconnect":
                return
            await asyncio.sleep(bucket.wait_s())
            try:
                await self._take(connection, message.get("text") or message.get("bytes") or "")
            except Unavailable:
                # Unanswered and disconnected, the charge point keeps what it told and tells it again.
                self._count("unavailable")
                await connection.close(TRY_AGAIN_LATER)
                return
            except NotConnected as gone:
                self._count("lost")
                log.info("a charge point is gone", extra={"why": str(gone)})
                await connection.close(NORMAL)
                return

    async def _take(self, connection: Connection, text: str | bytes) -> None:
        connection.frames += 1
        try:
            frame = unpack(text)
        except Violation as wrong:
            self._count("junk")
            if not is_answer(text):
                await connection.send(wrong.answer())
            return
        if not isinstance(frame, Call):
            await connection.hear(frame)
            return
        raw = RawFrame(
            connection=connection.id,
            number=connection.frames,
            body=text.encode() if isinstance(text, str) else text,
            received_at=self._clock.now(),
        )
        answer = await self._answered(connection.ref, frame, raw)
        self._count("refused" if isinstance(answer, CallError) else "answered")
        await connection.send(answer)

    async def _answered(self, ref: ChargePointRef, asked: Call, raw: RawFrame) -> CallResult | CallError:
        try:
            return await self._door.answer(ref, asked, raw)
        except Unavailable:
            raise
        except Exception:
            # The process's own loop: a bug in one answer must not cut off a charge point.
            log.exception("a call failed", extra={"device_id": ref.device_id, "action": asked.action})
            self._count("failed")
            return CallError(asked.unique_id, ErrorCode.INTERNAL_ERROR)

    def _count(self, name: str) -> None:
        self.counters[name] = self.counters.get(name, 0) + 1


class Bucket:
    """So many frames at once, so many a second after that."""

    def __init__(self, per_s: float, burst: int, monotonic_s: Callable[[], float]) -> None:
        self._per_s = per_s
        self._burst = float(burst)
        self._now_s = monotonic_s
        self._left = self._burst
        self._at_s = monotonic_s()

    def wait_s(self) -> float:
        """Take one; gives how long to wait before using it."""
        now_s = self._now_s()
        self._left = min(self._burst, self._left + (now_s - self._at_s) * self._per_s) - 1
        self._at_s = now_s
        return max(0.0, -self._left / self._per_s)


def _is_code(code: str) -> bool:
    return 0 < len(code) <= CODE_CHARS_MAX and code.isprintable() and "/" not in code


def _credentials(socket: WebSocket) -> tuple[str | None, str | None]:
    """User and password of HTTP Basic (security profile 1); the password may hold colons."""
    scheme, _, coded = socket.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic" or len(coded) > 2 * (CODE_CHARS_MAX + PASSWORD_CHARS_MAX):
        return None, None
    try:
        user, colon, password = base64.b64decode(coded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None, None
    return (user, password) if colon else (None, None)


async def _deny(socket: WebSocket, status: HTTPStatus) -> None:
    """Refuse the handshake with a bare status: nothing is told to whoever may be asking."""
    if socket.application_state is not WebSocketState.CONNECTING:
        await socket.close(TRY_AGAIN_LATER)
        return
    headers = {}
    if status is HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = 'Basic realm="ocpp", charset="UTF-8"'
    elif status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers["retry-after"] = str(RETRY_AFTER_S)
    await socket.send_denial_response(Response(status_code=status, headers=headers))
