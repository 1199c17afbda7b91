from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecourt_kit.limits import QUANTITY_E4_MAX, UNIT_PRICE_E4_MAX
from forecourt_kit.quantity import (
    DISPLAY_STEP_E4,
    TOTALIZER_MODULUS_E4,
    Unit,
    parse_quantity,
    parse_unit_price,
    quantity_label,
    quantity_text,
    shown_e4,
    totalizer_delta,
    unit_price_text,
)

moduli = st.integers(4, 10**14)


class TestText:
    @given(st.integers(0, QUANTITY_E4_MAX), st.sampled_from([1, 10, 100, 1000, 10_000, 5, 250]))
    def test_a_quantity_is_read_back_as_written(self, quantity_e4: int, step_e4: int) -> None:
        assert parse_quantity(quantity_text(quantity_e4, step_e4)) == quantity_e4

    @given(st.integers(0, UNIT_PRICE_E4_MAX))
    def test_a_price_is_read_back_as_written(self, unit_price_e4: int) -> None:
        assert parse_unit_price(unit_price_text(unit_price_e4)) == unit_price_e4

    @pytest.mark.parametrize(
        ("quantity_e4", "step_e4", "text"),
        [
            (25_4800, 100, "25.48"),
            (25_4800, 10, "25.480"),
            (25_4800, 1, "25.4800"),
            (25_4801, 100, "25.4801"),
            (25_0000, 10_000, "25"),
            (25_5000, 10_000, "25.5"),
            (0, 100, "0.00"),
            (-3_0500, 100, "-3.05"),
        ],
    )
    def test_a_quantity_has_the_decimals_of_its_display(
        self, quantity_e4: int, step_e4: int, text: str
    ) -> None:
        assert quantity_text(quantity_e4, step_e4) == text

    @pytest.mark.parametrize(("price", "text"), [(78_500, "7.85"), (78_550, "7.855"), (12_345, "1.2345")])
    def test_a_price_has_at_least_two_decimals(self, price: int, text: str) -> None:
        assert unit_price_text(price) == text
        assert unit_price_text(0) == "0.00"

    def test_labels_carry_the_unit(self) -> None:
        assert quantity_label(32_5000, Unit.KG) == "32.50 kg"
        assert quantity_label(12_3450, Unit.KWH) == "12.345 kWh"
        assert set(DISPLAY_STEP_E4) == set(Unit)

    @pytest.mark.parametrize("bad", ["", "-1", "1.00001", "1e3", " 1", "NaN", "٣", "1.", "9" * 5000])
    def test_what_is_not_plain_digits_is_refused(self, bad: str) -> None:
        with pytest.raises(ValueError, match="number"):
            parse_quantity(bad)
        with pytest.raises(ValueError, match="number"):
            parse_unit_price(bad)

    @pytest.mark.parametrize("bad", [25.48, 1, None, b"1"])
    def test_numbers_are_not_text(self, bad: Any) -> None:
        with pytest.raises(TypeError):
            parse_quantity(bad)


class TestShown:
    @given(st.integers(0, QUANTITY_E4_MAX), st.sampled_from([1, 10, 100, 250, 1000]))
    def test_is_the_nearest_step_half_up(self, quantity_e4: int, step_e4: int) -> None:
        expected = (Fraction(quantity_e4, step_e4) + Fraction(1, 2)).__floor__() * step_e4
        assert shown_e4(quantity_e4, step_e4) == expected


class TestTotalizer:
    @given(moduli, st.data())
    def test_counts_through_a_roll_over(self, modulus_e4: int, data: st.DataObject) -> None:
        before_e4 = data.draw(st.integers(0, modulus_e4 - 1))
        flowed_e4 = data.draw(st.integers(0, modulus_e4 // 4))
        assert totalizer_delta(before_e4, (before_e4 + flowed_e4) % modulus_e4, modulus_e4) == flowed_e4

    @given(moduli, st.data())
    def test_that_ran_backwards_is_never_a_guess(self, modulus_e4: int, data: st.DataObject) -> None:
        before_e4 = data.draw(st.integers(0, modulus_e4 - 1))
        back_e4 = data.draw(st.integers(1, max(1, modulus_e4 // 2)))
        assert totalizer_delta(before_e4, (before_e4 - back_e4) % modulus_e4, modulus_e4) is None

    def test_of_eight_digits_rolls_from_999999_99_to_zero(self) -> None:
        last_e4 = TOTALIZER_MODULUS_E4 - 100
        assert totalizer_delta(last_e4, 24_4800, TOTALIZER_MODULUS_E4) == 24_4900

    def test_beyond_what_can_flow_is_for_a_person(self) -> None:
        assert totalizer_delta(0, 500_0000, TOTALIZER_MODULUS_E4, bound_e4=400_0000) is None
        assert totalizer_delta(0, 400_0000, TOTALIZER_MODULUS_E4, bound_e4=400_0000) == 400_0000

    @pytest.mark.parametrize(("before", "after"), [(-1, 0), (0, -1), (1000, 0), (0, 1000)])
    def test_outside_its_register_is_for_a_person(self, before: int, after: int) -> None:
        assert totalizer_delta(before, after, 1000) is None

    @pytest.mark.parametrize("bad", [1.5, "1", None, True])
    def test_readings_are_whole(self, bad: Any) -> None:
        with pytest.raises(TypeError):
            totalizer_delta(bad, 0, 1000)
        with pytest.raises(TypeError):
            totalizer_delta(0, 0, bad)
