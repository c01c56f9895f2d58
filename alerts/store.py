"""SQL of alerts and their history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from alerts.domain import Alert, AlertEvent, Condition, LoanPressure, WorkState
from core.domain.finding import Severity
from core.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from core.db.pool import Connection
    from core.events.store import LogPosition

ALERT_COLUMNS = (
    "alert_id, vehicle_id, device_id, org_id, rule, scope, severity, base_severity, severity_why, condition, "
    "work_state, latched, first_seen, last_seen, cleared_at, count, reopen_count, late_by_s, lat, lon, "
    "evidence, assignee, resolution, created_at, updated_at, version"
)


def alert_from_row(row: Sequence[Any]) -> Alert:
    values = list(row)
    values[6], values[7] = Severity(row[6]), Severity(row[7])
    values[9], values[10] = Condition(row[9]), WorkState(row[10])
    return Alert(*values)


def get_alert(conn: Connection, alert_id: UUID, *, lock: bool = False) -> Alert:
    """Return an alert; with ``lock`` hold its row until the transaction ends.

    Raises:
        NotFound: there is none with this id.
    """
    row = conn.execute(
        f"SELECT {ALERT_COLUMNS} FROM alert WHERE alert_id = %s {'FOR UPDATE' if lock else ''}", (alert_id,)
    ).fetchone()
    if row is None:
        raise NotFound(f"Expected an alert, there is none with id {alert_id}", code="alert_not_found")
    return alert_from_row(row)


def live_alert(conn: Connection, vehicle_id: str | None, rule: str, scope: str) -> Alert | None:
    """Return and lock the one live alert of this key, if any."""
    row = conn.execute(
        f"SELECT {ALERT_COLUMNS} FROM alert WHERE coalesce(vehicle_id, '') = %s AND rule = %s AND scope = %s"
        " AND work_state NOT IN ('resolved', 'false_alarm') FOR UPDATE",
        (vehicle_id or "", rule, scope),
    ).fetchone()
    return alert_from_row(row) if row else None


def list_alerts(
    conn: Connection,
    *,
    org_ids: Sequence[str] | None = None,
    vehicle_id: str | None = None,
    live_only: bool = False,
    severities: Sequence[str] | None = None,
    rule: str | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int = 100,
) -> list[Alert]:
    """Return alerts, newest first; ``before`` is the (last_seen, alert_id) of the previous page's end."""
    rows = conn.execute(
        f"SELECT {ALERT_COLUMNS} FROM alert WHERE (%(orgs)s::text[] IS NULL OR org_id = ANY(%(orgs)s))"
        " AND (%(vehicle)s::text IS NULL OR vehicle_id = %(vehicle)s)"
        " AND (NOT %(live)s OR work_state NOT IN ('resolved', 'false_alarm'))"
        " AND (%(severities)s::text[] IS NULL OR severity = ANY(%(severities)s))"
        " AND (%(rule)s::text IS NULL OR rule = %(rule)s)"
        " AND (%(at)s::timestamptz IS NULL OR (last_seen, alert_id) < (%(at)s, %(id)s::uuid))"
        " ORDER BY last_seen DESC, alert_id DESC LIMIT %(limit)s",
        {
            "orgs": None if org_ids is None else list(org_ids),
            "vehicle": vehicle_id,
            "live": live_only,
            "severities": None if severities is None else list(severities),
            "rule": rule,
            "at": before[0] if before else None,
            "id": before[1] if before else None,
            "limit": limit,
        },
    ).fetchall()
    return list(map(alert_from_row, rows))


def inbox(
    conn: Connection, org_ids: Sequence[str] | None, severities: Sequence[str], limit: int
) -> list[Alert]:
    """Return live alerts of these severities, the worst, untouched and newest first."""
    rows = conn.execute(
        f"SELECT {ALERT_COLUMNS} FROM alert WHERE (%(orgs)s::text[] IS NULL OR org_id = ANY(%(orgs)s))"
        " AND work_state NOT IN ('resolved', 'false_alarm') AND severity = ANY(%(severities)s)"
        " ORDER BY severity, (work_state <> 'new'), last_seen DESC, alert_id LIMIT %(limit)s",
        {
            "orgs": None if org_ids is None else list(org_ids),
            "severities": list(severities),
            "limit": limit,
        },
    ).fetchall()
    return list(map(alert_from_row, rows))


