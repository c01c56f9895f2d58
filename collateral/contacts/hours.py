"""When people may be contacted (architecture 4: 08:00 to 22:00 where they are; a policy pack may differ)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class ContactHours:
    """A daily window [opens, closes) in local time."""

    opens: time = time(8)
    closes: time = time(22)
    timezone: str = "Asia/Shanghai"

    def allow(self, moment: datetime) -> bool:
        """Tell whether somebody may be contacted at an aware moment."""
        local = moment.astimezone(ZoneInfo(self.timezone)).time()
        return self.opens <= local < self.closes

    def describe(self) -> str:
        """Say the window to a person."""
        return f"{self.opens:%H:%M}-{self.closes:%H:%M} {self.timezone}"
