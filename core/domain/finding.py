"""A finding: a fact that a rule states about a vehicle, in event time."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec


class Severity(StrEnum):
    """How urgent an alert is; P1 pages at once (reference/telematics.md c0)."""

    P1 = "P1"
    P2 = "P2"
    P3 = "P3"
    P4 = "P4"

    def raised(self, levels: int) -> Severity:
        """Return the severity ``levels`` steps more urgent, capped at P1 (negative: less, at P4)."""
        rank = min(4, max(1, int(self.value[1]) - levels))
        return Severity(f"P{rank}")


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule found.

    ``rule`` is FENCE, STAY, TRIP or a catalogue name; ``event`` one of enter, exit, pass_probable,
    pass_possible, start, end, raise, clear. ``event_ms`` is when it happened, ``detected_ms`` the
    event time of the report (or time mark) that proved it. ``episode_ms`` is the event time at
    which the episode began (the raise of a clear, the start of an end), so both share an episode.
    """

    vehicle_id: str | None
    device_id: str | None = None
    rule: str
    scope: str = ""
    event: str
    event_ms: int
    detected_ms: int
    episode_ms: int
    lat: float | None = None
    lon: float | None = None
    severity: Severity | None = None
    evidence: dict[str, Any] = {}

    @property
    def id(self) -> UUID:
        """Return the identity: the same fact has the same id however often it is computed."""
        key = "\x1f".join((
            self.vehicle_id or "", self.rule, self.scope, self.event, str(self.event_ms),
            "" if self.vehicle_id else self.device_id or "",
        ))  # fmt: skip
        return UUID(bytes=hashlib.sha256(key.encode()).digest()[:16])
