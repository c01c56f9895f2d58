"""What the stages work with, put together from the settings: for a slot and for a replay alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.telemetry.clock import is_data_clock
from core.telemetry.partitions import DAYS_PER_HOUR, DAYS_PER_HOUR_RECORDED, Partitions
from geofence.writer import RuleWriter
from ingest.bindings import BindingCache
from ingest.storing import Tools

if TYPE_CHECKING:
    from core.clock import Clock
    from core.settings import Settings
    from ingest.slots.lease import Lease


def tools_of(settings: Settings, clock: Clock, *, source: str = "mqtt", lease: Lease | None = None) -> Tools:
    """Return the tools of one slot (with its lease) or of one replay."""
    return Tools(
        clock=clock,
        bindings=BindingCache(),
        partitions=Partitions(DAYS_PER_HOUR_RECORDED if is_data_clock(clock) else DAYS_PER_HOUR),
        rules=RuleWriter(timezone=settings.timezone, derive_marks=is_data_clock(clock)),
        source=source,
        lease=lease,
    )
