"""What an alert is: a risk that is true or over (condition), and work that is open or done."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from core.domain.finding import Severity


class Condition(StrEnum):
    """Whether the risk is there now."""

    ACTIVE = "active"
    CLEARED = "cleared"


class WorkState(StrEnum):
    """How far people are with it."""

    NEW = "new"
    ACKNOWLEDGED = "acknowledged"
    IN_PROGRESS = "in_progress"
    RESOLVED = "resolved"
    FALSE_ALARM = "false_alarm"


CLOSED = frozenset({WorkState.RESOLVED, WorkState.FALSE_ALARM})


@dataclass(frozen=True, slots=True)
class RulePolicy:
    """How findings of a rule become work (reference/telematics.md c0-c7).

    ``loan_sensitive`` is the catalogue's triangle: one day past due already raises it a level.
    ``latched`` alerts wait for a person even after the condition has cleared.
    """

    loan_sensitive: bool = False
    latched: bool = False


RULE_POLICIES: dict[str, RulePolicy] = {
    "LEFT_ALLOWED_REGION": RulePolicy(loan_sensitive=True),
    "RISK_PLACE_VISIT": RulePolicy(loan_sensitive=True, latched=True),
    "DEVICE_OFFLINE": RulePolicy(loan_sensitive=True),
    "EXTERNAL_POWER_CUT": RulePolicy(loan_sensitive=True, latched=True),
    "DEVICE_REMOVED": RulePolicy(latched=True),
    "GNSS_JAMMING": RulePolicy(),
    "TOW_SUSPECTED": RulePolicy(),
    "TAMPER_THEN_DARK": RulePolicy(latched=True),
    "LTV_BREACH": RulePolicy(loan_sensitive=True),
    "DATA_GAP": RulePolicy(),
}
"""Rules whose findings become alerts; FENCE, STAY and TRIP findings stay facts."""


@dataclass(frozen=True, slots=True)
class LoanPressure:
    """What the loan says about urgency; of several loans on a vehicle, the worst."""

    days_past_due: int = 0
    status: str = "active"
    promise_broken: bool = False


@dataclass(frozen=True, slots=True)
class Alert:
    """A row of the inbox."""

    alert_id: UUID
    vehicle_id: str | None
    device_id: str | None
    org_id: str
    rule: str
    scope: str
    severity: Severity
    base_severity: Severity
    severity_why: list[str]
    condition: Condition
    work_state: WorkState
    latched: bool
    first_seen: datetime
    last_seen: datetime
    cleared_at: datetime | None
    count: int
    reopen_count: int
    late_by_s: int
    lat: float | None
    lon: float | None
    evidence: dict[str, Any] = field(hash=False)
    assignee: str | None
    resolution: str | None
    created_at: datetime
    updated_at: datetime
    version: int

    @property
    def closed(self) -> bool:
        """Whether people are done with it."""
        return self.work_state in CLOSED


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """One line of an alert's history."""

    seq: int
    txid: str
    alert_id: UUID
    at: datetime
    kind: str
    actor: str
    reason: str | None
    facts: dict[str, Any] = field(hash=False)
