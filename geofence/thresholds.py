"""Every number a rule uses, in one frozen value, so that a finding can say which set judged it.

A deployment may store sets of its own; the engine is given the newest. Sources:
``[G]`` reference/geofence.md 4.4-4.6 and 6, ``[T]`` reference/telematics.md (c), ``[O]`` ours.
"""

from __future__ import annotations

import msgspec

DAY_S = 86_400


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """Which fixes may move a vehicle [G 4.4, 6], [T c0]."""

    min_satellites: int = 4
    max_hdop: float = 6.0
    max_accuracy_m: float = 100.0
    jump_speed_mps: float = 50.0
    jump_min_m: float = 100.0
    spike_leg_mps: float = 40.0
    spike_leg_m: float = 500.0
    spike_return_share: float = 0.2
    agree_m: float = 500.0
    agree_speed_mps: float = 150 / 3.6
    lead_silent_s: int = 1800  # [O] after this a lower-ranked device of the vehicle leads


class Crossing(msgspec.Struct, frozen=True, kw_only=True):
    """Entering and leaving fences [G 4.4], passing them [G 4.6]."""

    band_min_m: float = 15.0
    band_max_m: float = 100.0
    inradius_share: float = 0.2
    hdop_to_m: float = 5.0
    confirm_fixes: int = 2
    confirm_s: int = 60
    fast_band_factor: float = 3.0
    fast_speed_kmh: float = 15.0
    fast_step_share: float = 0.5  # [O] what makes a long step plausible
    sparse_gap_s: int = 1800
    pass_max_gap_s: int = 900
    pass_max_speed_mps: float = 50.0
    reach_speed_factor: float = 1.3
    reach_min_mps: float = 15.0
    pass_repeat_s: int = 600
    possible_max_inradius_m: float = 400.0  # [O] larger fences are almost always reachable: noise


class MotionThresholds(msgspec.Struct, frozen=True, kw_only=True):
    """Stays and trips [T c0 motion state], [G 6]."""

    leave_m: float = 200.0
    leave_at_once_m: float = 1000.0
    moving_kmh: float = 8.0
    moving_fixes: int = 2
    moving_s: int = 60
    stay_radius_m: float = 100.0
    stay_s: int = 180
    ignition_off_s: int = 60
    ignition_off_kmh: float = 5.0
    gap_s: int = 3600
    trip_min_m: float = 500.0
    trip_min_s: int = 300


class OfflineThresholds(msgspec.Struct, frozen=True, kw_only=True):
    """DEVICE_OFFLINE [T A-01]."""

    missed_reports: float = 3.0
    wired_min_s: int = 1800
    wireless_s: int = 26 * 3600
    wireless_track_s: int = 60
    promise_grace_min_s: int = 1800
    promise_grace_max_s: int = 7200
    second_wired_s: int = DAY_S
    second_wireless_s: int = 50 * 3600
    third_s: int = 3 * DAY_S


class PowerThresholds(msgspec.Struct, frozen=True, kw_only=True):
    """EXTERNAL_POWER_CUT [T B-01]."""

    cut_below_v: float = 5.0
    debounce_s: int = 60
    report_grace_s: int = 30  # [O] how late the next expected report may be before silence confirms
    restored_s: int = 600


class RemovedThresholds(msgspec.Struct, frozen=True, kw_only=True):
    """DEVICE_REMOVED [T B-02, B-03]."""

    install_mute_s: int = DAY_S
    confirm_window_s: int = 300
    again_after_s: int = 3600


class JammingThresholds(msgspec.Struct, frozen=True, kw_only=True):
    """GNSS_JAMMING [T A-04]."""

    satellites_before: int = 6
    satellites_after: int = 2
    rssi_drop_db: float = 20.0  # [O] two of five bars
    window_s: int = 60
    hold_s: int = 60
    clear_s: int = 600


class TowThresholds(msgspec.Struct, frozen=True, kw_only=True):
    """TOW_SUSPECTED [T C-01], [G 6]."""

    arm_s: int = 300
    displacement_m: float = 200.0
    confirm_fixes: int = 2
    speed_kmh: float = 20.0
    speed_s: int = 120
    parked_clear_s: int = 600


class RegionThresholds(msgspec.Struct, frozen=True, kw_only=True):
    """LEFT_ALLOWED_REGION [T D-04]."""

    buffer_m: float = 1000.0
    confirm_fixes: int = 2
    outside_s: int = 1800
    outside_m: float = 10_000.0
    serious_s: int = DAY_S
    serious_m: float = 300_000.0
    back_s: int = 1800


class RiskPlaceThresholds(msgspec.Struct, frozen=True, kw_only=True):
    """RISK_PLACE_VISIT [T D-01]."""

    stay_s: int = 900
    long_stay_s: int = 7200
    left_s: int = 1800
    repeat_window_s: int = 7 * DAY_S


class DarkThresholds(msgspec.Struct, frozen=True, kw_only=True):
    """TAMPER_THEN_DARK [T X-01]."""

    within_s: int = 3600


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """All of them; ``version`` is kept in the evidence of every finding."""

    version: str = "2026-11"
    night_from_h: int = 22
    night_to_h: int = 6
    quality: Quality = Quality()
    crossing: Crossing = Crossing()
    motion: MotionThresholds = MotionThresholds()
    offline: OfflineThresholds = OfflineThresholds()
    power: PowerThresholds = PowerThresholds()
    removed: RemovedThresholds = RemovedThresholds()
    jamming: JammingThresholds = JammingThresholds()
    tow: TowThresholds = TowThresholds()
    region: RegionThresholds = RegionThresholds()
    risk_place: RiskPlaceThresholds = RiskPlaceThresholds()
    dark: DarkThresholds = DarkThresholds()
