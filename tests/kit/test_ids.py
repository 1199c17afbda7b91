from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecourt_kit.clock import ManualClock, SystemClock
from forecourt_kit.ids import ALPHABET, NODE_MAX, TimeOrderedIds, from_public, to_public
from forecourt_kit.limits import ID_MAX
from forecourt_kit.random import SeededRandom, SystemRandom

ids = st.integers(0, ID_MAX)


class TestTimeOrderedIds:
    @given(st.lists(st.integers(-50, 50), max_size=300), st.integers(0, 2**32))
    def test_are_unique_and_rise_whatever_the_clock_does(self, steps_ms: list[int], seed: int) -> None:
        clock = ManualClock()
        source = TimeOrderedIds(clock, SeededRandom(seed))
        made = []
        for step_ms in steps_ms:
            clock.step(step_ms / 1000)
            made.append(source.new())
        assert made == sorted(set(made))
        assert all(0 < one <= ID_MAX for one in made)

    def test_a_burst_borrows_from_the_time_to_come(self) -> None:
        clock = ManualClock()
        source = TimeOrderedIds(clock, SeededRandom(1))
        burst = [source.new() for _ in range(10_000)]
        assert len(set(burst)) == len(burst)
        clock.advance(1)
        assert source.new() > burst[-1]

    def test_two_nodes_never_meet(self) -> None:
        clock = ManualClock()
        one, other = (TimeOrderedIds(clock, SeededRandom(1), node=node) for node in (1, 2))
        assert not {one.new() for _ in range(5000)} & {other.new() for _ in range(5000)}

    def test_order_follows_time_across_processes(self) -> None:
        clock = ManualClock()
        early = TimeOrderedIds(clock, SeededRandom(1), node=NODE_MAX).new()
        clock.advance(0.001)
        assert TimeOrderedIds(clock, SeededRandom(1), node=0).new() > early

    def test_same_seed_same_ids(self) -> None:
        first, again = (TimeOrderedIds(ManualClock(), SeededRandom(7)) for _ in range(2))
        assert [first.new() for _ in range(100)] == [again.new() for _ in range(100)]

    def test_run_on_the_machines_own_clock_and_chance(self) -> None:
        source = TimeOrderedIds(SystemClock(), SystemRandom())
        assert source.new() < source.new()

    @pytest.mark.parametrize("bad", [-1, NODE_MAX + 1])
    def test_a_node_out_of_range_is_refused(self, bad: int) -> None:
        with pytest.raises(ValueError, match="node"):
            TimeOrderedIds(ManualClock(), SeededRandom(1), node=bad)


class TestPublicForm:
    @given(ids)
    def test_is_read_back_as_written(self, id_: int) -> None:
        text = to_public(id_)
        assert from_public(text) == id_
        assert len(text) == 13
        assert set(text) <= set(ALPHABET)

    @given(ids, ids)
    def test_sorts_as_the_id(self, one: int, other: int) -> None:
        assert (to_public(one) < to_public(other)) == (one < other)

    @given(st.text(max_size=20) | st.text(ALPHABET + "ILOU", min_size=13, max_size=13))
    def test_has_one_text_for_one_id(self, text: str) -> None:
        try:
            assert to_public(from_public(text)) == text
        except ValueError:
            return

    @pytest.mark.parametrize(
        "bad", ["", "0" * 12, "0" * 14, "z" * 13, "0" * 12 + "A", "0" * 12 + "u", "٠" * 13]
    )
    def test_other_texts_are_refused(self, bad: str) -> None:
        with pytest.raises(ValueError, match="id"):
            from_public(bad)

    @pytest.mark.parametrize(("bad", "error"), [(-1, ValueError), (2**63, ValueError), ("1", TypeError)])
    def test_other_numbers_are_refused(self, bad: Any, error: type[Exception]) -> None:
        with pytest.raises(error):
            to_public(bad)
