"""Which positions may move a vehicle. Flags only: alarm bits of a refused fix are judged all the same."""

from __future__ import annotations

from typing import NamedTuple

from core.domain.report import Report
from core.geo.distance import haversine_m
from geofence.state import Fix
from geofence.thresholds import Crossing, Quality

_COARSE = frozenset({"lbs", "wifi", "ble"})


def usable_fix(report: Report, quality: Quality, crossing: Crossing) -> Fix | None:
    """Return the fix of a report, or None when it must not change membership or motion."""
    lat, lon = report.lat, report.lon
    if not report.fix_valid or lat is None or lon is None:
        return None
    # Written so that NaN fails every comparison.
    if not (-90.0 <= lat <= 90.0 and -180.0 <= lon <= 180.0) or (lat == 0.0 and lon == 0.0):
        return None
    if report.fix_source in _COARSE:
        return None
    accuracy, hdop = report.accuracy_m, report.hdop
    if report.sat is not None and report.sat < quality.min_satellites:
        return None
    if (hdop is not None and not hdop <= quality.max_hdop) or (
        accuracy is not None and not accuracy <= quality.max_accuracy_m
    ):
        return None
    error_m = accuracy if accuracy is not None else (hdop or 0.0) * crossing.hdop_to_m
    speed = report.speed_kmh
    if speed is not None and not 0.0 <= speed <= 1000.0:
        speed = None
    return Fix(report.t_ms, float(lat), float(lon), speed, error_m, report.device_id, report.ignition)


class Screened(NamedTuple):
    """Fixes to take now, in order, and the one to hold until the next agrees."""

    taken: tuple[Fix, ...]
    held: Fix | None


def screen(last: Fix | None, held: Fix | None, fix: Fix, step_m: float, quality: Quality) -> Screened:
    """Decide about a fix that would be an impossible jump: hold it, and believe it when the next agrees.

    ``step_m`` is the distance from ``last``.
    """
    if last is None or not jumps(last, fix, step_m, quality):
        if held is not None and last is not None and not _spike(last, held, fix, quality):
            return Screened((held, fix), None)
        return Screened((fix,), None)
    if held is not None and _agrees(held, fix, quality):
        return Screened((held, fix), None)
    return Screened((), fix)


def jumps(a: Fix, b: Fix, step_m: float, quality: Quality) -> bool:
    """Return whether nothing on wheels makes this step in the time."""
    if step_m <= quality.jump_min_m:
        return False
    seconds = (b.t_ms - a.t_ms) / 1000.0
    fast = step_m > quality.jump_speed_mps * seconds
    return fast or (step_m > quality.spike_leg_m and step_m > quality.spike_leg_mps * seconds)


def _agrees(held: Fix, fix: Fix, quality: Quality) -> bool:
    step_m = haversine_m(held.lat, held.lon, fix.lat, fix.lon)
    return step_m <= quality.agree_m or step_m <= quality.agree_speed_mps * (fix.t_ms - held.t_ms) / 1000.0


def _spike(last: Fix, held: Fix, fix: Fix, quality: Quality) -> bool:
    """Return whether the held fix was an excursion: too fast by itself, or out and straight back."""
    leg_m = haversine_m(last.lat, last.lon, held.lat, held.lon)
    if leg_m > quality.jump_speed_mps * (held.t_ms - last.t_ms) / 1000.0:
        return True
    return haversine_m(last.lat, last.lon, fix.lat, fix.lon) < quality.spike_return_share * leg_m
