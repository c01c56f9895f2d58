"""Pledged vehicles as the table a model reads: one spelling of makes and models, unknown as null."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from valuation.frame import VEHICLE_SCHEMA
from valuation.intake.texts import read_texts, without_make

if TYPE_CHECKING:
    from collections.abc import Sequence

    from valuation.vehicles.domain import Facts


def table_of(facts: Sequence[Facts]) -> pa.Table:
    """Return one row per vehicle in VEHICLE_SCHEMA, in the given order."""
    columns: dict[str, pa.Array] = {
        name: read_texts(pa.array([getattr(one, name) for one in facts], pa.string()), name, {})
        for name in ("vin", "make", "model", "colour")
    }
    columns["model"] = without_make(columns["model"], columns["make"])
    columns["model_year"] = pa.array([_year(one) for one in facts], pa.int32())
    columns["first_registration"] = pa.array([one.first_registration for one in facts], pa.date32())
    columns["odometer_km"] = pa.array(
        [None if one.odometer is None else one.odometer.km for one in facts], pa.float64()
    )
    columns["condition"] = pa.array([one.condition for one in facts], pa.float64())
    return pa.Table.from_arrays(
        [columns.get(field.name, pa.nulls(len(facts), field.type)) for field in VEHICLE_SCHEMA],
        schema=VEHICLE_SCHEMA,
    )


def inputs_of(table: pa.Table) -> list[dict[str, Any]]:
    """Return what each row says, without what is unknown: kept with the estimate, enough to repeat it."""
    return [{name: value for name, value in row.items() if value is not None} for row in table.to_pylist()]


def table_of_inputs(inputs: dict[str, Any]) -> pa.Table:
    """Return the row that was kept; days come back from JSON as text."""
    row = {
        field.name: date.fromisoformat(inputs[field.name])
        if pa.types.is_date(field.type) and isinstance(inputs.get(field.name), str)
        else inputs.get(field.name)
        for field in VEHICLE_SCHEMA
    }
    return pa.Table.from_pylist([row], schema=VEHICLE_SCHEMA)


def _year(facts: Facts) -> int | None:
    """Return the model year, else the year of first registration."""
    if facts.model_year is not None or facts.first_registration is None:
        return facts.model_year
    return facts.first_registration.year
