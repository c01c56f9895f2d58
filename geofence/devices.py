"""A vehicle's devices while its inputs are taken."""

from __future__ import annotations

from geofence.domain import DeviceFacts, VehicleFacts
from geofence.state import DeviceState, Undated


class OpenDevice:
    """A DeviceState that may be written: the same attributes."""

    __slots__ = (*DeviceState.__struct_fields__, "open")

    def __init__(self, state: DeviceState, open_: int) -> None:
        """``open_``: the slots that hold something (rules/roster.py)."""
        self.open = open_
        self.last_ms = state.last_ms
        self.fix_ms = state.fix_ms
        self.mode = state.mode
        self.next_report_s = state.next_report_s
        self.ignition = state.ignition
        self.stirred_ms = state.stirred_ms
        self.offline = state.offline
        self.power = state.power
        self.removed = state.removed
        self.jamming = state.jamming
        self.dark = state.dark
        self.undated: Undated | None = state.undated
        self.asked_ms = state.asked_ms

    def close(self) -> DeviceState:
        """Return the frozen state."""
        return DeviceState(
            self.last_ms,
            self.fix_ms,
            self.mode,
            self.next_report_s,
            self.ignition,
            self.stirred_ms,
            self.offline,
            self.power,
            self.removed,
            self.jamming,
            self.dark,
            self.undated,
            self.asked_ms,
        )


def bound_devices(facts: VehicleFacts, device_id: str) -> DeviceFacts | None:
    """Return the facts of a device; usual ones when the registry lists no devices at all."""
    for device in facts.devices:
        if device.device_id == device_id:
            return device
    return None if facts.devices else DeviceFacts(device_id=device_id)
