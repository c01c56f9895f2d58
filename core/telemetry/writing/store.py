"""SQL that stores reports. One transaction of the caller holds everything of a batch."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from core.telemetry.writing.rows import pack

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from core.db.pool import Connection
    from core.domain.report import Report

COLUMNS = (
    "device_id, t, boot_id, seq, vehicle_id, type, received_at, fix_time, device_time, fix_valid, lat, lon, "
    "speed_kmh, heading_deg, accuracy_m, sat, hdop, fix_source, ignition, motion, odometer_km, ext_power_v, "
    "ext_power_ok, batt_pct, batt_v, rssi_dbm, mode, next_report_s, buffered, alarms, sha256, ext"
)
STAGE_COLUMNS = f"n, reason, {COLUMNS}"


class Repeat(NamedTuple):
    """A staged report that was stored before; ``same`` when its bytes were too."""

    n: int
    same: bool


def prepare(conn: Connection) -> None:
    """Make the connection's staging table: no WAL, no locks shared with other workers."""
    conn.execute(
        "CREATE TEMP TABLE IF NOT EXISTS report_stage (n integer NOT NULL, reason text, LIKE telemetry)"
        " ON COMMIT DELETE ROWS"
    )


def stage(conn: Connection, rows: Iterable[tuple[int, Report, str | None]]) -> None:
    """COPY (n, report, undated reason) into the staging table, which is emptied first.

    Rows must be in ``Report.order`` by device: two writers then lock rows in the same order.
    """
    conn.execute("DELETE FROM report_stage")
    with conn.cursor().copy(f"COPY report_stage ({STAGE_COLUMNS}) FROM STDIN (FORMAT BINARY)") as copy:
        copy.write(pack(rows))


def insert_dated(conn: Connection) -> list[Repeat]:
    """Insert the staged rows that have a time; return those that were there before.

    Repeats leave the staging table, so that what follows sees only rows that are new.
    """
    return _insert(conn, "telemetry", "t, boot_id, seq", dated=True)


def insert_undated(conn: Connection) -> list[Repeat]:
    """Insert the staged rows without a plausible time; return those that were there before."""
    return _insert(conn, "telemetry_undated", "boot_id, seq", dated=False)


def _insert(conn: Connection, table: str, key: str, *, dated: bool) -> list[Repeat]:
    columns, staged = (COLUMNS, "reason IS NULL") if dated else (f"{COLUMNS}, reason", "reason IS NOT NULL")
    # The planner knows nothing of the staging table and would join it row by row with row: a hashed
    # NOT IN, and only when fewer rows went in than were staged.
    rows = conn.execute(
        f"WITH fresh AS ("
        f"  INSERT INTO {table} ({columns}) SELECT {columns} FROM report_stage WHERE {staged} ORDER BY n"
        f"  ON CONFLICT DO NOTHING RETURNING device_id, {key})"
        f" SELECT n FROM report_stage WHERE {staged}"
        f" AND (SELECT count(*) FROM fresh) < (SELECT count(*) FROM report_stage WHERE {staged})"
        f" AND (device_id, {key}) NOT IN (SELECT device_id, {key} FROM fresh)"
    ).fetchall()
    if not rows:
        return []
    return [
        Repeat(n, same)
        for n, same in conn.execute(
            "WITH gone AS (DELETE FROM report_stage WHERE n = ANY(%s) RETURNING *)"
            f" SELECT gone.n, stored.sha256 = gone.sha256 FROM gone JOIN {table} stored"
            f" USING (device_id, {key})",
            ([n for (n,) in rows],),
        ).fetchall()
    ]


