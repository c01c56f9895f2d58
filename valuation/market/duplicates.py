"""Which rows tell again what another row told: the same vehicle, about the same price, within 60 days.

Listings are crawled on many pages and on many days, and counted twice they make an interval look half as
wide as it is (reference/valuation.md 2a). A vehicle is known by its VIN; else by title or attributes with
model year and odometer; a row with neither only by its source's own name for it, or as a whole.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from valuation.market.fingerprints import Fingerprints, mixed, seeded

if TYPE_CHECKING:
    from numpy.typing import NDArray

WINDOW_DAYS = 60
PRICE_TOLERANCE_PCT = 1
LISTING_CHANNELS = ("retail", "private")
"""Here a VIN that comes back at another price is the same offer, re-priced; elsewhere it is a second sale."""

_LOOKS = (
    "title", "make", "model", "trim", "body", "fuel", "transmission",
    "engine_l", "power_hp", "cylinders", "usage",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Offers:
    """What telling apart needs of each row; ``any_price`` where the price plays no part."""

    identity: Fingerprints
    price_minor: NDArray[np.int64]
    day: NDArray[np.int64]
    any_price: NDArray[np.bool_]


def offers_of(table: pa.Table) -> Offers:
    """Return the offers of usable rows of OBSERVATION_SCHEMA."""
    columns = {name: table.column(name).combine_chunks() for name in table.column_names}
    rows = table.num_rows
    market = [columns["channel"], columns["currency"]]
    has_vin = np.asarray(pc.is_valid(columns["vin"]))
    has_odometer = np.asarray(pc.is_valid(columns["odometer_km"]))
    has_name = np.asarray(pc.is_valid(columns["reference"]))
    looks = [*(columns[name] for name in _LOOKS), columns["model_year"]]
    by_looks = mixed(seeded("looks", rows), [*market, *looks, pc.round(columns["odometer_km"])])
    by_name = mixed(seeded("name", rows), [*market, columns["source"], columns["reference"]])
    # Without an odometer nothing tells two cars of one model apart: only equality in everything does.
    rest = (
        columns[name]
        for name in ("region", "colour", "first_registration", "guide_price_minor", "price_minor")
    )
    as_whole = mixed(by_looks, rest)
    identity = np.where(has_odometer, by_looks, np.where(has_name, by_name, as_whole))
    if has_vin.any():
        identity = np.where(has_vin, mixed(seeded("vin", rows), [*market, columns["vin"]]), identity)
    listed = np.asarray(pc.is_in(columns["channel"], pa.array(LISTING_CHANNELS)))
    return Offers(
        identity,
        columns["price_minor"].to_numpy(zero_copy_only=False).astype(np.int64),
        columns["observed_at"].cast(pa.int32()).to_numpy(zero_copy_only=False).astype(np.int64),
        has_vin & listed,
    )


def find_duplicates(offers: Offers, stored: Offers) -> NDArray[np.bool_]:
    """Return which offers repeat a stored one or an earlier kept one; the first of each stays."""
    known = len(stored.identity)
    identity = np.concatenate([stored.identity, offers.identity])
    _, group, size = np.unique(identity, return_inverse=True, return_counts=True)
    crowded = np.flatnonzero(size[group] > 1)  # keeps the order: stored rows first, then those of the file
    price = np.concatenate([stored.price_minor, offers.price_minor])[crowded].tolist()
    day = np.concatenate([stored.day, offers.day])[crowded].tolist()
    free = np.concatenate([stored.any_price, offers.any_price])[crowded].tolist()
    repeated = np.zeros(len(identity), dtype=bool)
    # Buckets as wide as the tolerances: what is near lies in the same or a neighbouring one, so that a
    # thousand rows of one identity cost a thousand look-ups and not a million comparisons.
    kept: dict[tuple[int, int, int], list[tuple[int, int]]] = defaultdict(list)
    steps = np.floor(np.log(np.maximum(price, 1)) / np.log1p(PRICE_TOLERANCE_PCT / 100)).astype(int).tolist()
    for at, (row, of) in enumerate(zip(crowded.tolist(), group[crowded].tolist(), strict=True)):
        step = 0 if free[at] else steps[at]
        span = day[at] // WINDOW_DAYS
        near = (
            one
            for some in ((0,) if free[at] else (step - 1, step, step + 1, step - 2, step + 2))
            for then in (span, span - 1, span + 1)
            for one in kept.get((of, some, then), ())
        )
        if row >= known and any(
            abs(day[at] - then) <= WINDOW_DAYS and (free[at] or _same_price(price[at], was))
            for was, then in near
        ):
            repeated[row] = True
        else:
            kept[of, step, span].append((price[at], day[at]))
    return repeated[known:]


def _same_price(one: int, other: int) -> bool:
    return abs(one - other) * 100 <= PRICE_TOLERANCE_PCT * max(one, other)
