from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forecourt_kit.limits import AMOUNT_FEN_MAX, QUANTITY_E4_MAX, UNIT_PRICE_E4_MAX
from forecourt_kit.price import (
    AmountSource,
    MeterEvidence,
    Preset,
    PresetKind,
    PriceMark,
    amount_fen,
    follows,
    gross,
    preset_quantity_e4,
)

quantities = st.integers(0, QUANTITY_E4_MAX)
prices = st.integers(0, UNIT_PRICE_E4_MAX)
steps = st.sampled_from([1, 10, 100, 1000])
common_quantities = st.integers(1, 5_000_000)  # Up to 500 units.
common_prices = st.integers(100, 1_000_000)  # From a fen to 100 yuan a unit.


def exact_fen(quantity_e4: int, unit_price_e4: int) -> Fraction:
    return Fraction(quantity_e4, 10_000) * Fraction(unit_price_e4, 10_000) * 100


def half_up(value: Fraction) -> int:
    return (value + Fraction(1, 2)).__floor__()


class TestAmount:
    @given(quantities, prices)
    def test_is_the_exact_product_rounded_half_up(self, quantity_e4: int, unit_price_e4: int) -> None:
        assert amount_fen(quantity_e4, unit_price_e4) == half_up(exact_fen(quantity_e4, unit_price_e4))

    @pytest.mark.parametrize(
        ("quantity_e4", "unit_price_e4", "expected_fen"),
        [
            (325_000, 78_500, 25_513),  # 32.50 kg at 7.85 = 255.125: the half goes up.
            (254_800, 78_500, 20_002),
            (10_000, 50, 1),  # Half a fen is a fen,
            (9_999, 50, 0),  # and less than half is none.
            (0, 78_500, 0),
            (254_800, 0, 0),
            (QUANTITY_E4_MAX, UNIT_PRICE_E4_MAX, AMOUNT_FEN_MAX),
        ],
    )
    def test_of_known_fills(self, quantity_e4: int, unit_price_e4: int, expected_fen: int) -> None:
        assert amount_fen(quantity_e4, unit_price_e4) == expected_fen

    @given(st.integers(0, 10**9), st.integers(0, 10**9), prices)
    def test_never_falls_when_more_flows(self, one_e4: int, other_e4: int, unit_price_e4: int) -> None:
        less, more = sorted((one_e4, other_e4))
        assert amount_fen(less, unit_price_e4) <= amount_fen(more, unit_price_e4)

    @pytest.mark.parametrize("bad", [1.0, float("nan"), float("inf"), "1", True, None, 1e400, b"1"])
    def test_takes_whole_numbers_only(self, bad: Any) -> None:
        with pytest.raises(TypeError, match="must be an int"):
            amount_fen(bad, 78_500)
        with pytest.raises(TypeError, match="must be an int"):
            amount_fen(10_000, bad)

    @pytest.mark.parametrize("bad", [-1, 10**23, -(10**4000), 10**4000])
    def test_refuses_what_no_meter_shows(self, bad: int) -> None:
        with pytest.raises(ValueError, match="must be within"):
            amount_fen(bad, 78_500)
        with pytest.raises(ValueError, match="must be within"):
            amount_fen(10_000, bad)


