"""The market level: nested shrunken means of log price after an age curve, and what rests on it.

make > model > model year > body, k = 30, 15, 8, 8 (valuation.md 6, step 3). A row's price enters the means at
typical mileage and condition, by a within-model regression, so that one tired car does not pull a thin cell.
The residual's means per trim, colour, region and so on are the encodings. Everything is fitted on one set of
rows and read for another: whoever trains on it reads each row from a fit without that row's fold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from valuation.model.cells import CellIndex, CellMeans
from valuation.model.rows import Floats, Ints, Rows, typical_km
from valuation.model.spline import KNOTS_Y, age_basis

LEVELS: tuple[tuple[tuple[str, ...], float], ...] = (
    (("make",), 30.0),
    (("make", "model"), 15.0),
    (("make", "model", "model_year"), 8.0),
    (("make", "model", "model_year", "body"), 8.0),
)
ENCODINGS: tuple[tuple[tuple[str, ...], float], ...] = (
    (("transmission",), 20.0),
    (("fuel",), 20.0),
    (("colour",), 20.0),
    (("region",), 20.0),
    (("body",), 20.0),
    (("drive",), 20.0),
    (("usage",), 20.0),
    (("make", "trim"), 8.0),
    (("make", "model", "trim"), 8.0),
    (("make", "model", "model_year", "trim"), 4.0),
    (("make", "model", "fuel"), 8.0),
    (("make", "model", "transmission"), 8.0),
    (("make", "model", "variant"), 8.0),
    (("make", "model", "model_year", "variant"), 4.0),
)
SLOPE_K = 60.0
USE_TERMS = 4
_RIDGE = 1e-3


@dataclass(frozen=True, slots=True)
class Places:
    """Each row's cell in every grouping, found once."""

    levels: tuple[Ints, ...]
    encodings: tuple[Ints, ...]

    def take(self, index: Ints) -> Places:
        """Return the places of some rows."""
        return Places(tuple(c[index] for c in self.levels), tuple(c[index] for c in self.encodings))


@dataclass(frozen=True, slots=True)
class Groupings:
    """Which cells exist."""

    levels: tuple[CellIndex, ...]
    encodings: tuple[CellIndex, ...]

    @staticmethod
    def of(rows: Rows, words: dict[str, int]) -> Groupings:
        """Collect the cells of all rows."""
        return Groupings(
            tuple(CellIndex.of(columns, rows, words) for columns, _ in LEVELS),
            tuple(CellIndex.of(columns, rows, words) for columns, _ in ENCODINGS),
        )

    def find(self, rows: Rows) -> Places:
        """Return the cells of each row."""
        return Places(
            tuple(index.find(rows) for index in self.levels),
            tuple(index.find(rows) for index in self.encodings),
        )


@dataclass(frozen=True, slots=True)
class Read:
    """What a fitted level says about rows, column by column."""

    base: Floats
    """Market mean plus the age curve."""
    slope: Floats
    """What the make's own steepness adds to the age curve."""
    deviations: tuple[Floats, ...]
    weights: tuple[Floats, ...]
    encodings: tuple[Floats, ...]
    retention: Floats
    """Log of price over new price expected at this age and make; added to log new price it is a level too."""

    @property
    def level(self) -> Floats:
        """Log price of such a vehicle at typical mileage and condition."""
        total = self.base + self.slope
        for part in self.deviations:
            total = total + part
        return total


@dataclass(frozen=True, slots=True)
class Level:
    """Fitted numbers only."""

    mean: float
    curve: Floats
    use: Floats
    """Log price per unit of `use_terms`: mileage against typical, and condition."""
    slopes: CellMeans
    levels: tuple[CellMeans, ...]
    encodings: tuple[CellMeans, ...]
    new_mean: float
    new_curve: Floats
    new_makes: CellMeans
    new_models: CellMeans

    @staticmethod
    def fit(rows: Rows, places: Places, groupings: Groupings, log_price: Floats, weight: Floats) -> Level:
        """Fit on the rows whose weight is positive; rows of weight 0 leave no trace."""
        basis, terms = age_basis(rows.age_y), use_terms(rows)
        both = _within(np.hstack([basis, terms]), log_price, weight, places.levels[1])
        curve, use = both[: len(KNOTS_Y)], both[len(KNOTS_Y) :]
        after = log_price - basis @ curve - terms @ use
        mean = _mean(after, weight)
        rest = after - mean
        make = places.levels[0]
        slopes = _slopes(rows.age_y, rest, weight, make, len(groupings.levels[0].keys))
        rest = rest - _slope_part(slopes, make, rows.age_y)
        levels = []
        for (_, k), cell, index in zip(LEVELS, places.levels, groupings.levels, strict=True):
            fitted = CellMeans.fit(cell, len(index.keys), rest, weight, k)
            rest = rest - fitted.of(cell)[0]
            levels.append(fitted)
        encodings = tuple(
            CellMeans.fit(cell, len(index.keys), rest, weight, k)
            for (_, k), cell, index in zip(ENCODINGS, places.encodings, groupings.encodings, strict=True)
        )
        retention = _retention(rows, places, groupings, log_price - terms @ use, weight)
        return Level(mean, curve, use, slopes, tuple(levels), encodings, *retention)

    def read(self, rows: Rows, places: Places) -> Read:
        """Return the level's parts for rows, whoever they are."""
        basis = age_basis(rows.age_y)
        pairs = [means.of(cell) for means, cell in zip(self.levels, places.levels, strict=True)]
        retention = (
            self.new_mean
            + basis @ self.new_curve
            + self.new_makes.of(places.levels[0])[0]
            + self.new_models.of(places.levels[1])[0]
        )
        return Read(
            self.mean + basis @ self.curve,
            _slope_part(self.slopes, places.levels[0], rows.age_y),
            tuple(deviation for deviation, _ in pairs),
            tuple(weight for _, weight in pairs),
            tuple(means.of(cell)[0] for means, cell in zip(self.encodings, places.encodings, strict=True)),
            retention,
        )

    def use_effect(self, rows: Rows) -> Floats:
        """Return the straight-line effect of mileage and condition: the parametric baseline's step."""
        effect: Floats = use_terms(rows) @ self.use
        return effect