def upsert_latest(conn: Connection) -> None:
    """Move each device's latest position forward to the newest staged fix; late data never moves it back."""
    conn.execute(
        "INSERT INTO latest_position AS latest (device_id, vehicle_id, t, boot_id, seq, received_at, lat,"
        " lon, speed_kmh, heading_deg, accuracy_m, ignition, odometer_km)"
        " SELECT DISTINCT ON (device_id) device_id, vehicle_id, t, boot_id, seq, received_at, lat, lon,"
        " speed_kmh, heading_deg, accuracy_m, ignition, odometer_km FROM report_stage"
        " WHERE reason IS NULL AND fix_valid AND lat IS NOT NULL AND lon IS NOT NULL"
        " ORDER BY device_id, t DESC, boot_id DESC, seq DESC"
        " ON CONFLICT (device_id) DO UPDATE SET vehicle_id = EXCLUDED.vehicle_id, t = EXCLUDED.t,"
        " boot_id = EXCLUDED.boot_id, seq = EXCLUDED.seq, received_at = EXCLUDED.received_at,"
        " lat = EXCLUDED.lat, lon = EXCLUDED.lon, speed_kmh = EXCLUDED.speed_kmh,"
        " heading_deg = EXCLUDED.heading_deg, accuracy_m = EXCLUDED.accuracy_m,"
        " ignition = EXCLUDED.ignition, odometer_km = EXCLUDED.odometer_km"
        " WHERE (EXCLUDED.t, EXCLUDED.boot_id, EXCLUDED.seq) > (latest.t, latest.boot_id, latest.seq)"
    )


def upsert_status(conn: Connection) -> None:
    """Remember when each device was last heard, and what the newest dated report says of its power."""
    conn.execute(
        "INSERT INTO device_status AS known (device_id, last_t, last_received, boot_id, seq, ext_power_v,"
        " batt_pct, rssi_dbm, mode, next_report_s)"
        " SELECT DISTINCT ON (device_id) device_id, CASE WHEN reason IS NULL THEN t END,"
        " max(received_at) OVER (PARTITION BY device_id), boot_id, seq, ext_power_v, batt_pct, rssi_dbm,"
        " mode, next_report_s FROM report_stage"
        " ORDER BY device_id, (reason IS NULL) DESC, t DESC, boot_id DESC, seq DESC"
        " ON CONFLICT (device_id) DO UPDATE SET"
        " last_received = greatest(known.last_received, EXCLUDED.last_received),"
        " last_t = greatest(known.last_t, EXCLUDED.last_t),"
        f" {', '.join(_newer(column) for column in _STATUS_COLUMNS)}"
    )


_STATUS_COLUMNS = ("boot_id", "seq", "ext_power_v", "batt_pct", "rssi_dbm", "mode", "next_report_s")


def _newer(column: str) -> str:
    return (
        f"{column} = CASE WHEN EXCLUDED.last_t >= coalesce(known.last_t, '-infinity')"
        f" THEN coalesce(EXCLUDED.{column}, known.{column}) ELSE known.{column} END"
    )


def set_online(conn: Connection, statuses: Sequence[tuple[str, bool, datetime]]) -> None:
    """Record (device, online, when), oldest first, from status messages and last wills."""
    newest = {device_id: (online, at) for device_id, online, at in statuses}
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO device_status AS known (device_id, online, online_at) VALUES (%s, %s, %s)"
            " ON CONFLICT (device_id) DO UPDATE SET online = EXCLUDED.online, online_at = EXCLUDED.online_at"
            " WHERE known.online_at IS NULL OR known.online_at <= EXCLUDED.online_at",
            [(device_id, online, at) for device_id, (online, at) in sorted(newest.items())],
        )


def raise_watermark(conn: Connection, slot: int, received_until: datetime, probe_sent_at: datetime) -> None:
    """Say up to which telemetry time everything the broker accepted for the slot is stored; never back."""
    conn.execute(
        "INSERT INTO time_watermark AS mark (slot, received_until, probe_sent_at) VALUES (%s, %s, %s)"
        " ON CONFLICT (slot) DO UPDATE SET updated_at = clock_timestamp(),"
        " received_until = greatest(mark.received_until, EXCLUDED.received_until),"
        " probe_sent_at = greatest(mark.probe_sent_at, EXCLUDED.probe_sent_at)",
        (slot, received_until, probe_sent_at),
    )