class TestGross:
    def test_a_preset_of_200_yuan_costs_200_yuan(self) -> None:
        preset = Preset(PresetKind.AMOUNT, 200_00)
        shown_e4 = preset_quantity_e4(preset, 78_500, 100)
        assert shown_e4 == 25_4800
        evidence = MeterEvidence(
            quantity_e4=shown_e4, device_unit_price_e4=78_500, device_amount_fen=200_00, preset=preset
        )
        priced = gross(evidence, 78_500)
        assert (priced.gross_fen, priced.source, priced.marks) == (200_00, AmountSource.DEVICE, ())

    @given(common_quantities, common_prices, steps, st.data())
    def test_any_honest_meter_is_believed(
        self, finest: int, unit_price_e4: int, step_e4: int, data: st.DataObject
    ) -> None:
        shown_e4 = finest * step_e4
        inside = data.draw(st.fractions(min_value=Fraction(-step_e4, 2), max_value=Fraction(step_e4, 2)))
        seen_fen = half_up((shown_e4 + inside) * unit_price_e4 / 10**6)
        evidence = MeterEvidence(
            quantity_e4=shown_e4,
            device_unit_price_e4=unit_price_e4,
            device_amount_fen=seen_fen,
            display_step_e4=step_e4,
        )
        priced = gross(evidence, unit_price_e4)
        assert (priced.gross_fen, priced.source, priced.marks) == (seen_fen, AmountSource.DEVICE, ())

    @given(common_quantities, common_prices, steps, st.integers(0, 10**9))
    def test_a_device_amount_outside_half_a_step_is_ours_or_what_was_seen_and_marked(
        self, quantity_e4: int, unit_price_e4: int, step_e4: int, device_fen: int
    ) -> None:
        off = abs(device_fen - exact_fen(quantity_e4, unit_price_e4))
        half_step = exact_fen(step_e4, unit_price_e4) / 2
        evidence = MeterEvidence(
            quantity_e4=quantity_e4,
            device_unit_price_e4=unit_price_e4,
            device_amount_fen=device_fen,
            display_step_e4=step_e4,
        )
        priced = gross(evidence, unit_price_e4)
        if off <= half_step:
            assert (priced.gross_fen, priced.marks) == (device_fen, ())
        elif off > half_step + Fraction(1, 2):  # Between, the edge itself is rounded to the fen.
            assert priced.gross_fen == min(device_fen, amount_fen(quantity_e4, unit_price_e4))
            assert priced.marks == (PriceMark.AMOUNT_MISMATCH,)

    @given(
        st.integers(0, 5_000_000),
        st.integers(0, 1_000_000),
        st.none() | st.integers(0, 1_000_000),
        st.none() | st.integers(0, 10**10),
        steps,
    )
    def test_is_never_above_what_the_customer_saw_nor_unmarked_when_it_is_not_the_devices(
        self,
        quantity_e4: int,
        book_e4: int,
        device_price_e4: int | None,
        device_fen: int | None,
        step_e4: int,
    ) -> None:
        evidence = MeterEvidence(
            quantity_e4=quantity_e4,
            device_unit_price_e4=device_price_e4,
            device_amount_fen=device_fen,
            display_step_e4=step_e4,
        )
        priced = gross(evidence, book_e4)
        if device_fen is not None:
            assert priced.gross_fen <= device_fen
            assert (priced.gross_fen == device_fen) or priced.marks
        assert (priced.source is AmountSource.SEEN) <= bool(priced.marks)
        if device_price_e4 not in (None, book_e4):
            assert PriceMark.PRICE_MISMATCH in priced.marks
            assert priced.source is not AmountSource.DEVICE
        if quantity_e4 == 0:
            assert priced.gross_fen == 0

    def test_a_nozzle_at_a_dearer_old_price_costs_the_books(self) -> None:
        old = MeterEvidence(quantity_e4=10_0000, device_unit_price_e4=80_000, device_amount_fen=80_00)
        priced = gross(old, 78_500)
        assert (priced.gross_fen, priced.source) == (78_50, AmountSource.CENTRE)
        assert priced.marks == (PriceMark.PRICE_MISMATCH,)

    def test_a_nozzle_at_a_cheaper_old_price_costs_what_the_customer_saw(self) -> None:
        old = MeterEvidence(quantity_e4=10_0000, device_unit_price_e4=75_000, device_amount_fen=75_00)
        priced = gross(old, 78_500)
        assert (priced.gross_fen, priced.source) == (75_00, AmountSource.SEEN)
        assert priced.marks == (PriceMark.PRICE_MISMATCH,)

    def test_a_device_that_tells_its_price_alone_showed_the_product(self) -> None:
        cheap = MeterEvidence(quantity_e4=10_0000, device_unit_price_e4=75_000)
        assert gross(cheap, 78_500).gross_fen == 75_00
        assert gross(MeterEvidence(quantity_e4=10_0000, device_unit_price_e4=78_500), 78_500).marks == ()

    def test_a_meter_without_money_is_priced_by_the_book_unmarked(self) -> None:
        priced = gross(MeterEvidence(quantity_e4=12_3450, display_step_e4=10), 12_345)
        assert (priced.gross_fen, priced.source, priced.marks) == (15_24, AmountSource.CENTRE, ())

    def test_an_amount_without_its_price_is_for_a_person(self) -> None:
        priced = gross(MeterEvidence(quantity_e4=25_4800, device_amount_fen=200_00), 78_500)
        assert (priced.gross_fen, priced.marks) == (200_00, (PriceMark.PRICE_MISSING,))

    def test_nothing_drawn_costs_nothing(self) -> None:
        priced = gross(MeterEvidence(quantity_e4=0, device_unit_price_e4=78_500, device_amount_fen=3), 78_500)
        assert (priced.gross_fen, priced.marks) == (0, (PriceMark.AMOUNT_MISMATCH,))

    @pytest.mark.parametrize(
        "field",
        [
            "quantity_e4",
            "device_unit_price_e4",
            "device_amount_fen",
            "totalizer_before_e4",
            "totalizer_after_e4",
            "display_step_e4",
        ],
    )
    @pytest.mark.parametrize(("bad", "error"), [(-1, ValueError), (1.5, TypeError), (10**23, ValueError)])
    def test_evidence_holds_whole_numbers_of_its_range(
        self, field: str, bad: Any, error: type[Exception]
    ) -> None:
        with pytest.raises(error, match=field):
            MeterEvidence(**{"quantity_e4": 1, field: bad})


