"""Counting business days on the calendar of a place, not by hours: DST and holidays move no promise."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_SATURDAY = 5


def end_of_business_day(
    after: datetime, business_days: int, zone: str, holidays: Collection[date]
) -> datetime:
    """Return the end (midnight, local) of the n-th business day after the local day of ``after``."""
    place = ZoneInfo(zone)
    day = after.astimezone(place).date()
    left = business_days
    while left > 0:
        day += timedelta(days=1)
        if day.weekday() < _SATURDAY and day not in holidays:
            left -= 1
    return datetime.combine(day + timedelta(days=1), time.min, tzinfo=place).astimezone(UTC)


def local_day(moment: datetime, zone: str) -> date:
    """Return the calendar day of a moment at a place."""
    return moment.astimezone(ZoneInfo(zone)).date()
