"""A market whose true prices are known: a curve, mileage, condition and trims, then noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from valuation.frame import OBSERVATION_SCHEMA

MAKES = ("alba", "boreas", "corvo", "dune", "elmo")
TRIMS = ("base", "comfort", "sport")
REFERENCE_DAY = np.datetime64("2024-06-30")
NOISE = 0.08


@dataclass(frozen=True)
class Drawn:
    """Observations, and the price that each would have had without noise."""

    table: pa.Table
    true_minor: np.ndarray


def draw(rows, seed, *, odometer=True, condition=True, guide=False, noise=NOISE, days=120):
    """Draw sales; the same seed gives the same ones."""
    rng = np.random.default_rng(seed)
    make = rng.integers(0, len(MAKES), rows)
    model = rng.integers(0, 4, rows)
    trim = rng.integers(0, len(TRIMS), rows)
    year = 2024 - rng.integers(0, 14, rows)
    day = REFERENCE_DAY - rng.integers(0, days, rows)
    age = (day - (year - 1970).astype("datetime64[Y]").astype("datetime64[D]")).astype(float) / 365.25
    typical = 19_312.1 * np.maximum(age, 0.5) ** 0.9
    km = typical * np.exp(rng.normal(0, 0.4, rows))
    grade = np.round(np.clip(rng.normal(3, 0.9, rows), 1, 5), 1)
    log = 10.0 + 0.25 * make + 0.12 * model + 0.09 * trim
    log = log - 0.16 * np.minimum(age, 5) - 0.11 * np.maximum(age - 5, 0)
    log = log - 0.20 * np.log(km / typical) + 0.08 * (grade - 3)
    true = np.rint(np.exp(log) * 100)
    price = np.rint(true * np.exp(rng.normal(0, noise, rows)))
    guide_minor = np.rint(true * np.exp(rng.normal(0, 0.03, rows)))
    columns = {
        "make": [MAKES[one] for one in make],
        "model": [f"{MAKES[a]} {b}" for a, b in zip(make, model, strict=True)],
        "trim": [TRIMS[one] for one in trim],
        "model_year": year,
        "odometer_km": km if odometer else None,
        "condition": grade if condition else None,
        "guide_price_minor": guide_minor.astype(np.int64) if guide else None,
        "price_minor": price.astype(np.int64),
        "currency": ["EUR"] * rows,
        "channel": ["auction"] * rows,
        "observed_at": day,
    }
    arrays = [
        pa.nulls(rows, field.type)
        if columns.get(field.name) is None
        else pa.array(columns[field.name]).cast(field.type)
        for field in OBSERVATION_SCHEMA
    ]
    return Drawn(pa.Table.from_arrays(arrays, schema=OBSERVATION_SCHEMA), true)


def days_of(table):
    """Return each row's own day."""
    return table["observed_at"].to_numpy()


def without(table, *names):
    """Return the table with columns emptied."""
    for name in names:
        at = table.column_names.index(name)
        table = table.set_column(at, name, pa.nulls(table.num_rows, table.schema.field(at).type))
    return table


def having(table, name, values):
    """Return the table with a column replaced."""
    at = table.column_names.index(name)
    return table.set_column(at, name, pa.array(values).cast(table.schema.field(at).type))
