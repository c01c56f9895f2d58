"""Conformal constants: how far the raw edges must move so that 90 % of rows never trained on lie between.

One pooled constant covers thick models too often and thin ones too seldom (valuation.md 4c), so there is one
per kind of knowledge (odometer, condition), thickness class and price band, and where a group has fewer than
LEAST_ROWS rows the next wider one serves. Price bands are cut in the *level*, which knows neither mileage nor
condition: a constant can then never jump as a vehicle is driven, and the edges stay monotone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from valuation.model.adjuster import Spread
from valuation.model.rows import Floats, Ints

if TYPE_CHECKING:
    from valuation.model.stage import Raw

COVERAGE = 0.90
LENDING_SHARE = 0.10
_TENTH_OF_TWENTIETH = 0.779
"""How far from the median to the 5 % quantile of a normal law its 10 % quantile lies: 1.282 / 1.645."""
THICKNESS_EDGES = (5.0, 30.0, 300.0)
THICKNESS_NAMES = ("unseen", "sparse", "thin", "medium", "thick")
_SEEN = 0.5
BANDS = 4
LEAST_ROWS = 150
_CLASSES = len(THICKNESS_NAMES)


@dataclass(frozen=True, slots=True)
class Edges:
    """Calibrated log prices."""

    low: Floats
    high: Floats
    lending: Floats


@dataclass(frozen=True, slots=True)
class Constants:
    """(groups, 2): how far to widen both edges, and how far to lower the lending value."""

    band_edges: Floats
    moves: Floats

    @staticmethod
    def calibrate(raw: Raw, graded: np.ndarray, log_price: Floats) -> Constants:
        """Fit on rows that ``raw`` was not trained on."""
        band_edges = np.quantile(raw.level, np.linspace(0, 1, BANDS + 1)[1:-1])
        kind, thick, band = _groups(raw, graded, band_edges)
        outside = np.maximum(raw.spread.low - log_price, log_price - raw.spread.high)
        below = _tenth(raw.spread) - log_price
        moves = np.zeros((4 * _CLASSES * BANDS, 2))
        for one in range(4):
            for two in range(_CLASSES):
                for three in range(BANDS):
                    nested = (
                        (kind == one) & (thick == two) & (band == three),
                        (kind == one) & (thick == two),
                        (kind // 2 == one // 2) & (thick == two),
                        (kind == one) & (np.abs(thick - two) <= 1),
                        thick == two,
                        kind == one,
                        np.ones(len(kind), np.bool_),
                    )
                    mask = next((part for part in nested if part.sum() >= LEAST_ROWS), nested[-1])
                    moves[(one * _CLASSES + two) * BANDS + three] = (
                        _conformal(outside[mask], COVERAGE),
                        _conformal(below[mask], 1.0 - LENDING_SHARE),
                    )
        return Constants(band_edges, moves)

    def apply(self, raw: Raw, graded: np.ndarray) -> Edges:
        """Return the calibrated edges; low <= lending <= middle <= high."""
        kind, thick, band = _groups(raw, graded, self.band_edges)
        move = self.moves[(kind * _CLASSES + thick) * BANDS + band]
        middle = raw.spread.middle
        low = np.minimum(raw.spread.low - move[:, 0], middle)
        high = np.maximum(raw.spread.high + move[:, 0], middle)
        lending = np.clip(_tenth(raw.spread) - move[:, 1], low, middle)
        return Edges(low, high, lending)

    def arrays(self) -> dict[str, Any]:
        """Return plain arrays that hold all of it."""
        return {"band_edges": self.band_edges, "moves": self.moves}


def thickness_class(raw: Raw) -> Ints:
    """Return 0 (model never seen) to 4 (three hundred sales and more of this model and year)."""
    classes: Ints = (
        np.searchsorted(np.array(THICKNESS_EDGES), raw.thickness, side="right").astype(np.int64) + 1
    )
    return np.where(raw.model_rows < _SEEN, 0, classes)


def _groups(raw: Raw, graded: np.ndarray, band_edges: Floats) -> tuple[Ints, Ints, Ints]:
    kind = raw.has_odometer.astype(np.int64) * 2 + graded.astype(np.int64)
    band = np.searchsorted(band_edges, raw.level, side="right").astype(np.int64)
    return kind, thickness_class(raw), band


def _tenth(spread: Spread) -> Floats:
    tenth: Floats = spread.middle - _TENTH_OF_TWENTIETH * (spread.middle - spread.low)
    return tenth


def _conformal(scores: Floats, share: float) -> float:
    """Return the finite-sample quantile: rank ceil((n + 1) * share), the largest when n is too small."""
    rank = min(len(scores), int(np.ceil((len(scores) + 1) * share)))
    return float(np.partition(scores, rank - 1)[rank - 1])
