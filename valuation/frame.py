"""The columns every part of the room shares: a vehicle, and an observation of its price.

Rows keep the order of the input; null means unknown. Amounts are whole minor units of ``currency``.
"""

from __future__ import annotations

import pyarrow as pa

VEHICLE_SCHEMA = pa.schema(
    [
        ("vin", pa.string()),  # 17 capitals and digits, else null
        ("title", pa.string()),  # as the source wrote it
        ("make", pa.string()),  # lower case, aliases resolved: volkswagen, 大众
        ("model", pa.string()),  # lower case, without the make
        ("trim", pa.string()),
        ("body", pa.string()),
        ("model_year", pa.int32()),
        ("first_registration", pa.date32()),  # 1 July where only the year is known
        ("transmission", pa.string()),  # automatic, manual, semi-automatic, else as written
        ("fuel", pa.string()),  # petrol, diesel, hybrid, electric, else as written
        ("odometer_km", pa.float64()),
        ("condition", pa.float64()),  # 1 (rough) to 5 (as new)
        ("colour", pa.string()),
        ("region", pa.string()),
        ("engine_l", pa.float64()),
        ("power_hp", pa.float64()),
        ("economy_mpg", pa.float64()),
        ("road_tax_minor", pa.int64()),  # a year
        ("cylinders", pa.int32()),
        ("drive", pa.string()),  # 4wd, 2wd
        ("usage", pa.string()),  # used, demonstration, pre-registered, employee, new
        ("defects", pa.int32()),  # how many an inspection counted
        ("new_price_minor", pa.int64()),
        ("guide_price_minor", pa.int64()),
    ]
)
"""What is known of a vehicle."""

OBSERVATION_SCHEMA = pa.schema(
    [
        *VEHICLE_SCHEMA,
        ("price_minor", pa.int64()),
        ("currency", pa.string()),  # ISO 4217
        ("channel", pa.string()),  # of CHANNELS
        ("observed_at", pa.date32()),
        ("source", pa.string()),
        ("reference", pa.string()),  # the source's own name of the row
    ]
)
"""A price seen for a vehicle."""

CHANNELS = ("auction", "retail", "private", "trade")
"""Hammer price; asking price 挂牌; between private people; what a dealer pays 收车."""

MONEY_COLUMNS = ("new_price_minor", "guide_price_minor", "road_tax_minor", "price_minor")


def our_name(column: str) -> str:
    """Return the name people write in mappings and headers: ``price_minor`` is ``price``."""
    return column.removesuffix("_minor")


OURS: dict[str, str] = {our_name(name): name for name in OBSERVATION_SCHEMA.names}
"""From the names of mappings to the columns of the schema."""
