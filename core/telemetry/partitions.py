"""Room for the days that reports fall on, made ahead of each batch in a transaction of its own.

No default partition: rows that land in one block the creation of the right partition later. The
number of days opened per hour is capped, or one device with a wrong clock could make thousands of
tables. On TimescaleDB chunks make themselves; the cap holds there too.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from core.clock import from_ms
from core.db.timescale import detect
from core.telemetry.writing import store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from core.db.pool import Connection

LOCK_KEY = (7003, 0)
DAY_MS = 86_400_000
CAP_WINDOW = timedelta(hours=1)
DAYS_PER_HOUR = 200
"""A whole window of late data (90 days) and a fleet's stragglers fit; a scan over the centuries does not."""
DAYS_PER_HOUR_RECORDED = 4_000
"""Under the data clock a recorded file may span ten years."""


class Partitions:
    """The days known to exist, remembered between batches."""

    def __init__(self, days_per_hour: int = DAYS_PER_HOUR) -> None:
        self._cap = days_per_hour
        self._known: set[date] = set()
        self._partitioned: bool | None = None

    def forget(self) -> None:
        """Read the days again: somebody dropped a partition, or the transaction that made one failed."""
        self._known.clear()

    def missing(self, moments_ms: Iterable[int]) -> set[date]:
        """Return the UTC days of the moments that are not known to exist."""
        days = {from_ms(number * DAY_MS).date() for number in {moment // DAY_MS for moment in moments_ms}}
        return days - self._known

    def ensure(self, conn: Connection, days: Iterable[date]) -> set[date]:
        """Open the days, oldest first, as far as the cap allows; return those refused.

        Runs in the caller's transaction, which must hold nothing else and be committed at once.
        """
        wanted = set(days) - self._known
        if not wanted:
            return set()
        if self._partitioned is None:
            self._partitioned = detect(conn).timescaledb is None
        store.lock_days(conn, *LOCK_KEY)
        known = store.known_days(conn)
        fresh = sorted(wanted - known)
        allowed = max(0, self._cap - store.days_made_within(conn, CAP_WINDOW)) if fresh else 0
        for day in fresh[:allowed]:
            store.open_day(conn, day, partitioned=self._partitioned)
        self._known = known | set(fresh[:allowed])
        return set(fresh[allowed:])
