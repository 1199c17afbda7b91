import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecourt_kit.price import Preset, PresetKind, amount_fen
from forecourt_kit.quantity import totalizer_delta
from forecourt_protocols.lanfeng.commands import Command, EndReason, Fault, GunState, Result
from forecourt_protocols.lanfeng.commands import PresetKind as LinePreset
from forecourt_protocols.lanfeng.messages import (
    Acknowledgement,
    ClearSale,
    NoSale,
    Order,
    PresetAmount,
    PresetQuantity,
    PriceAnswer,
    QuerySale,
    SequenceAnswer,
    SetPrice,
    StateAnswer,
    TotalQuantity,
)
from forecourt_simulators.station.gun import SALES_WAITING_MAX, Gun
from forecourt_simulators.station.setup import PRODUCTS, GunSetup

SECOND_US = 1_000_000
RELEASE = Order(Command.RELEASE)


def petrol(**changes: object) -> Gun:
    facts: dict[str, object] = {"gun": 1, "product": "petrol-92", **PRODUCTS["petrol-92"], **changes}
    return Gun.installed(GunSetup(**facts))  # type: ignore[arg-type]


def result_of(gun: Gun, request: object) -> Result:
    answer = gun.answer(request)  # type: ignore[arg-type]
    assert isinstance(answer, Acknowledgement)
    return answer.result


def state_of(gun: Gun) -> StateAnswer:
    answer = gun.answer(Order(Command.QUERY_STATE))
    assert isinstance(answer, StateAnswer)
    return answer


