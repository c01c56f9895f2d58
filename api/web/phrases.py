"""Times, lengths, money and evidence in the words of a language. "No data" is not zero: it is a dash."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from api.web.texts import Texts
from core.domain.money import Money, format_money

NOTHING = "–"
MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400
HIDDEN_EVIDENCE = frozenset(
    {"rule_version", "thresholds", "mark", "undated", "points", "reports", "category_name", "currency"}
)
ENUMERATIONS = frozenset({"category", "value_basis", "value_status"})
"""Evidence whose values are words of a catalogue, under the same name."""
SHOWN_EVIDENCE = 12


def age(t: Texts, seconds: float | None) -> str:
    """Return "4 分钟前" or "4 min ago"."""
    if seconds is None:
        return t("age.never")
    seconds = max(0.0, seconds)
    if seconds < 45:
        return t("age.now")
    if seconds < 90 * MINUTE_S:
        return t("age.minutes", n=max(1, round(seconds / MINUTE_S)))
    if seconds < 36 * HOUR_S:
        return t("age.hours", n=round(seconds / HOUR_S))
    return t("age.days", n=round(seconds / DAY_S))


def span(t: Texts, seconds: float | None) -> str:
    """Return a length of time in its two largest units."""
    if seconds is None:
        return NOTHING
    whole = max(0, round(seconds))
    if whole < MINUTE_S:
        return t("span.seconds", n=whole)
    if whole < HOUR_S:
        return t("span.minutes", n=whole // MINUTE_S)
    if whole < 2 * DAY_S:
        return t("span.hours", n=whole // HOUR_S, m=whole % HOUR_S // MINUTE_S)
    return t("span.days", n=whole // DAY_S, m=whole % DAY_S // HOUR_S)


def moment(value: datetime | None, zone: ZoneInfo, *, seconds: bool = False) -> str:
    """Return a local time."""
    if value is None:
        return NOTHING
    return value.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S" if seconds else "%m-%d %H:%M")


def both_times(value: datetime, zone: ZoneInfo) -> str:
    """Return local time and UTC, for a tooltip."""
    local, utc = value.astimezone(zone), value.astimezone(UTC)
    return f"{local:%Y-%m-%d %H:%M:%S} {zone.key} · {utc:%Y-%m-%d %H:%M:%S} UTC"


def money(t: Texts, amount_minor: int | None, currency: str | None) -> str:
    """Return an amount with its currency."""
    if amount_minor is None or currency is None:
        return NOTHING
    return format_money(Money(amount_minor, currency), "en" if t.locale == "en" else "zh-CN")


def price(t: Texts, amount_minor: int | None, currency: str | None) -> str:
    """Return an amount as a price board writes it: without decimals that are all zero."""
    text = money(t, amount_minor, currency)
    whole, point, part = text.rpartition(".")
    return whole if point and not part.strip("0") else text


def clock_time(value: datetime, zone: ZoneInfo) -> str:
    """Return the local time of day, to the second."""
    return value.astimezone(zone).strftime("%H:%M:%S")


def evidence(t: Texts, facts: Mapping[str, Any], zone: ZoneInfo) -> list[tuple[str, str]]:
    """Return (name, value) of what a rule saw; long lists and machine fields are left to the API."""
    lines = []
    for key, value in facts.items():
        if key in HIDDEN_EVIDENCE or value is None or isinstance(value, dict | list) or value == "":
            continue
        currency = facts.get("currency")
        if key.endswith("_minor") and isinstance(value, int) and isinstance(currency, str):
            lines.append((_name(t, key.removesuffix("_minor")), money(t, value, currency)))
        else:
            lines.append((_name(t, key), _value(t, key, value, zone)))
    return lines[:SHOWN_EVIDENCE]


def why(t: Texts, reason: str) -> str:
    """Return a reason for a severity; ``days_past_due_34`` carries its number."""
    stem, _, number = reason.rpartition("_")
    if number.isdigit() and t.has(f"why.{stem}"):
        return t(f"why.{stem}", n=int(number))
    return t.word("why", reason)


def _name(t: Texts, key: str) -> str:
    if t.has(f"evidence.{key}"):
        return t(f"evidence.{key}")
    stem, _, unit = key.rpartition("_")
    if unit in _UNITS and t.has(f"evidence.{stem}"):
        return t(f"evidence.{stem}")
    return (stem if unit in _UNITS else key).replace("_", " ")


def _value(t: Texts, key: str, value: Any, zone: ZoneInfo) -> str:
    unit = key.rpartition("_")[2]
    if isinstance(value, bool):
        return t("word.yes" if value else "word.no")
    if isinstance(value, int | float):
        if unit == "ms":
            return moment(datetime.fromtimestamp(value / 1000, UTC), zone, seconds=True)
        if unit == "s":
            return span(t, value)
        if unit == "m" and abs(value) >= 1000:
            return f"{value / 1000:,.1f} km"
        return f"{value:,.6g}{_UNITS.get(unit, '')}"
    return t.word(key, value) if key in ENUMERATIONS else str(value)


_UNITS = {
    "s": "",
    "ms": "",
    "m": " m",
    "km": " km",
    "kmh": " km/h",
    "v": " V",
    "pct": " %",
    "dbm": " dBm",
    "deg": "°",
}
