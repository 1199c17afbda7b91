from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecourt_kit.limits import AMOUNT_FEN_MAX, SPLIT_PARTS_MAX
from forecourt_kit.money import parse_yuan, split_fen, yuan_text

amounts = st.integers(0, AMOUNT_FEN_MAX)
weights = st.lists(st.integers(0, 10**12), min_size=1, max_size=40)


class TestText:
    @given(amounts)
    def test_is_read_back_as_written(self, amount_fen: int) -> None:
        assert parse_yuan(yuan_text(amount_fen)) == amount_fen

    @given(amounts)
    def test_below_zero_is_the_same_with_a_sign(self, amount_fen: int) -> None:
        assert yuan_text(-amount_fen) == (f"-{yuan_text(amount_fen)}" if amount_fen else "0.00")

    @pytest.mark.parametrize(("text", "fen"), [("200", 20000), ("0.1", 10), ("0.01", 1), ("7.85", 785)])
    def test_short_forms(self, text: str, fen: int) -> None:
        assert parse_yuan(text) == fen

    @pytest.mark.parametrize(
        "bad",
        [
            "",
            " 1",
            "1 ",
            "1\n",
            "-1",
            "+1",
            "1.",
            ".5",
            "1.005",
            "1e2",
            "NaN",
            "inf",
            "1,000",
            "01",
            "0x1",
            "２００",
            "١",
            "1_000",
            "9" * 5000,
            "999999999999999.99",
            "¥1",
        ],
    )
    def test_anything_but_plain_digits_is_refused(self, bad: str) -> None:
        with pytest.raises(ValueError, match=r"yuan|amount_fen"):
            parse_yuan(bad)

    @pytest.mark.parametrize("bad", [1, 1.5, None, b"1", True])
    def test_numbers_are_not_text(self, bad: Any) -> None:
        with pytest.raises(TypeError):
            parse_yuan(bad)

    @given(st.text(max_size=30))
    def test_any_text_is_an_amount_or_a_value_error(self, text: str) -> None:
        try:
            assert 0 <= parse_yuan(text) <= AMOUNT_FEN_MAX
        except ValueError:
            return

    @pytest.mark.parametrize(("bad", "error"), [(1.5, TypeError), (True, TypeError), (10**23, ValueError)])
    def test_only_whole_fen_are_written(self, bad: Any, error: type[Exception]) -> None:
        with pytest.raises(error):
            yuan_text(bad)


class TestSplit:
    @given(amounts, weights.filter(any))
    def test_parts_sum_to_the_whole_and_each_is_within_a_fen_of_its_share(
        self, total_fen: int, shares: list[int]
    ) -> None:
        parts = split_fen(total_fen, shares)
        assert sum(parts) == total_fen
        for part, weight in zip(parts, shares, strict=True):
            assert part >= 0
            assert abs(part - Fraction(total_fen * weight, sum(shares))) < 1

    @given(amounts, weights.filter(any), st.data())
    def test_who_has_no_weight_gets_nothing(
        self, total_fen: int, shares: list[int], data: st.DataObject
    ) -> None:
        at = data.draw(st.integers(0, len(shares)))
        assert split_fen(total_fen, [*shares[:at], 0, *shares[at:]])[at] == 0

    @given(amounts, weights.filter(any), st.integers(2, 1000))
    def test_only_the_ratio_of_weights_counts(self, total_fen: int, shares: list[int], times: int) -> None:
        assert split_fen(total_fen, shares) == split_fen(total_fen, [share * times for share in shares])

    def test_the_earlier_of_equals_gets_the_fen(self) -> None:
        assert split_fen(100, [1, 1, 1]) == [34, 33, 33]
        assert split_fen(3, [1, 1, 1, 1]) == [1, 1, 1, 0]

    def test_nothing_can_be_shared_by_nobody(self) -> None:
        assert split_fen(0, [0, 0]) == [0, 0]

    @pytest.mark.parametrize(
        ("total", "shares"),
        [(1, []), (0, []), (1, [0, 0]), (-1, [1]), (1, [-1, 2]), (1, [1] * (SPLIT_PARTS_MAX + 1))],
    )
    def test_senseless_shares_are_refused(self, total: int, shares: list[int]) -> None:
        with pytest.raises(ValueError, match=r"must be within|all zero"):
            split_fen(total, shares)

    @pytest.mark.parametrize("bad", [0.5, float("nan"), "1", True])
    def test_floating_weights_are_refused(self, bad: Any) -> None:
        with pytest.raises(TypeError):
            split_fen(100, [bad, 1])
        with pytest.raises(TypeError):
            split_fen(bad, [1])
