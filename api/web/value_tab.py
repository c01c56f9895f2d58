"""The tab "value" of a vehicle: the figure, what it rests on, what is owed over it, and who looked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from valuation.appraisals import store as appraisals
from valuation.estimates import store as estimates
from valuation.inspections import store as inspections
from valuation.inspections.domain import FLAGS
from valuation.ltv import store as ltv
from valuation.ltv.judge import DEFAULT
from valuation.vehicles.explain import explained
from valuation.vehicles.models import PROCESS_MODELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from api.web.tabs import Asked
    from valuation.vehicles.domain import Estimate

HISTORY_MOST = 30
LTV_SCALE = 1.2
"""Where the LTV bar ends: what lies beyond is full."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A step of the explanation, with where its bar stands, in per cent of the widest."""

    name: str
    amount_minor: int
    effect_pct: float | None
    left: float
    width: float
    kind: str


def facts(asked: Asked) -> dict[str, Any]:
    """Return what the tab shows."""
    estimate = estimates.newest_estimate(asked.conn, asked.vehicle_id)
    waterfall, comparables = explained(asked.conn, PROCESS_MODELS, estimate) if estimate else ([], [])
    history = estimates.list_estimates(
        asked.conn, asked.asker.org_ids, vehicle_id=asked.vehicle_id, limit=HISTORY_MOST
    )
    asked_of_people = appraisals.list_appraisals(asked.conn, asked.vehicle_id)
    zone = ZoneInfo(asked.services.settings.timezone)
    return {
        "estimate": estimate,
        "interval": _interval(estimate),
        "bars": bars(waterfall),
        "comparables": comparables,
        "weights": sum(sale["weight"] for sale in comparables),
        "marks": ltv.marks_of_vehicle(asked.conn, asked.vehicle_id),
        "thresholds": DEFAULT,
        "ltv_scale": LTV_SCALE,
        "history": history,
        "inspections": inspections.list_inspections(
            asked.conn, asked.asker.org_ids, vehicle_id=asked.vehicle_id, limit=HISTORY_MOST
        ),
        "open_appraisal": next((row for row in asked_of_people if row.is_open), None),
        "appraisals": [row for row in asked_of_people if not row.is_open],
        "flags": FLAGS,
        "today": asked.now.astimezone(zone).date(),
    }


def bars(waterfall: Sequence[dict[str, Any]]) -> list[Bar]:
    """Return the steps as bars that start where the one before ended."""
    ends, total = [], 0
    for step in waterfall:
        total += step["amount_minor"]
        ends.append(total)
    widest = max([1, *ends])
    drawn, before = [], 0
    for place, (step, end) in enumerate(zip(waterfall, ends, strict=True)):
        low, high = sorted((before, end))
        drawn.append(
            Bar(
                step["name"], step["amount_minor"],
                None if place == 0 else 100 * math.expm1(step["log_effect"]),
                100 * low / widest, 100 * (high - low) / widest,
                "base" if place == 0 else "up" if step["amount_minor"] >= 0 else "down",
            )
        )  # fmt: skip
        before = end
    return drawn


def _interval(estimate: Estimate | None) -> dict[str, float] | None:
    """Return where the figures stand on a line from 0 to 100."""
    if estimate is None or not estimate.estimate_minor or not estimate.low_minor or not estimate.high_minor:
        return None
    least = min(estimate.low_minor, estimate.lending_minor or estimate.low_minor)
    span = max(1, estimate.high_minor - least)

    def place(minor: int) -> float:
        return 6 + 88 * (minor - least) / span

    return {
        "low": place(estimate.low_minor),
        "high": place(estimate.high_minor),
        "estimate": place(estimate.estimate_minor),
        "lending": place(estimate.lending_minor or least),
        "width_pct": 100 * (estimate.high_minor - estimate.low_minor) / estimate.estimate_minor,
    }
