"""Frames ⇄ messages, by one table for each direction. Quantity: 0.01 of the nozzle's unit; money: fen."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from forecourt_protocols.lanfeng.commands import (
    Command,
    EndReason,
    Fault,
    GunState,
    PresetKind,
    Result,
)
from forecourt_protocols.lanfeng.fields import Bcd, Bit, Byte, Field, LowBits, read_fields, write_fields
from forecourt_protocols.lanfeng.framing import DATA_SIZE_BYTES, Frame, frame

ECHO_SIZE_BYTES = 7  # Data2 … Data8 of the question come back in its acknowledgement; Data9 is the result.
SALE_PAGES = (1, 2, 3, 4, 5, 6)
TAG_MODULUS = 100  # A sale page carries the last two digits of the sale's sequence.


class BadMessage(ValueError):
    """A frame whose checksum fits and whose content does not."""


@dataclass(frozen=True, slots=True)
class Order:
    """A question or order without content: control, release, stop and the plain queries."""

    command: Command


@dataclass(frozen=True, slots=True)
class PresetAmount:
    """Release, and stop at this amount. 0.01 … 9999.99 yuan."""

    amount_fen: int


@dataclass(frozen=True, slots=True)
class PresetQuantity:
    """Release, and stop at this quantity. 0.01 … 9999.99 of the nozzle's unit."""

    quantity_e2: int


@dataclass(frozen=True, slots=True)
class SetPrice:
    """0.00 … 99.99 yuan a unit."""

    unit_price_e2: int


@dataclass(frozen=True, slots=True)
class SetPreValve:
    """How much before the preset the large valve closes. 0.00 … 0.99 of the unit."""

    quantity_e2: int


@dataclass(frozen=True, slots=True)
class QuerySale:
    """Ask for one page of the oldest sale that was not cleared."""

    page: int


@dataclass(frozen=True, slots=True)
class ClearSale:
    """The sale is safe elsewhere: forget it. Refused when the oldest sale has another sequence."""

    sequence: int


