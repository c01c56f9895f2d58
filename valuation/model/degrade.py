"""Copies of training rows with facts struck out, so that the model learns, and its interval is calibrated
for, what it will meet in life: no odometer, no inspection, a model or a make that it has never seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from valuation.model.rows import Ints, Rows

FEW_WITHOUT_ODOMETER = 0.5
"""Beside fewer such rows per row with an odometer, copies make up for them."""
MOST_COPIES = 60_000
SHARE_WITHOUT_ODOMETER = 0.1
SHARE_WITHOUT_CONDITION = 0.15
SHARE_WITHOUT_MODEL = 0.06
SHARE_WITHOUT_MAKE = 0.03
_SALT = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Degraded:
    """Copies, and for each the row it was made from."""

    rows: Rows
    origin: Ints


def share_of(fingerprints: np.ndarray, salt: int) -> np.ndarray:
    """Return for each row a number in [0, 1) that depends on its content and the salt alone."""
    mixed = (fingerprints.astype(np.uint64) + np.uint64(salt)) * _SALT
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(32)
    shares: np.ndarray = (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53
    return shares


def degraded_copies(rows: Rows, fingerprints: np.ndarray) -> Degraded:
    """Return copies of some rows, chosen by content, with facts struck out."""
    driven = ~np.isnan(rows.numbers["odometer_km"])
    graded = ~np.isnan(rows.numbers["condition"])
    rich = int(driven.sum())
    blind_share = 1.0 if rows.size - rich < FEW_WITHOUT_ODOMETER * rich else SHARE_WITHOUT_ODOMETER
    blind_share = min(blind_share, MOST_COPIES / max(rich, 1))
    parts, origins = [], []
    for salt, mask, share, struck in (
        (1, driven, blind_share * 0.5, ("odometer_km",)),
        (2, driven, blind_share * 0.5, ("odometer_km", "condition")),
        (3, driven & graded, SHARE_WITHOUT_CONDITION, ("condition",)),
        (4, np.ones(rows.size, np.bool_), SHARE_WITHOUT_MODEL, ("model", "trim", "variant")),
        (5, np.ones(rows.size, np.bool_), SHARE_WITHOUT_MAKE, ("make", "model", "trim", "variant")),
    ):
        chosen = np.flatnonzero(mask & (share_of(fingerprints, salt) < min(share, MOST_COPIES / rows.size)))
        parts.append(rows.take(chosen).without(*struck))
        origins.append(chosen)
    return Degraded(Rows.concat(parts), np.concatenate(origins))
