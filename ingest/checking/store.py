"""SQL of the comparison. Everything happens in temporary tables of one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from core.db.pool import Connection


class LogRow(NamedTuple):
    """One report sent."""

    device_id: str
    boot_id: int
    seq: int
    sha256: bytes
    acknowledged: bool


class Missing(NamedTuple):
    """An acknowledged report that is nowhere, or a stored one that was never sent."""

    device_id: str
    boot_id: int
    seq: int


def load_log(conn: Connection, rows: Iterable[LogRow]) -> int:
    """COPY the log into a temporary table; return how many rows it has."""
    # Joins of a million rows stay in memory instead of spilling to disk.
    conn.execute("SET LOCAL work_mem = '256MB'")
    conn.execute(
        "CREATE TEMP TABLE sent (n bigint, device_id text, boot_id bigint, seq bigint, sha256 bytea,"
        " acked boolean) ON COMMIT DROP"
    )
    count = 0
    with conn.cursor().copy("COPY sent FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(["int8", "text", "int8", "int8", "bytea", "bool"])
        for count, row in enumerate(rows, start=1):
            copy.write_row((count, *row))
    conn.execute("ANALYZE sent")
    return count


def find_stored(conn: Connection) -> None:
    """Copy what is stored of the log's (device, boot) pairs, so that telemetry is read once."""
    conn.execute("CREATE TEMP TABLE boots ON COMMIT DROP AS SELECT DISTINCT device_id, boot_id FROM sent")
    conn.execute("ANALYZE boots")
    for name, table in (("found", "telemetry"), ("found_undated", "telemetry_undated")):
        conn.execute(
            f"CREATE TEMP TABLE {name} ON COMMIT DROP AS"
            f" SELECT device_id, boot_id, seq, sha256 FROM {table} JOIN boots USING (device_id, boot_id)"
        )
        conn.execute(f"ANALYZE {name}".encode())
    conn.execute(
        "CREATE TEMP TABLE found_dead ON COMMIT DROP AS"
        " SELECT DISTINCT element AS sha256 FROM dead_letter, unnest(element_sha256) AS element"
    )


def judge(conn: Connection) -> dict[str, int]:
    """Give every acknowledged row one verdict; return how many have which.

    ``stored`` and ``undated`` are the first of their bytes; the same bytes again are ``duplicate``,
    other bytes under a stored identity ``dup_conflict``.
    """
    conn.execute(
        "CREATE TEMP TABLE verdict ON COMMIT DROP AS"
        " WITH known AS ("
        "   SELECT sent.*, dated.here AS dated, dated.same AS dated_same,"
        "     undated.here AS undated, undated.same AS undated_same,"
        "     row_number() OVER (PARTITION BY device_id, boot_id, seq, sha256 ORDER BY n) AS nth"
        "   FROM sent"
        "   LEFT JOIN (SELECT sent.n, true AS here, bool_or(found.sha256 = sent.sha256) AS same FROM sent"
        "     JOIN found USING (device_id, boot_id, seq) WHERE acked GROUP BY sent.n) dated USING (n)"
        "   LEFT JOIN (SELECT sent.n, true AS here, bool_or(found.sha256 = sent.sha256) AS same FROM sent"
        "     JOIN found_undated found USING (device_id, boot_id, seq) WHERE acked GROUP BY sent.n) undated"
        "     USING (n)"
        "   WHERE acked)"
        " SELECT device_id, boot_id, seq, CASE"
        "   WHEN dated_same OR undated_same THEN CASE WHEN nth > 1 THEN 'duplicate'"
        "     WHEN dated_same THEN 'stored' ELSE 'undated' END"
        "   WHEN dated OR undated THEN 'dup_conflict'"
        "   WHEN EXISTS (SELECT 1 FROM quarantine q WHERE q.sha256 = known.sha256"
        "     AND q.device_id = known.device_id) THEN 'quarantined'"
        "   WHEN EXISTS (SELECT 1 FROM found_dead d WHERE d.sha256 = known.sha256) THEN 'dead_letter'"
        "   ELSE 'lost' END AS verdict FROM known"
    )
    return dict(conn.execute("SELECT verdict, count(*) FROM verdict GROUP BY verdict").fetchall())


def count_ghosts(conn: Connection) -> int:
    """Return how many stored identities of the log's (device, boot) pairs the log never sent."""
    row = conn.execute(
        "SELECT count(*) FROM (SELECT device_id, boot_id, seq FROM found"
        " UNION SELECT device_id, boot_id, seq FROM found_undated"
        " EXCEPT SELECT device_id, boot_id, seq FROM sent) ghosts"
    ).fetchone()
    return int(row[0]) if row else 0


def count_stored_twice(conn: Connection) -> int:
    """Return how many rows there are beyond one per identity and bytes; the key makes it zero."""
    row = conn.execute(
        "SELECT coalesce(sum(copies - 1), 0) FROM (SELECT count(*) AS copies FROM found"
        " GROUP BY device_id, boot_id, seq, sha256 HAVING count(*) > 1) repeated"
    ).fetchone()
    return int(row[0]) if row else 0


def list_lost(conn: Connection, limit: int) -> list[Missing]:
    """Return the first lost reports, for the operator to look for."""
    rows = conn.execute(
        "SELECT device_id, boot_id, seq FROM verdict WHERE verdict = 'lost' ORDER BY 1, 2, 3 LIMIT %s",
        (limit,),
    ).fetchall()
    return [Missing(*row) for row in rows]


def list_ghosts(conn: Connection, limit: int) -> list[Missing]:
    """Return the first ghosts."""
    rows = conn.execute(
        "SELECT device_id, boot_id, seq FROM found EXCEPT SELECT device_id, boot_id, seq FROM sent"
        " ORDER BY 1, 2, 3 LIMIT %s",
        (limit,),
    ).fetchall()
    return [Missing(*row) for row in rows]


def reasons(conn: Connection) -> dict[str, dict[str, int]]:
    """Return why reports of the log are undated, quarantined or dead letters."""
    undated = conn.execute(
        "SELECT reason, count(*) FROM telemetry_undated JOIN boots USING (device_id, boot_id) GROUP BY reason"
    ).fetchall()
    quarantined = conn.execute(
        "SELECT reason, count(*) FROM quarantine"
        " WHERE (device_id, sha256) IN (SELECT device_id, sha256 FROM sent) GROUP BY reason"
    ).fetchall()
    return {"undated": dict(undated), "quarantined": dict(quarantined)}


def oldest_probe(conn: Connection) -> tuple[int, datetime | None]:
    """Return how many slots have a watermark, and the oldest of their last probes."""
    row = conn.execute("SELECT count(*), min(probe_sent_at) FROM time_watermark").fetchone()
    return (int(row[0]), row[1]) if row else (0, None)