def count_live(conn: Connection, org_ids: Sequence[str] | None) -> dict[str, int]:
    """Return how many live alerts there are of each severity."""
    return dict(
        conn.execute(
            "SELECT severity, count(*) FROM alert WHERE (%(orgs)s::text[] IS NULL OR org_id = ANY(%(orgs)s))"
            " AND work_state NOT IN ('resolved', 'false_alarm') GROUP BY severity",
            {"orgs": None if org_ids is None else list(org_ids)},
        ).fetchall()
    )


def insert_alert(conn: Connection, values: Mapping[str, Any]) -> UUID:
    """Insert an alert from named columns and return its id; evidence is a plain mapping."""
    columns = dict(values) | {"evidence": Jsonb(values["evidence"])}
    names = ", ".join(columns)
    slots = ", ".join(f"%({name})s" for name in columns)
    row = conn.execute(f"INSERT INTO alert ({names}) VALUES ({slots}) RETURNING alert_id", columns).fetchone()
    assert row is not None  # noqa: S101 - RETURNING of an insert always has a row
    alert_id: UUID = row[0]
    return alert_id


def update_alert(conn: Connection, alert_id: UUID, values: Mapping[str, Any]) -> Alert:
    """Set named columns, bump the version, and return the alert as it is now."""
    columns = dict(values)
    if "evidence" in columns:
        columns["evidence"] = Jsonb(columns["evidence"])
    settings = "".join(f"{name} = %({name})s, " for name in columns)
    row = conn.execute(
        f"UPDATE alert SET {settings} version = version + 1, updated_at = clock_timestamp()"
        f" WHERE alert_id = %(alert_id)s RETURNING {ALERT_COLUMNS}",
        columns | {"alert_id": alert_id},
    ).fetchone()
    if row is None:
        raise NotFound(f"Expected an alert, there is none with id {alert_id}", code="alert_not_found")
    return alert_from_row(row)


def remember(
    conn: Connection,
    alert_id: UUID,
    kind: str,
    actor: str,
    *,
    reason: str | None = None,
    facts: Mapping[str, Any] | None = None,
) -> int:
    """Append a line to an alert's history and return its number."""
    row = conn.execute(
        "INSERT INTO alert_event (alert_id, kind, actor, reason, facts) VALUES (%s, %s, %s, %s, %s)"
        " RETURNING seq",
        (alert_id, kind, actor, reason, Jsonb(dict(facts or {}))),
    ).fetchone()
    assert row is not None  # noqa: S101 - RETURNING of an insert always has a row
    seq: int = row[0]
    return seq


def history(conn: Connection, alert_id: UUID) -> list[AlertEvent]:
    """Return an alert's history, oldest first."""
    with conn.cursor(row_factory=class_row(AlertEvent)) as cursor:
        return cursor.execute(
            "SELECT seq, txid::text, alert_id, at, kind, actor, reason, facts FROM alert_event"
            " WHERE alert_id = %s ORDER BY seq",
            (alert_id,),
        ).fetchall()


def events_after(conn: Connection, after: LogPosition, limit: int) -> list[AlertEvent]:
    """Return the next history lines of all alerts in commit-safe order, for the live stream."""
    with conn.cursor(row_factory=class_row(AlertEvent)) as cursor:
        return cursor.execute(
            "SELECT seq, txid::text, alert_id, at, kind, actor, reason, facts FROM alert_event"
            " WHERE (txid, seq) > (%s::xid8, %s) AND txid < pg_snapshot_xmin(pg_current_snapshot())"
            " ORDER BY txid, seq LIMIT %s",
            (after.txid, after.seq, limit),
        ).fetchall()


