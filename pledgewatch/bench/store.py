"""SQL of the benches: what they ask of the server they run on, and what their peers do to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from core.db.pool import Connection
from core.db.timescale import detect


def describe_server(conn: Connection) -> dict[str, str]:
    """Return versions and whether commits reach the disk."""
    mode = detect(conn)
    row = conn.execute("SELECT current_setting('fsync'), current_setting('synchronous_commit')").fetchone()
    return {
        "postgresql": mode.postgresql,
        "timescaledb": mode.timescaledb or "absent",
        "fsync": str(row[0]) if row else "?",
        "synchronous_commit": str(row[1]) if row else "?",
    }


def count_deliveries(conn: Connection) -> int:
    """Return how many messages were ever asked for."""
    row = conn.execute("SELECT count(*) FROM delivery").fetchone()
    return int(row[0]) if row else 0


def stored_until(conn: Connection, since: datetime) -> datetime | None:
    """Return when the last batch with reports was accounted for, of those after a moment."""
    row = conn.execute(
        "SELECT max(committed_at) FROM ingest_ledger"
        " WHERE committed_at > %s AND n_inserted + n_duplicate > 0",
        (since,),
    ).fetchone()
    return row[0] if row else None


def messages_per_batch(conn: Connection, since: datetime) -> float:
    """Return the mean size of the batches that stored new reports after a moment."""
    row = conn.execute(
        "SELECT coalesce(avg(n_messages), 0) FROM ingest_ledger WHERE committed_at > %s AND n_inserted > 0",
        (since,),
    ).fetchone()
    return float(row[0]) if row else 0.0


def event_to_commit_ms(conn: Connection, boot_id: int) -> list[float]:
    """Return, for each report of a boot, the time from its ``t`` to its commit (track_commit_timestamp)."""
    return [
        float(delay)
        for (delay,) in conn.execute(
            "SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin) - t) * 1000 FROM telemetry"
            " WHERE boot_id = %s",
            (boot_id,),
        ).fetchall()
    ]


def event_to_alert_ms(conn: Connection, rule: str) -> list[float]:
    """Return, for each alert of a rule, the time from the report that raised it to the alert's row."""
    return [
        float(delay)
        for (delay,) in conn.execute(
            "SELECT extract(epoch FROM created_at - first_seen) * 1000 FROM alert WHERE rule = %s", (rule,)
        ).fetchall()
    ]


def seconds_behind(conn: Connection) -> float:
    """Return how old the newest probe is that has been stored: what the broker accepted before it is too."""
    row = conn.execute(
        "SELECT extract(epoch FROM clock_timestamp() - min(probe_sent_at)) FROM time_watermark"
    ).fetchone()
    return float(row[0]) if row and row[0] is not None else float("inf")


def count_findings(conn: Connection) -> int:
    """Return how many findings the rules made."""
    row = conn.execute("SELECT count(*) FROM finding").fetchone()
    return int(row[0]) if row else 0


_PEER_COLUMNS = {
    "device_id": "text", "boot_id": "bigint", "seq": "bigint", "type": "text", "fix_time": "timestamptz",
    "fix_valid": "boolean", "lat": "double precision", "lon": "double precision",
    "speed_kmh": "double precision", "heading_deg": "double precision", "sat": "smallint",
    "ignition": "boolean",
}  # fmt: skip
_PEER_INSERT = (
    f"INSERT INTO bench_peer ({', '.join(_PEER_COLUMNS)})"
    f" VALUES ({', '.join(f'%({name})s' for name in _PEER_COLUMNS)})"
)


def empty_peer_table(conn: Connection) -> None:
    """Make the peers' table anew: the columns of a report, the key and the one index of ours."""
    columns = ", ".join(f"{name} {kind}" for name, kind in _PEER_COLUMNS.items())
    conn.execute("DROP TABLE IF EXISTS bench_peer")
    conn.execute(
        f"CREATE TABLE bench_peer ({columns}, PRIMARY KEY (device_id, fix_time, boot_id, seq))".encode()
    )
    conn.execute("CREATE INDEX ON bench_peer (device_id, fix_time)")


def count_peer_rows(conn: Connection) -> int:
    """Return how many reports a peer stored."""
    row = conn.execute("SELECT count(*) FROM bench_peer").fetchone()
    return int(row[0]) if row else 0


def insert_peer_report(conn: Connection, fields: Mapping[str, Any]) -> None:
    """Store one report, as people do first."""
    conn.execute(_PEER_INSERT.encode(), fields)


def insert_peer_reports(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store many with executemany; repeats are passed over."""
    with conn.cursor() as cursor:
        cursor.executemany(f"{_PEER_INSERT} ON CONFLICT DO NOTHING".encode(), rows)
