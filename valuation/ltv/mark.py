"""The next mark of a loan from the mark before, and what it has to tell. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.clock import to_ms
from core.domain.finding import Finding, Severity
from valuation.ltv.basis import MODEL, NONE, Basis, basis_of
from valuation.ltv.domain import Mark, NewMark
from valuation.ltv.judge import DEFAULT, Thresholds, judge_step, smoothed_minor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from valuation.vehicles.domain import Owed, Valued

RULE = "LTV_BREACH"
RULE_VERSION = 1


@dataclass(frozen=True, slots=True)
class Smoothed:
    """The value of the day in its history: smoothed, and how a new model moved it."""

    basis: Basis
    minor: int | None
    step: float | None
    rebase: float


def smooth(before: Mark | None, valued: Valued, thresholds: Thresholds = DEFAULT) -> Smoothed:
    """Carry the smoothed value on; another basis, currency or condition is news and starts it anew."""
    basis = basis_of(valued)
    if basis.minor is None:
        return Smoothed(basis, None, None, 1.0)
    goes_on = (
        before is not None
        and before.smoothed_minor is not None
        and (before.basis, before.currency) == (basis.kind, valued.currency)
    )
    if before is None or before.smoothed_minor is None or not goes_on:
        return Smoothed(basis, basis.minor, None, 1.0)
    step = _step(before, valued) if basis.kind == MODEL else None
    rebase = before.rebase * (step or 1.0)
    if before.condition != valued.facts.condition:
        return Smoothed(basis, basis.minor, step, rebase)
    base_minor = round(before.smoothed_minor * (step or 1.0))
    days = thresholds.smoothing_days
    smoothed = smoothed_minor(base_minor, before.as_of, basis.minor, valued.as_of, days)
    return Smoothed(basis, smoothed, step, rebase)


def next_mark(
    before: Mark | None,
    loan: Owed,
    owed_minor: int,
    valued: Valued,
    estimate_id: int,
    now: datetime,
    thresholds: Thresholds = DEFAULT,
) -> NewMark:
    """Return today's mark of a loan; ``owed_minor`` is everything owed on its vehicle in one currency."""
    if before is not None and before.vehicle_id != loan.vehicle_id:
        before = None
    value = smooth(before, valued, thresholds)
    was_raised = before is not None and before.raised
    judged = None
    if value.minor and loan.currency == valued.currency:
        judged = judge_step(was_raised, owed_minor, value.minor, value.rebase, thresholds)
    raised = was_raised if judged is None else judged.raised
    severity = before.severity if judged is None and before is not None and was_raised else None
    if judged is not None and judged.severity is not None:
        severity = judged.severity.value
    why = "" if judged is not None else _why_none(loan, valued)
    return NewMark(
        loan_id=loan.loan_id, vehicle_id=loan.vehicle_id, estimate_id=estimate_id, as_of=valued.as_of,
        marked_at=now, currency=loan.currency, balance_minor=loan.balance_minor, owed_minor=owed_minor,
        basis=value.basis.kind if judged is not None else NONE,
        value_minor=value.basis.minor if judged is not None else None,
        smoothed_minor=value.minor if judged is not None else None,
        lending_minor=valued.lending_minor, condition=valued.facts.condition,
        model_version=valued.model_version, model_step=value.step,
        rebase=judged.rebase if judged is not None else 1.0,
        ltv=judged.ltv if judged is not None else None,
        judged_ltv=judged.judged_ltv if judged is not None else None, raised=raised, severity=severity,
        episode_at=_episode(before, raised, now), why=why,
    )  # fmt: skip


def closing_mark(before: Mark, as_of: date, now: datetime, why: str) -> NewMark:
    """Return the last mark of a loan that is over, or that left its vehicle: nothing is owed there now."""
    return NewMark(
        loan_id=before.loan_id, vehicle_id=before.vehicle_id, estimate_id=None, as_of=as_of, marked_at=now,
        currency=before.currency, balance_minor=0, owed_minor=0, basis=NONE, value_minor=None,
        smoothed_minor=None, lending_minor=None, condition=None, model_version="", model_step=None,
        rebase=1.0, ltv=None, judged_ltv=None, raised=False, severity=None, episode_at=None, why=why,
    )  # fmt: skip


def findings_of(
    before: Mark | None, mark: NewMark, valued: Valued | None, thresholds: Thresholds = DEFAULT
) -> Sequence[Finding]:
    """Return what changed: raised, worse, or over. A standing breach says nothing every night."""
    was_raised = before is not None and before.raised and before.vehicle_id == mark.vehicle_id
    worse = before is not None and mark.severity is not None and (before.severity or "P4") > mark.severity
    if mark.raised and (not was_raised or worse):
        event, begun = "raise", mark.episode_at or mark.marked_at
    elif was_raised and not mark.raised and before is not None:
        event, begun = "clear", before.episode_at or before.marked_at
    else:
        return ()
    return (
        Finding(
            vehicle_id=mark.vehicle_id, rule=RULE, scope=mark.loan_id, event=event,
            event_ms=to_ms(mark.marked_at), detected_ms=to_ms(mark.marked_at), episode_ms=to_ms(begun),
            severity=Severity(mark.severity) if event == "raise" and mark.severity else None,
            evidence=_evidence(mark, valued, thresholds),
        ),
    )  # fmt: skip


def _evidence(mark: NewMark, valued: Valued | None, thresholds: Thresholds) -> dict[str, object]:
    odometer = None if valued is None else valued.facts.odometer
    facts: dict[str, object | None] = {
        "loan_id": mark.loan_id,
        "ltv_pct": None if mark.ltv is None else round(100 * mark.ltv, 1),
        "owed_minor": mark.owed_minor,
        "value_minor": mark.smoothed_minor,
        "currency": mark.currency,
        "value_basis": mark.basis,
        "low_minor": None if valued is None else valued.low_minor,
        "high_minor": None if valued is None else valued.high_minor,
        "lending_minor": mark.lending_minor,
        "value_status": None if valued is None else valued.status.value,
        "odometer_km": None if odometer is None else round(odometer.km, 1),
        "odometer_on": None if odometer is None else odometer.at.date().isoformat(),
        "model_version": mark.model_version or None,
        "as_of": mark.as_of.isoformat(),
        "why": mark.why or None,
        "thresholds": {"raise_at": thresholds.raise_at, "clear_below": thresholds.clear_below},
        "rule_version": RULE_VERSION,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _step(before: Mark, valued: Valued) -> float | None:
    """Return new over old value where the model changed; both on today's facts, where that is known."""
    if not before.model_version or before.model_version == valued.model_version or not valued.estimate_minor:
        return None
    old_minor = valued.previous_model_minor or before.value_minor
    return valued.estimate_minor / old_minor if old_minor else None


def _episode(before: Mark | None, raised: bool, now: datetime) -> datetime | None:
    if not raised:
        return None
    return before.episode_at if before is not None and before.raised else now


def _why_none(loan: Owed, valued: Valued) -> str:
    return "currency_differs" if loan.currency != valued.currency else valued.reason or "no_value"
