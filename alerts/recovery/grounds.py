"""Legal grounds: recorded, decided by a second person where the law of the pack asks for it, withdrawn."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from alerts.cases import store as cases
from alerts.recovery.domain import GROUND_KINDS, LEASE_FORMS, LEASE_RECOVERY, Ground
from alerts.recovery.store import grounds as store
from collateral.loans import store as loans
from collateral.staff.persons import same_person
from core.clock import wall_now
from core.errors import Conflict, Forbidden, Rejected

if TYPE_CHECKING:
    from datetime import date
    from uuid import UUID

    from alerts.cases.store import CaseFile
    from core.db.pool import Connection

AHEAD_MAX = timedelta(days=1)
"""Dates are local, the server's are UTC; a paper of the day after tomorrow does not exist yet."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
GROUND_STATES = frozenset({"new", "locating", "dispatched"})


def record_ground(
    conn: Connection, case_id: UUID, actor: str, *, kind: str, reference: str, dated: date,
    document_sha256: str | None = None,
) -> Ground:  # fmt: skip
    """Record why the vehicle may be taken. A lease recovery counts once a second person approved it.

    Raises:
        Rejected: an unknown kind, no reference, a date ahead, a digest that is none, or a lease recovery
            of a vehicle that is not leased (``not_a_lease``).
        Conflict: the case is past the point where a ground matters (``bad_state``).
    """
    if kind not in GROUND_KINDS:
        raise Rejected(f"Expected one of {', '.join(GROUND_KINDS)}, was {kind!r}", code="bad_ground")
    if not reference.strip():
        raise Rejected("Expected the reference of the paper, was empty", code="reference_missing")
    if dated > (wall_now() + AHEAD_MAX).date():
        raise Rejected(f"Expected a paper that is signed, was dated {dated}", code="ground_ahead")
    if document_sha256 is not None and not _DIGEST.fullmatch(document_sha256):
        raise Rejected("Expected a SHA-256 in 64 hexadecimal digits, was something else", code="bad_digest")
    case = cases.get_case(conn, case_id, lock=True)
    _require_state(case.state)
    if kind == LEASE_RECOVERY:
        require_lease(conn, case.vehicle_id)
    digest = None if document_sha256 is None else bytes.fromhex(document_sha256)
    ground = store.insert_ground(conn, case_id, kind, reference.strip(), digest, dated, actor)
    cases.add_entry(
        conn, case_id, actor, "ground", reference.strip(),
        {"ground_id": ground.ground_id, "ground": kind, "dated": dated.isoformat()},
    )  # fmt: skip
    return ground


def decide_ground(
    conn: Connection, case_id: UUID, ground_id: int, actor: str, *, approve: bool, note: str
) -> Ground:
    """Approve or refuse a lease recovery: the second pair of eyes.

    Raises:
        Forbidden: by whoever recorded it (``same_person``).
        Conflict: it needs no approval, or was decided or withdrawn (``ground_decided``).
        Rejected: without counsel's reference, or the reason of a refusal (``note_missing``).
    """
    case = cases.get_case(conn, case_id, lock=True)
    _require_state(case.state)
    ground = store.get_ground(conn, case_id, ground_id)
    if ground.state != "pending":
        raise Conflict(f"Expected a ground that awaits approval, was {ground.state}", code="ground_decided")
    if same_person(actor, ground.recorded_by):
        raise Forbidden(
            f"Expected a second person to decide, was {actor}, who recorded the ground", code="same_person"
        )
    if not note.strip():
        raise Rejected("Expected counsel's reference or the reason, was empty", code="note_missing")
    if approve:
        require_lease(conn, case.vehicle_id)
    store.decide_ground(conn, ground_id, approve=approve, by=actor, note=note.strip())
    cases.add_entry(
        conn, case_id, actor, "ground_decided", note.strip(), {"ground_id": ground_id, "approved": approve}
    )
    return store.get_ground(conn, case_id, ground_id)


def require_open_ground(conn: Connection, case: CaseFile, ground_id: int, why: str) -> Ground:
    """Return a ground that can still be withdrawn; the caller holds the case's row.

    Raises:
        Rejected: without a reason.
        Conflict: ground or vehicle are past that (``ground_decided``, ``bad_state``).
    """
    if not why.strip():
        raise Rejected("Expected why the ground ends, was empty", code="reason_missing")
    _require_state(case.state)
    ground = store.get_ground(conn, case.case_id, ground_id)
    if ground.state not in {"in_force", "pending"}:
        raise Conflict(f"Expected a ground that stands, was {ground.state}", code="ground_decided")
    return ground


def withdraw(conn: Connection, case_id: UUID, ground: Ground, actor: str, why: str) -> None:
    """End a ground; the caller holds the case's row."""
    store.withdraw_ground(conn, ground.ground_id, by=actor, why=why)
    cases.add_entry(
        conn, case_id, actor, "ground_withdrawn", why, {"ground_id": ground.ground_id, "ground": ground.kind}
    )


def require_ground(conn: Connection, case_id: UUID, vehicle_id: str, ground_id: int | None = None) -> Ground:
    """Return a ground in force: the one named, else the newest.

    Raises:
        Rejected: there is none (``ground_missing``).
    """
    for ground in reversed(store.list_grounds(conn, case_id)):
        if ground.state != "in_force" or ground_id not in {None, ground.ground_id}:
            continue
        if ground.kind == LEASE_RECOVERY:
            require_lease(conn, vehicle_id)
        return ground
    raise Rejected(
        "Expected a legal ground in force (signed voluntary hand-over, court order, approved lease recovery),"
        " was none",
        code="ground_missing",
    )


def require_lease(conn: Connection, vehicle_id: str) -> None:
    """Refuse a lease recovery of a vehicle that the customer owns.

    Raises:
        Rejected: no loan on it is a lease (``not_a_lease``).
    """
    forms = {row.collateral_form for row in loans.loans_of_vehicle(conn, vehicle_id)}
    if not forms & LEASE_FORMS:
        raise Rejected(
            f"Expected one of {', '.join(sorted(LEASE_FORMS))}, was {', '.join(sorted(forms)) or 'no loan'}",
            code="not_a_lease",
        )


def _require_state(state: str) -> None:
    if state not in GROUND_STATES:
        raise Conflict(
            f"Expected a case that is {', '.join(sorted(GROUND_STATES))}, was {state}", code="bad_state"
        )
