"""The 蓝峰 driver: one line, its guns, in house units."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from forecourt_edge.drivers.types import (
    FinishedSale,
    NoAnswer,
    NozzleState,
    OrderResult,
    Reading,
    Totalizers,
)
from forecourt_kit.clock import Clock
from forecourt_kit.net import Stream
from forecourt_kit.price import Preset, PresetKind
from forecourt_protocols.lanfeng.commands import Command, Fault, GunState, Result
from forecourt_protocols.lanfeng.commands import PresetKind as LinePreset
from forecourt_protocols.lanfeng.messages import (
    SALE_PAGES,
    Acknowledgement,
    Answer,
    ClearSale,
    NoSale,
    Order,
    PresetAmount,
    PresetQuantity,
    PriceAnswer,
    QuerySale,
    Request,
    SalePage,
    SequenceAnswer,
    SetPrice,
    StateAnswer,
    TotalAmount,
    TotalQuantity,
)
from forecourt_protocols.lanfeng.session import (
    ANSWER_TIMEOUT_S,
    TRIES_MAX,
    LineFault,
    LineMaster,
    TornSale,
    Unanswered,
    join_sale,
)

E2_TO_E4 = 100
READ_BYTES_MAX = 256
TORN_TRIES_MAX = 3
PRICE_E4_MAX = 99_9900
AMOUNT_FEN_MAX = 9999_99
QUANTITY_E4_MAX = 9999_9900
KPA_PER_MPA_E2 = 10
ZERO_CELSIUS_K_E2 = 27_315

STATES = {
    GunState.CLOSED: NozzleState.CLOSED,
    GunState.IDLE: NozzleState.IDLE,
    GunState.CALLING: NozzleState.CALLING,
    GunState.AUTHORISED: NozzleState.AUTHORISED,
    GunState.STARTED: NozzleState.STARTED,
    GunState.FUELLING: NozzleState.FUELLING,
    GunState.SUSPENDED: NozzleState.SUSPENDED,
    GunState.ERROR: NozzleState.ERROR,
}
RESULTS = {
    Result.DONE: OrderResult.DONE,
    Result.WRONG_STATE: OrderResult.WRONG_STATE,
    Result.OUT_OF_RANGE: OrderResult.OUT_OF_RANGE,
    Result.FAULTY: OrderResult.FAULTY,
    Result.NOT_THE_SALE: OrderResult.WRONG_STATE,
}

logger = logging.getLogger(__name__)


class LanfengLine:
    """One serial line. Exchanges take turns; it is opened when needed and dropped when it breaks."""

    def __init__(
        self,
        name: str,
        opener: Callable[[], Awaitable[Stream]],
        clock: Clock,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> None:
        self.name = name
        self._opener, self._clock = opener, clock
        self._stream: Stream | None = None
        self._master = LineMaster(answer_timeout_s)
        self._turn = asyncio.Lock()

    @property
    def counts(self) -> dict[LineFault, int]:
        """Noise, stray answers, time-outs since the start."""
        return self._master.counts

    async def exchange(self, gun: int, request: Request, tries: int = TRIES_MAX) -> Answer:
        """Ask and wait for the answer. Raises NoAnswer."""
        async with self._turn:
            try:
                return await self._exchange(gun, request, tries)
            except OSError as why:
                logger.warning("line lost", extra={"line": self.name, "why": str(why)})
                await self._drop()
                raise NoAnswer(f"{self.name}: {why}") from why
            except asyncio.CancelledError:
                self._master = LineMaster(
                    counts=self._master.counts
                )  # The open question goes with its asker.
                raise

    async def close(self) -> None:
        async with self._turn:
            await self._drop()

    async def _exchange(self, gun: int, request: Request, tries: int) -> Answer:
        if self._stream is None:
            self._stream = await self._opener()
        master = self._master
        master.tries_max = tries
        await self._stream.write(master.ask(gun, request, self._clock.monotonic_s()))
        while (deadline_s := master.deadline_s) is not None:
            try:
                async with asyncio.timeout(max(0.0, deadline_s - self._clock.monotonic_s())):
                    data = await self._stream.read(READ_BYTES_MAX)
            except TimeoutError:
                again = master.due(max(self._clock.monotonic_s(), deadline_s))
                if isinstance(again, bytes):
                    await self._stream.write(again)
                elif isinstance(again, Unanswered):
                    raise NoAnswer(f"{self.name}: gun {gun} is silent") from None
                continue
            if not data:
                raise ConnectionResetError("the line was closed")
            if (answer := master.receive(data)) is not None:
                return answer
        raise AssertionError("an exchange ends by its answer or its last time-out")

    def _forget_question(self) -> None:
        self._master = LineMaster(self._master.answer_timeout_s, counts=self._master.counts)

    async def _drop(self) -> None:
        self._forget_question()
        if self._stream is not None:
            stream, self._stream = self._stream, None
            await stream.close()


class LanfengGun:
    """One gun of a line; implements drivers.types.Dispenser."""

    def __init__(self, line: LanfengLine, gun: int) -> None:
        self._line, self._gun = line, gun
        self._tries = TRIES_MAX

    async def read(self) -> Reading:
        try:
            answer = await self._line.exchange(self._gun, Order(Command.QUERY_STATE), self._tries)
        except NoAnswer:
            self._tries = 1  # A dead gun must not hold the line for three time-outs at each visit.
            raise
        self._tries = TRIES_MAX
        assert isinstance(answer, StateAnswer)
        return Reading(
            state=STATES[answer.state],
            sale_waiting=answer.sale_waiting,
            quantity_e4=answer.quantity_e2 * E2_TO_E4,
            amount_fen=answer.amount_fen,
            faults=tuple(fault.name.lower() for fault in Fault if fault in answer.faults and fault.name),
        )

    async def take_control(self) -> OrderResult:
        return await self._order(Order(Command.CONTROL))

    async def release(self, preset: Preset | None) -> OrderResult:
        match preset:
            case Preset(PresetKind.AMOUNT, value) if value <= AMOUNT_FEN_MAX:
                return await self._order(PresetAmount(value))
            case Preset(PresetKind.QUANTITY, value) if E2_TO_E4 <= value <= QUANTITY_E4_MAX:
                return await self._order(PresetQuantity(value // E2_TO_E4))
            case None | Preset(PresetKind.FULL):
                return await self._order(Order(Command.RELEASE))
        return OrderResult.OUT_OF_RANGE

    async def stop(self) -> OrderResult:
        return await self._order(Order(Command.STOP))

    async def unit_price_e4(self) -> int:
        answer = await self._line.exchange(self._gun, Order(Command.QUERY_PRICE))
        assert isinstance(answer, PriceAnswer)
        return answer.unit_price_e2 * E2_TO_E4

    async def set_price(self, unit_price_e4: int) -> OrderResult:
        if unit_price_e4 % E2_TO_E4 or not 0 <= unit_price_e4 <= PRICE_E4_MAX:
            return OrderResult.OUT_OF_RANGE
        return await self._order(SetPrice(unit_price_e4 // E2_TO_E4))

    async def totalizers(self) -> Totalizers:
        quantity = await self._line.exchange(self._gun, Order(Command.QUERY_TOTAL_QUANTITY))
        amount = await self._line.exchange(self._gun, Order(Command.QUERY_TOTAL_AMOUNT))
        assert isinstance(quantity, TotalQuantity)
        assert isinstance(amount, TotalAmount)
        return Totalizers(quantity.quantity_e2 * E2_TO_E4, amount.amount_fen)

    async def last_sequence(self) -> int:
        answer = await self._line.exchange(self._gun, Order(Command.QUERY_SEQUENCE))
        assert isinstance(answer, SequenceAnswer)
        return answer.last_sequence

    async def oldest_sale(self) -> FinishedSale | None:
        for _ in range(TORN_TRIES_MAX):
            pages: list[SalePage] = []
            for page in SALE_PAGES:
                answer = await self._line.exchange(self._gun, QuerySale(page))
                if isinstance(answer, NoSale):
                    return None
                pages.append(answer)  # type: ignore[arg-type]  # The session lets only pages through.
            try:
                return _finished(pages, self._gun)
            except TornSale:
                continue
        raise NoAnswer(f"{self._line.name}: gun {self._gun} never told one sale whole")

    async def clear_sale(self, sequence: int) -> OrderResult:
        return await self._order(ClearSale(sequence))

    async def _order(self, request: Request) -> OrderResult:
        answer = await self._line.exchange(self._gun, request)
        assert isinstance(answer, Acknowledgement)
        return RESULTS[answer.result]


def _finished(pages: list[SalePage], gun: int) -> FinishedSale:
    sale = join_sale(gun, pages)
    detail: dict[str, int | str] = {"end_reason": sale.end_reason.name.lower()}
    if sale.pressure_end_mpa_e2:
        detail["pressure_start_kpa"] = sale.pressure_start_mpa_e2 * KPA_PER_MPA_E2
        detail["pressure_end_kpa"] = sale.pressure_end_mpa_e2 * KPA_PER_MPA_E2
    if sale.temperature_k_e1:
        detail["temperature_c_e2"] = sale.temperature_k_e1 * 10 - ZERO_CELSIUS_K_E2
    preset = None
    if sale.preset_kind is LinePreset.AMOUNT and sale.preset_value:
        preset = Preset(PresetKind.AMOUNT, sale.preset_value)
    elif sale.preset_kind is LinePreset.QUANTITY and sale.preset_value:
        preset = Preset(PresetKind.QUANTITY, sale.preset_value * E2_TO_E4)
    return FinishedSale(
        sequence=sale.sequence,
        quantity_e4=sale.quantity_e2 * E2_TO_E4,
        amount_fen=sale.amount_fen,
        unit_price_e4=sale.unit_price_e2 * E2_TO_E4,
        totalizer_before_e4=sale.totalizer_before_e2 * E2_TO_E4,
        totalizer_after_e4=sale.totalizer_after_e2 * E2_TO_E4,
        duration_s=sale.duration_s,
        preset=preset,
        detail=detail,
    )
