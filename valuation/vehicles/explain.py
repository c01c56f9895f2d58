"""How a value came about: steps that add up, and sales nearby; at auction level like the value itself.

The nightly run keeps what a model was given, not the explanation: 100,000 of them nobody reads would be most
of the table. Inputs, version and day give the same explanation whenever somebody asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from valuation.vehicles.table import table_of_inputs

if TYPE_CHECKING:
    from datetime import date

    import pyarrow as pa

    from core.db.pool import Connection
    from valuation.model.valuer import Model
    from valuation.vehicles.domain import Estimate
    from valuation.vehicles.models import Models

CHANNEL = "channel"
COMPARABLES = 8


def waterfall_of(
    model: Model, row: pa.Table, as_of: date, permille: int, estimate_minor: int
) -> list[dict[str, Any]]:
    """Return the model's steps, then the one to auction level where the model speaks of another channel."""
    said = model.explain(row, as_of)
    if said is None:
        return []
    steps: list[dict[str, Any]] = [
        {"name": step.name, "log_effect": step.log_effect, "amount_minor": step.amount_minor}
        for step in said.steps
    ]
    if permille != 1000:
        steps.append({
            "name": CHANNEL, "log_effect": float(np.log(permille / 1000)),
            "amount_minor": estimate_minor - said.estimate_minor,
        })  # fmt: skip
    return steps


def comparables_of(model: Model, row: pa.Table, as_of: date) -> list[dict[str, Any]]:
    """Return sales nearby as they were, and as the model moves them to this vehicle; the nearest first."""
    return [
        {
            "observed_at": sale.observed_at.isoformat(), "model_year": sale.model_year,
            "odometer_km": sale.odometer_km, "condition": sale.condition, "price_minor": sale.price_minor,
            "adjusted_minor": sale.adjusted_minor, "weight": sale.weight,
        }
        for sale in model.comparables(row, as_of, COMPARABLES)
    ]  # fmt: skip


def explained(
    conn: Connection, models: Models, estimate: Estimate
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return (waterfall, comparables) of a stored estimate: as written then, else made again by its model.

    Both are empty where there is no value, or its model is no longer kept.
    """
    if estimate.waterfall is not None:
        return estimate.waterfall, estimate.comparables or []
    if estimate.estimate_minor is None or estimate.channel_permille is None:
        return [], []
    chosen = models.of_version(conn, estimate.model_version)
    if chosen is None:
        return [], []
    row = table_of_inputs(estimate.inputs)
    return (
        waterfall_of(chosen.model, row, estimate.as_of, estimate.channel_permille, estimate.estimate_minor),
        comparables_of(chosen.model, row, estimate.as_of),
    )