class TestPreset:
    @given(common_prices, steps, st.integers(1, 10**7))
    @example(78_500, 100, 200_00)
    def test_an_amount_preset_is_paid_to_the_fen_unmarked(
        self, unit_price_e4: int, step_e4: int, preset_fen: int
    ) -> None:
        preset = Preset(PresetKind.AMOUNT, preset_fen)
        shown_e4 = preset_quantity_e4(preset, unit_price_e4, step_e4)
        assert shown_e4 is not None
        assert shown_e4 % step_e4 == 0
        if shown_e4 == 0:
            return  # Less than half a step was asked for: the display never moves.
        evidence = MeterEvidence(
            quantity_e4=shown_e4,
            device_unit_price_e4=unit_price_e4,
            device_amount_fen=preset_fen,
            preset=preset,
            display_step_e4=step_e4,
        )
        assert gross(evidence, unit_price_e4).gross_fen == preset_fen
        assert gross(evidence, unit_price_e4).marks == ()

    @given(st.integers(1, QUANTITY_E4_MAX // 2), common_prices, steps)
    def test_a_quantity_preset_stops_at_the_nearest_step(
        self, quantity_e4: int, unit_price_e4: int, step_e4: int
    ) -> None:
        stop_e4 = preset_quantity_e4(Preset(PresetKind.QUANTITY, quantity_e4), unit_price_e4, step_e4)
        assert stop_e4 is not None
        assert stop_e4 % step_e4 == 0
        assert 2 * abs(stop_e4 - quantity_e4) <= step_e4

    def test_a_full_tank_stops_by_itself(self) -> None:
        assert preset_quantity_e4(Preset(PresetKind.FULL), 78_500) is None

    @pytest.mark.parametrize(
        ("kind", "value"),
        [
            (PresetKind.AMOUNT, 0),
            (PresetKind.AMOUNT, -1),
            (PresetKind.AMOUNT, AMOUNT_FEN_MAX + 1),
            (PresetKind.QUANTITY, 0),
            (PresetKind.QUANTITY, QUANTITY_E4_MAX + 1),
            (PresetKind.FULL, 1),
        ],
    )
    def test_a_value_out_of_range_is_refused(self, kind: PresetKind, value: int) -> None:
        with pytest.raises(ValueError, match="preset"):
            Preset(kind, value)

    def test_a_floating_preset_is_refused(self) -> None:
        with pytest.raises(TypeError):
            Preset(PresetKind.AMOUNT, 200.0)  # type: ignore[arg-type]

    def test_an_amount_needs_a_price(self) -> None:
        with pytest.raises(ValueError, match="unit_price_e4"):
            preset_quantity_e4(Preset(PresetKind.AMOUNT, 200_00), 0)
        with pytest.raises(ValueError, match="quantity_e4"):
            preset_quantity_e4(Preset(PresetKind.AMOUNT, AMOUNT_FEN_MAX), 1)


def test_the_edges_of_the_rule_at_25_48_litres() -> None:
    believed = [fen for fen in range(19_900, 20_100) if follows(25_4800, 78_500, fen, 100)]
    assert (believed[0], believed[-1]) == (19_998, 20_006)  # 25.475 L to 25.485 L, rounded to the fen.
