"""A vehicle's devices while its inputs are taken."""

from __future__ import annotations

from geofence.domain import DeviceFacts, VehicleFacts
from geofence.state import DeviceState, Undated


class OpenDevice:
    """A DeviceState that may be written: the same attributes."""

    __slots__ = DeviceState.__struct_fields__

    last_ms: int
    fix_ms: int
    mode: str | None
    next_report_s: int | None
    ignition: bool | None
    stirred_ms: int
    undated: Undated | None
    asked_ms: int

    def __init__(self, state: DeviceState) -> None:
        for name in DeviceState.__struct_fields__:
            setattr(self, name, getattr(state, name))

    def close(self) -> DeviceState:
        """Return the frozen state."""
        return DeviceState(*[getattr(self, name) for name in DeviceState.__struct_fields__])


def bound_devices(facts: VehicleFacts, device_id: str) -> DeviceFacts | None:
    """Return the facts of a device; usual ones when the registry lists no devices at all."""
    for device in facts.devices:
        if device.device_id == device_id:
            return device
    return None if facts.devices else DeviceFacts(device_id=device_id)
