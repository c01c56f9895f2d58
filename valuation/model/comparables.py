"""Past sales nearest to a vehicle: what people check an estimate by.

Weight: exp(-(mileage/0.35)^2 - (condition/0.8)^2 - days/180), a quarter for another trim, a half for
another model year (valuation.md 10). The adjusted price moves the sale to the subject by the ratio of the
model's estimates of both.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from valuation.model.rows import typical_km

if TYPE_CHECKING:
    from collections.abc import Mapping

    from valuation.model.rows import Floats, Ints, Rows

KEPT_PER_CELL = 60
"""The latest sales of a make, model and model year."""
YEARS_ASIDE = 2
_MILEAGE_SCALE, _CONDITION_SCALE, _DAYS_SCALE = 0.35, 0.8, 180.0
_OTHER_TRIM, _OTHER_YEAR = 0.25, 0.5
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Comparable:
    """A past sale; ``observation_id`` is -1 when the training had none."""

    observation_id: int
    observed_at: date
    model_year: int
    odometer_km: float | None
    condition: float | None
    price_minor: int
    adjusted_minor: int
    weight: float


@dataclass(frozen=True, slots=True)
class Past:
    """Past sales in one block, sorted by make, model and model year, newest first."""

    columns: Mapping[str, Any]

    @staticmethod
    def of(rows: Rows, price_minor: Ints, fitted: Floats, ids: Ints) -> Past:
        """Keep the newest sales of each cell; ``fitted`` is the model's own log price of each row."""
        make, model = rows.codes["make"], rows.codes["model"]
        order = np.lexsort((price_minor, -rows.day, rows.model_year, model, make))
        same = np.ones(len(order), np.bool_)
        for values in (make, model, rows.model_year):
            same[1:] &= values[order][1:] == values[order][:-1]
        same[:1] = False
        starts = np.flatnonzero(~same)
        rank = np.arange(len(order)) - np.repeat(starts, np.diff([*starts, len(order)]))
        kept = order[(rank < KEPT_PER_CELL) & (model[order] >= 0)]
        columns = {
            "make": make[kept].astype(np.int32),
            "model": model[kept].astype(np.int32),
            "trim": rows.codes["trim"][kept].astype(np.int32),
            "model_year": rows.model_year[kept].astype(np.int32),
            "day": rows.day[kept].astype(np.int32),
            "age_y": rows.age_y[kept].astype(np.float32),
            "odometer_km": rows.numbers["odometer_km"][kept].astype(np.float32),
            "condition": rows.numbers["condition"][kept].astype(np.float32),
            "price_minor": price_minor[kept],
            "fitted": fitted[kept],
            "id": ids[kept],
        }
        return Past(columns)

    def nearest(self, subject: Rows, fitted: float, n: int) -> list[Comparable]:
        """Return up to ``n`` sales nearest to the first row of ``subject``, best first, none later."""
        kept = self.columns
        make, model = int(subject.codes["make"][0]), int(subject.codes["model"][0])
        if model < 0 or not len(kept["make"]):
            return []
        low, high = (int(at) for at in np.searchsorted(kept["make"], [make, make + 1]))
        inner = np.searchsorted(kept["model"][low:high], [model, model + 1])
        block = np.arange(low + int(inner[0]), low + int(inner[1]))
        year, day = int(subject.model_year[0]), int(subject.day[0])
        block = block[(np.abs(kept["model_year"][block] - year) <= YEARS_ASIDE) & (kept["day"][block] <= day)]
        if not len(block):
            return []
        weight = self._weights(block, subject)
        best = np.lexsort((kept["id"][block], -kept["day"][block], -weight))[:n]
        return [self._comparable(int(block[at]), float(weight[at]), fitted) for at in best]

    def _weights(self, block: Ints, subject: Rows) -> Floats:
        kept = self.columns
        use = np.log(np.maximum(kept["odometer_km"][block], 500.0) / typical_km(kept["age_y"][block]))
        own = np.log(np.maximum(subject.numbers["odometer_km"][:1], 500.0) / typical_km(subject.age_y[:1]))
        off = np.nan_to_num((use - own) / _MILEAGE_SCALE, nan=1.0) ** 2
        worn = (kept["condition"][block] - subject.numbers["condition"][0]) / _CONDITION_SCALE
        off = off + np.nan_to_num(worn, nan=0.5) ** 2
        off = off + (int(subject.day[0]) - kept["day"][block]) / _DAYS_SCALE
        weight: Floats = np.exp(-off)
        weight = weight * np.where(kept["trim"][block] == int(subject.codes["trim"][0]), 1.0, _OTHER_TRIM)
        years_off = np.abs(kept["model_year"][block] - int(subject.model_year[0]))
        return np.asarray(weight * _OTHER_YEAR**years_off, np.float64)

    def _comparable(self, at: int, weight: float, fitted: float) -> Comparable:
        kept = self.columns
        price = int(kept["price_minor"][at])
        odometer, condition = float(kept["odometer_km"][at]), float(kept["condition"][at])
        return Comparable(
            observation_id=int(kept["id"][at]),
            observed_at=_EPOCH + timedelta(days=int(kept["day"][at])),
            model_year=int(kept["model_year"][at]),
            odometer_km=None if np.isnan(odometer) else odometer,
            condition=None if np.isnan(condition) else round(condition, 2),
            price_minor=price,
            adjusted_minor=round(price * float(np.exp(fitted - kept["fitted"][at]))),
            weight=weight,
        )
