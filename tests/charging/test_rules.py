"""Decisions of charging, without a database."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecourt.charging import rules
from forecourt.charging.types import (
    ConnectorStatus,
    Sample,
    Start,
    Stop,
    Token,
    TokenState,
    TransactionState,
    Verdict,
)
from forecourt_kit.limits import QUANTITY_E4_MAX

NOON = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
STEPS = st.lists(st.tuples(st.integers(0, 3_600), st.integers(-50, 5_000)), max_size=40)


def sample(at: datetime, energy_wh: int | None) -> Sample:
    return Sample(at=at, context="Sample.Periodic", energy_wh=energy_wh)


class TestSegments:
    @given(STEPS, st.integers(0, 10_000_000), st.integers(0, 20_000))
    def test_parts_join_and_sum_to_the_whole(
        self, steps: list[tuple[int, int]], start_wh: int, rest_wh: int
    ) -> None:
        at, wh, samples = NOON, start_wh, []
        for seconds, more_wh in steps:
            at, wh = at + timedelta(seconds=seconds), wh + more_wh
            samples.append(sample(at, wh))
        end, stop_wh = at + timedelta(seconds=1), max(start_wh, wh) + rest_wh
        parts = rules.segments(NOON, start_wh, end, stop_wh, samples)
        assert sum(each.quantity_e4 for each in parts) == (stop_wh - start_wh) * 10
        assert all(each.quantity_e4 >= 0 for each in parts)
        assert (parts[0].started_at, parts[-1].ended_at) == (NOON, end)
        assert (parts[0].meter_start_e4, parts[-1].meter_end_e4) == (start_wh * 10, stop_wh * 10)
        for before, after in itertools.pairwise(parts):
            assert before.ended_at == after.started_at
            assert before.meter_end_e4 == after.meter_start_e4

    @given(STEPS)
    def test_one_cut_a_half_hour_at_most(self, steps: list[tuple[int, int]]) -> None:
        at, samples = NOON, []
        for seconds, _ in steps:
            at += timedelta(seconds=seconds)
            samples.append(sample(at, 0))
        end = at + timedelta(seconds=1)
        parts = rules.segments(NOON, 0, end, 10, samples)
        assert len(parts) <= (end - NOON) // timedelta(minutes=30) + 3

    def test_a_session_that_runs_backwards_has_none(self) -> None:
        assert rules.segments(NOON, 100, NOON + timedelta(hours=1), 99, []) == ()
        assert rules.segments(NOON, 100, NOON - timedelta(hours=1), 200, []) == ()

    def test_readings_outside_the_session_are_not_used(self) -> None:
        end = NOON + timedelta(hours=1)
        bad = [
            sample(NOON - timedelta(minutes=1), 150),
            sample(end + timedelta(minutes=1), 150),
            sample(NOON + timedelta(minutes=10), 50),
            sample(NOON + timedelta(minutes=20), 10_000),
            sample(NOON + timedelta(minutes=25), None),
        ]
        assert len(rules.segments(NOON, 100, end, 200, bad)) == 1


class TestDelivered:
    @pytest.mark.parametrize(
        ("start_wh", "stop_wh", "e4"),
        [
            (0, 12_345, 123_450),
            (5, 5, 0),
            (100, 99, 0),
            (0, QUANTITY_E4_MAX // 10, QUANTITY_E4_MAX),
            (0, QUANTITY_E4_MAX // 10 + 1, 0),
            (-(10**15), 10**15, 0),
        ],
    )
    def test_one_wh_is_ten_and_nonsense_is_nothing(self, start_wh: int, stop_wh: int, e4: int) -> None:
        assert rules.delivered_e4(start_wh, stop_wh) == e4


class TestKeys:
    def test_each_fact_of_a_start_makes_it_another(self) -> None:
        start = Start(connector_number=1, id_tag="A", meter_start_wh=5, started_at=NOON)
        others = [
            Start(connector_number=2, id_tag="A", meter_start_wh=5, started_at=NOON),
            Start(connector_number=1, id_tag="a", meter_start_wh=5, started_at=NOON),
            Start(connector_number=1, id_tag="A", meter_start_wh=6, started_at=NOON),
            Start(connector_number=1, id_tag="A", meter_start_wh=5, started_at=NOON + timedelta(seconds=1)),
        ]
        assert len({rules.start_key(each) for each in [start, *others]}) == 5
        assert len(rules.start_key(start)) == rules.KEY_CHARS

    def test_reason_and_samples_do_not_make_another_end(self) -> None:
        end = Stop(transaction_id=1, meter_stop_wh=5, ended_at=NOON, reason="Local")
        told_again = Stop(
            transaction_id=1, meter_stop_wh=5, ended_at=NOON, reason="Other", samples=(sample(NOON, 5),)
        )
        other = Stop(transaction_id=1, meter_stop_wh=6, ended_at=NOON, reason="Local")
        assert rules.stop_key(end) == rules.stop_key(told_again) != rules.stop_key(other)


class TestTokenPermit:
    @pytest.mark.parametrize(
        ("state", "expires_at", "verdict"),
        [
            (TokenState.ACTIVE, None, Verdict.ACCEPTED),
            (TokenState.ACTIVE, NOON + timedelta(seconds=1), Verdict.ACCEPTED),
            (TokenState.ACTIVE, NOON, Verdict.EXPIRED),
            (TokenState.BLOCKED, None, Verdict.BLOCKED),
            (TokenState.BLOCKED, NOON, Verdict.BLOCKED),
        ],
    )
    def test_by_state_and_expiry(
        self, state: TokenState, expires_at: datetime | None, verdict: Verdict
    ) -> None:
        token = Token(
            id=1, operator_id=1, tag="A", member_id=7, state=state, expires_at=expires_at, parent_tag=None
        )
        assert rules.token_permit(token, NOON).verdict is verdict

    def test_a_tag_nobody_registered_is_invalid(self) -> None:
        assert rules.token_permit(None, NOON).verdict is Verdict.INVALID


class TestTables:
    def test_every_status_of_a_connector_has_a_state_of_the_nozzle(self) -> None:
        assert set(rules.NOZZLE_STATES) == set(ConnectorStatus)

    def test_what_has_ended_stays_ended(self) -> None:
        assert not any(state is TransactionState.ENDED for state, _ in rules.TRANSACTION_TRANSITIONS)
