"""SQL of the read models; every list is limited to branches."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from psycopg.rows import class_row

from alerts.store import ALERT_COLUMNS, alert_from_row

if TYPE_CHECKING:
    from alerts.domain import Alert
    from core.db.pool import Connection


@dataclass(frozen=True, slots=True)
class PositionRow:
    """The newest fix of a device."""

    device_id: str
    vehicle_id: str | None
    plate: str | None
    org_id: str
    t: datetime
    boot_id: int
    seq: int
    lat: float
    lon: float
    speed_kmh: float | None
    heading_deg: float | None
    accuracy_m: float | None
    ignition: bool | None
    heard_at: datetime | None


@dataclass(frozen=True, slots=True)
class VehicleRow:
    """A vehicle with the loan that matters most, its open alerts and when it was last heard."""

    vehicle_id: str
    vin: str | None
    plate: str | None
    engine_number: str | None
    make: str | None
    model: str | None
    model_year: int | None
    colour: str | None
    first_registration: date | None
    use_character: str | None
    emission_stage: str | None
    custody: str
    org_id: str
    pledgor_id: str | None
    version: int
    loan_id: str | None
    collateral_form: str | None
    loan_status: str | None
    days_past_due: int | None
    balance_minor: int | None
    currency: str | None
    next_due_on: date | None
    open_alerts: int
    worst_severity: str | None
    last_heard_at: datetime | None


_POSITION = """
SELECT p.device_id, p.vehicle_id, v.plate, coalesce(v.org_id, 'head') AS org_id, p.t, p.boot_id, p.seq,
       p.lat, p.lon, p.speed_kmh, p.heading_deg, p.accuracy_m, p.ignition, s.last_t AS heard_at
FROM latest_position p
LEFT JOIN vehicle v USING (vehicle_id)
LEFT JOIN device_status s USING (device_id)
"""


def positions(
    conn: Connection,
    org_ids: Sequence[str],
    *,
    vehicle_ids: Sequence[str] | None,
    after: str | None,
    limit: int,
) -> list[PositionRow]:
    """Return one position per vehicle, that of the device with the newest fix, by vehicle id."""
    with conn.cursor(row_factory=class_row(PositionRow)) as cur:
        return cur.execute(
            f"SELECT DISTINCT ON (vehicle_id) * FROM ({_POSITION} WHERE v.org_id = ANY(%(orgs)s)"
            " AND (%(ids)s::text[] IS NULL OR p.vehicle_id = ANY(%(ids)s))"
            " AND (%(after)s::text IS NULL OR p.vehicle_id > %(after)s)) shown"
            " ORDER BY vehicle_id, t DESC, device_id LIMIT %(limit)s",
            {
                "orgs": list(org_ids),
                "ids": None if vehicle_ids is None else list(vehicle_ids),
                "after": after,
                "limit": limit,
            },
        ).fetchall()


def positions_since(conn: Connection, since_xmin: int) -> list[PositionRow]:
    """Return the positions written by transactions from ``since_xmin`` on, oldest fix first.

    ``age()`` compares 32-bit transaction numbers the way PostgreSQL itself does, wrap-around included.
    """
    with conn.cursor(row_factory=class_row(PositionRow)) as cur:
        return cur.execute(
            f"{_POSITION} WHERE age(p.xmin) <= age((%s::bigint %% 4294967296)::text::xid) ORDER BY p.t",
            (since_xmin,),
        ).fetchall()


def snapshot_xmin(conn: Connection) -> int:
    """Return the oldest transaction still running: everything before it is visible."""
    row = conn.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint").fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    horizon: int = row[0]
    return horizon


_ITS_LOAN = """
(SELECT {columns} FROM loan WHERE loan.vehicle_id = v.vehicle_id
 ORDER BY (status IN ('paid', 'written_off')), days_past_due DESC, loan_id LIMIT 1)
