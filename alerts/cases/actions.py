"""Opening a case from an alert, writing into it, closing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alerts import store as alert_store
from alerts.cases import store
from alerts.cases.transitions import edge_between
from alerts.domain import WorkState
from alerts.recovery.intake import warn_of_belongings
from collateral.domain import Custody
from collateral.vehicles import store as vehicles
from core.errors import Conflict, Rejected

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from alerts.cases.store import CaseEntry, CaseFile
    from core.db.pool import Connection


def open_case(conn: Connection, alert_id: UUID, actor: str, title: str = "") -> CaseFile:
    """Open a case from an alert; an alert that is in an open case already returns that one."""
    alert = alert_store.get_alert(conn, alert_id, lock=True)
    existing = store.open_case_of_alert(conn, alert_id)
    if existing is not None:
        return store.get_case(conn, existing)
    if alert.vehicle_id is None:
        raise Rejected("Expected an alert about a vehicle, was one about none", code="alert_without_vehicle")
    case = store.insert_case(conn, alert.vehicle_id, alert.org_id, title.strip() or alert.rule, actor)
    store.link_alert(conn, case.case_id, alert_id)
    store.add_entry(
        conn, case.case_id, actor, "opened", facts={"alert_id": str(alert_id), "rule": alert.rule}
    )
    if not alert.closed:
        alert_store.update_alert(
            conn, alert_id, {"work_state": WorkState.IN_PROGRESS.value, "assignee": alert.assignee or actor}
        )
    alert_store.remember(conn, alert_id, "case_opened", actor, facts={"case_id": str(case.case_id)})
    return case


def add_alert(conn: Connection, case_id: UUID, alert_id: UUID, actor: str) -> None:
    """Put a further alert of the same vehicle into a case."""
    case = _open(conn, case_id)
    alert = alert_store.get_alert(conn, alert_id)
    if alert.vehicle_id != case.vehicle_id:
        raise Rejected(
            f"Expected an alert about vehicle {case.vehicle_id}, was about {alert.vehicle_id}",
            code="alert_of_other_vehicle",
        )
    store.link_alert(conn, case_id, alert_id)
    store.add_entry(conn, case_id, actor, "alert_added", facts={"alert_id": str(alert_id)})


def add_note(conn: Connection, case_id: UUID, actor: str, text: str) -> CaseEntry:
    """Write a note."""
    if not text.strip():
        raise Rejected("Expected the text of a note, was empty", code="note_missing")
    _open(conn, case_id)
    return store.add_entry(conn, case_id, actor, "note", text.strip())


def add_contact(
    conn: Connection, case_id: UUID, actor: str, text: str, facts: Mapping[str, Any]
) -> CaseEntry:
    """Write down that a contact was attempted; the attempt itself is kept by the collateral room."""
    _open(conn, case_id)
    return store.add_entry(conn, case_id, actor, "contact", text.strip(), facts)


def close(conn: Connection, case_id: UUID, actor: str, reason: str) -> CaseFile:
    """Close a case with a reason.

    Raises:
        Rejected: without one. Conflict: the vehicle is on its way, or in the yard (``bad_edge``).
    """
    if not reason.strip():
        raise Rejected("Expected a reason for closing the case, was empty", code="reason_missing")
    case = store.get_case(conn, case_id, lock=True)
    edge_between(case.state, "closed")
    return _closed(conn, case_id, actor, reason.strip())


def close_after_disposal(conn: Connection, recovery_case_id: UUID, disposal_case_id: str) -> bool:
    """Close the case of a vehicle whose sale is settled; false when it is closed already.

    Raises:
        Conflict: the vehicle is neither in the yard nor released (``bad_edge``).
    """
    case = store.get_case(conn, recovery_case_id, lock=True)
    if case.state == "closed":
        return False
    # Released meanwhile (a redemption): the sale has nothing of its own to do, but the case is over.
    edge_between(case.state, "closed", "staff" if case.state == "released" else "disposal")
    # The new owner has it: a vehicle that drives off is no alarm any more.
    vehicles.set_custody(conn, case.vehicle_id, Custody.RELEASED)
    _closed(conn, recovery_case_id, "disposal", "disposal_closed", {"disposal_case_id": disposal_case_id})
    return True


def _closed(
    conn: Connection, case_id: UUID, actor: str, reason: str, facts: Mapping[str, Any] | None = None
) -> CaseFile:
    store.close_case(conn, case_id, reason)
    warn_of_belongings(conn, case_id, actor)
    store.add_entry(conn, case_id, actor, "closed", reason, facts)
    return store.get_case(conn, case_id)


def _open(conn: Connection, case_id: UUID) -> CaseFile:
    case = store.get_case(conn, case_id, lock=True)
    if case.state == "closed":
        raise Conflict("Expected an open case, was closed", code="case_closed")
    return case
