"""How far a slot's telemetry is complete, so that silence is judged only where nobody may still speak.

Every second the worker sends itself a probe through the broker. When it comes back, everything the
broker had accepted before it has come too; once that is committed, telemetry is complete up to the
probe's telemetry time. The mark of a fleet also stays near its newest event time: a gateway that falls
behind, or a network that takes the whole fleet away at once, is not the silence of each of its devices.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from core.clock import DATA_CLOCK_EPOCH, DataClock, from_ms, to_ms, wall_now
from core.telemetry.writing import store as telemetry
from ingest.domain import Probe
from ingest.slots import store as slot_store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from core.clock import Clock
    from core.db.pool import Connection
    from core.domain.report import Report

HEARD_WITHIN_MS = 3_600_000
FLEET_OF = 20
"""So many devices heard in the hour before the newest of them are a fleet: it says how far time has come."""
AHEAD_MS = 120_000


class Watermark:
    """Of one slot. Fed with what was committed; asked when a probe comes back."""

    def __init__(self, slot: int, clock: Clock) -> None:
        self._slot = slot
        self._clock = clock
        self._heard: dict[str, int] = {}
        self._newest_ms: int | None = None

    def recall(self, conn: Connection, slots: int) -> None:
        """Learn from the database what an earlier worker had heard."""
        newest = slot_store.greatest_event_time(conn, self._slot, slots)
        if newest is None:
            return
        self._newest_ms = to_ms(newest)
        since = from_ms(max(0, self._newest_ms - HEARD_WITHIN_MS))
        for device_id, moment in slot_store.heard_in_slot(conn, self._slot, slots, since):
            self._heard[device_id] = to_ms(moment)

    def probe(self) -> bytes:
        """Return the payload of a probe sent now."""
        return msgspec.json.encode(Probe(to_ms(wall_now()), to_ms(self._clock.now())))

    def observe(self, dated: Iterable[Report]) -> None:
        """Note reports of the transaction at hand; noting them again on a retry changes nothing."""
        for report in dated:
            self._heard[report.device_id] = max(report.t_ms, self._heard.get(report.device_id, 0))
            if self._newest_ms is None or report.t_ms > self._newest_ms:
                self._newest_ms = report.t_ms

    def through(self, probe: Probe) -> datetime:
        """Return up to when telemetry is complete, given a probe that came back."""
        if isinstance(self._clock, DataClock):
            return DATA_CLOCK_EPOCH if self._newest_ms is None else from_ms(self._newest_ms)
        if self._newest_ms is None:
            return from_ms(probe.telemetry_ms)
        since = self._newest_ms - HEARD_WITHIN_MS
        self._heard = {device: moment for device, moment in self._heard.items() if moment > since}
        if len(self._heard) < FLEET_OF:
            return from_ms(probe.telemetry_ms)
        return from_ms(min(probe.telemetry_ms, self._newest_ms + AHEAD_MS))

    def save(self, conn: Connection, probe: Probe) -> None:
        """Raise the stored mark, in the transaction that stores what came before the probe."""
        telemetry.raise_watermark(conn, self._slot, self.through(probe), from_ms(probe.sent_at_ms))
