"""Marking to market: each vehicle with a live loan gets today's estimate, each loan its mark.

Batches are transactions of their own, so that a night that is cut short has lost nothing and goes on where
it stopped. The estimate is the gate: a vehicle that has today's is not marked again.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from alerts.findings.store import append
from core.clock import to_ms
from core.errors import NotFound
from valuation.appraisals import actions as appraisals
from valuation.appraisals import store as appraisal_store
from valuation.appraisals.domain import EXPIRED
from valuation.estimates.store import get_estimate, insert_estimates
from valuation.ltv import store as ltv_store
from valuation.ltv.mark import closing_mark, findings_of, next_mark
from valuation.service import store
from valuation.vehicles.store import facts_of, live_loans, lock_vehicles
from valuation.vehicles.value import value

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from core.db.pool import Connection
    from core.domain.finding import Finding
    from valuation.ltv.domain import Mark, NewMark
    from valuation.vehicles.domain import Estimate, Facts, Owed, Valued
    from valuation.vehicles.models import Models

BATCH = 1_000
ACTOR = "valuation"


@dataclass(slots=True)
class Marked:
    """What a run wrote."""

    vehicles: int = 0
    loans: int = 0
    raised: int = 0
    cleared: int = 0
    by_status: Counter[str] = field(default_factory=Counter)

    def add(self, other: Marked) -> None:
        """Count another batch in."""
        self.vehicles += other.vehicles
        self.loans += other.loans
        self.raised += other.raised
        self.cleared += other.cleared
        self.by_status += other.by_status


def day_of(now: datetime, timezone: str) -> date:
    """Return the day of a moment where the lender is."""
    return now.astimezone(ZoneInfo(timezone)).date()


def mark_all(
    conn: Connection, models: Models, now: datetime, timezone: str, *, part: int = 0, parts: int = 1
) -> Marked:
    """Mark every vehicle with a live loan that today's models have not valued; ``conn`` in autocommit.

    Twice on one day writes once; a model fitted meanwhile marks again, with its step shown.
    """
    as_of = day_of(now, timezone)
    versions = models.versions(conn, store.currencies(conn))
    total, after = Marked(), ""
    while True:
        ids = store.unmarked_vehicles(conn, as_of, versions, after=after, part=part, parts=parts, limit=BATCH)
        if not ids:
            break
        with conn.transaction():
            total.add(mark_batch(conn, models, ids, as_of, now, cause="nightly", actor=ACTOR))
        after = ids[-1]
    if part == 0:
        total.add(settle(conn, as_of, now))
    return total


def mark_vehicle(
    conn: Connection, models: Models, vehicle_id: str, now: datetime, timezone: str, *, actor: str
) -> Estimate:
    """Value one vehicle now, with explanation and comparables, and mark its loans; the caller's transaction.

    Raises:
        NotFound: no such vehicle.
    """
    as_of = day_of(now, timezone)
    written: dict[str, int] = {}
    mark_batch(conn, models, [vehicle_id], as_of, now, cause="asked", actor=actor, written=written)
    if vehicle_id not in written:
        raise NotFound(f"Expected a vehicle, there is no {vehicle_id}", code="vehicle_not_found")
    _settle(conn, ltv_store.raised_without_loan(conn, [vehicle_id], BATCH), as_of, now)
    return get_estimate(conn, written[vehicle_id])


def settle(conn: Connection, as_of: date, now: datetime) -> Marked:
    """Clear the breaches of loans that are over or moved to another vehicle."""
    total = Marked()
    while True:
        with conn.transaction():
            over = ltv_store.raised_without_loan(conn, None, BATCH)
            total.add(_settle(conn, over, as_of, now))
        if len(over) < BATCH:
            return total


def mark_batch(
    conn: Connection,
    models: Models,
    vehicle_ids: Sequence[str],
    as_of: date,
    now: datetime,
    *,
    cause: str,
    actor: str,
    written: dict[str, int] | None = None,
) -> Marked:
    """Value and mark some vehicles in the caller's transaction; ``written`` is filled with estimate ids."""
    lock_vehicles(conn, vehicle_ids)
    for vehicle_id in appraisal_store.expired(conn, vehicle_ids, as_of):
        appraisals.ask(conn, vehicle_id, (EXPIRED,), actor)
    facts = facts_of(conn, vehicle_ids, now, as_of)
    loans = live_loans(conn, vehicle_ids)
    before = ltv_store.newest_marks(conn, [loan.loan_id for some in loans.values() for loan in some])
    valued = _value_all(conn, models, facts, loans, before, as_of, explain=cause == "asked")
    ids = insert_estimates(conn, valued, cause=cause, actor=actor)
    if written is not None:
        written.update(ids)
    done = Marked()
    marks: list[NewMark] = []
    findings: list[Finding] = []
    for one in valued:
        vehicle_id = one.facts.vehicle_id
        if vehicle_id not in ids:
            continue
        done.vehicles += 1
        done.by_status[one.status.value] += 1
        owed = loans.get(vehicle_id, [])
        for loan in owed:
            total_minor = sum(other.balance_minor for other in owed if other.currency == loan.currency)
            earlier = before.get(loan.loan_id)
            mark = next_mark(earlier, loan, total_minor, one, ids[vehicle_id], now)
            if earlier is not None and earlier.raised and earlier.vehicle_id != vehicle_id:
                findings.extend(findings_of(earlier, closing_mark(earlier, as_of, now, "moved"), None))
            findings.extend(findings_of(earlier, mark, one))
            marks.append(mark)
    ltv_store.insert_marks(conn, marks)
    _tell(conn, findings, now, done)
    done.loans = len(marks)
    return done


