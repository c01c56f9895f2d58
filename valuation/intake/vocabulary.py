"""One spelling for what every source spells its own way; words that mean "not known" become null.

Null in these tables means unknown; a word that is not in a table stays as it was written, in lower case.
"""

from __future__ import annotations

MAKES: dict[str, str | None] = {
    "vw": "volkswagen", "mercedes": "mercedes-benz", "mercedes benz": "mercedes-benz", "chevy": "chevrolet",
    "landrover": "land rover", "rolls royce": "rolls-royce", "alfa": "alfa romeo", "škoda": "skoda",
    "citroën": "citroen", "infinity": "infiniti",
    "gmc truck": "gmc", "ford truck": "ford", "dodge tk": "dodge",
    "mazda tk": "mazda", "hyundai tk": "hyundai", "ford tk": "ford", "chev truck": "chevrolet",
    "other": None, "others": None, "unknown": None,
}  # fmt: skip

TRANSMISSIONS: dict[str, str | None] = {
    "auto": "automatic", "a": "automatic", "自动": "automatic", "手自一体": "automatic", "cvt": "automatic",
    "dct": "automatic", "无级变速": "automatic", "双离合": "automatic", "automated manual": "automatic",
    "man": "manual", "m": "manual",
    "手动": "manual", "semi-auto": "semi-automatic", "semi auto": "semi-automatic",
    "other": None, "others": None, "unknown": None, "manual_or_unknown": None,
}  # fmt: skip

FUELS: dict[str, str | None] = {
    "gas": "petrol", "gasoline": "petrol", "汽油": "petrol", "benzin": "petrol", "柴油": "diesel",
    "electric/gasoline": "hybrid", "petrol hybrid": "hybrid",
    "油电混合": "hybrid", "插电混合": "plug-in hybrid",
    "electric/diesel": "diesel hybrid", "纯电动": "electric", "电动": "electric", "ev": "electric",
    "other": None, "others": None, "unknown": None, "-/- (fuel)": None,
}  # fmt: skip

BODIES: dict[str, str | None] = {
    "mini-van": "minivan", "offroad": "off-road", "saloon": "sedan", "estate": "wagon", "other": None,
}  # fmt: skip

USAGES: dict[str, str | None] = {"employee's car": "employee", "demo": "demonstration"}

COLOURS: dict[str, str | None] = {"grey": "gray", "—": None, "other": None, "custom": None}

WORDS: dict[str, dict[str, str | None]] = {
    "make": MAKES,
    "transmission": TRANSMISSIONS,
    "fuel": FUELS,
    "body": BODIES,
    "usage": USAGES,
    "colour": COLOURS,
}
"""By column of ours."""