def fill(gun: Gun, seconds: int, request: object = RELEASE) -> None:
    assert gun.lift()
    assert result_of(gun, request) is Result.DONE
    for _ in range(seconds * 10):
        gun.advance(SECOND_US // 10)
    assert gun.hang_up()


def test_a_lifted_gun_under_control_calls_and_nothing_flows_before_release() -> None:
    gun = petrol()
    gun.lift()
    gun.advance(60 * SECOND_US)
    assert state_of(gun).state is GunState.CALLING
    assert gun.register_e2 == 0


def test_a_gun_that_is_not_controlled_fuels_on_its_own() -> None:
    gun = petrol(controlled=False)
    gun.lift()
    gun.advance(10 * SECOND_US)
    assert state_of(gun).state is GunState.FUELLING
    gun.hang_up()
    assert gun.last_sequence == 1


def test_two_hundred_yuan_at_785_show_2548_litres_and_200_yuan() -> None:
    gun = petrol()
    fill(gun, 200, PresetAmount(200_00))
    (sale,) = gun.waiting
    assert (sale.quantity_e2, sale.amount_fen, sale.unit_price_e2) == (2548, 200_00, 785)
    assert (sale.preset_kind, sale.preset_value) == (LinePreset.AMOUNT, 200_00)
    assert sale.end_reason is EndReason.PRESET_REACHED


def test_a_quantity_preset_stops_on_its_step() -> None:
    gun = petrol()
    fill(gun, 100, PresetQuantity(30_00))
    assert gun.waiting[0].quantity_e2 == 30_00
    assert gun.waiting[0].amount_fen == 235_50


def test_flow_ramps_up() -> None:
    gun = petrol()
    gun.lift()
    gun.answer(RELEASE)
    counts = []
    for _ in range(4):
        gun.advance(SECOND_US // 2)
        counts.append(state_of(gun).quantity_e2)
    first, last = counts[0], counts[3] - counts[2]
    assert 0 < first < last


@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.integers(4, 6), st.integers(0, 9_999))
def test_the_totalizer_counts_every_sale_over_its_end(seconds: list[int], digits: int, start_e2: int) -> None:
    gun = petrol(totalizer_digits=digits, totalizer_e4=start_e2 * 100)
    modulus = gun.register_modulus_e2
    for each in seconds:
        fill(gun, each)
    before = start_e2
    for sale in gun.waiting:
        assert sale.totalizer_before_e2 == before
        delta = totalizer_delta(before, sale.totalizer_after_e2, modulus, bound_e4=modulus - 1)
        assert delta == sale.quantity_e2
        assert sale.amount_fen == amount_fen(sale.quantity_e2 * 100, 78_500)
        before = sale.totalizer_after_e2
    assert gun.answer(Order(Command.QUERY_TOTAL_QUANTITY)) == TotalQuantity(before)
    assert [sale.sequence for sale in gun.waiting] == list(range(1, len(seconds) + 1))


@given(st.lists(st.integers(1, 2_000_000), min_size=1, max_size=60))
def test_how_time_is_cut_does_not_change_what_flows(steps_us: list[int]) -> None:
    """Only the ramp is sampled: past it, the same time gives the same quantity to the pulse."""
    whole, cut = petrol(ramp_ms=1), petrol(ramp_ms=1)
    for gun in (whole, cut):
        gun.lift()
        gun.answer(RELEASE)
        gun.advance(SECOND_US)
    whole.advance(sum(steps_us))
    for step in steps_us:
        cut.advance(step)
    assert whole.register_e2 == cut.register_e2


def test_a_sale_is_forgotten_only_by_its_own_sequence() -> None:
    gun = petrol()
    fill(gun, 5)
    fill(gun, 5)
    assert result_of(gun, ClearSale(2)) is Result.NOT_THE_SALE
    assert result_of(gun, ClearSale(1)) is Result.DONE
    assert result_of(gun, ClearSale(1)) is Result.NOT_THE_SALE
    assert gun.answer(Order(Command.QUERY_SEQUENCE)) == SequenceAnswer(2, 1)
    assert result_of(gun, ClearSale(2)) is Result.DONE
    assert gun.answer(QuerySale(1)) == NoSale()


def test_a_lift_without_a_drop_makes_a_sale_of_nothing() -> None:
    gun = petrol()
    gun.trigger = False
    fill(gun, 3)
    assert (gun.waiting[0].quantity_e2, gun.waiting[0].amount_fen) == (0, 0)


def test_a_release_taken_back_before_the_lift_makes_no_sale() -> None:
    gun = petrol()
    assert result_of(gun, RELEASE) is Result.DONE
    assert result_of(gun, Order(Command.STOP)) is Result.DONE
    assert (gun.state, gun.waiting, gun.last_sequence) == (GunState.IDLE, [], 0)


def test_stopped_while_fuelling_settles_for_what_flowed() -> None:
    gun = petrol()
    gun.lift()
    gun.answer(RELEASE)
    gun.advance(5 * SECOND_US)
    assert result_of(gun, Order(Command.STOP)) is Result.DONE
    stopped_at = gun.register_e2
    gun.advance(5 * SECOND_US)
    gun.hang_up()
    assert gun.waiting[0].quantity_e2 == stopped_at
    assert gun.waiting[0].end_reason is EndReason.STOPPED


def test_a_price_is_not_changed_under_a_running_fill() -> None:
    gun = petrol()
    gun.lift()
    gun.answer(RELEASE)
    assert result_of(gun, SetPrice(800)) is Result.WRONG_STATE
    gun.hang_up()
    assert result_of(gun, SetPrice(800)) is Result.DONE
    assert gun.answer(Order(Command.QUERY_PRICE)) == PriceAnswer(800)


def test_a_gun_deaf_to_prices_stays_silent_and_keeps_the_old_one() -> None:
    gun = petrol()
    gun.deaf_to_price = True
    assert gun.answer(SetPrice(800)) is None
    assert gun.answer(Order(Command.QUERY_PRICE)) == PriceAnswer(785)


def test_power_lost_in_a_fill_keeps_what_flowed() -> None:
    gun = petrol()
    gun.lift()
    gun.answer(RELEASE)
    gun.advance(5 * SECOND_US)
    gun.lose_power()
    (sale,) = gun.waiting
    assert sale.quantity_e2 == gun.register_e2 > 0
    assert sale.end_reason is EndReason.POWER_LOST
    assert Fault.POWER_LOST in state_of(gun).faults
    gun.answer(ClearSale(sale.sequence))
    assert Fault.POWER_LOST not in state_of(gun).faults


def test_a_stuck_gun_says_so_and_nothing_flows() -> None:
    gun = petrol()
    gun.lift()
    gun.answer(RELEASE)
    gun.stuck = True
    gun.advance(5 * SECOND_US)
    assert Fault.STUCK in state_of(gun).faults
    assert gun.register_e2 == 0


def test_a_full_memory_refuses_release() -> None:
    gun = petrol()
    for _ in range(SALES_WAITING_MAX):
        fill(gun, 1)
    assert Fault.MEMORY_FULL in state_of(gun).faults
    gun.lift()
    assert result_of(gun, RELEASE) is Result.FAULTY


def test_the_keypad_limits_the_next_fill_without_a_limit_and_only_that() -> None:
    gun = petrol()
    gun.keypad = Preset(PresetKind.AMOUNT, 50_00)
    fill(gun, 60)
    fill(gun, 20)
    assert gun.waiting[0].amount_fen == 50_00
    assert gun.waiting[1].preset_kind is LinePreset.NONE


def test_gas_is_measured_by_pressure_and_temperature() -> None:
    gun = Gun.installed(GunSetup(gun=1, product="cng", **PRODUCTS["cng"]))
    gun.room_e2 = 12_00
    fill(gun, 120)
    (sale,) = gun.waiting
    assert (sale.pressure_start_mpa_e2, sale.pressure_end_mpa_e2) == (320, 2000)
    assert sale.temperature_k_e1 == 2981
    assert sale.end_reason is EndReason.FULL


@given(
    st.lists(st.sampled_from(["lift", "hang_up", "release", "stop", "flow", "power", "clear"]), max_size=60)
)
def test_no_order_of_events_loses_a_pulse(events: list[str]) -> None:
    gun, cleared = petrol(), 0
    for event in events:
        match event:
            case "lift":
                gun.lift()
            case "hang_up":
                gun.hang_up()
            case "release":
                gun.answer(RELEASE)
            case "stop":
                gun.answer(Order(Command.STOP))
            case "flow":
                gun.advance(3 * SECOND_US)
            case "power":
                gun.lose_power()
            case "clear" if gun.waiting:
                cleared += gun.waiting[0].quantity_e2
                gun.answer(ClearSale(gun.waiting[0].sequence))
    running = gun.meter.quantity_e2 if gun.meter and gun.state in (4, 5, 6) else 0
    assert cleared + sum(sale.quantity_e2 for sale in gun.waiting) + running == gun.register_e2


@pytest.mark.parametrize("change", [{"gun": 0}, {"unit_price_e4": 78_555}, {"flow_e4_per_s": 0}])
def test_an_impossible_gun_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="gun"):
        petrol(**change)


def test_what_a_gun_keeps_without_power_comes_back() -> None:
    gun, again = petrol(), petrol()
    fill(gun, 5)
    again.restore(gun.kept())
    assert again.kept() == gun.kept()
    assert again.waiting == gun.waiting


def test_an_amount_without_a_price_is_refused() -> None:
    gun = petrol(unit_price_e4=0)
    assert result_of(gun, PresetAmount(100_00)) is Result.OUT_OF_RANGE
