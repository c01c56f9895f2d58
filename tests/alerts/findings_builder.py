"""Builders for alert tests: a vehicle with a loan, and findings written as the rules write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from alerts.findings.store import append
from core.clock import to_ms
from core.db.pool import Connection
from core.domain.finding import Finding, Severity

START = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)


class FixedClock:
    """Telemetry time that stands still where the test puts it."""

    bounded = True

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment


def pledged_vehicle(
    conn: Connection, vehicle_id: str, *, days_past_due: int = 0, status: str = "active"
) -> None:
    conn.execute("INSERT INTO vehicle (vehicle_id, plate) VALUES (%s, '皖A12345')", (vehicle_id,))
    conn.execute(
        "INSERT INTO loan (loan_id, vehicle_id, principal_minor, balance_minor, days_past_due, status, snapshot_at)"
        " VALUES (%s, %s, 8000000, 6000000, %s, %s, %s)",
        (f"loan-{vehicle_id}", vehicle_id, days_past_due, status, START),
    )


def finding(
    event: str,
    minutes: float,
    *,
    rule: str = "TOW_SUSPECTED",
    vehicle_id: str = "V1",
    scope: str = "",
    severity: Severity | None = Severity.P1,
    episode: float | None = None,
    evidence: dict[str, object] | None = None,
) -> Finding:
    at = to_ms(START + timedelta(minutes=minutes))
    return Finding(
        vehicle_id=vehicle_id,
        device_id="D1",
        rule=rule,
        scope=scope,
        event=event,
        event_ms=at,
        detected_ms=at,
        episode_ms=at if episode is None else to_ms(START + timedelta(minutes=episode)),
        lat=30.0,
        lon=118.0,
        severity=severity if event == "raise" else None,
        evidence=evidence or {},
    )


def write(conn: Connection, *findings: Finding, now: datetime = START) -> None:
    append(conn, list(findings), now_ms=to_ms(now))
    conn.commit()
