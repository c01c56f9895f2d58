"""Into the yard (入库): what came in, with what inside, and who looked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alerts.cases import store as cases
from alerts.recovery.store import photos, yards
from core.errors import Conflict, NotFound, Rejected

if TYPE_CHECKING:
    from uuid import UUID

    from alerts.recovery.domain import Belonging, Intake, RecordedIntake
    from core.db.pool import Connection

INVENTORY_STATES = frozenset({"recovered", "in_yard"})
LONGEST_KM = 2_000_000
"""Beyond what any road vehicle has run; a typing error, not a distance."""
MOST_KEYS = 20
MOST_ITEMS = 200
MOST_OF_ONE = 9999


def record_intake(conn: Connection, case_id: UUID, actor: str, intake: Intake) -> RecordedIntake:
    """Record how the vehicle came in; until it is booked in, a second record corrects the first.

    Raises:
        Conflict: the vehicle is not on its way to a yard (``bad_state``).
        NotFound: no such yard. Rejected: a figure or a name that cannot be.
    """
    case = cases.get_case(conn, case_id, lock=True)
    if case.state != "recovered":
        raise Conflict(f"Expected a case that is recovered, was {case.state}", code="bad_state")
    check_odometer(intake.odometer_km)
    if not 0 <= intake.keys_count <= MOST_KEYS:
        raise Rejected(f"Expected 0-{MOST_KEYS} keys, was {intake.keys_count}", code="bad_keys")
    if not intake.handed_by.strip() or not intake.received_by.strip():
        raise Rejected("Expected who handed over and who received, was empty", code="names_missing")
    if intake.no_belongings and yards.list_belongings(conn, case_id):
        raise Rejected("Expected no belongings on record, there are some", code="belongings_on_record")
    if yards.get_yard(conn, intake.yard_id) is None:
        raise NotFound(f"Expected a yard, there is none with id {intake.yard_id}", code="yard_not_found")
    yards.save_intake(conn, case_id, intake, actor)
    cases.add_entry(
        conn, case_id, actor, "intake", intake.condition_note,
        {"yard_id": intake.yard_id, "odometer_km": intake.odometer_km, "keys_count": intake.keys_count},
    )  # fmt: skip
    recorded = yards.get_intake(conn, case_id)
    assert recorded is not None  # noqa: S101 - written above
    return recorded


def missing_for_yard(conn: Connection, case_id: UUID) -> list[str]:
    """Return what is not there yet: ``intake``, ``photo``, ``belongings``."""
    recorded = yards.get_intake(conn, case_id)
    stated = yards.list_belongings(conn, case_id) or (recorded is not None and recorded.intake.no_belongings)
    found = {"intake": recorded is not None, "photo": photos.count_photos(conn, case_id) > 0,
             "belongings": bool(stated)}  # fmt: skip
    return [name for name, there in found.items() if not there]


def require_complete(conn: Connection, case_id: UUID) -> RecordedIntake:
    """Return the intake when all is there that the yard asks for.

    Raises:
        Rejected: ``intake_missing``, ``photo_missing`` or ``belongings_missing``; ``missing`` names all.
    """
    missing = missing_for_yard(conn, case_id)
    recorded = yards.get_intake(conn, case_id)
    if missing or recorded is None:
        raise Rejected(
            f"Expected intake, a photo and an inventory of belongings (or that there are none), missing:"
            f" {', '.join(missing)}",
            code=f"{missing[0]}_missing", missing=missing,
        )  # fmt: skip
    return recorded


def add_belonging(conn: Connection, case_id: UUID, actor: str, item: str, quantity: int) -> Belonging:
    """Write down a thing that was found in the vehicle.

    Raises:
        Rejected: no name, or a number that cannot be. Conflict: the vehicle is not ours to open.
    """
    if not item.strip():
        raise Rejected("Expected what it is, was empty", code="item_missing")
    if not 1 <= quantity <= MOST_OF_ONE:
        raise Rejected(f"Expected 1-{MOST_OF_ONE} of it, was {quantity}", code="bad_quantity")
    case = cases.get_case(conn, case_id, lock=True)
    if case.state not in INVENTORY_STATES:
        raise Conflict(f"Expected a case that is recovered or in_yard, was {case.state}", code="bad_state")
    if len(yards.list_belongings(conn, case_id)) >= MOST_ITEMS:
        raise Rejected(f"Expected at most {MOST_ITEMS} lines of belongings", code="too_many_items")
    recorded = yards.get_intake(conn, case_id)
    if recorded is not None and recorded.intake.no_belongings:
        raise Conflict("Expected an inventory that may grow, was stated to be empty", code="stated_empty")
    thing = yards.insert_belonging(conn, case_id, item.strip(), quantity, actor)
    cases.add_entry(conn, case_id, actor, "belonging", item.strip(), {"quantity": quantity})
    return thing


def return_belonging(conn: Connection, case_id: UUID, belonging_id: int, actor: str, to: str) -> Belonging:
    """Note to whom a thing was given back; also after the case is over.

    Raises:
        NotFound: the case has no such thing. Conflict: it was given back. Rejected: nobody named.
    """
    if not to.strip():
        raise Rejected("Expected who received it, was empty", code="names_missing")
    cases.get_case(conn, case_id, lock=True)
    things = {thing.belonging_id: thing for thing in yards.list_belongings(conn, case_id)}
    thing = things.get(belonging_id)
    if thing is None:
        raise NotFound(f"Expected a thing of this case, there is none with id {belonging_id}")
    if thing.returned_at is not None:
        raise Conflict("Expected a thing that is still here, was given back", code="already_returned")
    yards.return_belonging(conn, belonging_id, to=to.strip(), by=actor)
    cases.add_entry(conn, case_id, actor, "belonging_returned", thing.item, {"to": to.strip()})
    return next(one for one in yards.list_belongings(conn, case_id) if one.belonging_id == belonging_id)


def warn_of_belongings(conn: Connection, case_id: UUID, actor: str) -> None:
    """Write a warning when the owner's things are still here."""
    waiting = [thing.item for thing in yards.list_belongings(conn, case_id) if thing.returned_at is None]
    if waiting:
        cases.add_entry(
            conn, case_id, actor, "warning", "、".join(waiting)[:2000], {"warning": "belongings_not_returned"}
        )


def check_odometer(odometer_km: float | None) -> None:
    """Refuse what no odometer shows.

    Raises:
        Rejected: ``bad_odometer``.
    """
    if odometer_km is not None and not 0 <= odometer_km <= LONGEST_KM:
        raise Rejected(f"Expected 0-{LONGEST_KM} km, was {odometer_km}", code="bad_odometer")
