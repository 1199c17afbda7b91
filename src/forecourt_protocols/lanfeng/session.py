"""The asking side of the line: one question at a time, answers only from the gun that was asked."""

from dataclasses import dataclass, field
from enum import StrEnum

from forecourt_protocols.lanfeng.commands import EndReason, PresetKind, Result
from forecourt_protocols.lanfeng.framing import BadFrame, Frame, FrameReader
from forecourt_protocols.lanfeng.messages import (
    SALE_PAGES,
    TAG_MODULUS,
    Acknowledgement,
    Answer,
    BadMessage,
    NoSale,
    QuerySale,
    Request,
    SaleAfter,
    SaleBefore,
    SaleCounts,
    SaleGas,
    SaleIdentity,
    SalePage,
    SalePreset,
    acknowledge,
    command_of,
    decode_answer,
    encode_request,
)

ANSWER_TIMEOUT_S = (
    0.25  # Two frames at 9600 8N1 take 25 ms; the rest is the dispenser's turn-around. Assumed.
)
TRIES_MAX = 3


class LineFault(StrEnum):
    """What the asking side counts; none of them raises."""

    NOISE_BYTES = "noise_bytes"
    BAD_MESSAGE = "bad_message"
    STRAY_ANSWER = "stray_answer"
    TIMEOUT = "timeout"
    UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Every try of a question passed without an answer."""

    gun: int
    request: Request


@dataclass(slots=True)
class LineMaster:
    """Holds the one open question. Times are seconds of a monotonic clock, given by the caller."""

    answer_timeout_s: float = ANSWER_TIMEOUT_S
    tries_max: int = TRIES_MAX
    counts: dict[LineFault, int] = field(default_factory=lambda: dict.fromkeys(LineFault, 0))
    _reader: FrameReader = field(default_factory=FrameReader)
    _gun: int = 0
    _request: Request | None = None
    _tries: int = 0
    _deadline_s: float = 0.0

    @property
    def deadline_s(self) -> float | None:
        """When `due` must be called; None while no question is open."""
        return self._deadline_s if self._request is not None else None

    def ask(self, gun: int, request: Request, now_s: float) -> bytes:
        """The bytes to send. The line is half-duplex: nothing is asked while a question is open."""
        assert self._request is None, "one question at a time"
        self._note_dropped(self._reader.silence())
        sent = encode_request(gun, request)
        self._gun, self._request, self._tries = gun, request, 1
        self._deadline_s = now_s + self.answer_timeout_s
        return sent

    def receive(self, data: bytes) -> Answer | None:
        """The answer to the open question, when these bytes complete it."""
        answer = None
        for heard in self._reader.receive(data):
            if isinstance(heard, BadFrame):
                self._note_dropped(heard)
            elif answer is None:
                answer = self._take(heard)
            else:
                self.counts[LineFault.STRAY_ANSWER] += 1
        return answer

    def due(self, now_s: float) -> bytes | Unanswered | None:
        """Past the deadline: the bytes to send again, or that the question is given up."""
        if self._request is None or now_s < self._deadline_s:
            return None
        self._note_dropped(self._reader.silence())
        self.counts[LineFault.TIMEOUT] += 1
        if self._tries >= self.tries_max:
            given_up = Unanswered(self._gun, self._request)
            self._request = None
            self.counts[LineFault.UNANSWERED] += 1
            return given_up
        self._tries += 1
        self._deadline_s = now_s + self.answer_timeout_s
        return encode_request(self._gun, self._request)

    def _take(self, heard: Frame) -> Answer | None:
        try:
            answer = decode_answer(heard)
        except BadMessage:
            self.counts[LineFault.BAD_MESSAGE] += 1
            return None
        if self._request is None or heard.gun != self._gun or not answers(self._request, heard, answer):
            self.counts[LineFault.STRAY_ANSWER] += 1
            return None
        self._request = None
        return answer

    def _note_dropped(self, dropped: BadFrame | None) -> None:
        if dropped is not None:
            self.counts[LineFault.NOISE_BYTES] += dropped.dropped_bytes


def answers(request: Request, heard: Frame, answer: Answer) -> bool:
    """Whether this is an answer to that question: same command, same page, same echoed order."""
    if heard.command != command_of(request):
        return False
    if isinstance(answer, Acknowledgement):
        return answer.echo == acknowledge(request, Result.DONE).echo
    if isinstance(request, QuerySale):
        return isinstance(answer, NoSale) or heard.data[0] == request.page
    return True


@dataclass(frozen=True, slots=True)
class Sale:
    """One finished fill as the dispenser keeps it. (gun, totalizer after, sequence) is its identity."""

    gun: int
    sequence: int
    quantity_e2: int
    amount_fen: int
    unit_price_e2: int
    totalizer_before_e2: int
    totalizer_after_e2: int
    preset_kind: PresetKind
    preset_value: int
    duration_s: int
    end_reason: EndReason
    pressure_start_mpa_e2: int
    pressure_end_mpa_e2: int
    temperature_k_e1: int


class TornSale(ValueError):
    """Pages of different sales: the oldest sale changed between two questions. Read again from page 1."""


def join_sale(gun: int, pages: list[SalePage]) -> Sale:
    """One sale from its six pages, in order; TornSale when they do not belong together."""
    match pages:
        case [
            SaleCounts() as counts,
            SaleIdentity() as identity,
            SaleBefore() as before,
            SaleAfter() as after,
            SalePreset() as preset,
            SaleGas() as gas,
        ] if {page.tag for page in pages} == {identity.sequence % TAG_MODULUS}:
            return Sale(
                gun=gun,
                sequence=identity.sequence,
                quantity_e2=counts.quantity_e2,
                amount_fen=counts.amount_fen,
                unit_price_e2=identity.unit_price_e2,
                totalizer_before_e2=before.totalizer_before_e2,
                totalizer_after_e2=after.totalizer_after_e2,
                preset_kind=after.preset_kind,
                preset_value=preset.preset_value,
                duration_s=preset.duration_s,
                end_reason=before.end_reason,
                pressure_start_mpa_e2=gas.pressure_start_mpa_e2,
                pressure_end_mpa_e2=gas.pressure_end_mpa_e2,
                temperature_k_e1=gas.temperature_k_e1,
            )
        case _:
            raise TornSale(f"gun {gun}: {len(pages)} of {len(SALE_PAGES)} pages, or of different sales")


def split_sale(sale: Sale) -> list[SalePage]:
    """The six pages of a sale."""
    tag = sale.sequence % TAG_MODULUS
    return [
        SaleCounts(tag, sale.quantity_e2, sale.amount_fen),
        SaleIdentity(tag, sale.unit_price_e2, sale.sequence),
        SaleBefore(tag, sale.totalizer_before_e2, sale.end_reason),
        SaleAfter(tag, sale.totalizer_after_e2, sale.preset_kind),
        SalePreset(tag, sale.preset_value, sale.duration_s),
        SaleGas(tag, sale.pressure_start_mpa_e2, sale.pressure_end_mpa_e2, sale.temperature_k_e1),
    ]
