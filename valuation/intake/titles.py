"""Chinese listing titles: 品牌 车系 年款 排量 变速箱 版本.

``大众 高尔夫 2015款 1.6L 自动时尚型``; brand and series may be one word (``奔驰C级``), the year may be
missing (parallel imports), and a body or model revision may stand before the displacement.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from valuation.intake.brands import BRANDS

_YEAR = re.compile(r"(?<!\d)(?P<year>(?:19|20)\d{2})\s?款")
_DISPLACEMENT = re.compile(r"(?<![\d.])(?P<litres>[0-9]\.\d)\s?(?:L|T|TSI|TFSI|TDI|H|XL|E|V)?", re.IGNORECASE)
_IMPORT = re.compile(r"[（(](?:平行)?进口[）)]")
_EMISSION = re.compile(r"\s*国(?:[IV]{1,3}|[1-6一二三四五六])(?![a-zA-Z])[bB]?")
_AUTOMATIC = re.compile(r"自动|CVT|DCT|DSG|双离合|无级|手自一体", re.IGNORECASE)
_HAN_RUN = re.compile(r"[一-鿿·]+")


@dataclass(frozen=True, slots=True)
class Title:
    """What a title says; None where it does not."""

    make: str | None
    model: str | None
    trim: str | None
    model_year: int | None
    engine_l: float | None
    transmission: str | None
    drive: str | None
    fuel: str | None


def read_title(text: str) -> Title:
    """Read a title; a text without any known part still gives its first word as the make."""
    plain = " ".join(text.replace("　", " ").split())
    year = _YEAR.search(plain)
    displacement = _DISPLACEMENT.search(plain, year.end() if year else 0)
    if year:
        name, rest = plain[: year.start()], plain[year.end() :]
    elif displacement:
        name, rest = plain[: displacement.start()], plain[displacement.start() :]
    else:
        name, rest = plain, ""
    make, model = _brand(name.strip())
    return Title(
        make=make,
        model=model,
        trim=_EMISSION.sub("", rest).strip().lower() or None,
        model_year=int(year["year"]) if year else None,
        engine_l=float(displacement["litres"]) if displacement else None,
        transmission=_transmission(rest),
        drive="4wd" if "四驱" in rest else "2wd" if "两驱" in rest else None,
        fuel=_fuel(plain),
    )


def _brand(name: str) -> tuple[str | None, str | None]:
    name = _IMPORT.sub("", name).strip()
    if not name:
        return None, None
    brand = next((one for one in BRANDS if name.lower().startswith(one.lower())), None)
    if brand is None:
        first = name.split(" ", 1)[0]
        run = _HAN_RUN.match(first)
        brand = run[0] if run and len(run[0]) < len(first) else first
    series = name[len(brand) :].strip()
    if series.lower().startswith(brand.lower()):  # 丰田 丰田Sienna
        series = series[len(brand) :].strip()
    series = series.lower()
    return brand.lower(), series or brand.lower()


def _transmission(rest: str) -> str | None:
    if _AUTOMATIC.search(rest):
        return "automatic"
    return "manual" if "手动" in rest or rest.rstrip().endswith("MT") else None


def _fuel(plain: str) -> str | None:
    if "插电" in plain or "PHEV" in plain:
        return "plug-in hybrid"
    if any(word in plain for word in ("双擎", "混动", "混合动力", "锐·混动")):
        return "hybrid"
    if any(word in plain for word in ("纯电", "电动版")) or re.search(r"(?<![A-Za-z])EV(?![A-Za-z])", plain):
        return "electric"
    return "diesel" if "柴油" in plain else None
