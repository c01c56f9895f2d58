"""Overdue gaps become DATA_GAP findings; filled ones take them back."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from alerts.findings.store import append
from core.clock import to_ms
from geofence.gaps import store
from geofence.gaps.rule import Episode, GapThresholds, clear_finding, raise_finding, whole_ms

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from core.db.pool import Connection
    from core.domain.finding import Finding


def judge_gaps(
    conn: Connection,
    now: datetime,
    *,
    days: float,
    days_by_model: Mapping[str, float],
    limits: GapThresholds = GapThresholds(),  # noqa: B008 - frozen
) -> list[Finding]:
    """Raise and clear what is due at ``now`` (telemetry time), in the caller's transaction.

    ``days``: how long a device keeps what it could not send, where its model has no number of its own.
    """
    store.lock(conn)
    now = whole_ms(now)
    settle = timedelta(seconds=limits.settle_s)
    # Marked first: a device that has a new gap today does not end today.
    devices = store.mark_overdue(conn, now, settle, days, days_by_model)
    findings = [
        clear_finding(episode, now, "device_revoked" if revoked else "late_data")
        for episode, revoked in store.ended(conn)
    ]
    standing = store.episodes(conn, devices)
    for device_id, gaps in store.overdue(conn, devices, now, days, days_by_model).items():
        episode = standing.get(device_id)
        newest = max((gap for gap in gaps if gap.fresh), key=lambda gap: gap.since)
        vehicle_id = store.vehicle_at(conn, device_id, newest.since)
        if episode is not None and episode.vehicle_id != vehicle_id:
            # The device was moved meanwhile: one alert speaks of one vehicle, the newest.
            findings.append(clear_finding(episode, now, "device_moved"))
            store.end(conn, device_id)
            episode = None
        if episode is None:
            store.begin(conn, Episode(device_id, vehicle_id, now))
        findings.append(raise_finding(device_id, vehicle_id, gaps, episode, now, limits))
    append(conn, findings, now_ms=to_ms(now))
    return findings
