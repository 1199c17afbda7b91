import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecourt_protocols.lanfeng.commands import COMMAND_CODES
from forecourt_protocols.lanfeng.framing import BadFrame, Frame, FrameReader, checksum, frame

FRAMES = st.builds(
    Frame,
    gun=st.integers(1, 99),
    command=st.sampled_from(sorted(COMMAND_CODES)),
    data=st.binary(min_size=8, max_size=8),
)


def line_of(frames: list[Frame]) -> bytes:
    return b"".join(frame(each.gun, each.command, each.data) for each in frames)


def frames_in(heard: list[Frame | BadFrame]) -> list[Frame]:
    return [each for each in heard if isinstance(each, Frame)]


def dropped_in(heard: list[Frame | BadFrame]) -> int:
    return sum(each.dropped_bytes for each in heard if isinstance(each, BadFrame))


@given(st.lists(FRAMES, max_size=8), st.data())
def test_any_way_of_cutting_the_line_gives_the_same_frames(sent: list[Frame], data: st.DataObject) -> None:
    line, reader = line_of(sent), FrameReader()
    heard: list[Frame | BadFrame] = []
    while line:
        cut = data.draw(st.integers(1, len(line)))
        heard += reader.receive(line[:cut])
        line = line[cut:]
    assert heard == sent
    assert reader.silence() is None


@given(st.binary(max_size=60), st.lists(FRAMES, min_size=1, max_size=3), st.data())
def test_noise_cut_anywhere_gives_what_it_gives_uncut(
    noise: bytes, sent: list[Frame], data: st.DataObject
) -> None:
    line = noise + line_of(sent)
    whole = FrameReader().receive(line)
    cut = data.draw(st.integers(0, len(line)))
    reader = FrameReader()
    parts = reader.receive(line[:cut]) + reader.receive(line[cut:])
    assert frames_in(parts) == frames_in(whole)
    assert dropped_in(parts) == dropped_in(whole)


@given(st.binary(max_size=200), FRAMES)
def test_after_a_silence_no_noise_can_cost_a_frame(noise: bytes, sent: Frame) -> None:
    reader = FrameReader()
    reader.receive(noise)
    reader.silence()
    assert reader.receive(line_of([sent])) == [sent]


@given(st.binary(max_size=200))
def test_every_byte_is_either_in_a_frame_or_counted_or_waiting(noise: bytes) -> None:
    reader = FrameReader()
    heard = reader.receive(noise)
    waiting = reader.silence()
    held = waiting.dropped_bytes if waiting else 0
    assert held <= 11
    assert 12 * len(frames_in(heard)) + dropped_in(heard) + held == len(noise)


@given(FRAMES, st.integers(1, 11), st.integers(0, 7))
def test_one_flipped_bit_after_the_gun_is_never_taken_for_a_frame(sent: Frame, at: int, bit: int) -> None:
    line = bytearray(line_of([sent]))
    line[at] ^= 1 << bit
    assert frames_in(FrameReader().receive(bytes(line))) == []


@given(FRAMES, st.integers(0, 7))
def test_a_flipped_bit_of_the_gun_leaves_all_but_the_gun(sent: Frame, bit: int) -> None:
    """The published checksum does not cover the gun: what the frame layer cannot see, the session must."""
    line = bytearray(line_of([sent]))
    line[0] ^= 1 << bit
    for heard in frames_in(FrameReader().receive(bytes(line))):
        assert (heard.command, heard.data) == (sent.command, sent.data)
        assert heard.gun != sent.gun


@given(FRAMES, st.lists(st.tuples(st.integers(1, 11), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_changed_frame_passes_only_when_the_sum_is_the_same(
    sent: Frame, changes: list[tuple[int, int]]
) -> None:
    """The honest limit: changes that cancel out modulo 256 are invisible to a sum."""
    line = bytearray(line_of([sent]))
    for at, value in changes:
        line[at] = value
    taken = frames_in(FrameReader().receive(bytes(line)))
    assert all(checksum(bytes((0, each.command)) + each.data) == line[11] for each in taken)


def test_two_flips_that_cancel_out_are_the_stated_blind_spot() -> None:
    line = bytearray(frame(1, 0xA2, bytes.fromhex("20 00 00 00 00 00 00 00")))
    line[3] ^= 0x10
    line[4] ^= 0x10
    line[3], line[4] = 0x10, 0x10  # 20 00 became 10 10: ¥2000.00 reads as ¥1010.00, same sum.
    assert frames_in(FrameReader().receive(bytes(line))) != []


@pytest.mark.parametrize("gun", [0, 100, -1])
def test_a_gun_outside_the_line_is_a_bug_of_the_caller(gun: int) -> None:
    with pytest.raises(AssertionError, match="no gun"):
        frame(gun, 0xB8)
