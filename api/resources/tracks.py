"""Where a vehicle was: its fixes over a time range, thinned evenly where there are too many to draw."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, Field

from api.deps import Conn, Looking, Now, Who
from api.resources.vehicles import VehicleId, visible_vehicle
from core.clock import from_ms
from core.domain.report import Report
from core.errors import Rejected
from core.telemetry import store as telemetry

router = APIRouter(prefix="/tracks", tags=["locations"])

LONGEST = timedelta(days=31)
MOST_FIXES = 50_000


class FixOut(BaseModel):
    """One fix; WGS-84."""

    t: datetime
    device_id: str
    lat: float
    lon: float
    speed_kmh: float | None
    heading_deg: float | None
    accuracy_m: float | None
    ignition: bool | None
    odometer_km: float | None
    ext_power_v: float | None
    alarms: list[str]
    late_by_s: int = Field(description="How long after it happened it was received.")


class TrackOut(BaseModel):
    """The fixes of a vehicle, oldest first. ``truncated``: the range has more than could be read."""

    vehicle_id: str
    start: datetime
    end: datetime
    total: int
    truncated: bool
    fixes: list[FixOut]


@router.get("/{vehicle_id}")
def get_track(
    vehicle_id: VehicleId,
    conn: Conn,
    asker: Who,
    looking: Looking,
    now: Now,
    start: Annotated[
        AwareDatetime | None, Query(alias="from", description="Default: 24 hours before the end.")
    ] = None,
    end: Annotated[AwareDatetime | None, Query(alias="to", description="Default: now.")] = None,
    limit: Annotated[
        int, Query(ge=2, le=MOST_FIXES, description="At most so many fixes, thinned evenly.")
    ] = 5_000,
) -> TrackOut:
    """Return a vehicle's track over at most 31 days."""
    visible_vehicle(conn, asker, vehicle_id)
    start, end = time_range(start, end, now)
    looking.log("tracks", [vehicle_id], start=start, end=end)
    reports = telemetry.track(conn, vehicle_id, start, end, MOST_FIXES + 1)
    truncated = len(reports) > MOST_FIXES
    reports = reports[:MOST_FIXES]
    return TrackOut(
        vehicle_id=vehicle_id, start=start, end=end, total=len(reports), truncated=truncated,
        fixes=list(map(_fix, thinned(reports, limit))),
    )  # fmt: skip


def time_range(
    start: datetime | None, end: datetime | None, now: datetime, span: timedelta = timedelta(days=1)
) -> tuple[datetime, datetime]:
    """Return the asked-for range with its defaults.

    Raises:
        Rejected: it is empty, longer than 31 days, or beyond the calendar (``bad_range``).
    """
    try:
        end = end or now + timedelta(seconds=1)
        start = start or end - span
        length = end - start
    except OverflowError as exc:
        raise Rejected("Expected moments within the calendar, were beyond it", code="bad_range") from exc
    if not timedelta(0) < length <= LONGEST:
        raise Rejected(
            f"Expected `from` before `to`, at most {LONGEST.days} days apart, was {length}", code="bad_range"
        )
    return start, end


def thinned(reports: list[Report], limit: int) -> list[Report]:
    """Return ``limit`` reports evenly by rank, the first and the last among them, and every alarm besides."""
    if len(reports) <= limit:
        return reports
    step = (len(reports) - 1) / (limit - 1)
    kept = {round(index * step) for index in range(limit)}
    return [report for rank, report in enumerate(reports) if rank in kept or report.alarms]


def _fix(report: Report) -> FixOut:
    assert report.lat is not None  # noqa: S101 - the store returns valid fixes only
    assert report.lon is not None  # noqa: S101
    return FixOut(
        t=from_ms(report.t_ms), device_id=report.device_id, lat=report.lat, lon=report.lon,
        speed_kmh=report.speed_kmh, heading_deg=report.heading_deg, accuracy_m=report.accuracy_m,
        ignition=report.ignition, odometer_km=report.odometer_km, ext_power_v=report.ext_power_v,
        alarms=list(report.alarms), late_by_s=max(0, (report.received_ms - report.t_ms) // 1000),
    )  # fmt: skip