def use_terms(rows: Rows) -> Floats:
    """Return (rows, USE_TERMS): how far from typical use; all 0 where it is not known."""
    typical = typical_km(rows.age_y)
    known = ~np.isnan(rows.numbers["odometer_km"])
    odometer = np.where(known, rows.numbers["odometer_km"], typical)
    ratio = np.clip(np.log(np.maximum(odometer, 500.0) / typical), -2.5, 1.5)
    excess = np.clip((odometer - typical) / 100_000.0, -2.0, 3.0)
    graded = ~np.isnan(rows.numbers["condition"])
    condition = np.where(graded, rows.numbers["condition"], 3.0)
    return np.column_stack([ratio, excess, condition - 3.0, graded.astype(np.float64)])


def _within(columns: Floats, target: Floats, weight: Floats, cell: Ints) -> Floats:
    """Least squares after taking each model's mean out of everything: no composition in the curve."""
    place = np.where(cell < 0, cell.max(initial=-1) + 1, cell)
    cells = int(place.max(initial=0)) + 1
    mass = np.maximum(np.bincount(place, weight, cells), 1e-12)
    centred = np.empty_like(columns)
    for column in range(columns.shape[1]):
        means = np.bincount(place, weight * columns[:, column], cells) / mass
        centred[:, column] = columns[:, column] - means[place]
    middle = np.bincount(place, weight * target, cells) / mass
    root: Floats = np.sqrt(weight).astype(np.float64)
    left, right = centred * root[:, None], (target - middle[place]) * root
    gram = left.T @ left + _RIDGE * np.eye(columns.shape[1]) * max(1.0, float(weight.sum()) / 1_000.0)
    solved: Floats = np.asarray(np.linalg.solve(gram, left.T @ right), np.float64)
    return solved


def _slopes(age_y: Floats, rest: Floats, weight: Floats, cell: Ints, cells: int) -> CellMeans:
    """Give each make a straight addition to the age curve, shrunken by SLOPE_K rows at a spread of a year."""
    inside = cell >= 0
    place, mass = cell[inside], weight[inside]
    total = np.maximum(np.bincount(place, mass, cells), 1e-12)
    age = np.minimum(age_y[inside], KNOTS_Y[-1])
    age = age - (np.bincount(place, mass * age, cells) / total)[place]
    value = rest[inside] - (np.bincount(place, mass * rest[inside], cells) / total)[place]
    spread = np.bincount(place, mass * age * age, cells)
    return CellMeans(np.bincount(place, mass * age * value, cells) / (spread + SLOPE_K), total)


def _slope_part(slopes: CellMeans, cell: Ints, age_y: Floats) -> Floats:
    part: Floats = slopes.of(cell)[0] * np.minimum(age_y, KNOTS_Y[-1])
    return part


def _mean(values: Floats, weight: Floats) -> float:
    return float((values * weight).sum() / max(float(weight.sum()), 1e-12))


def _retention(
    rows: Rows, places: Places, groupings: Groupings, log_price: Floats, weight: Floats
) -> tuple[float, Floats, CellMeans, CellMeans]:
    known = np.where(np.isnan(rows.numbers["log_new"]), 0.0, weight)
    ratio = np.where(
        np.isnan(rows.numbers["log_new"]), 0.0, log_price - np.nan_to_num(rows.numbers["log_new"])
    )
    basis = age_basis(rows.age_y)
    curve = _within(basis, ratio, known, places.levels[1])
    rest = ratio - basis @ curve
    mean = _mean(rest, known)
    rest = rest - mean
    makes = CellMeans.fit(places.levels[0], len(groupings.levels[0].keys), rest, known, LEVELS[0][1])
    rest = rest - makes.of(places.levels[0])[0]
    models = CellMeans.fit(places.levels[1], len(groupings.levels[1].keys), rest, known, LEVELS[1][1])
    return mean, curve, makes, models
