"""A model fitted on invented sales, and pledged vehicles of the same invented kinds."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.db.pool import Connection
from simulator.market.sales import city_kinds, draw_sales
from valuation.frame import OBSERVATION_SCHEMA
from valuation.model.fit import fit
from valuation.model.valuer import Model

NIGHT = datetime(2026, 11, 20, 18, 30, tzinfo=UTC)
"""The 21st in Shanghai, where the lender is."""
TODAY = date(2026, 11, 21)
CUT = date(2026, 11, 18)
KIND = city_kinds()[0]


@cache
def invented_sales(
    *, seed: int = 3, count: int = 280, until: date = CUT, channel: str = "auction", level: float = 1.0
) -> pa.Table:
    """Sales in the room's own columns; ``level`` lifts or lowers every price."""
    drawn = draw_sales(seed, count, until=until, days=150, kinds=city_kinds()[:2], channel=channel)
    prices = np.rint(np.asarray(drawn["price"]) * 100 * level).astype(np.int64)
    columns: dict[str, object] = {
        name: drawn[name].combine_chunks() for name in drawn.column_names if name in OBSERVATION_SCHEMA.names
    }
    for name in ("make", "model"):
        columns[name] = pc.utf8_lower(columns[name])
    columns["price_minor"] = pa.array(prices)
    return pa.Table.from_arrays(
        [
            pc.cast(columns[field.name], field.type) if field.name in columns else pa.nulls(count, field.type)
            for field in OBSERVATION_SCHEMA
        ],
        schema=OBSERVATION_SCHEMA,
    )


@cache
def invented_model(
    *, seed: int = 3, until: date = CUT, channel: str = "auction", level: float = 1.0
) -> Model:
    """A real model of those sales; the same arguments give the same one."""
    sales = invented_sales(seed=seed, until=until, channel=channel, level=level)
    return fit(sales, currency="CNY", channel=channel, data_cut=until)


def pledge(
    conn: Connection,
    vehicle_id: str,
    balance_minor: int,
    *,
    org_id: str = "head",
    make: str | None = KIND.make,
    odometer_km: float | None = 60_000.0,
    reported_at: datetime = NIGHT - timedelta(hours=2),
    currency: str = "CNY",
) -> None:
    """A vehicle of the best-sold kind, four years old, with a loan and a device that reports kilometres."""
    conn.execute(
        "INSERT INTO vehicle (vehicle_id, plate, make, model, model_year, first_registration, org_id)"
        " VALUES (%s, %s, %s, %s, 2022, '2022-10-01', %s)",
        (vehicle_id, f"皖A{vehicle_id}", make, KIND.model, org_id),
    )
    owe(conn, f"L-{vehicle_id}", vehicle_id, balance_minor, currency=currency)
    if odometer_km is not None:
        conn.execute(
            "INSERT INTO latest_position (device_id, vehicle_id, t, boot_id, seq, received_at, lat, lon, odometer_km)"
            " VALUES (%(device)s, %(vehicle)s, %(t)s, 1, 1, %(t)s, 30, 118, %(km)s)",
            {"device": f"D-{vehicle_id}", "vehicle": vehicle_id, "t": reported_at, "km": odometer_km},
        )


def owe(
    conn: Connection, loan_id: str, vehicle_id: str, balance_minor: int, *, currency: str = "CNY"
) -> None:
    """A loan on a vehicle."""
    conn.execute(
        "INSERT INTO loan (loan_id, vehicle_id, currency, principal_minor, balance_minor, snapshot_at)"
        " VALUES (%(id)s, %(vehicle)s, %(currency)s, %(owed)s, %(owed)s, %(at)s)",
        {
            "id": loan_id, "vehicle": vehicle_id, "currency": currency, "owed": balance_minor,
            "at": NIGHT - timedelta(days=30),
        },
    )  # fmt: skip
