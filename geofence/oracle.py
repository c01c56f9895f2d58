"""The reference: the pure engine, offline, over everything that is stored of a vehicle.

Slow and simple on purpose. Whatever the live writer, the sweeper and the replayer did, in whatever
order, what stands in the finding table has to be this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from alerts.findings.store import current_detected_after, same_content
from core.clock import to_ms
from core.telemetry.store import watermark
from geofence.context import ContextCache
from geofence.engine import advance, initial_state, pass_time
from geofence.inputs import newer
from geofence.moving import FINDING_RULES
from geofence.store.inputs import vehicles_with_inputs
from geofence.store.replays import pending

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from core.db.pool import Connection
    from core.domain.finding import Finding


@dataclass(frozen=True, slots=True)
class Difference:
    """A finding that stands but should not (extra), should but does not (missing), or says otherwise."""

    kind: str  # missing | extra | different
    expected: Finding | None
    actual: Finding | None

    @property
    def finding(self) -> Finding:
        """Return the finding to show."""
        found = self.expected or self.actual
        assert found is not None  # noqa: S101 - a difference has at least one side
        return found


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the finding table compares with the reference."""

    vehicles: int
    findings: int
    differences: tuple[Difference, ...]
    waiting: tuple[str, ...]
    """Vehicles that still wait for a replay: their differences may be on their way out."""


def reference_findings(
    conn: Connection, vehicle_id: str, contexts: ContextCache, *, derive_marks: bool = False
) -> dict[UUID, Finding]:
    """Return what the engine finds in everything stored of a vehicle, with today's fences and facts.

    ``derive_marks`` as under the data clock: time passes between the reports, up to the watermark.
    """
    context, _ = contexts.refresh(conn)
    facts = contexts.facts(conn, [vehicle_id])[vehicle_id]
    state = initial_state(vehicle_id)
    made = advance(state, newer(conn, state), facts, context, derive_marks=derive_marks)
    findings = made.findings
    until = watermark(conn) if derive_marks else None
    if until is not None:
        findings = [*findings, *pass_time(made.state, facts, context, to_ms(until)).findings]
    return {finding.id: finding for finding in findings}


def compare(
    conn: Connection,
    *,
    timezone: str,
    derive_marks: bool = False,
    vehicle_ids: Sequence[str] | None = None,
) -> Comparison:
    """Compare the findings that stand with the reference; all vehicles unless some are named."""
    contexts = ContextCache(timezone)
    names = vehicles_with_inputs(conn) if vehicle_ids is None else list(vehicle_ids)
    differences: list[Difference] = []
    count = 0
    for vehicle_id in names:
        expected = reference_findings(conn, vehicle_id, contexts, derive_marks=derive_marks)
        actual = {found.id: found for found in current_detected_after(conn, vehicle_id, FINDING_RULES, None)}
        count += len(expected)
        for finding_id in expected.keys() | actual.keys():
            ours, theirs = expected.get(finding_id), actual.get(finding_id)
            if ours is None or theirs is None:
                differences.append(Difference("missing" if theirs is None else "extra", ours, theirs))
            elif not same_content(ours, theirs):
                differences.append(Difference("different", ours, theirs))
    differences.sort(key=lambda d: (d.finding.vehicle_id or "", d.finding.event_ms, d.finding.rule, d.kind))
    return Comparison(len(names), count, tuple(differences), tuple(sorted(pending(conn, names))))
