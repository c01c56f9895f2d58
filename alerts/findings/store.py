"""SQL of findings. Rows are only ever added, so whoever read one yesterday can still explain it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from psycopg.types.json import Jsonb

from core.clock import from_ms, to_ms
from core.domain.finding import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from uuid import UUID

    from core.db.pool import Connection

LIVE_LANE_S = 120
"""A finding proved by a report at most this old is live: not late (reference/telematics.md c0)."""

MOST_SECONDS = 2**31 - 1

COLUMNS = (
    "finding_id, vehicle_id, device_id, rule, scope, event, event_time, detected_time, episode_time, "
    "lat, lon, severity, evidence"
)


@dataclass(frozen=True, slots=True)
class Appended:
    """What an append wrote: findings that are new (or back after a retraction), and changed ones."""

    added: tuple[Finding, ...] = ()
    corrected: tuple[Finding, ...] = ()


def late_by_s(finding: Finding, now_ms: int) -> int:
    """Return how late a finding comes; 0 in the live lane, whatever the rule's own waiting time."""
    if now_ms - finding.detected_ms <= LIVE_LANE_S * 1000:
        return 0
    return min(MOST_SECONDS, max(0, (now_ms - finding.event_ms) // 1000))


def append(conn: Connection, findings: Iterable[Finding], *, now_ms: int) -> Appended:
    """Record findings; one that stands already with the same content is not written again.

    ``now_ms`` is telemetry time. The same id twice in ``findings``: the last one counts. The caller
    holds the vehicle's state lock, so that nobody else writes the same ids.
    """
    newest = {finding.id: finding for finding in findings}
    if not newest:
        return Appended()
    standing = _newest_revisions(conn, newest)
    added, corrected, rows = [], [], []
    for finding_id, finding in newest.items():
        revision, status, known = standing.get(finding_id, (0, "retracted", None))
        if known is not None and status != "retracted":
            if same_content(known, finding):
                continue
            corrected.append(finding)
            rows.append(_row(finding_id, revision + 1, "corrected", finding, late_by_s(finding, now_ms)))
        else:
            added.append(finding)
            rows.append(_row(finding_id, revision + 1, "added", finding, late_by_s(finding, now_ms)))
    _insert(conn, rows)
    return Appended(tuple(added), tuple(corrected))


def retract(conn: Connection, ids: Collection[UUID], reason: str) -> int:
    """Take findings back, with the reason in the evidence; returns how many stood until now."""
    rows = [
        _row(
            finding_id,
            revision + 1,
            "retracted",
            msgspec.structs.replace(known, evidence={**known.evidence, "retracted_because": reason}),
            0,
        )
        for finding_id, (revision, status, known) in _newest_revisions(conn, ids).items()
        if status != "retracted"
    ]
    _insert(conn, rows)
    return len(rows)


def current(conn: Connection, vehicle_id: str, start_ms: int, end_ms: int) -> list[Finding]:
    """Return the findings that hold, with start <= event time < end, in the order they happened."""
    rows = conn.execute(
        f"SELECT {COLUMNS} FROM finding_current"
        " WHERE vehicle_id = %s AND event_time >= %s AND event_time < %s ORDER BY event_time, seq",
        (vehicle_id, from_ms(start_ms), from_ms(end_ms)),
    ).fetchall()
    return [finding_from_row(row) for row in rows]


def current_detected_after(
    conn: Connection, vehicle_id: str, rules: Collection[str], after_ms: int | None
) -> list[Finding]:
    """Return the findings of some rules that hold and were proved after a moment (None: all)."""
    rows = conn.execute(
        f"SELECT {COLUMNS} FROM ("
        "  SELECT DISTINCT ON (finding_id) * FROM finding"
        "  WHERE vehicle_id = %s AND rule = ANY(%s) ORDER BY finding_id, revision DESC"
        ") newest WHERE status <> 'retracted' AND detected_time > coalesce(%s, '-infinity'::timestamptz)"
        " ORDER BY event_time, seq",
        (vehicle_id, list(rules), None if after_ms is None else from_ms(after_ms)),
    ).fetchall()
    return [finding_from_row(row) for row in rows]


def first_detected_ms(conn: Connection, ids: Collection[UUID]) -> int | None:
    """Return when the earliest revision of any of the findings was proved; None without ids."""
    row = conn.execute(
        "SELECT min(detected_time) FROM finding WHERE finding_id = ANY(%s)", (list(ids),)
    ).fetchone()
    return None if row is None or row[0] is None else to_ms(row[0])


def same_content(one: Finding, other: Finding) -> bool:
    """Whether two findings of one id say the same, compared as they look in the table."""
    return _as_stored(one) == _as_stored(other)


def finding_from_row(row: Sequence[Any]) -> Finding:
    """Build a finding from a row of ``COLUMNS``."""
    (
        _,
        vehicle_id,
        device_id,
        rule,
        scope,
        event,
        event_time,
        detected,
        episode,
        lat,
        lon,
        severity,
        evidence,
    ) = row
    return Finding(
        vehicle_id=vehicle_id,
        device_id=device_id,
        rule=rule,
        scope=scope,
        event=event,
        event_ms=to_ms(event_time),
        detected_ms=to_ms(detected),
        episode_ms=to_ms(episode),
        lat=lat,
        lon=lon,
        severity=None if severity is None else Severity(severity),
        evidence=evidence,
    )


def _as_stored(finding: Finding) -> object:
    """Return plain values, evidence as JSON reads it back (tuples are lists, enums are text)."""
    return msgspec.json.decode(msgspec.json.encode(finding))


def _newest_revisions(conn: Connection, ids: Iterable[UUID]) -> dict[UUID, tuple[int, str, Finding]]:
    rows = conn.execute(
        f"SELECT DISTINCT ON (finding_id) revision, status, {COLUMNS} FROM finding"
        " WHERE finding_id = ANY(%s) ORDER BY finding_id, revision DESC",
        (list(ids),),
    ).fetchall()
    return {row[2]: (row[0], row[1], finding_from_row(row[2:])) for row in rows}


def _row(finding_id: UUID, revision: int, status: str, finding: Finding, late_s: int) -> tuple[object, ...]:
    return (
        finding_id, revision, status, finding.vehicle_id, finding.device_id, finding.rule, finding.scope,
        finding.event, from_ms(finding.event_ms), from_ms(finding.detected_ms), from_ms(finding.episode_ms),
        finding.lat, finding.lon, None if finding.severity is None else finding.severity.value,
        Jsonb(finding.evidence, dumps=msgspec.json.encode), late_s,
    )  # fmt: skip


def _insert(conn: Connection, rows: Sequence[tuple[object, ...]]) -> None:
    if not rows:
        return
    with (
        conn.cursor() as cursor,
        cursor.copy(
            "COPY finding (finding_id, revision, status, vehicle_id, device_id, rule, scope, event,"
            " event_time, detected_time, episode_time, lat, lon, severity, evidence, late_by_s) FROM STDIN"
        ) as copy,
    ):
        for row in rows:
            copy.write_row(row)