"""
_LIVE_ALERT = "a.vehicle_id = v.vehicle_id AND a.work_state NOT IN ('resolved', 'false_alarm')"
# The page is cut before anything is looked up for its rows: a fleet has a hundred thousand vehicles.
_VEHICLES = f"""
WITH page AS MATERIALIZED (
    SELECT * FROM vehicle v
    WHERE v.org_id = ANY(%(orgs)s)
      AND (%(ids)s::text[] IS NULL OR v.vehicle_id = ANY(%(ids)s))
      AND (%(text)s::text IS NULL
           OR concat_ws(' ', v.plate, v.vin, v.vehicle_id, v.make, v.model) ILIKE %(text)s)
      AND (NOT %(overdue)s OR {_ITS_LOAN.format(columns="days_past_due")} > 0)
      AND (NOT %(alerting)s OR EXISTS (SELECT FROM alert a WHERE {_LIVE_ALERT}))
      AND (%(after)s::text IS NULL OR v.vehicle_id > %(after)s)
    ORDER BY v.vehicle_id LIMIT %(limit)s
)
SELECT v.vehicle_id, v.vin, v.plate, v.engine_number, v.make, v.model, v.model_year, v.colour,
       v.first_registration, v.use_character, v.emission_stage, v.custody, v.org_id, v.pledgor_id, v.version,
       l.loan_id, l.collateral_form, l.status AS loan_status, l.days_past_due, l.balance_minor, l.currency,
       l.next_due_on, a.open_alerts, a.worst_severity, h.last_heard_at
FROM page v
LEFT JOIN LATERAL {_ITS_LOAN.format(columns="*")} l ON true
CROSS JOIN LATERAL (SELECT count(*)::int AS open_alerts, min(severity) AS worst_severity
                    FROM alert a WHERE {_LIVE_ALERT}) a
CROSS JOIN LATERAL (SELECT max(s.last_t) AS last_heard_at
                    FROM device_binding b JOIN device_status s USING (device_id)
                    WHERE b.vehicle_id = v.vehicle_id AND b.valid_to = 'infinity') h
ORDER BY v.vehicle_id
"""


def vehicles(
    conn: Connection,
    org_ids: Sequence[str],
    *,
    vehicle_ids: Sequence[str] | None = None,
    text: str | None = None,
    overdue: bool = False,
    alerting: bool = False,
    after: str | None = None,
    limit: int = 100,
) -> list[VehicleRow]:
    """Return vehicles by id. ``text`` is part of a plate, VIN, id, make or model."""
    pattern = (
        None if not text else "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    )
    with conn.cursor(row_factory=class_row(VehicleRow)) as cur:
        return cur.execute(
            _VEHICLES,
            {
                "orgs": list(org_ids),
                "ids": None if vehicle_ids is None else list(vehicle_ids),
                "text": pattern,
                "overdue": overdue,
                "alerting": alerting,
                "after": after,
                "limit": limit,
            },
        ).fetchall()


def plates(conn: Connection, vehicle_ids: Collection[str]) -> dict[str, str]:
    """Map vehicle ids to plates, where known."""
    return dict(
        conn.execute(
            "SELECT vehicle_id, plate FROM vehicle WHERE vehicle_id = ANY(%s) AND plate IS NOT NULL",
            (list(vehicle_ids),),
        ).fetchall()
    )


def org_of(conn: Connection, vehicle_id: str) -> str | None:
    """Return the branch of a vehicle, or None if there is no such vehicle."""
    row = conn.execute("SELECT org_id FROM vehicle WHERE vehicle_id = %s", (vehicle_id,)).fetchone()
    return row[0] if row else None


def alerts_by_id(conn: Connection, alert_ids: Collection[UUID]) -> list[Alert]:
    """Return these alerts as they are now."""
    rows = conn.execute(
        f"SELECT {ALERT_COLUMNS} FROM alert WHERE alert_id = ANY(%s)", (list(alert_ids),)
    ).fetchall()
    return list(map(alert_from_row, rows))


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding in its newest revision."""

    seq: int
    finding_id: UUID
    revision: int
    status: str
    vehicle_id: str | None
    device_id: str | None
    rule: str
    scope: str
    event: str
    event_time: datetime
    detected_time: datetime
    episode_time: datetime
    lat: float | None
    lon: float | None
    severity: str | None
    late_by_s: int
    evidence: dict[str, Any]
    recorded_at: datetime


