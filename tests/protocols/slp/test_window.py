"""The receiving side against models that keep everything: each once, money in order, commit without holes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecourt_protocols.slp.errors import Malformed, Misuse
from forecourt_protocols.slp.limits import REPLAY_WINDOW_PNS, WINDOW_MIDS
from forecourt_protocols.slp.messages import (
    Record,
    RecordClass,
    cut_message,
    decode_records,
    encode_record,
    void_record,
)
from forecourt_protocols.slp.sender import Sender
from forecourt_protocols.slp.timing import TokenBucket
from forecourt_protocols.slp.window import Receiver, ReplayWindow


def record(mid: int, record_class: int = RecordClass.ORDERED) -> Record:
    return Record(record_class << 6, 1, 2, mid, b"%d" % mid)


class TestReplayWindow:
    @given(st.lists(st.integers(1, 2000), max_size=400))
    def test_nothing_is_fresh_twice_and_nothing_old_is_fresh(self, numbers: list[int]) -> None:
        window, seen, highest = ReplayWindow(), {0}, 0
        for number in numbers:
            expected = number not in seen and number > highest - REPLAY_WINDOW_PNS
            assert window.fresh(number) is expected
            if expected:
                assert window.accept(number) is (number > highest)
                seen.add(number)
                highest = max(highest, number)


class TestReceiver:
    @given(st.data())
    def test_each_message_once_money_in_order_and_commits_without_holes(self, data: st.DataObject) -> None:
        count = 40
        classes = data.draw(st.lists(st.sampled_from([1, 2, 3]), min_size=count, max_size=count))
        arrivals = data.draw(st.lists(st.integers(1, count), max_size=200)) + list(range(1, count + 1))
        receiver, got = Receiver(0), list[Record]()
        for mid in arrivals:
            got += receiver.take(record(mid, classes[mid - 1])) or ()
        assert sorted(one.mid for one in got) == list(range(1, count + 1))
        money = [one.mid for one in got if one.rflags >> 6 == RecordClass.ORDERED]
        assert money == sorted(money)
        assert receiver.base == count
        committed: set[int] = set()
        for mid in data.draw(st.permutations(range(1, count + 1))):
            moved = receiver.commit(mid)
            committed.add(mid)
            expected = next(number for number in range(1, count + 2) if number not in committed) - 1
            assert receiver.com_base == expected
            assert moved is (expected >= mid)
            assert receiver.uncommitted == count - len(committed)

    def test_far_ahead_is_not_taken(self) -> None:
        receiver = Receiver(10)
        assert receiver.take(record(11 + WINDOW_MIDS)) is None
        assert receiver.take(record(10 + WINDOW_MIDS, RecordClass.RELIABLE))
        assert receiver.take(record(10)) is None

    def test_void_records_close_holes_and_hand_up_nothing(self) -> None:
        receiver = Receiver(0)
        assert receiver.take(record(3)) == ()
        assert receiver.take(void_record(1)) == ()
        assert receiver.take(void_record(2)) == (record(3),)
        assert receiver.com_base == 2

    def test_skipping_forgets_what_was_before(self) -> None:
        receiver = Receiver(0)
        receiver.take(record(5, RecordClass.RELIABLE))
        receiver.commit(5)
        receiver.skip_to(4)
        assert (receiver.base, receiver.com_base, receiver.uncommitted) == (5, 5, 0)

    @given(st.integers(65, 5000), st.randoms(use_true_random=False))
    def test_fragments_in_any_order_make_the_message(self, size: int, chance: st.DataObject) -> None:
        body = bytes(index % 251 for index in range(size))
        parts = cut_message(Record(0x80, 1, 2, 1, body), max(100, size // 50))
        chance.shuffle(parts)  # type: ignore[attr-defined]
        receiver, got = Receiver(0), list[Record]()
        for part in parts:
            (again,) = decode_records(encode_record(part), 0)
            got += receiver.take(again) or ()
        assert got == [Record(0x80, 1, 2, 1, body)]

    def test_the_lowest_message_in_fragments_always_finds_room(self) -> None:
        receiver = Receiver(0)
        for mid in (3, 2):
            receiver.take(cut_message(Record(0x80, 1, 2, mid, bytes(200)), 100)[0])
        for part in cut_message(Record(0x80, 1, 2, 1, bytes(200)), 100):
            got = receiver.take(part)
        assert got
        assert receiver.base == 1

    def test_fragments_that_disagree_are_refused(self) -> None:
        receiver = Receiver(0)
        receiver.take(Record(0xA0, 1, 2, 1, b"x", 0, 3))
        with pytest.raises(Malformed):
            receiver.take(Record(0xA0, 1, 2, 1, b"x", 1, 4))


class TestRecords:
    @given(st.binary(max_size=200))
    def test_any_bytes_are_records_or_malformed(self, body: bytes) -> None:
        try:
            records = decode_records(body, 0)
        except Malformed:
            return
        assert len(b"".join(map(encode_record, records))) == len(body)

    def test_a_message_that_is_too_long_is_the_callers_fault(self) -> None:
        with pytest.raises(Misuse):
            cut_message(Record(0x80, 1, 2, 1, bytes(65_536)), 1100)

    def test_a_sender_takes_ids_without_holes_only(self) -> None:
        sender = Sender(4, 1000, lambda: 0.5, frames_per_s=20)
        with pytest.raises(Misuse):
            sender.push(record(6))
        for mid in range(5, 5 + WINDOW_MIDS):
            sender.push(record(mid))
        assert sender.room() == 0
        with pytest.raises(Misuse):
            sender.push(record(5 + WINDOW_MIDS))


class TestTokenBucket:
    @given(st.lists(st.floats(0, 0.5), min_size=1, max_size=200))
    def test_never_more_than_burst_and_rate(self, pauses: list[float]) -> None:
        bucket, now_s, taken = TokenBucket(10, 20), 5.0, 0
        for pause_s in pauses:
            now_s += pause_s
            taken += bucket.take(now_s)
            assert taken <= 20 + 10 * (now_s - 5.0) + 1e-6
        assert bucket.ready_at_s(now_s) <= now_s + 0.1001