@dataclass(frozen=True, slots=True)
class StateAnswer:
    """Live state; quantity and amount run while fuelling and stand until the next release."""

    state: GunState
    controlled: bool
    sale_waiting: bool
    quantity_e2: int
    amount_fen: int
    faults: Fault


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Answer to an order: what was understood (Data2 … Data8 of the order) and how it went."""

    command: Command
    echo: bytes
    result: Result


@dataclass(frozen=True, slots=True)
class ShiftSum:
    quantity_e2: int
    amount_fen: int


@dataclass(frozen=True, slots=True)
class TotalAmount:
    amount_fen: int


@dataclass(frozen=True, slots=True)
class TotalQuantity:
    quantity_e2: int


@dataclass(frozen=True, slots=True)
class NoSale:
    """Every sale has been cleared."""


@dataclass(frozen=True, slots=True)
class SaleCounts:
    """Page 1."""

    tag: int
    quantity_e2: int
    amount_fen: int


@dataclass(frozen=True, slots=True)
class SaleIdentity:
    """Page 2."""

    tag: int
    unit_price_e2: int
    sequence: int


@dataclass(frozen=True, slots=True)
class SaleBefore:
    """Page 3."""

    tag: int
    totalizer_before_e2: int
    end_reason: EndReason


@dataclass(frozen=True, slots=True)
class SaleAfter:
    """Page 4."""

    tag: int
    totalizer_after_e2: int
    preset_kind: PresetKind


@dataclass(frozen=True, slots=True)
class SalePreset:
    """Page 5. `preset_value` is fen or 0.01 of the unit, by the kind on page 4."""

    tag: int
    preset_value: int
    duration_s: int


@dataclass(frozen=True, slots=True)
class SaleGas:
    """Page 6: 0.01 MPa and 0.1 K; zero where nothing is measured (liquids at ambient pressure)."""

    tag: int
    pressure_start_mpa_e2: int
    pressure_end_mpa_e2: int
    temperature_k_e1: int


@dataclass(frozen=True, slots=True)
class SequenceAnswer:
    """The sequence of the newest finished sale (0 before the first) and how many wait to be cleared."""

    last_sequence: int
    waiting: int


@dataclass(frozen=True, slots=True)
class PriceAnswer:
    unit_price_e2: int


Request = Order | PresetAmount | PresetQuantity | SetPrice | SetPreValve | QuerySale | ClearSale
SalePage = SaleCounts | SaleIdentity | SaleBefore | SaleAfter | SalePreset | SaleGas
Answer = (
    StateAnswer
    | Acknowledgement
    | ShiftSum
    | TotalAmount
    | TotalQuantity
    | NoSale
    | SalePage
    | SequenceAnswer
    | PriceAnswer
)

ORDERS = frozenset(
    {
        Command.CONTROL,
        Command.UNCONTROL,
        Command.RELEASE,
        Command.STOP,
        Command.CLEAR_SHIFT_SUM,
        Command.QUERY_STATE,
        Command.QUERY_SHIFT_SUM,
        Command.QUERY_TOTAL_AMOUNT,
        Command.QUERY_TOTAL_QUANTITY,
        Command.QUERY_SEQUENCE,
        Command.QUERY_PRICE,
    }
)

# A field's place counts from Data2: 0 is Data2, 7 is Data9. Bytes that no field names are 00.
REQUESTS: Mapping[Command, tuple[type[Any], tuple[Field, ...]]] = {
    Command.PRESET_AMOUNT: (PresetAmount, (Bcd("amount_fen", 0, 3),)),
    Command.PRESET_QUANTITY: (PresetQuantity, (Bcd("quantity_e2", 0, 3),)),
    Command.SET_PRICE: (SetPrice, (Bcd("unit_price_e2", 0, 2),)),
    Command.SET_PRE_VALVE: (SetPreValve, (Bcd("quantity_e2", 0, 1),)),
    Command.QUERY_SALE: (QuerySale, (Byte("page", 0, int),)),
    Command.CLEAR_SALE: (ClearSale, (Bcd("sequence", 0, 4),)),
}

ANSWERS: Mapping[Command, tuple[type[Any], tuple[Field, ...]]] = {
    Command.QUERY_STATE: (
        StateAnswer,
        (
            LowBits("state", 0, GunState, bits=6),
            Bit("sale_waiting", 0, bit=6),
            Bit("controlled", 0, bit=7),
            Bcd("quantity_e2", 1, 3),
            Bcd("amount_fen", 4, 3),
            Byte("faults", 7, Fault),
        ),
    ),
    Command.QUERY_SHIFT_SUM: (ShiftSum, (Bcd("quantity_e2", 0, 4), Bcd("amount_fen", 4, 4))),
    Command.QUERY_TOTAL_AMOUNT: (TotalAmount, (Bcd("amount_fen", 0, 5),)),
    Command.QUERY_TOTAL_QUANTITY: (TotalQuantity, (Bcd("quantity_e2", 0, 5),)),
    Command.QUERY_SEQUENCE: (SequenceAnswer, (Bcd("last_sequence", 0, 4), Bcd("waiting", 4, 2))),
    Command.QUERY_PRICE: (PriceAnswer, (Bcd("unit_price_e2", 0, 2),)),
}

_TAG = Bcd("tag", 1, 1)
SALES: Mapping[int, tuple[type[Any], tuple[Field, ...]]] = {  # By Data2, the page.
    0: (NoSale, ()),
    1: (SaleCounts, (_TAG, Bcd("quantity_e2", 2, 3), Bcd("amount_fen", 5, 3))),
    2: (SaleIdentity, (_TAG, Bcd("unit_price_e2", 2, 2), Bcd("sequence", 4, 4))),
    3: (SaleBefore, (_TAG, Bcd("totalizer_before_e2", 2, 5), Byte("end_reason", 7, EndReason))),
    4: (SaleAfter, (_TAG, Bcd("totalizer_after_e2", 2, 5), Byte("preset_kind", 7, PresetKind))),
    5: (SalePreset, (_TAG, Bcd("preset_value", 2, 3), Bcd("duration_s", 5, 3))),
    6: (
        SaleGas,
        (
            _TAG,
            Bcd("pressure_start_mpa_e2", 2, 2),
            Bcd("pressure_end_mpa_e2", 4, 2),
            Bcd("temperature_k_e1", 6, 2),
        ),
    ),
}

_REQUEST_COMMANDS = {layout[0]: command for command, layout in REQUESTS.items()}
_ANSWER_COMMANDS = {layout[0]: command for command, layout in ANSWERS.items()}
_PAGE_NUMBERS = {layout[0]: page for page, layout in SALES.items()}
_ACKNOWLEDGED = frozenset(Command) - ANSWERS.keys() - {Command.QUERY_SALE}


def command_of(request: Request) -> Command:
    return request.command if isinstance(request, Order) else _REQUEST_COMMANDS[type(request)]


def encode_request(gun: int, request: Request) -> bytes:
    """The frame of a question; ValueError when a value does not fit its digits."""
    command = command_of(request)
    fields = () if isinstance(request, Order) else REQUESTS[command][1]
    return frame(gun, command, write_fields(fields, request))


def decode_request(heard: Frame) -> Request:
    """The question in a frame; BadMessage when its content is not of the protocol."""
    command = Command(heard.command)
    if command in ORDERS:
        _read((), heard.data)
        return Order(command)
    made, fields = REQUESTS[command]
    request: Request = made(**_read(fields, heard.data))
    return request


def encode_answer(gun: int, answer: Answer) -> bytes:
    """The frame of an answer; ValueError when a value does not fit its digits."""
    if isinstance(answer, Acknowledgement):
        return frame(gun, answer.command, answer.echo + bytes((answer.result,)))
    if (page := _PAGE_NUMBERS.get(type(answer))) is not None:
        data = write_fields(SALES[page][1], answer)
        return frame(gun, Command.QUERY_SALE, bytes((page,)) + data[1:])
    command = _ANSWER_COMMANDS[type(answer)]
    return frame(gun, command, write_fields(ANSWERS[command][1], answer))


def decode_answer(heard: Frame) -> Answer:
    """The answer in a frame; BadMessage when its content is not of the protocol."""
    command = Command(heard.command)
    if command in _ACKNOWLEDGED:
        try:
            return Acknowledgement(command, heard.data[:ECHO_SIZE_BYTES], Result(heard.data[-1]))
        except ValueError as bad:
            raise BadMessage(str(bad)) from bad
    if command is Command.QUERY_SALE:
        return _decode_sale_page(heard.data)
    made, fields = ANSWERS[command]
    answer: Answer = made(**_read(fields, heard.data))
    return answer


def acknowledge(request: Request, result: Result) -> Acknowledgement:
    """What a dispenser answers to an order."""
    command = command_of(request)
    fields = () if isinstance(request, Order) else REQUESTS[command][1]
    return Acknowledgement(command, write_fields(fields, request)[:ECHO_SIZE_BYTES], result)


def _decode_sale_page(data: bytes) -> Answer:
    if data[0] not in SALES:
        raise BadMessage(f"no sale page {data[0]}")
    made, fields = SALES[data[0]]
    page: Answer = made(**_read(fields, b"\x00" + data[1:]))
    return page


def _read(fields: tuple[Field, ...], data: bytes) -> dict[str, Any]:
    assert len(data) == DATA_SIZE_BYTES
    try:
        return read_fields(fields, data)
    except ValueError as bad:
        raise BadMessage(str(bad)) from bad
