"""Findings of what a fix did: crossings, passes, stays and trips."""

from __future__ import annotations

from core.domain.finding import Finding
from geofence.crossing import Crossed
from geofence.motion import Told
from geofence.passes import Passed
from geofence.rules.moment import Moment
from geofence.state import Fix


def of_crossing(crossed: Crossed, moment: Moment) -> Finding:
    """Return the finding of a fence entered or left, placed where its border was crossed."""
    return Finding(
        vehicle_id=moment.facts.vehicle_id,
        device_id=moment.device_id,
        rule="FENCE",
        scope=crossed.fence.id,
        event=crossed.event,
        event_ms=crossed.event_ms,
        detected_ms=moment.detected_ms,
        episode_ms=crossed.event_ms if crossed.event == "enter" else crossed.since_ms,
        lat=crossed.lat,
        lon=crossed.lon,
        evidence=crossed.evidence,
    )


def of_pass(passed: Passed, previous: Fix, fix: Fix, moment: Moment) -> Finding:
    """Return the finding of a fence that lay in reach between two fixes."""
    return Finding(
        vehicle_id=moment.facts.vehicle_id,
        device_id=fix.device_id,
        rule="FENCE",
        scope=passed.fence.id,
        event=passed.event,
        event_ms=passed.event_ms,
        detected_ms=moment.detected_ms,
        episode_ms=passed.event_ms,
        lat=fix.lat,
        lon=fix.lon,
        evidence={
            "fence_version": passed.fence.version,
            "category": passed.fence.category,
            "name": passed.fence.name,
            "between_ms": [previous.t_ms, fix.t_ms],
            **passed.evidence,
        },
    )


def of_motion(told: Told, moment: Moment) -> Finding:
    """Return the finding of a stay or trip that began or ended."""
    return Finding(
        vehicle_id=moment.facts.vehicle_id,
        device_id=moment.device_id,
        rule=told.rule,
        event=told.event,
        event_ms=told.event_ms,
        detected_ms=moment.detected_ms,
        episode_ms=told.episode_ms,
        lat=round(told.lat, 6),
        lon=round(told.lon, 6),
        evidence=told.evidence,
    )