def _value_all(
    conn: Connection,
    models: Models,
    facts: Sequence[Facts],
    loans: dict[str, list[Owed]],
    before: dict[str, Mark],
    as_of: date,
    *,
    explain: bool,
) -> list[Valued]:
    """Value vehicles in the currency most is owed in, also by the model of the last mark if another."""
    groups: dict[str, list[Facts]] = defaultdict(list)
    earlier: dict[str, str] = {}
    for one in facts:
        owed = loans.get(one.vehicle_id, [])
        groups[_currency(owed)].append(one)
        for loan in owed:
            mark = before.get(loan.loan_id)
            if mark is not None and mark.vehicle_id == one.vehicle_id and mark.model_version:
                earlier[one.vehicle_id] = mark.model_version
    valued: list[Valued] = []
    for currency, members in groups.items():
        valued.extend(value(conn, models, members, currency, as_of, earlier=earlier, explain=explain))
    return valued


def _currency(owed: Sequence[Owed]) -> str:
    if not owed:
        return DEFAULT_CURRENCY
    return max(owed, key=lambda loan: (loan.balance_minor, loan.loan_id)).currency


DEFAULT_CURRENCY = "CNY"
"""Of a vehicle nothing is owed on; the registry's default too."""


def _settle(conn: Connection, over: Sequence[Mark], as_of: date, now: datetime) -> Marked:
    done = Marked()
    lock_vehicles(conn, sorted({mark.vehicle_id for mark in over}))
    closing = [closing_mark(mark, as_of, now, "loan_over") for mark in over]
    findings = [
        finding
        for mark, close in zip(over, closing, strict=True)
        for finding in findings_of(mark, close, None)
    ]
    ltv_store.insert_marks(conn, closing)
    _tell(conn, findings, now, done)
    return done


def _tell(conn: Connection, findings: Sequence[Finding], now: datetime, done: Marked) -> None:
    append(conn, findings, now_ms=to_ms(now))
    done.raised += sum(1 for finding in findings if finding.event == "raise")
    done.cleared += sum(1 for finding in findings if finding.event == "clear")