def known_days(conn: Connection) -> set[date]:
    """Return the UTC days that telemetry may hold."""
    return {day for (day,) in conn.execute("SELECT day FROM telemetry_partition").fetchall()}


def lock_days(conn: Connection, namespace: int, key: int) -> None:
    """Let one process at a time make partitions, until the end of its transaction."""
    conn.execute("SET LOCAL lock_timeout = '5s'")
    conn.execute("SELECT pg_advisory_xact_lock(%s, %s)", (namespace, key))


def days_made_within(conn: Connection, window: timedelta) -> int:
    """Return how many days were opened within the last ``window`` of database time."""
    row = conn.execute(
        "SELECT count(*) FROM telemetry_partition WHERE created_at > clock_timestamp() - %s", (window,)
    ).fetchone()
    return int(row[0]) if row else 0


def open_day(conn: Connection, day: date, *, partitioned: bool) -> None:
    """Make room for a UTC day: the partition (plain PostgreSQL) and its row."""
    if partitioned:
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        end = start + timedelta(days=1)
        name = f"telemetry_{day:%Y%m%d}"
        # Made apart and then attached: CREATE … PARTITION OF would lock out every reader of telemetry.
        conn.execute(
            f"CREATE TABLE IF NOT EXISTS {name} (LIKE telemetry INCLUDING ALL,"
            f" CONSTRAINT {name}_day CHECK (t >= '{start.isoformat()}' AND t < '{end.isoformat()}'))".encode()
        )
        attached = conn.execute(
            "SELECT 1 FROM pg_inherits WHERE inhrelid = to_regclass(%s)", (name,)
        ).fetchone()
        if attached is None:
            conn.execute(
                f"ALTER TABLE telemetry ATTACH PARTITION {name}"
                f" FOR VALUES FROM ('{start.isoformat()}') TO ('{end.isoformat()}')".encode()
            )
            conn.execute(f"ALTER TABLE {name} DROP CONSTRAINT {name}_day".encode())
    conn.execute("INSERT INTO telemetry_partition (day) VALUES (%s) ON CONFLICT DO NOTHING", (day,))


def move_reports(
    conn: Connection, device_id: str, since: datetime | None, spans: Sequence[tuple[str, datetime, datetime]]
) -> int:
    """Give a device's stored reports the vehicle it was in by ``spans`` (vehicle, from, to).

    Returns how many rows moved.

    For bindings that were changed after the fact; a report outside every span belongs to no vehicle.
    """
    values = {
        "device": device_id,
        "since": since,
        "vehicles": [vehicle for vehicle, _, _ in spans],
        "starts": [start for _, start, _ in spans],
        "ends": [end for _, _, end in spans],
    }
    moved = 0
    for table in ("telemetry", "telemetry_undated", "latest_position"):
        moved += conn.execute(
            f"WITH span AS (SELECT * FROM unnest(%(vehicles)s::text[], %(starts)s::timestamptz[],"
            f" %(ends)s::timestamptz[]) AS s(vehicle_id, starts, ends)),"
            f" placed AS (SELECT r.t, r.boot_id, r.seq, s.vehicle_id FROM {table} r"
            f" LEFT JOIN span s ON r.t >= s.starts AND r.t < s.ends"
            f" WHERE r.device_id = %(device)s AND r.t >= coalesce(%(since)s, '-infinity'::timestamptz)"
            f" AND r.vehicle_id IS DISTINCT FROM s.vehicle_id)"
            f" UPDATE {table} r SET vehicle_id = p.vehicle_id FROM placed p"
            f" WHERE r.device_id = %(device)s AND r.t = p.t AND r.boot_id = p.boot_id AND r.seq = p.seq",
            values,
        ).rowcount
    return moved
