from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecourt_kit.clock import (
    ManualClock,
    SystemClock,
    as_utc,
    business_date,
    from_us,
    parse_rfc3339,
    rfc3339,
    to_us,
)

SHANGHAI = ZoneInfo("Asia/Shanghai")
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
instants = st.datetimes(
    min_value=datetime(1971, 1, 1),
    max_value=datetime(2199, 1, 1),
    timezones=offsets,  # tz is added.
)


class TestStoredForm:
    @given(instants)
    def test_keeps_every_microsecond(self, at: datetime) -> None:
        assert from_us(to_us(at)) == at

    @given(st.integers(-(10**15), 10**16))
    def test_is_read_back_as_written(self, us: int) -> None:
        assert to_us(from_us(us)) == us

    def test_naive_times_are_refused(self) -> None:
        for ask in (to_us, as_utc, rfc3339):
            with pytest.raises(ValueError, match="offset"):
                ask(datetime(2026, 11, 22))


class TestRfc3339:
    @given(instants)
    def test_is_read_back_as_written(self, at: datetime) -> None:
        assert parse_rfc3339(rfc3339(at)) == at

    def test_has_one_form(self) -> None:
        at = datetime(2026, 11, 22, 18, 20, 30, 1, SHANGHAI)
        assert rfc3339(at) == "2026-11-22T10:20:30.000001Z"

    @pytest.mark.parametrize("bad", ["", "2026-11-22", "2026-11-22T10:00:00", "now", "1"])
    def test_a_time_without_offset_is_refused(self, bad: str) -> None:
        with pytest.raises(ValueError, match=r".+"):
            parse_rfc3339(bad)


class TestManualClock:
    def test_stands_still_and_moves_both_faces(self) -> None:
        clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
        clock.advance(1.5)
        assert clock.now() == datetime(2026, 3, 1, 0, 0, 1, 500_000, UTC)
        assert clock.monotonic_s() == 1.5

    def test_a_correction_moves_the_wall_time_alone(self) -> None:
        clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
        clock.step(-3600)
        assert clock.now() == datetime(2026, 2, 28, 23, tzinfo=UTC)
        assert clock.monotonic_s() == 0

    @pytest.mark.parametrize("bad", [-1, float("nan")])
    def test_time_does_not_run_backwards(self, bad: float) -> None:
        with pytest.raises(ValueError, match="backwards"):
            ManualClock().advance(bad)


def test_the_machines_clock_is_aware_and_rises() -> None:
    clock = SystemClock()
    assert clock.now().utcoffset() == timedelta()
    assert clock.monotonic_s() <= clock.monotonic_s()


class TestBusinessDate:
    @pytest.mark.parametrize(
        ("local", "cut", "expected"),
        [
            (datetime(2026, 11, 22, 7, 59, 59), time(8), date(2026, 11, 21)),
            (datetime(2026, 11, 22, 8), time(8), date(2026, 11, 22)),
            (datetime(2026, 11, 22, 0, 0), time(), date(2026, 11, 22)),
        ],
    )
    def test_starts_at_the_stations_cut(self, local: datetime, cut: time, expected: date) -> None:
        assert business_date(local.replace(tzinfo=SHANGHAI), SHANGHAI, cut) == expected
