"""Frames of OCPP-J: what is read, what is refused and under which code, and that nothing else comes out."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocpp import messages as reference

from forecourt_protocols.ocpp.framing import (
    FRAME_BYTES_MAX,
    UNKNOWN_ID,
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

IDS = st.text(min_size=1, max_size=36)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
PAYLOADS = st.dictionaries(st.text(), VALUES, max_size=4).map(lambda each: json.dumps(each).encode())
FRAMES = st.one_of(
    st.builds(Call, IDS, st.text(min_size=1, max_size=64), PAYLOADS),
    st.builds(CallResult, IDS, PAYLOADS),
    st.builds(CallError, IDS, st.sampled_from(ErrorCode).map(str), st.text(max_size=255), PAYLOADS),
)


class TestRoundTrip:
    @given(FRAMES)
    def test_what_is_packed_is_read_back(self, frame: Frame) -> None:
        assert unpack(pack(frame)) == frame

    @given(FRAMES)
    def test_the_public_implementation_reads_what_we_pack(self, frame: Frame) -> None:
        theirs = reference.unpack(pack(frame))
        assert theirs.unique_id == frame.unique_id
        if isinstance(frame, Call | CallResult):
            assert theirs.payload == json.loads(frame.payload)

    @given(IDS, PAYLOADS)
    def test_we_read_what_the_public_implementation_packs(self, unique_id: str, payload: bytes) -> None:
        theirs = reference.Call(unique_id, "Heartbeat", json.loads(payload)).to_json()
        ours = unpack(theirs)
        assert isinstance(ours, Call)
        assert json.loads(ours.payload) == json.loads(payload)


class TestRefused:
    @pytest.mark.parametrize(
        ("text", "unique_id"),
        [
            ("", UNKNOWN_ID),
            ("hello", UNKNOWN_ID),
            ("{}", UNKNOWN_ID),
            ("[]", UNKNOWN_ID),
            ("[2]", UNKNOWN_ID),
            ('[2,"1"]', UNKNOWN_ID),
            ('["2","1","Heartbeat",{}]', UNKNOWN_ID),
            ('[2.5,"1","Heartbeat",{}]', UNKNOWN_ID),
            ('[true,"1","Heartbeat",{}]', UNKNOWN_ID),
            ('[2,1,"Heartbeat",{}]', UNKNOWN_ID),
            ('[2,"","Heartbeat",{}]', UNKNOWN_ID),
            ('[2,"' + "x" * 37 + '","Heartbeat",{}]', UNKNOWN_ID),
            ('[2,"1","Heartbeat"]', "1"),
            ('[2,"1","Heartbeat",{},{}]', "1"),
            ('[2,"1",7,{}]', "1"),
            ('[2,"1","Heartbeat",[]]', "1"),
            ('[2,"1","Heartbeat",null]', "1"),
            ('[2,"1","Heartbeat",{"a":NaN}]', UNKNOWN_ID),
            ('[5,"1","Heartbeat",{}]', "1"),
            ('[9,"1",{}]', "1"),
            ("[" * 40_000, UNKNOWN_ID),
            ('[2,"1","Heartbeat",{"a":' + "[" * 30_000 + "]" * 30_000 + "}]", UNKNOWN_ID),
            ('[2,"1","Heartbeat",{"a":"' + "x" * FRAME_BYTES_MAX + '"}]', UNKNOWN_ID),
        ],
    )
    def test_each_kind_of_junk_has_one_answer(self, text: str, unique_id: str) -> None:
        with pytest.raises(Violation) as refused:
            unpack(text)
        assert refused.value.code is ErrorCode.FORMATION_VIOLATION
        assert refused.value.unique_id == unique_id
        answer = unpack(pack(refused.value.answer()))
        assert isinstance(answer, CallError)
        assert answer.unique_id == unique_id

    def test_an_action_without_a_name_is_not_implemented(self) -> None:
        with pytest.raises(Violation) as refused:
            unpack('[2,"1","",{}]')
        assert refused.value.code is ErrorCode.NOT_IMPLEMENTED

    @given(st.one_of(st.text(max_size=200), st.binary(max_size=200)))
    def test_nothing_but_a_violation_comes_out_of_noise(self, noise: str | bytes) -> None:
        try:
            unpack(noise)
        except Violation as refused:
            assert refused.code in ErrorCode  # noqa: PT017 - noise may, by chance, be a frame.

    @given(FRAMES, st.data())
    def test_every_cut_of_a_frame_is_refused(self, frame: Frame, data: st.DataObject) -> None:
        text = pack(frame).encode()
        cut = data.draw(st.integers(0, len(text) - 1))
        with pytest.raises(Violation):
            unpack(text[:cut])


class TestIsAnswer:
    def test_a_broken_answer_is_told_from_a_broken_call(self) -> None:
        assert is_answer('[3,"1"]')
        assert is_answer('[ 4, "1"]')
        assert is_answer("[4]")
        assert not is_answer('[2,"1"]')
        assert not is_answer('[30,"1"]')
        assert not is_answer(b"\xff\xfe")
