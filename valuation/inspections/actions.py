"""Recording an inspection. What a market cannot price becomes a question to a person."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from core.errors import Rejected
from valuation.appraisals import actions as appraisals
from valuation.inspections import store
from valuation.inspections.domain import (
    CONDITION_LEAST,
    CONDITION_MOST,
    FLAGS,
    ODOMETER_MOST_KM,
    Inspection,
    NewInspection,
)
from valuation.vehicles.odometer import is_wound_back
from valuation.vehicles.store import lock_vehicles

if TYPE_CHECKING:
    from core.db.pool import Connection
    from valuation.appraisals.domain import Appraisal

AHEAD_MOST = timedelta(minutes=10)
"""What the clocks of two machines may differ; the same grace as reports have."""
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
"""Before it a date is a slip of typing."""
PHOTOS_MOST = 40
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Recorded:
    """An inspection, what it asked of people, and the flags it does not carry but suggests."""

    inspection: Inspection
    asked: Appraisal | None
    suggested_flags: tuple[str, ...]


def record(conn: Connection, told: NewInspection, actor: str, *, now: datetime) -> Recorded:
    """Record an inspection; each of ``FLAGS`` asks for a manual appraisal.

    Raises:
        Rejected: a field out of range, an unknown flag, or an inspection of the future.
    """
    _check(told, now)
    lock_vehicles(
        conn, [told.vehicle_id]
    )  # before any row of ours: the nightly mark takes them in this order
    known_km = store.greatest_reading_before(conn, told.vehicle_id, told.inspected_at)
    inspection = store.insert_inspection(conn, told, actor)
    asked = None
    if inspection.flags:
        asked = appraisals.ask(
            conn, told.vehicle_id, inspection.flags, actor, inspection_id=inspection.inspection_id
        )
    suspected = (
        told.odometer_km is not None and known_km is not None and is_wound_back(known_km, told.odometer_km)
    )
    suggested = ("odometer_tampering",) if suspected and "odometer_tampering" not in told.flags else ()
    return Recorded(inspection, asked, suggested)


def _check(told: NewInspection, now: datetime) -> None:
    unknown = sorted(told.flags - set(FLAGS))
    if unknown:
        raise Rejected(
            f"Flags: expected some of {', '.join(FLAGS)}, was {', '.join(unknown)}", code="bad_flag"
        )
    if not told.inspector.strip():
        raise Rejected("Expected the name of the inspector, was empty", code="inspector_missing")
    if told.inspected_at.tzinfo is None or not EARLIEST <= told.inspected_at <= now + AHEAD_MOST:
        raise Rejected(
            f"Expected inspected_at with a time zone, from 1990 to now, was {told.inspected_at.isoformat()}",
            code="bad_inspected_at",
        )
    if told.odometer_km is not None and not 0 <= told.odometer_km <= ODOMETER_MOST_KM:
        raise Rejected(
            f"Expected odometer_km from 0 to {ODOMETER_MOST_KM:.0f}, was {told.odometer_km}",
            code="bad_odometer",
        )
    if told.condition is not None and not CONDITION_LEAST <= told.condition <= CONDITION_MOST:
        raise Rejected(
            f"Expected condition from 1 (rough) to 5 (as new), was {told.condition}", code="bad_condition"
        )
    if told.odometer_km is None and told.condition is None and not told.flags:
        raise Rejected(
            "Expected an odometer, a condition or a flag, was an inspection of nothing",
            code="empty_inspection",
        )
    if len(told.photos) > PHOTOS_MOST or not all(_SHA256.fullmatch(photo) for photo in told.photos):
        raise Rejected(
            f"Photos: expected at most {PHOTOS_MOST} SHA-256 digests in hexadecimal", code="bad_photo"
        )
