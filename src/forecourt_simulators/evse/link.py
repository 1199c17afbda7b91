"""The WebSocket of one charge point: connect, talk, lose the link, wait, connect again; for ever."""

import asyncio
import base64
import logging
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from forecourt_protocols.ocpp.calls import Calls
from forecourt_protocols.ocpp.framing import (
    FRAME_BYTES_MAX,
    Call,
    CallError,
    CallResult,
    Violation,
    is_answer,
    pack,
    unpack,
)
from forecourt_protocols.ocpp.v16 import messages as m
from forecourt_protocols.ocpp.v16.actions import SUBPROTOCOL, Asker, answer_of, call, request_of, result
from forecourt_simulators.evse.charge_point import ChargePoint
from forecourt_simulators.evse.orders import obey
from forecourt_simulators.evse.outbox import Outgoing

TURN_S = 0.02  # How often a charge point looks whether it has something to say.
BACKOFF_S_MIN, BACKOFF_S_MAX = 0.5, 30.0
OPEN_TIMEOUT_S = 10.0

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Link:
    """`url` is the platform's base, such as `ws://127.0.0.1:7180/ocpp`; the code is put behind it."""

    point: ChargePoint
    url: str
    dropped: int = 0

    async def keep(self) -> None:
        """Stay connected whenever the charge point is not cut off."""
        backoff_s = BACKOFF_S_MIN
        while True:
            if self.point.offline_for_us > 0:
                await asyncio.sleep(TURN_S)
                continue
            try:
                async with connect(**self._arguments()) as socket:
                    backoff_s = BACKOFF_S_MIN
                    await self._talk(socket)
            except (OSError, WebSocketException, TimeoutError) as why:
                logger.info("link down", extra={"charge_point": self.point.setup.code, "why": str(why)})
            await asyncio.sleep(backoff_s * (0.5 + self.point.random.uniform()))
            backoff_s = min(BACKOFF_S_MAX, backoff_s * 2)

    def _arguments(self) -> dict[str, Any]:
        setup = self.point.setup
        headers = {}
        if setup.password:
            pair = base64.b64encode(f"{setup.code}:{setup.password}".encode()).decode()
            headers["Authorization"] = f"Basic {pair}"
        return {
            "uri": f"{self.url.rstrip('/')}/{setup.code}",
            "subprotocols": [Subprotocol(SUBPROTOCOL)],
            "additional_headers": headers,
            "open_timeout": OPEN_TIMEOUT_S,
            "max_size": FRAME_BYTES_MAX,
            "proxy": None,
        }

    async def _talk(self, socket: ClientConnection) -> None:
        if self.dropped < self.point.faults.reconnect_storm:
            self.dropped += 1
            socket.transport.abort()
            return
        conversation = Conversation(self.point, socket)
        self.point.link_up()
        hearing = asyncio.create_task(conversation.hear())
        try:
            while not hearing.done() and not self.point.reboot_wanted and not self.point.offline_for_us:
                if not await conversation.say():
                    socket.transport.abort()
                    return
                await asyncio.wait([hearing], timeout=TURN_S)
        finally:
            hearing.cancel()
            self.point.link_down()
        if hearing.done() and not hearing.cancelled():
            hearing.result()


class Conversation:
    """What is said over one connection."""

    def __init__(self, point: ChargePoint, socket: ClientConnection) -> None:
        self._point = point
        self._socket = socket
        self._calls: Calls[tuple[m.Message, Outgoing]] = Calls(waiting_max=1)

    async def hear(self) -> None:
        """Take frames until the connection ends; what is no frame is answered as the protocol says."""
        async for text in self._socket:
            try:
                frame = unpack(text)
            except Violation as wrong:
                if not is_answer(text):
                    await self._socket.send(pack(wrong.answer()))
                continue
            if isinstance(frame, Call):
                await self._socket.send(pack(self._obeyed(frame)))
            else:
                self._heard(frame)

    async def say(self) -> bool:
        """Send what is due. False when the link must break now, before the answer (a fault)."""
        now_s = self._point.clock.monotonic_s()
        if self._calls.expired(now_s) is not None:
            self._point.unanswered()
        outgoing = self._point.next_request()
        if outgoing is None:
            return True
        request = outgoing.write()
        self._calls.ask(call(self._point.random.token(12), request), (request, outgoing))
        asked = self._calls.next(now_s)
        assert asked is not None
        await self._socket.send(pack(asked))
        lost_percent = self._point.faults.lost_answer_percent
        if outgoing.session is not None and lost_percent and self._point.random.below(100) < lost_percent:
            await asyncio.sleep(TURN_S)  # The platform has it; its answer finds nobody.
            return False
        return True

    def _obeyed(self, asked: Call) -> CallResult | CallError:
        try:
            return result(asked.unique_id, obey(self._point, request_of(asked, Asker.CENTRAL_SYSTEM)))
        except Violation as wrong:
            return wrong.answer()

    def _heard(self, frame: CallResult | CallError) -> None:
        found = self._calls.answered(frame)
        if found is None:
            return
        asked, (request, outgoing) = found
        if isinstance(frame, CallError):
            logger.warning("refused", extra={"action": asked.action, "code": frame.code})
            self._point.unanswered()
            return
        try:
            self._point.answered(request, outgoing, answer_of(asked, frame))
        except Violation:
            self._point.unanswered()
