import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocols.lanfeng.strategies import GUNS, SALE, STATE

from forecourt_protocols.lanfeng.commands import Command, Fault, GunState, Result
from forecourt_protocols.lanfeng.messages import (
    Answer,
    ClearSale,
    NoSale,
    Order,
    QuerySale,
    SaleCounts,
    SetPrice,
    StateAnswer,
    acknowledge,
    encode_answer,
    encode_request,
)
from forecourt_protocols.lanfeng.session import (
    LineFault,
    LineMaster,
    Sale,
    TornSale,
    Unanswered,
    join_sale,
    split_sale,
)

ASK_STATE = Order(Command.QUERY_STATE)
IDLE = StateAnswer(GunState.IDLE, True, False, 0, 0, Fault.NONE)


@given(STATE, st.data())
def test_an_answer_in_any_pieces_answers_the_question(answer: StateAnswer, data: st.DataObject) -> None:
    master = LineMaster()
    master.ask(3, ASK_STATE, 0.0)
    line, heard = encode_answer(3, answer), []
    while line:
        cut = data.draw(st.integers(1, len(line)))
        heard.append(master.receive(line[:cut]))
        line = line[cut:]
    assert [each for each in heard if each is not None] == [answer]
    assert master.deadline_s is None


@given(GUNS, GUNS, STATE)
def test_only_the_gun_that_was_asked_answers(asked: int, other: int, answer: StateAnswer) -> None:
    master = LineMaster()
    master.ask(asked, ASK_STATE, 0.0)
    heard = master.receive(encode_answer(other, answer))
    assert heard == (answer if asked == other else None)
    assert master.counts[LineFault.STRAY_ANSWER] == (asked != other)


@given(st.integers(0, 7), st.integers(0, 11))
def test_a_flipped_bit_anywhere_in_an_answer_is_never_believed(bit: int, at: int) -> None:
    """The session closes the hole of the gun byte, which the checksum leaves open."""
    master = LineMaster()
    master.ask(3, ASK_STATE, 0.0)
    line = bytearray(encode_answer(3, IDLE))
    line[at] ^= 1 << bit
    assert master.receive(bytes(line)) is None


def test_a_question_is_asked_again_and_then_given_up() -> None:
    master = LineMaster(answer_timeout_s=0.2, tries_max=2)
    sent = master.ask(3, ASK_STATE, 10.0)
    assert master.due(10.1) is None
    assert master.due(10.2) == sent
    assert master.deadline_s == pytest.approx(10.4)
    assert master.due(10.4) == Unanswered(3, ASK_STATE)
    assert master.deadline_s is None
    assert master.due(11.0) is None


def test_half_an_answer_before_a_retry_does_not_spoil_the_whole_one() -> None:
    master = LineMaster(answer_timeout_s=0.2)
    master.ask(3, ASK_STATE, 0.0)
    line = encode_answer(3, IDLE)
    assert master.receive(line[:5]) is None
    assert master.due(0.2) == encode_request(3, ASK_STATE)
    assert master.receive(line) == IDLE


def test_an_order_is_acknowledged_only_by_its_own_echo() -> None:
    master = LineMaster()
    master.ask(3, SetPrice(785), 0.0)
    assert master.receive(encode_answer(3, acknowledge(SetPrice(758), Result.DONE))) is None
    taken = acknowledge(SetPrice(785), Result.DONE)
    assert master.receive(encode_answer(3, taken)) == taken


def test_a_late_page_of_the_question_before_is_not_taken_for_this_one() -> None:
    master = LineMaster()
    master.ask(3, QuerySale(2), 0.0)
    assert master.receive(encode_answer(3, SaleCounts(34, 1, 1))) is None
    assert master.receive(encode_answer(3, NoSale())) == NoSale()


def test_an_answer_to_no_question_is_counted_and_dropped() -> None:
    master = LineMaster()
    assert master.receive(encode_answer(3, acknowledge(ClearSale(7), Result.DONE))) is None
    assert master.counts[LineFault.STRAY_ANSWER] == 1


def test_two_answers_to_one_question_give_one() -> None:
    master = LineMaster()
    master.ask(3, ASK_STATE, 0.0)
    assert master.receive(encode_answer(3, IDLE) * 2) == IDLE
    assert master.counts[LineFault.STRAY_ANSWER] == 1


@given(st.binary(max_size=100))
def test_noise_raises_nothing_and_the_line_recovers(noise: bytes) -> None:
    master = LineMaster()
    master.ask(3, ASK_STATE, 0.0)
    answer: Answer | None = master.receive(noise)
    if answer is None:
        master.due(1.0)
        assert master.receive(encode_answer(3, IDLE)) == IDLE


@given(SALE)
def test_a_sale_survives_its_pages(sale: Sale) -> None:
    assert join_sale(sale.gun, split_sale(sale)) == sale


@given(SALE, st.integers(0, 5))
def test_pages_of_two_sales_are_never_joined(sale: Sale, at: int) -> None:
    pages = split_sale(sale)
    other = type(pages[at])
    fields = {name: getattr(pages[at], name) for name in pages[at].__dataclass_fields__}
    pages[at] = other(**(fields | {"tag": (sale.sequence + 1) % 100}))
    with pytest.raises(TornSale):
        join_sale(sale.gun, pages)


@given(SALE, st.integers(0, 5))
def test_a_missing_page_is_no_sale(sale: Sale, at: int) -> None:
    pages = split_sale(sale)
    del pages[at]
    with pytest.raises(TornSale):
        join_sale(sale.gun, pages)
