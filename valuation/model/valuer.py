"""A fitted model: values vehicles, explains a value, names comparables. Pure: no clock, no database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from valuation.model.adjustments import GRID, Waterfall, partial_vehicles, waterfall
from valuation.model.interval import THICKNESS_NAMES, Constants, thickness_class
from valuation.model.rows import Floats, Ints, Rows, Texts, Vocabulary
from valuation.model.stage import Raw, Stage

if TYPE_CHECKING:
    import pyarrow as pa

    from valuation.model.comparables import Comparable, Past

BLEND_THICK, BLEND_THIN = 0.7, 0.25
"""Weight of our own value beside a guide that no sale could be compared with (valuation.md 6, step 5)."""
THICK_ROWS = 300.0
NOT_VALUED = "not_valued"
OK = "ok"


@dataclass(frozen=True, slots=True)
class Reference:
    """The typical vehicle from which explanations start."""

    age_y: float
    condition: float
    knows_odometer: bool


@dataclass(frozen=True, slots=True)
class Estimates:
    """One entry per vehicle, in order. Amounts are minor units; -1 is none, and then reason says why."""

    estimate_minor: Ints
    low_minor: Ints
    high_minor: Ints
    lending_minor: Ints
    thickness: Floats
    segment: Texts
    status: Texts
    """`ok`, or notes joined by `;`: model_after_as_of, no_odometer, no_condition, unknown_model,
    unknown_make, guided, guide_blended; `not_valued` alone where there is no value."""
    reason: Texts
    log_estimate: Floats


@dataclass(frozen=True, slots=True)
class Model:
    """Everything that was fitted for one currency and channel."""

    version: str
    currency: str
    channel: str
    data_cut: date
    rows: int
    metrics: dict[str, Any]
    vocabulary: Vocabulary
    stage: Stage
    constants: Constants
    guided_constants: Constants | None
    reference: Reference
    past: Past

    def estimate(self, vehicles: pa.Table, as_of: Any, *, use_guide: bool = False) -> Estimates:
        """Value each vehicle (VEHICLE_SCHEMA or part of it) as of a day, or of its own day of an array."""
        days = np.broadcast_to(np.asarray(as_of, dtype="datetime64[D]"), (vehicles.num_rows,))
        rows, reason = self.vocabulary.rows(vehicles, days)
        return self._estimate(rows, reason, use_guide=use_guide)

    def explain(self, vehicle: pa.Table, as_of: Any, *, use_guide: bool = False) -> Waterfall | None:
        """Return the steps to the estimate of the first vehicle; None when it has no value."""
        days = np.broadcast_to(np.asarray(as_of, dtype="datetime64[D]"), (vehicle.num_rows,))
        rows, reason = self.vocabulary.rows(vehicle.slice(0, 1), days[:1])
        if reason[0] is not None:
            return None
        raw = self.stage.predict(partial_vehicles(rows, self.reference))
        logs = [float(log) for log in _on_grid(raw.spread.middle)]
        if use_guide and not np.isnan(rows.numbers["log_guide"][0]):
            logs.append(float(self._estimate(rows, reason, use_guide=True).log_estimate[0]))
        return waterfall(logs)

    def comparables(self, vehicle: pa.Table, as_of: Any, n: int = 8) -> list[Comparable]:
        """Return past sales nearest to the first vehicle, best first."""
        days = np.broadcast_to(np.asarray(as_of, dtype="datetime64[D]"), (vehicle.num_rows,))
        rows, reason = self.vocabulary.rows(vehicle.slice(0, 1), days[:1])
        if reason[0] is not None:
            return []
        return self.past.nearest(rows, float(self.stage.predict(rows).spread.middle[0]), n)

    def _estimate(self, rows: Rows, reason: Texts, *, use_guide: bool) -> Estimates:
        raw = self.stage.predict(rows)
        graded = ~np.isnan(rows.numbers["condition"])
        edges = self.constants.apply(raw, graded)
        middle, low, high, lending = raw.spread.middle.copy(), edges.low, edges.high, edges.lending
        guide_note = np.full(rows.size, "", dtype=object)
        if use_guide:
            asked = np.flatnonzero(~np.isnan(rows.numbers["log_guide"]))
            guided = self.stage.predict_guided(rows.take(asked)) if len(asked) else None
            if guided is not None and self.guided_constants is not None:
                moved = self.guided_constants.apply(guided, graded[asked])
                middle[asked], low[asked] = guided.spread.middle, moved.low
                high[asked], lending[asked] = moved.high, moved.lending
                guide_note[asked] = "guided"
            elif len(asked):
                own = np.where(raw.thickness[asked] >= THICK_ROWS, BLEND_THICK, BLEND_THIN)
                shift = (1.0 - own) * (rows.numbers["log_guide"][asked] - middle[asked])
                for values in (middle, low, high, lending):
                    values[asked] += shift
                guide_note[asked] = "guide_blended"
        none = reason != None  # noqa: E711 - elementwise on an object array
        middle = _on_grid(middle)
        return Estimates(
            _minor(middle, none),
            _minor(low, none),
            _minor(high, none),
            _minor(lending, none),
            np.where(none, 0.0, raw.thickness),
            np.where(none, "", _segments(raw)),
            self._status(rows, raw, graded, guide_note, none),
            reason,
            middle,
        )

    def _status(self, rows: Rows, raw: Raw, graded: Any, guide_note: Texts, none: Any) -> Texts:
        cut = int(np.datetime64(self.data_cut, "D").astype(np.int64))
        knows_condition = not np.isnan(self.reference.condition)
        notes = (
            ("model_after_as_of", rows.day < cut),
            ("unknown_make", raw.make_rows <= 0),
            ("unknown_model", (raw.make_rows > 0) & (raw.model_rows <= 0)),
            ("no_odometer", ~raw.has_odometer & self.reference.knows_odometer),
            ("no_condition", ~graded & knows_condition),
            ("guided", guide_note == "guided"),
            ("guide_blended", guide_note == "guide_blended"),
        )
        status: Texts = np.full(rows.size, "", dtype=object)
        for note, mask in notes:
            status = np.where(mask, status + (note + ";"), status)
        status = np.array([text.rstrip(";") or OK for text in status], dtype=object)
        return np.where(none, NOT_VALUED, status)


def _segments(raw: Raw) -> Texts:
    """Return the thickness class, with `static` beside it where no odometer is known."""
    names = np.array(THICKNESS_NAMES, dtype=object)[thickness_class(raw)]
    return np.where(raw.has_odometer, names, names + "/static")


def _on_grid(logs: Floats) -> Floats:
    grid: Floats = np.round(logs * GRID) / GRID
    return grid


def _minor(logs: Floats, none: Any) -> Ints:
    amounts: Ints = np.where(none, -1, np.rint(np.exp(np.where(none, 0.0, logs)))).astype(np.int64)
    return amounts
