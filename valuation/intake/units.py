"""Units a column may come in, as factors to ours; and the words people write behind a number."""

from __future__ import annotations

KM_PER_MILE = 1.609344
HP_PER_KW = 1.34102

_MONEY = {"1": 1.0, "元": 1.0, "thousand": 1e3, "千元": 1e3, "万元": 1e4, "万": 1e4, "minor": 0.01}

UNITS: dict[str, dict[str, float]] = {
    "odometer_km": {
        "km": 1.0, "mi": KM_PER_MILE, "miles": KM_PER_MILE, "m": 1e-3, "thousand km": 1e3, "万公里": 1e4,
    },
    "price_minor": _MONEY,
    "new_price_minor": _MONEY,
    "guide_price_minor": _MONEY,
    "road_tax_minor": _MONEY,
    "engine_l": {"l": 1.0, "cc": 1e-3},
    "power_hp": {"hp": 1.0, "ps": 0.98632, "kw": HP_PER_KW},
    "economy_mpg": {"mpg": 1.0},
    "condition": {"1-5": 1.0, "1-49": 1.0},
}  # fmt: skip
"""By column of ours: unit to factor. Money is in main units; a grade above 5 is read as tenths."""

SCALES: dict[str, float] = {"": 1.0, "k": 1e3, "千": 1e3, "万": 1e4, "萬": 1e4, "亿": 1e8}
"""Written behind the digits."""

SPOKEN: dict[str, str] = {
    "公里": "km", "千米": "km", "km": "km", "kms": "km",
    "mi": "mi", "mile": "mi", "miles": "mi", "英里": "mi",
    "cc": "cc", "l": "l", "t": "l", "升": "l", "hp": "hp",
    "bhp": "hp", "ps": "ps", "马力": "ps", "kw": "kw", "千瓦": "kw",
    "元": "元", "人民币": "元", "rmb": "元", "cny": "元", "usd": "1", "eur": "1", "gbp": "1", "mpg": "mpg",
    "年": "", "款": "", "处异常": "",
}  # fmt: skip
"""Words behind a number: the unit they name; empty where they name none."""
