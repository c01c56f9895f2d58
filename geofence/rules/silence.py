"""How long a device may be silent: from its mode, its promise and what the vehicle does."""

from __future__ import annotations

from geofence.domain import DeviceFacts
from geofence.rules.moment import DeviceView
from geofence.thresholds import OfflineThresholds

SLEEPING = frozenset({"sleep", "deep_sleep"})


def expected_gap_s(device: DeviceView, facts: DeviceFacts, *, parked: bool) -> int:
    """Return the seconds after which the device's next report is due (telematics.md c0 profile)."""
    if device.next_report_s:
        return int(device.next_report_s)
    if device.mode in SLEEPING:
        return facts.sleep_s
    return facts.parked_s if parked or device.ignition is False else facts.moving_s


def silence_limits_s(
    device: DeviceView, facts: DeviceFacts, limits: OfflineThresholds, *, parked: bool
) -> tuple[int, int, int]:
    """Return T1, T2, T3 of DEVICE_OFFLINE, strictly growing.

    A device's own promise of its next contact beats every profile: it knows when it will wake.
    """
    promise = device.next_report_s
    wireless = facts.power == "wireless"
    if promise:
        grace = min(limits.promise_grace_max_s, max(limits.promise_grace_min_s, promise // 2))
        first = promise + grace
    elif wireless and device.mode != "track":
        first = limits.wireless_s
    else:
        gap = limits.wireless_track_s if wireless else expected_gap_s(device, facts, parked=parked)
        first = max(round(limits.missed_reports * gap), limits.wired_min_s)
    second = limits.second_wireless_s if wireless else limits.second_wired_s
    second = max(second, first + limits.wired_min_s)
    return first, second, max(limits.third_s, second + limits.wired_min_s)
