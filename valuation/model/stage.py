"""One whole training, from rows to three adjusters over a level; the fit runs it once per set of rows.

`driven` serves rows with an odometer, `blind` those without, `guided` those that bring a guide value which
may be used. Whatever the trees train on is read from levels that have not seen the row: eight folds by
content (leave-one-out leaks: trees undo the group sums, valuation.md 2 trap c).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from valuation.model.adjuster import Adjuster, Spread
from valuation.model.degrade import degraded_copies, share_of
from valuation.model.features import DIRECTIONS, GUIDED_DIRECTIONS, feature_matrix, guided_matrix
from valuation.model.level import Groupings, Level, Places
from valuation.model.rows import Floats, Ints, Rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from valuation.model.level import Read

FOLDS = 8
LEAST_FOR_TREES = 20
LEAST_GUIDED = 200
MOST_GUIDED = 120_000
FAR_LOG = 1.2
"""A price more than this from its level (or 4 robust deviations, if more) teaches typing errors alone."""
_MADS, _MAD_TO_SIGMA = 4.0, 1.4826
MOST_BLIND = 250_000
"""Rows without an odometer to teach trees; the level learns from all."""
_FOLD_SALT, _GUIDED_SALT, _BLIND_SALT = 101, 102, 104


@dataclass(frozen=True, slots=True)
class Raw:
    """Log prices before calibration."""

    spread: Spread
    level: Floats
    thickness: Floats
    """Recency-weighted sales of this model and model year that the level rests on."""
    model_rows: Floats
    """The same of the model in all its years; 0 when the model was never seen."""
    make_rows: Floats
    has_odometer: np.ndarray

    @staticmethod
    def concat(parts: Sequence[Raw]) -> Raw:
        """Return the rows of all parts, one after the other."""
        spread = Spread(
            np.concatenate([part.spread.middle for part in parts]),
            np.concatenate([part.spread.low for part in parts]),
            np.concatenate([part.spread.high for part in parts]),
        )
        return Raw(
            spread,
            np.concatenate([part.level for part in parts]),
            np.concatenate([part.thickness for part in parts]),
            np.concatenate([part.model_rows for part in parts]),
            np.concatenate([part.make_rows for part in parts]),
            np.concatenate([part.has_odometer for part in parts]),
        )


@dataclass(frozen=True, slots=True)
class Stage:
    """Fitted groupings, level and adjusters; an adjuster is None where too few rows could teach it."""

    groupings: Groupings
    level: Level
    driven: Adjuster | None
    blind: Adjuster | None
    guided: Adjuster | None

    def with_level_of(self, rows: Rows, log_price: Floats, weight: Floats, sizes: dict[str, int]) -> Stage:
        """Return the same adjusters over a level fitted anew, on more rows."""
        groupings = Groupings.of(rows, sizes)
        near = _near_rows(rows, log_price, weight, groupings)
        level = Level.fit(rows, groupings.find(rows), groupings, log_price, np.where(near, weight, 0.0))
        return Stage(groupings, level, self.driven, self.blind, self.guided)

    def predict(self, rows: Rows) -> Raw:
        """Value rows without a guide."""
        places = self.groupings.find(rows)
        read = self.level.read(rows, places)
        features = feature_matrix(rows, read)
        base = read.level
        middle, low, high = base.copy(), base.copy(), base.copy()
        has_odometer = ~np.isnan(rows.numbers["odometer_km"])
        driven, blind = self.driven or self.blind, self.blind or self.driven
        for mask, adjuster in ((has_odometer, driven), (~has_odometer, blind)):
            if adjuster is None or not mask.any():
                continue
            spread = adjuster.predict(features[mask])
            middle[mask] += spread.middle
            low[mask] += spread.low
            high[mask] += spread.high
        return _raw(Spread(middle, low, high), read, has_odometer)

    def predict_guided(self, rows: Rows) -> Raw | None:
        """Value rows by their guide and everything else; None when no guide was ever seen."""
        if self.guided is None:
            return None
        read = self.level.read(rows, self.groupings.find(rows))
        log_guide = rows.numbers["log_guide"]
        spread = self.guided.predict(guided_matrix(rows, read))
        moved = Spread(log_guide + spread.middle, log_guide + spread.low, log_guide + spread.high)
        return _raw(moved, read, ~np.isnan(rows.numbers["odometer_km"]))


def _raw(spread: Spread, read: Read, has_odometer: np.ndarray) -> Raw:
    make, model, year = read.weights[:3]
    return Raw(spread, read.level, year, model, make, has_odometer)


def train_stage(
    rows: Rows, log_price: Floats, weight: Floats, fingerprints: np.ndarray, sizes: dict[str, int], seed: int
) -> Stage:
    """Train everything on these rows alone."""
    groupings = Groupings.of(rows, sizes)
    near = _near_rows(rows, log_price, weight, groupings)
    rows, log_price, weight, fingerprints = rows.take(near), log_price[near], weight[near], fingerprints[near]
    copies = degraded_copies(rows, fingerprints)
    everything = Rows.concat([rows, copies.rows])
    origin = np.concatenate([np.arange(rows.size), copies.origin])
    price = log_price[origin]
    # Copies are read from the level, but leave no trace in it.
    level_weight = np.concatenate([weight, np.zeros(copies.rows.size)])
    places = groupings.find(everything)
    level = Level.fit(everything, places, groupings, price, level_weight)
    fold = (share_of(fingerprints, _FOLD_SALT) * FOLDS).astype(np.int64)[origin]
    levels = tuple(
        Level.fit(everything, places, groupings, price, np.where(fold == number, 0.0, level_weight))
        for number in range(FOLDS)
    )
    lesson = _Lesson(everything, places, price, fold, levels)
    has_odometer = ~np.isnan(everything.numbers["odometer_km"])
    chosen = share_of(fingerprints, _BLIND_SALT)[origin] * max(1, int((~has_odometer).sum())) < MOST_BLIND
    driven = lesson.adjuster(np.flatnonzero(has_odometer), seed)
    blind = lesson.adjuster(np.flatnonzero(~has_odometer & chosen), seed)
    guided = lesson.guided(_guided_rows(everything, rows.size, fingerprints), seed)
    return Stage(groupings, level, driven, blind, guided)


def _near_rows(rows: Rows, log_price: Floats, weight: Floats, groupings: Groupings) -> np.ndarray:
    places = groupings.find(rows)
    level = Level.fit(rows, places, groupings, log_price, weight)
    residual = np.abs(log_price - level.read(rows, places).level - level.use_effect(rows))
    robust = _MADS * _MAD_TO_SIGMA * float(np.median(residual))
    return residual < max(FAR_LOG, robust)


@dataclass(frozen=True, slots=True)
class _Lesson:
    """What adjusters are taught: rows as levels see them that know nothing of their fold."""

    rows: Rows
    places: Places
    price: Floats
    fold: np.ndarray
    levels: tuple[Level, ...]

    def adjuster(self, index: Ints, seed: int) -> Adjuster | None:
        if len(index) < LEAST_FOR_TREES:
            return None
        features = np.empty((len(index), len(DIRECTIONS)))
        base = np.empty(len(index))
        for own, part, read in self._out_of_fold(index):
            features[own] = feature_matrix(part, read)
            base[own] = read.level
        return Adjuster.train(features, self.price[index] - base, DIRECTIONS, seed)

    def guided(self, index: Ints, seed: int) -> Adjuster | None:
        if len(index) < LEAST_GUIDED:
            return None
        features = np.empty((len(index), len(GUIDED_DIRECTIONS)))
        for own, part, read in self._out_of_fold(index):
            features[own] = guided_matrix(part, read)
        ratio = self.price[index] - self.rows.numbers["log_guide"][index]
        return Adjuster.train(features, ratio, GUIDED_DIRECTIONS, seed)

    def _out_of_fold(self, index: Ints) -> Iterator[tuple[Ints, Rows, Read]]:
        for number, level in enumerate(self.levels):
            own = np.flatnonzero(self.fold[index] == number)
            if len(own):
                part = self.rows.take(index[own])
                yield own, part, level.read(part, self.places.take(index[own]))


def _guided_rows(rows: Rows, originals: int, fingerprints: np.ndarray) -> np.ndarray:
    """Return the original rows with a guide; of very many, all with an odometer and a share of the rest."""
    paired = ~np.isnan(rows.numbers["log_guide"][:originals])
    driven = ~np.isnan(rows.numbers["odometer_km"][:originals])
    poor = int((paired & ~driven).sum())
    share = MOST_GUIDED / max(poor, 1)
    return np.flatnonzero(paired & (driven | (share_of(fingerprints, _GUIDED_SALT) < share)))
