"""The rules as ingest calls them: behind a savepoint, so that no failure of theirs costs a report."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import structlog

from ingest.faults import Fault, classify

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.db.pool import Connection
    from core.domain.report import Report

MOST_FAILURES = 24
"""Enough to corner one vehicle among 2,000 (eleven halvings, both sides); after it the rest is queued."""

_log = structlog.get_logger("ingest")


class Rules(Protocol):
    """The rule engine (geofence.writer.RuleWriter)."""

    def apply(self, conn: Connection, reports: list[Report], *, now_ms: int) -> object:
        """Judge new reports inside the caller's transaction."""
        ...

    def committed(self) -> None:
        """The transaction of the last ``apply`` is durable."""
        ...

    def rolled_back(self) -> None:
        """The work of the last ``apply`` never happened."""
        ...


@dataclass(slots=True)
class Judgement:
    """What could not be judged, and why."""

    unjudged: list[Report] = field(default_factory=list)
    failures: int = 0
    error: str = ""


def judge(conn: Connection, rules: Rules, reports: Sequence[Report], *, now_ms: int) -> Judgement:
    """Apply the rules; a vehicle that they fail on is cornered by halving, the others are judged.

    Raises:
        psycopg.Error: the database is away or wants the whole transaction again.
    """
    judgement = Judgement()
    if _judged(conn, rules, reports, now_ms, judgement):
        return judgement
    by_vehicle: dict[str, list[Report]] = {}
    for report in reports:
        if report.vehicle_id is not None:
            by_vehicle.setdefault(report.vehicle_id, []).append(report)
    vehicles = list(by_vehicle.values())
    if len(vehicles) == 1:
        judgement.unjudged += vehicles[0]
    else:
        _halve(conn, rules, vehicles, now_ms, judgement)
    return judgement


def _judge_some(
    conn: Connection, rules: Rules, vehicles: list[list[Report]], now_ms: int, judgement: Judgement
) -> None:
    if not vehicles:
        return
    reports = [report for own in vehicles for report in own]
    if judgement.failures >= MOST_FAILURES:
        judgement.unjudged += reports
    elif not _judged(conn, rules, reports, now_ms, judgement):
        if len(vehicles) == 1:
            judgement.unjudged += reports
        else:
            _halve(conn, rules, vehicles, now_ms, judgement)


def _halve(
    conn: Connection, rules: Rules, vehicles: list[list[Report]], now_ms: int, judgement: Judgement
) -> None:
    middle = len(vehicles) // 2
    _judge_some(conn, rules, vehicles[:middle], now_ms, judgement)
    _judge_some(conn, rules, vehicles[middle:], now_ms, judgement)


def _judged(
    conn: Connection, rules: Rules, reports: Sequence[Report], now_ms: int, judgement: Judgement
) -> bool:
    """Apply the rules in a savepoint; false, and noted, when they fail."""
    try:
        with conn.transaction():
            rules.apply(conn, list(reports), now_ms=now_ms)
    except Exception as exc:
        if conn.broken or classify(exc) is Fault.TRANSIENT:
            raise
        rules.rolled_back()
        judgement.failures += 1
        if not judgement.error:
            judgement.error = f"{type(exc).__name__}: {exc}".partition("\n")[0]
            _log.error("rules_failed", reports=len(reports), stack=traceback.format_exc(limit=-6))
        return False
    return True
