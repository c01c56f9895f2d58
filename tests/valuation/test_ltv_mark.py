"""A loan's marks night after night: bases, steps of models, what is told and what is not. Pure."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from core.domain.finding import Severity
from valuation.appraisals.domain import Appraisal
from valuation.ltv.basis import basis_of
from valuation.ltv.domain import Mark, NewMark
from valuation.ltv.mark import closing_mark, findings_of, next_mark
from valuation.vehicles.domain import Facts, Owed, Status, Valued
from valuation.vehicles.odometer import Odometer

NIGHT = datetime(2026, 11, 20, 18, 30, tzinfo=UTC)
FACTS = Facts(
    "V1", NIGHT, None, "骏驰", "a6", 2022, None, None, Odometer(52_000.0, "telemetry", NIGHT, False), 3.5,
    "inspection:1", None, None,
)  # fmt: skip
FIGURE = Appraisal(
    7, "V1", "closed", ["flood"], 1, "user:1", NIGHT, 6_000_000, "CNY", "王评估师", date(2026, 11, 1),
    date(2027, 5, 1), "泡水", "user:2", NIGHT,
)  # fmt: skip


def valued(amount: int, **changes: Any) -> Valued:
    facts: dict[str, Any] = {
        "facts": FACTS, "as_of": NIGHT.date(), "status": Status.VALUED, "currency": "CNY",
        "model_version": "m1", "estimate_minor": amount, "low_minor": amount * 9 // 10,
        "high_minor": amount * 11 // 10, "lending_minor": amount * 92 // 100, "thickness": 80.0,
    } | changes  # fmt: skip
    return Valued(**facts)


def stored(mark: NewMark) -> Mark:
    return Mark(**asdict(mark), mark_id=1)


def mark(
    before: NewMark | None, balance: int, one: Valued, night: int = 0, owed: int | None = None
) -> NewMark:
    return next_mark(
        None if before is None else stored(before), Owed("L1", one.facts.vehicle_id, "CNY", balance),
        balance if owed is None else owed,
        replace(one, as_of=one.as_of + timedelta(days=night)), 1, NIGHT + timedelta(days=night),
    )  # fmt: skip


def told(before: NewMark | None, after: NewMark, one: Valued) -> list[tuple[str, Severity | None]]:
    return [
        (f.event, f.severity) for f in findings_of(None if before is None else stored(before), after, one)
    ]


def test_a_breach_is_told_once_then_when_it_worsens_then_when_it_is_over():
    one = valued(10_000_000)
    calm = mark(None, 8_000_000, one)
    assert told(None, calm, one) == []
    raised = mark(calm, 8_600_000, one, 1)
    assert told(calm, raised, one) == [("raise", Severity.P3)]
    still = mark(raised, 8_300_000, one, 2)
    assert still.raised
    assert told(raised, still, one) == []
    worse = mark(still, 10_100_000, one, 3)
    assert told(still, worse, one) == [("raise", Severity.P2)]
    easier = mark(worse, 9_000_000, one, 4)
    assert told(worse, easier, one) == [], "less urgent, not over: nothing to do"
    over = mark(easier, 8_100_000, one, 5)
    assert told(easier, over, one) == [("clear", None)]
    (clear,) = findings_of(stored(easier), over, one)
    (raise_,) = findings_of(stored(calm), raised, one)
    assert clear.episode_ms == raise_.event_ms == raise_.episode_ms


def test_the_evidence_says_what_is_owed_over_what_and_how_sure():
    one = valued(10_000_000)
    (finding,) = findings_of(None, mark(None, 9_000_000, one), one)
    assert (finding.rule, finding.scope, finding.vehicle_id) == ("LTV_BREACH", "L1", "V1")
    assert finding.evidence == {
        "loan_id": "L1", "ltv_pct": 90.0, "owed_minor": 9_000_000, "value_minor": 10_000_000, "currency": "CNY",
        "value_basis": "model", "low_minor": 9_000_000, "high_minor": 11_000_000, "lending_minor": 9_200_000,
        "value_status": "valued", "odometer_km": 52_000.0, "odometer_on": "2026-11-20", "model_version": "m1",
        "as_of": "2026-11-20", "thresholds": {"raise_at": 0.85, "clear_below": 0.82}, "rule_version": 1,
    }  # fmt: skip


def test_one_bad_night_of_the_market_is_smoothed_and_a_bad_week_is_not():
    first = mark(None, 7_800_000, valued(10_000_000))
    night = mark(first, 7_800_000, valued(9_000_000), 1)
    assert night.smoothed_minor == 9_750_000
    assert not night.raised
    for n in range(2, 9):
        night = mark(night, 7_800_000, valued(9_000_000), n)
    assert night.raised


def test_a_new_condition_counts_at_once_because_it_is_news_and_not_noise():
    first = mark(None, 7_800_000, valued(10_000_000))
    seen = mark(first, 7_800_000, valued(9_000_000, facts=replace(FACTS, condition=2.0)), 1)
    assert seen.smoothed_minor == 9_000_000
    assert seen.raised


def test_all_loans_of_a_vehicle_count_against_its_one_value():
    one = valued(10_000_000)
    small = mark(None, 1_000_000, one, owed=9_000_000)
    assert (small.balance_minor, small.owed_minor, small.ltv, small.raised) == (
        1_000_000,
        9_000_000,
        0.9,
        True,
    )


def test_a_new_model_alone_tells_nothing_and_shows_its_step():
    before = mark(None, 8_000_000, valued(10_000_000))
    new = valued(9_000_000, model_version="m2", previous_model_minor=10_000_000)
    after = mark(before, 8_000_000, new, 1)
    assert told(before, after, new) == []
    assert (after.model_step, after.rebase, after.raised) == (0.9, 0.9, False)
    assert after.smoothed_minor == 9_000_000, "the history moves with the step: no drift for a week"
    assert after.ltv == pytest.approx(8 / 9)
    assert after.judged_ltv == pytest.approx(0.8)
    next_night = mark(after, 8_000_000, valued(9_000_000, model_version="m2"), 2)
    assert (next_night.model_step, next_night.rebase, next_night.raised) == (None, 0.9, False)
    more_owed = mark(next_night, 8_600_000, valued(9_000_000, model_version="m2"), 3)
    assert more_owed.raised
    assert more_owed.rebase == 1.0


def test_news_of_the_day_of_a_new_model_still_counts():
    # The old model too says 8.2 million today: the vehicle was driven hard. That raises, the model's step does not.
    before = mark(None, 8_000_000, valued(10_000_000))
    facts = replace(FACTS, condition=1.5)
    new = valued(9_000_000, model_version="m2", previous_model_minor=8_200_000, facts=facts)
    after = mark(before, 8_000_000, new, 1)
    assert after.model_step == pytest.approx(9.0 / 8.2)
    assert after.raised


def test_without_a_value_a_breach_stays_and_a_calm_loan_stays_calm():
    none = valued(
        0,
        estimate_minor=None,
        low_minor=None,
        lending_minor=None,
        status=Status.NOT_VALUED,
        reason="no_model",
    )
    raised = mark(None, 9_000_000, valued(10_000_000))
    kept = mark(raised, 9_000_000, none, 1)
    assert (kept.raised, kept.severity, kept.ltv, kept.basis, kept.why) == (
        True,
        "P3",
        None,
        "none",
        "no_model",
    )
    assert kept.episode_at == raised.episode_at
    assert told(raised, kept, none) == []
    assert not mark(None, 9_000_000, none).raised


def test_a_loan_in_another_currency_has_no_ltv_and_says_so():
    foreign = next_mark(None, Owed("L1", "V1", "USD", 9_000_000), 9_000_000, valued(10_000_000), 1, NIGHT)
    assert (foreign.ltv, foreign.basis, foreign.why) == (None, "none", "currency_differs")


@pytest.mark.parametrize(
    ("open_id", "figure", "kind", "minor"),
    [
        (None, None, "model", 10_000_000),
        (3, None, "lending_value", 9_200_000),
        (3, FIGURE, "manual_appraisal", 6_000_000),
        (None, FIGURE, "manual_appraisal", 6_000_000),
        (None, replace(FIGURE, valid_until=date(2026, 11, 19)), "model", 10_000_000),
        (3, replace(FIGURE, valid_until=date(2026, 11, 19)), "lending_value", 9_200_000),
        (None, replace(FIGURE, currency="USD"), "model", 10_000_000),
        (None, replace(FIGURE, valid_until=NIGHT.date()), "manual_appraisal", 6_000_000),
    ],
)
def test_ltv_is_measured_against_a_persons_figure_before_the_models(open_id, figure, kind, minor):
    one = valued(10_000_000, facts=replace(FACTS, open_appraisal_id=open_id, appraisal=figure))
    basis = basis_of(one)
    assert (basis.kind, basis.minor) == (kind, minor)


def test_changing_the_basis_starts_the_smoothing_anew():
    before = mark(None, 5_000_000, valued(10_000_000))
    flooded = valued(10_000_000, facts=replace(FACTS, appraisal=FIGURE))
    after = mark(before, 5_000_000, flooded, 1)
    assert (after.basis, after.smoothed_minor, after.rebase) == ("manual_appraisal", 6_000_000, 1.0)


def test_a_loan_that_is_over_clears_its_breach():
    one = valued(10_000_000)
    raised = mark(None, 9_000_000, one)
    closed = closing_mark(stored(raised), date(2026, 11, 21), NIGHT + timedelta(days=1), "loan_over")
    (finding,) = findings_of(stored(raised), closed, None)
    assert (finding.event, finding.scope, finding.evidence["why"]) == ("clear", "L1", "loan_over")


def test_a_loan_that_moved_to_another_vehicle_begins_anew_there():
    raised = mark(None, 9_000_000, valued(10_000_000))
    elsewhere = valued(20_000_000, facts=replace(FACTS, vehicle_id="V2"))
    moved = mark(raised, 9_000_000, elsewhere, 1)
    assert (moved.vehicle_id, moved.raised, moved.episode_at) == ("V2", False, None)
    assert told(raised, moved, elsewhere) == [], "V1 is told by its closing mark"
