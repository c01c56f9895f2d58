"""What is to be erased."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from core.errors import Rejected

Subject = Literal["device", "vehicle"]


@dataclass(frozen=True, slots=True)
class Scope:
    """All a device or a vehicle told of event times [start, end)."""

    subject: Subject
    subject_id: str
    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise Rejected(
                f"Expected a period that begins before it ends, was {self.start} to {self.end}",
                code="bad_period",
            )
