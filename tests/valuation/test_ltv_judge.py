"""Every edge of raising and clearing; a new model alone neither raises nor clears."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.domain.finding import Severity
from valuation.ltv.judge import Thresholds, judge, judge_step, smoothed_minor


@pytest.mark.parametrize(
    ("was_raised", "owed", "value", "raised"),
    [
        (False, 84_999, 100_000, False),
        (False, 85_000, 100_000, True),
        (False, 8_500_000, 10_000_000, True),
        (True, 84_999, 100_000, True),
        (True, 82_000, 100_000, True),
        (True, 81_999, 100_000, False),
        (False, 82_000, 100_000, False),
        (False, 0, 100_000, False),
        (True, 0, 100_000, False),
    ],
)
def test_a_breach_is_raised_at_85_and_cleared_below_82(was_raised, owed, value, raised):
    assert judge(was_raised, owed / value) is raised
    assert judge_step(was_raised, owed, value, 1.0).raised is raised


@pytest.mark.parametrize("was_raised", [True, False])
def test_without_a_value_nothing_is_raised_and_nothing_cleared(was_raised):
    assert judge(was_raised, None) is was_raised


@given(st.lists(st.integers(80, 90), min_size=1, max_size=60))
def test_between_the_thresholds_the_state_never_changes(path):
    raised = False
    for percent in path:
        after = judge(raised, percent / 100)
        if 82 <= percent < 85:
            assert after == raised
        raised = after


def test_a_loan_above_the_value_is_more_urgent_than_one_near_it():
    assert judge_step(False, 99_999, 100_000, 1.0).severity is Severity.P3
    assert judge_step(False, 100_000, 100_000, 1.0).severity is Severity.P2
    assert judge_step(False, 84_000, 100_000, 1.0).severity is None


def test_a_new_model_that_lowers_the_value_raises_nothing_until_the_market_moves():
    # Worth 100 by the old model and 90 by the new: the step is 0.9, owed are 80.
    on_change = judge_step(False, 80_000, 90_000, 0.9)
    assert on_change.ltv == pytest.approx(0.889, abs=1e-3)
    assert on_change.judged_ltv == pytest.approx(0.80)
    assert not on_change.raised
    assert on_change.rebase == 0.9
    still = judge_step(on_change.raised, 80_000, 89_000, on_change.rebase)
    assert not still.raised
    fallen = judge_step(still.raised, 80_000, 84_000, still.rebase)
    assert fallen.judged_ltv == pytest.approx(80 / 84), "raised by the market: the step is over"
    assert fallen.raised
    assert fallen.rebase == 1.0


def test_a_new_model_that_lifts_the_value_clears_nothing_until_the_market_moves():
    on_change = judge_step(True, 86_000, 110_000, 1.1)
    assert on_change.ltv < 0.82
    assert on_change.raised
    paid_down = judge_step(on_change.raised, 80_000, 110_000, on_change.rebase)
    assert not paid_down.raised
    assert paid_down.rebase == 1.0


def test_a_step_that_changes_no_judgement_is_forgotten_at_once():
    judged = judge_step(False, 50_000, 90_000, 0.9)
    assert (judged.rebase, judged.ltv) == (1.0, judged.judged_ltv)


def test_the_smoothed_value_follows_in_a_week_and_not_in_a_night():
    monday, tuesday = date(2026, 11, 16), date(2026, 11, 17)
    assert smoothed_minor(None, None, 70_000, monday, 7) == 70_000
    assert smoothed_minor(100_000, monday, 60_000, tuesday, 7) == 90_000
    assert smoothed_minor(100_000, monday, 60_000, monday, 7) == 100_000
    gap = smoothed_minor(100_000, monday, 60_000, date(2026, 11, 23), 7)
    stepwise = 100_000
    for day in range(17, 24):
        stepwise = smoothed_minor(stepwise, date(2026, 11, day - 1), 60_000, date(2026, 11, day), 7)
    assert abs(gap - stepwise) <= 7, "seven nights unseen weigh as seven equal ones"


@given(st.integers(1, 10**12), st.integers(1, 10**12), st.integers(0, 400))
def test_a_smoothed_value_lies_between_the_old_and_the_new(before, value, days):
    on = date.fromordinal(date(2026, 1, 1).toordinal() + days)
    low, high = sorted((before, value))
    assert low - 1 <= smoothed_minor(before, date(2026, 1, 1), value, on, 7) <= high + 1


def test_thresholds_that_would_flap_are_refused():
    with pytest.raises(ValueError, match="clear_below"):
        Thresholds(raise_at=0.8, clear_below=0.9)