def newest_event(conn: Connection) -> tuple[str, int]:
    """Return (txid, seq) of the newest history line that a stream may start after."""
    row = conn.execute(
        "SELECT txid::text, seq FROM alert_event WHERE txid < pg_snapshot_xmin(pg_current_snapshot())"
        " ORDER BY alert_event.txid DESC, seq DESC LIMIT 1"
    ).fetchone()
    return (row[0], row[1]) if row else ("0", 0)


def link_finding(
    conn: Connection, finding_id: UUID, alert_id: UUID, event: str, event_time: datetime
) -> None:
    """Tie a finding to the alert it belongs to; one that comes back after a retraction stands again."""
    conn.execute(
        "INSERT INTO alert_finding (finding_id, alert_id, event, event_time) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (finding_id) DO UPDATE SET alert_id = EXCLUDED.alert_id, retracted = false",
        (finding_id, alert_id, event, event_time),
    )


def alert_of_finding(conn: Connection, finding_id: UUID) -> UUID | None:
    """Return the alert a finding belongs to."""
    row = conn.execute("SELECT alert_id FROM alert_finding WHERE finding_id = %s", (finding_id,)).fetchone()
    return row[0] if row else None


def retract_finding(conn: Connection, finding_id: UUID) -> None:
    """Mark a finding of an alert as disproved."""
    conn.execute("UPDATE alert_finding SET retracted = true WHERE finding_id = %s", (finding_id,))


def standing_findings(conn: Connection, alert_id: UUID) -> list[tuple[str, datetime]]:
    """Return (event, event_time) of the findings that stand, oldest first; a clear after its raise."""
    return conn.execute(
        "SELECT event, event_time FROM alert_finding WHERE alert_id = %s AND NOT retracted"
        " ORDER BY event_time, (event = 'clear')",
        (alert_id,),
    ).fetchall()


def loan_pressure(conn: Connection, vehicle_id: str | None) -> LoanPressure | None:
    """Return what is owed on a vehicle: its worst open loan, or a paid one if all are paid."""
    row = conn.execute(
        "SELECT days_past_due, status FROM loan WHERE vehicle_id = %s AND status <> 'written_off'"
        " ORDER BY (status = 'paid'), days_past_due DESC LIMIT 1",
        (vehicle_id,),
    ).fetchone()
    return LoanPressure(days_past_due=row[0], status=row[1]) if row else None


def org_of_vehicle(conn: Connection, vehicle_id: str | None) -> str:
    """Return the branch that sees a vehicle's alerts; the head office when there is no vehicle."""
    row = conn.execute("SELECT org_id FROM vehicle WHERE vehicle_id = %s", (vehicle_id,)).fetchone()
    return row[0] if row else "head"


def open_alerts_of_vehicle(conn: Connection, vehicle_id: str) -> list[Alert]:
    """Return and lock the live alerts of a vehicle."""
    rows = conn.execute(
        f"SELECT {ALERT_COLUMNS} FROM alert WHERE vehicle_id = %s"
        " AND work_state NOT IN ('resolved', 'false_alarm') ORDER BY alert_id FOR UPDATE",
        (vehicle_id,),
    ).fetchall()
    return list(map(alert_from_row, rows))


def read_findings(conn: Connection, after: LogPosition, limit: int) -> list[dict[str, Any]]:
    """Return the next rows of the finding log in commit-safe order."""
    cursor = conn.execute(
        "SELECT seq, txid::text AS txid, finding_id, status, vehicle_id, device_id, rule, scope, event,"
        " event_time, episode_time, lat, lon, severity, late_by_s, evidence FROM finding"
        " WHERE (txid, seq) > (%s::xid8, %s) AND txid < pg_snapshot_xmin(pg_current_snapshot())"
        " ORDER BY txid, seq LIMIT %s",
        (after.txid, after.seq, limit),
    )
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