def findings(
    conn: Connection,
    org_ids: Sequence[str],
    *,
    vehicle_id: str | None,
    rule: str | None,
    start: datetime | None,
    end: datetime | None,
    before: int | None,
    limit: int,
) -> list[FindingRow]:
    """Return findings that stand, newest record first."""
    with conn.cursor(row_factory=class_row(FindingRow)) as cur:
        return cur.execute(
            "SELECT f.seq, f.finding_id, f.revision, f.status, f.vehicle_id, f.device_id, f.rule, f.scope,"
            " f.event, f.event_time, f.detected_time, f.episode_time, f.lat, f.lon, f.severity, f.late_by_s,"
            " f.evidence, f.recorded_at FROM finding f LEFT JOIN vehicle v USING (vehicle_id)"
            " WHERE coalesce(v.org_id, 'head') = ANY(%(orgs)s) AND f.status <> 'retracted'"
            " AND NOT EXISTS (SELECT FROM finding n"
            "  WHERE n.finding_id = f.finding_id AND n.revision > f.revision)"
            " AND (%(vehicle)s::text IS NULL OR f.vehicle_id = %(vehicle)s)"
            " AND (%(rule)s::text IS NULL OR f.rule = %(rule)s)"
            " AND (%(start)s::timestamptz IS NULL OR f.event_time >= %(start)s)"
            " AND (%(end)s::timestamptz IS NULL OR f.event_time < %(end)s)"
            " AND (%(before)s::bigint IS NULL OR f.seq < %(before)s)"
            " ORDER BY f.seq DESC LIMIT %(limit)s",
            {
                "orgs": list(org_ids),
                "vehicle": vehicle_id,
                "rule": rule,
                "start": start,
                "end": end,
                "before": before,
                "limit": limit,
            },
        ).fetchall()


@dataclass(frozen=True, slots=True)
class StayRow:
    """A stay; ``ended_at`` is None while it lasts."""

    vehicle_id: str
    started_at: datetime
    ended_at: datetime | None
    lat: float | None
    lon: float | None
    evidence: dict[str, Any]


def stays(
    conn: Connection, vehicle_id: str, *, start: datetime, end: datetime, before: datetime | None, limit: int
) -> list[StayRow]:
    """Return the stays of a vehicle that touch [start, end), newest first.

    An end shares its start's ``episode_time``; where it has a centroid, that is the better one.
    """
    with conn.cursor(row_factory=class_row(StayRow)) as cur:
        return cur.execute(
            "SELECT s.vehicle_id, s.event_time AS started_at, e.event_time AS ended_at,"
            " coalesce(e.lat, s.lat) AS lat, coalesce(e.lon, s.lon) AS lon,"
            " s.evidence || coalesce(e.evidence, '{}') AS evidence"
            " FROM finding_current s LEFT JOIN finding_current e"
            "  ON e.vehicle_id = s.vehicle_id AND e.rule = 'STAY' AND e.event = 'end'"
            "  AND e.episode_time = s.episode_time"
            " WHERE s.vehicle_id = %(vehicle)s AND s.rule = 'STAY' AND s.event = 'start'"
            " AND s.event_time < %(end)s AND coalesce(e.event_time, 'infinity') >= %(start)s"
            " AND (%(before)s::timestamptz IS NULL OR s.event_time < %(before)s)"
            " ORDER BY s.event_time DESC LIMIT %(limit)s",
            {"vehicle": vehicle_id, "start": start, "end": end, "before": before, "limit": limit},
        ).fetchall()
