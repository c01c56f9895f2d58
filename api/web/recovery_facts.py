"""What the case page shows of a recovery: where it stands, what may be done next, what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alerts.cases.transitions import moves_from
from alerts.recovery.domain import FAILURES, GROUND_KINDS, PHOTO_KINDS
from alerts.recovery.grounds import GROUND_STATES
from alerts.recovery.intake import INVENTORY_STATES, missing_for_yard
from alerts.recovery.links import LINK_STATES, LONGEST_H
from alerts.recovery.photos import PHOTO_STATES
from alerts.recovery.store import dispatches, grounds, links, photos, yards
from api.resources.recovery import doer_of

if TYPE_CHECKING:
    from alerts.cases.store import CaseFile
    from api.auth import Asker
    from core.db.pool import Connection

STEPS = ("new", "locating", "dispatched", "recovered", "in_yard")
BY_A_BUTTON = ("recovered", "locating", "dispatched", "released")
"""Moves with a form of their own in the strip; 入库 goes with the intake, closing is at the page's foot."""


def recovery_facts(conn: Connection, asker: Asker, case: CaseFile) -> dict[str, Any]:
    """Return the facts of the page's recovery part."""
    moves = moves_from(case.state, doer_of(asker)) if asker.may("recovery_move_form") else ()
    known = grounds.list_grounds(conn, case.case_id)
    return {
        "steps": STEPS,
        "reached": STEPS.index(case.state) if case.state in STEPS else len(STEPS),
        "moves": [move for move in BY_A_BUTTON if move in moves],
        "closable": "closed" in moves,
        "may_book_in": "in_yard" in moves,
        "grounds": known,
        "ground_in_force": any(ground.state == "in_force" for ground in known),
        "takes_grounds": case.state in GROUND_STATES,
        "ground_kinds": GROUND_KINDS,
        "dispatches": dispatches.list_dispatches(conn, case.case_id),
        "failures": FAILURES,
        "crew_links": links.list_links(conn, case.case_id) if asker.may("list_crew_links") else [],
        "takes_links": case.state in LINK_STATES and asker.may("recovery_link_form"),
        "longest_h": LONGEST_H,
        "intake": yards.get_intake(conn, case.case_id),
        "missing": missing_for_yard(conn, case.case_id) if case.state == "recovered" else [],
        "yards": yards.list_yards(conn),
        "photos": photos.list_photos(conn, case.case_id),
        "takes_photos": case.state in PHOTO_STATES,
        "photo_kinds": PHOTO_KINDS,
        "belongings": yards.list_belongings(conn, case.case_id),
        "takes_belongings": case.state in INVENTORY_STATES,
        "released": dispatches.get_release(conn, case.case_id),
    }
