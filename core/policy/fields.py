"""What each field of a pack may be. A pack with a missing, unknown or impossible field does not load."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any

from core.errors import Misconfigured

COST_KINDS = ("recovery", "towing", "storage", "appraisal", "sale", "legal", "other")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DEFAULTS: dict[str, Any] = {
    "pay_by": "0s",
    "pay_by_business_days": 0,
    "keep_reports": "180d",
    "keep_hours": "400d",
    "keep_days": "731d",
}


class _Bad(Exception):
    """What was expected instead."""


def _whole(low: int, high: int) -> Callable[[object], int]:
    def check(value: object) -> int:
        if type(value) is not int or not low <= value <= high:
            raise _Bad(f"a whole number from {low} to {high}")
        return value

    return check


def _period(value: object) -> timedelta:
    match = re.fullmatch(r"(\d{1,6})([smhd])", value) if isinstance(value, str) else None
    if match is None:
        raise _Bad('a period such as "30s", "5m", "24h" or "7d"')
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _milliseconds(value: object) -> int:
    return _period(value) // timedelta(milliseconds=1)


def _one_bidder(value: object) -> bool:
    # A sale that needs two bidders is not built; a pack that asks for one must not be taken in silence.
    if value is not True:
        raise _Bad("true, the only rule there is")
    return True


def _word(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _Bad("a word")
    return value


def _words(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or len({*map(_word, value)}) != len(value):
        raise _Bad("a list of different words")
    return tuple(value)


def _steps(value: object) -> tuple[tuple[int, int], ...]:
    expected = _Bad("steps of from_minor and step_minor, rising, the first from 0")
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise expected
    rows = [(row.get("from_minor"), row.get("step_minor")) for row in value]
    if not all(type(start) is int and type(step) is int and step > 0 for start, step in rows):
        raise expected
    starts = [start for start, _ in rows]
    if not rows or starts[0] != 0 or starts != sorted(set(starts)):
        raise expected
    return tuple(rows)


def _amounts(keys: tuple[str, ...]) -> Callable[[object], Mapping[str, int]]:
    def check(value: object) -> Mapping[str, int]:
        if not isinstance(value, dict) or (keys and set(value) != set(keys)) or not value:
            raise _Bad(f"an amount for each of {', '.join(keys)}" if keys else "an amount for each name")
        return {key: _whole(0, 10**12)(amount) for key, amount in value.items()}

    return check


def _needs(value: object) -> Mapping[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        raise _Bad("for each step the steps before it")
    return {step: _words(needs) for step, needs in value.items()}


def _days(value: object) -> frozenset[date]:
    if not isinstance(value, list) or not all(type(day) is date for day in value):
        raise _Bad("a list of dates")
    return frozenset(value)


# The name in the file, the name in the pack, and what it may be.
FIELDS: dict[str, tuple[str, Callable[[object], Any]]] = {
    "start_floor_pct": ("start_floor_pct", _whole(0, 100)),
    "appraisal_max_age_days": ("appraisal_max_age_days", _whole(1, 3_650)),
    "announcement": ("announcement", _period),
    "min_duration": ("min_duration", _period),
    "min_resume": ("min_resume", _period),
    "window": ("window_ms", _milliseconds),
    "extension": ("extension_ms", _milliseconds),
    "drain": ("drain_ms", _milliseconds),
    "deposit_pct": ("deposit_pct", _whole(0, 100)),
    "steps": ("steps", _steps),
    "tick_minor": ("tick_minor", _whole(1, 10**9)),
    "high_factor": ("high_factor", _whole(1, 100)),
    "pay_by": ("pay_by", _period),
    "pay_by_business_days": ("pay_by_business_days", _whole(0, 90)),
    "approval_expiry": ("approval_expiry", _period),
    "cost_caps_minor": ("cost_caps", _amounts(COST_KINDS)),
    "licence": ("licence", _word),
    "interest_caps_pct": ("interest_caps_pct", _amounts(())),
    "day_count": ("day_count", _whole(360, 366)),
    "single_bidder_suffices": ("single_bidder_suffices", _one_bidder),
    "terms_version": ("terms_version", _word),
    "title_steps": ("title_steps", _words),
    "title_requires": ("title_requires", _needs),
    "holidays": ("holidays", _days),
    "keep_reports": ("keep_reports", _period),
    "keep_hours": ("keep_hours", _period),
    "keep_days": ("keep_days", _period),
}


def check_fields(fields: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the values by their names in the pack.

    Raises:
        Misconfigured: naming the field, what was expected and what it was.
    """
    if strays := sorted(set(fields) ^ (set(FIELDS) - (set(_DEFAULTS) - set(fields)))):
        raise Misconfigured(f"Policy pack {where}: missing or unknown: {', '.join(strays)}", code="bad_pack")
    values: dict[str, Any] = {}
    for name, (attribute, check) in FIELDS.items():
        value = fields.get(name, _DEFAULTS.get(name))
        try:
            values[attribute] = check(value)
        except _Bad as exc:
            raise Misconfigured(
                f"Policy pack {where}: {name}: expected {exc}, was {value!r}", code="bad_pack"
            ) from exc
    if not values["pay_by_business_days"] and not values["pay_by"]:
        raise Misconfigured(
            f"Policy pack {where}: expected pay_by or pay_by_business_days above 0, was neither",
            code="bad_pack",
        )
    return values
