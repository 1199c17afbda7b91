import json
from collections import Counter
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocols.lanfeng.strategies import ANSWER, GUNS, REQUEST

from forecourt_protocols.lanfeng import messages
from forecourt_protocols.lanfeng.commands import COMMAND_CODES, Command
from forecourt_protocols.lanfeng.framing import Frame, FrameReader, checksum
from forecourt_protocols.lanfeng.messages import (
    Answer,
    BadMessage,
    Order,
    PresetAmount,
    Request,
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
)

VECTORS: list[dict[str, Any]] = json.loads(
    files("forecourt_protocols.lanfeng").joinpath("vectors/frames.json").read_text("utf-8")
)


def only_frame(line: bytes) -> Frame:
    (heard,) = FrameReader().receive(line)
    assert isinstance(heard, Frame)
    return heard


@given(GUNS, REQUEST)
def test_a_question_comes_out_as_it_went_in(gun: int, request: Request) -> None:
    heard = only_frame(encode_request(gun, request))
    assert (heard.gun, decode_request(heard)) == (gun, request)


@given(GUNS, ANSWER)
def test_an_answer_comes_out_as_it_went_in(gun: int, answer: Answer) -> None:
    heard = only_frame(encode_answer(gun, answer))
    assert (heard.gun, decode_answer(heard)) == (gun, answer)


@given(st.sampled_from(sorted(COMMAND_CODES)), st.binary(min_size=8, max_size=8))
def test_what_decodes_encodes_to_the_same_bytes(command: int, data: bytes) -> None:
    heard = Frame(1, command, data)
    line = bytes((1, 0, command)) + data + bytes((checksum(bytes((command,)) + data),))
    codecs: list[tuple[Any, Any]] = [(decode_request, encode_request), (decode_answer, encode_answer)]
    for decode, encode in codecs:
        try:
            message = decode(heard)
        except BadMessage:
            continue
        assert encode(1, message) == line


@pytest.mark.parametrize("vector", VECTORS, ids=[f"{at}: {each['about']}" for at, each in enumerate(VECTORS)])
def test_vector(vector: dict[str, Any]) -> None:
    line = bytes.fromhex(vector["frame"])
    heard = only_frame(line)
    message = (decode_request if vector["direction"] == "question" else decode_answer)(heard)
    assert type(message).__name__ == vector["message"]
    for name, value in vector["fields"].items():
        found = getattr(message, name)
        assert (found.hex(" ") if isinstance(found, bytes) else found) == value
    encode: Any = encode_request if vector["direction"] == "question" else encode_answer
    assert encode(heard.gun, message) == line


def test_the_published_table_is_among_the_vectors() -> None:
    kinds = Counter(vector["published"] for vector in VECTORS)
    assert kinds[True] == 13


@pytest.mark.parametrize("amount_fen", [-1, 1_000_000])
def test_a_value_that_does_not_fit_is_refused(amount_fen: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        encode_request(1, PresetAmount(amount_fen))


def test_digits_that_are_not_decimal_are_refused() -> None:
    with pytest.raises(BadMessage, match="not decimal"):
        decode_request(Frame(1, Command.PRESET_AMOUNT, bytes.fromhex("2A00000000000000")))


def test_a_byte_that_no_field_names_must_be_zero() -> None:
    with pytest.raises(BadMessage, match="unused"):
        decode_request(Frame(1, Command.QUERY_STATE, bytes.fromhex("0000000000000001")))


def test_our_own_echo_is_no_answer_to_an_order_nor_to_a_state_query() -> None:
    for command in (Command.QUERY_STATE, Command.RELEASE, Command.STOP, Command.CONTROL):
        with pytest.raises(BadMessage):
            decode_answer(only_frame(encode_request(7, Order(command))))


def test_every_layout_stays_inside_the_eight_bytes() -> None:
    layouts = [*messages.REQUESTS.values(), *messages.ANSWERS.values(), *messages.SALES.values()]
    for _, fields in layouts:
        for each in fields:
            assert each.at + getattr(each, "size", 1) <= 8  # type: ignore[attr-defined]
