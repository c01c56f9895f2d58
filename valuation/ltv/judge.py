"""When LTV is a breach. Pure.

One threshold would raise and clear with every breath of the market, so there are two. The value is smoothed
over a week. And a new model that thinks otherwise is not an event in the world: its step is shown, and held
out of the judgement until the market has carried the loan over a threshold without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from core.domain.finding import Severity


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Ratios of what is owed to the value (reference/valuation.md 6, step 12)."""

    raise_at: float = 0.85
    clear_below: float = 0.82
    under_water_at: float = 1.0
    smoothing_days: int = 7

    def __post_init__(self) -> None:
        if not 0 < self.clear_below <= self.raise_at <= self.under_water_at:
            raise ValueError(f"Expected 0 < clear_below <= raise_at <= under_water_at, was {self}")


DEFAULT = Thresholds()


@dataclass(frozen=True, slots=True)
class Judged:
    """``ltv`` is what people see; ``judged_ltv`` is it without steps of models that nothing confirmed."""

    ltv: float
    judged_ltv: float
    rebase: float
    raised: bool
    severity: Severity | None


def judge(previous_raised: bool, ltv: float | None, thresholds: Thresholds = DEFAULT) -> bool:
    """Return whether the breach stands: raised at ``raise_at``, cleared below ``clear_below``.

    Without a value nothing is known that could raise or clear.
    """
    if ltv is None:
        return previous_raised
    return ltv >= (thresholds.clear_below if previous_raised else thresholds.raise_at)


def judge_step(
    previous_raised: bool,
    owed_minor: int,
    value_minor: int,
    rebase: float,
    thresholds: Thresholds = DEFAULT,
) -> Judged:
    """Judge what is owed over a value, with ``rebase`` the product of unconfirmed steps of models (1: none).

    A rebase ends when the judgement is the same with and without it.
    """
    ltv = owed_minor / value_minor
    held = ltv * rebase
    raised = judge(previous_raised, held, thresholds)
    if judge(previous_raised, ltv, thresholds) == raised:
        held, rebase = ltv, 1.0
    severity = None
    if raised:
        severity = Severity.P2 if held >= thresholds.under_water_at else Severity.P3
    return Judged(ltv, held, rebase, raised, severity)


def smoothed_minor(
    before_minor: int | None, before_on: date | None, value_minor: int, on: date, days: int
) -> int:
    """Return the exponentially weighted mean: half of a span of ``days`` weighs 2 / (days + 1) a day.

    A gap of several days weighs as that many equal values; the same day again changes nothing.
    """
    if before_minor is None or before_on is None:
        return value_minor
    kept = (1.0 - 2.0 / (days + 1)) ** max(0, (on - before_on).days)
    return value_minor + round((before_minor - value_minor) * kept)
