"""Moving a case along its edges. Each move locks the case, so of two people at once the second is told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from alerts.cases import store as cases
from alerts.cases.transitions import Doer, edge_between
from alerts.recovery import grounds
from alerts.recovery.claims import require_claim
from alerts.recovery.domain import FAILURES, RELEASE_KINDS
from alerts.recovery.intake import check_odometer, require_complete, warn_of_belongings
from alerts.recovery.store import dispatches, links
from alerts.recovery.store import grounds as ground_store
from collateral.domain import Custody
from collateral.vehicles import store as vehicles
from core.clock import wall_now
from core.errors import Conflict, Rejected
from core.events.store import emit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from alerts.cases.store import CaseFile
    from collateral.contacts.hours import ContactHours
    from core.db.pool import Connection


LONGEST_VISIT = timedelta(hours=14)
"""No longer than people may be contacted on a day, so that no night lies inside."""
FARTHEST_VISIT = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Visit:
    """Who goes, on which ground (None: the newest in force), and when people may expect them."""

    crew: str
    partner: str = ""
    ground_id: int | None = None
    visit_from: datetime | None = None
    visit_until: datetime | None = None


def locate(conn: Connection, case_id: UUID, actor: str, note: str = "") -> CaseFile:
    """Begin to look for the vehicle."""
    case = cases.get_case(conn, case_id, lock=True)
    edge_between(case.state, "locating")
    if case.state == "dispatched":
        return fail_visit(conn, case_id, actor, "called_off", note)
    return _moved(conn, case, "locating", actor, note)


def dispatch(conn: Connection, case_id: UUID, actor: str, visit: Visit, hours: ContactHours) -> CaseFile:
    """Send a crew.

    Raises:
        Conflict: not from this state (``bad_edge``), or the claim may not be enforced (``loan_paid`` ...).
        Rejected: ``ground_missing``, ``crew_missing``, ``bad_window``, ``outside_contact_hours``.
    """
    case = cases.get_case(conn, case_id, lock=True)
    edge_between(case.state, "dispatched")
    crew = visit.crew.strip()
    if not crew:
        raise Rejected("Expected the name of the crew, was empty", code="crew_missing")
    _check_window(visit, hours)
    loan = require_claim(conn, case.vehicle_id)
    ground = grounds.require_ground(conn, case_id, case.vehicle_id, visit.ground_id)
    dispatches.insert_dispatch(
        conn, case_id, ground.ground_id, crew=crew, partner=visit.partner.strip(),
        visit_from=visit.visit_from, visit_until=visit.visit_until, by=actor,
    )  # fmt: skip
    moved = _moved(
        conn, case, "dispatched", actor, crew,
        {"ground_id": ground.ground_id, "ground": ground.kind, "loan_id": loan.loan_id,
         "loan_status": loan.status, "days_past_due": loan.days_past_due},
    )  # fmt: skip
    if loan.days_past_due == 0:
        cases.add_entry(
            conn, case_id, actor, "warning", "", {"warning": "loan_not_overdue", "loan_id": loan.loan_id}
        )
    return moved


def fail_visit(
    conn: Connection, case_id: UUID, actor: str, failure: str, note: str, *, doer: Doer = "staff"
) -> CaseFile:
    """End a visit without the vehicle. Resistance ends it at once, and whatever was agreed to with it.

    Raises:
        Conflict: no crew is out (``bad_edge``). Rejected: ``bad_failure``, ``reason_missing``.
    """
    case = cases.get_case(conn, case_id, lock=True)
    edge_between(case.state, "locating", doer)
    if case.state != "dispatched":
        raise Conflict(f"Expected a crew that is out, the case is {case.state}", code="bad_edge")
    if failure not in FAILURES:
        raise Rejected(f"Expected one of {', '.join(FAILURES)}, was {failure!r}", code="bad_failure")
    if failure == "other" and not note.strip():
        raise Rejected("Expected the reason why the visit failed, was empty", code="reason_missing")
    _end_visit(conn, case_id, actor, failure, note.strip())
    if failure == "resistance":
        # Whoever resists has not handed over voluntarily, whatever paper was signed before.
        for ground in ground_store.list_grounds(conn, case_id):
            if ground.kind == "voluntary_handover" and ground.state == "in_force":
                grounds.withdraw(conn, case_id, ground, actor, "resistance")
    return _moved(conn, case, "locating", actor, note.strip(), {"failure": failure})


def withdraw_ground(conn: Connection, case_id: UUID, ground_id: int, actor: str, why: str) -> CaseFile:
    """End a ground; a crew that is out on it is called back.

    Raises:
        Rejected: without a reason. Conflict: it has ended already (``ground_decided``).
    """
    case = cases.get_case(conn, case_id, lock=True)
    ground = grounds.require_open_ground(conn, case, ground_id, why)
    grounds.withdraw(conn, case_id, ground, actor, why.strip())
    out = dispatches.current_dispatch(conn, case_id)
    if out is None or out.ground_id != ground_id:
        return case
    _end_visit(conn, case_id, actor, "ground_withdrawn", why.strip())
    return _moved(conn, case, "locating", actor, why.strip(), {"failure": "ground_withdrawn"})


def recover(
    conn: Connection, case_id: UUID, actor: str, *, odometer_km: float | None = None, place: str = "",
    doer: Doer = "staff",
) -> CaseFile:  # fmt: skip
    """Say that the crew has the vehicle. Claim and ground are looked at again: a payment may have arrived.

    Raises:
        Conflict: ``bad_edge``, ``loan_paid`` and its like: the vehicle stays where it is.
        Rejected: ``ground_missing``, ``bad_odometer``.
    """
    case = cases.get_case(conn, case_id, lock=True)
    edge_between(case.state, "recovered", doer)
    check_odometer(odometer_km)
    require_claim(conn, case.vehicle_id)
    out = dispatches.current_dispatch(conn, case_id)
    grounds.require_ground(conn, case_id, case.vehicle_id, out.ground_id if out else None)
    dispatches.end_dispatch(
        conn, case_id, "recovered", by=actor, odometer_km=odometer_km, place=place.strip()
    )
    vehicles.set_custody(conn, case.vehicle_id, Custody.RECOVERED)
    facts = {} if odometer_km is None else {"odometer_km": odometer_km}
    return _moved(conn, case, "recovered", actor, place.strip(), facts)


def enter_yard(conn: Connection, case_id: UUID, actor: str, *, doer: Doer = "staff") -> CaseFile:
    """Book the vehicle into the yard (入库). Tells ``case.in_yard``; the crew's links end.

    Raises:
        Conflict: ``bad_edge``. Rejected: ``intake_missing``, ``photo_missing``, ``belongings_missing``.
    """
    case = cases.get_case(conn, case_id, lock=True)
    edge_between(case.state, "in_yard", doer)
    recorded = require_complete(conn, case_id)
    links.revoke_links_of(conn, case_id, actor)
    vehicles.set_custody(conn, case.vehicle_id, Custody.LENDER_YARD)
    moved = _moved(conn, case, "in_yard", actor, recorded.yard_name, {"yard_id": recorded.intake.yard_id})
    emit(
        conn, "case.in_yard", str(case_id),
        {"vehicle_id": case.vehicle_id, "org_id": case.org_id, "recovered_at": _rfc3339(moved.recovered_at),
         "in_yard_at": _rfc3339(moved.in_yard_at), "odometer_km": recorded.intake.odometer_km,
         "received_by": recorded.intake.received_by},
    )  # fmt: skip
    return moved


def release(
    conn: Connection, case_id: UUID, actor: str, *, kind: str, reason: str, handed_to: str = ""
) -> CaseFile:
    """Give the vehicle back (放车; redeemed: 赎车). Tells ``case.released``; the crew's links end.

    Raises:
        Conflict: ``bad_edge``. Rejected: ``bad_release``, ``reason_missing``.
    """
    case = cases.get_case(conn, case_id, lock=True)
    edge_between(case.state, "released")
    if kind not in RELEASE_KINDS:
        raise Rejected(f"Expected one of {', '.join(RELEASE_KINDS)}, was {kind!r}", code="bad_release")
    if not reason.strip():
        raise Rejected("Expected a reason for the release, was empty", code="reason_missing")
    links.revoke_links_of(conn, case_id, actor)
    dispatches.insert_release(conn, case_id, kind, reason.strip(), handed_to.strip(), actor)
    vehicles.set_custody(conn, case.vehicle_id, Custody.RELEASED)
    moved = _moved(conn, case, "released", actor, reason.strip(), {"release": kind})
    warn_of_belongings(conn, case_id, actor)
    emit(conn, "case.released", str(case_id), {"vehicle_id": case.vehicle_id, "reason": kind})
    return moved


def _end_visit(conn: Connection, case_id: UUID, actor: str, outcome: str, note: str) -> None:
    dispatches.end_dispatch(conn, case_id, outcome, by=actor, note=note)
    links.revoke_links_of(conn, case_id, actor)


def _moved(
    conn: Connection, case: CaseFile, after: str, actor: str, text: str = "",
    facts: Mapping[str, Any] | None = None,
) -> CaseFile:  # fmt: skip
    moved = cases.set_state(conn, case.case_id, after)
    cases.add_entry(
        conn, case.case_id, actor, "state", text, {"from": case.state, "to": after} | dict(facts or {})
    )
    return moved


def _check_window(visit: Visit, hours: ContactHours) -> None:
    if visit.visit_from is None and visit.visit_until is None:
        return
    if visit.visit_from is None or visit.visit_until is None or visit.visit_from >= visit.visit_until:
        raise Rejected("Expected a visit that begins before it ends, was another", code="bad_window")
    if visit.visit_until - visit.visit_from > LONGEST_VISIT:
        raise Rejected(f"Expected a visit of at most {LONGEST_VISIT}, was longer", code="bad_window")
    # First, for the ends of the calendar have no local time.
    if not abs(visit.visit_from - wall_now()) <= FARTHEST_VISIT:
        raise Rejected(f"Expected a visit within {FARTHEST_VISIT.days} days, was another", code="bad_window")
    if not (hours.allow(visit.visit_from) and hours.allow(visit.visit_until)):
        raise Rejected(f"Expected a visit within {hours.describe()}", code="outside_contact_hours")


def _rfc3339(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
