"""The page on a crew's phone: opened by a link, without a sign-in, and good for one visit only.

It shows what the crew needs and nobody's number. Each use of the link is logged, and so is each look at
the place. An unknown link is a 404, one that has ended a 410, and neither says what it was about.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, UploadFile
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from alerts.cases import store as cases
from alerts.cases.store import CaseFile
from alerts.recovery import intake, links, moves, photos
from alerts.recovery.domain import FAILURES, PHOTO_KINDS, CrewLink, Intake
from alerts.recovery.store import dispatches, grounds, yards
from alerts.recovery.store import links as link_store
from alerts.recovery.store import photos as photo_store
from api.access import store as access
from api.auth import check_same_origin
from api.board import store as board
from api.board.models import VehicleOut
from api.brake import store as brake
from api.deps import Conn, Now, Services, Wired, address_of
from api.resources.recovery_shapes import BelongingIn, IntakeIn, MoveIn
from api.uploads import read_photo
from api.web.last_fix import newest_fix
from api.web.recovery_pages import shaped
from api.web.render import render
from collateral.contacts.hours import ContactHours
from collateral.domain import Purpose
from collateral.org import store as org
from collateral.org.tree import HEAD
from core.clock import wall_now
from core.db.pool import Connection
from core.errors import Forbidden, PledgewatchError, Rejected

router = APIRouter(include_in_schema=False, prefix="/crew/{token}")

MOST_WRONG = 30
"""Unknown links within a quarter of an hour from one address. A right link always opens: a carrier puts
thousands of phones behind one address."""
BRAKE = "crew-link"
Text = Annotated[str, Form(max_length=2000, pattern=r"^[^\x00]*$")]
Short = Annotated[str, Form(max_length=200, pattern=r"^[^\x00]*$")]
Repeated = Annotated[str, Form(alias="token", max_length=200)]


@dataclass(frozen=True, slots=True)
class Visitor:
    """A crew with a link that works."""

    request: Request
    conn: Connection
    services: Services
    now: datetime
    token: str
    link: CrewLink
    case: CaseFile


class Refused(Exception):
    """The link opens nothing; ``answer`` says so."""

    def __init__(self, answer: Response) -> None:
        super().__init__()
        self.answer = answer


@router.get("")
def crew_page(request: Request, conn: Conn, services: Wired, now: Now, token: str) -> Response:
    """Show where to go and what to do."""
    try:
        visitor = _enter(request, conn, services, now, token, "page")
    except Refused as refused:
        return refused.answer
    return _page(visitor)


@router.post("/failed")
def crew_visit_failed(
    request: Request, conn: Conn, services: Wired, now: Now, token: str, repeated: Repeated,
    failure: Short, note: Text = "",
) -> Response:  # fmt: skip
    """End the visit without the vehicle."""

    def act(one: Visitor) -> None:
        body = shaped(MoveIn, {"to": "locating", "failure": failure, "reason": note})
        moves.fail_visit(conn, one.case.case_id, one.link.actor, body.failure, body.reason, doer="crew")

    return _act(request, conn, services, now, token, repeated, "visit_failed", act)


@router.post("/recovered")
def crew_recovered(
    request: Request, conn: Conn, services: Wired, now: Now, token: str, repeated: Repeated,
    odometer_km: Short = "", place: Short = "",
) -> Response:  # fmt: skip
    """Say that the crew has the vehicle."""

    def act(one: Visitor) -> None:
        body = shaped(MoveIn, {
            "to": "recovered", "odometer_km": odometer_km.strip() or None, "place": place,
        })  # fmt: skip
        moves.recover(
            conn, one.case.case_id, one.link.actor, odometer_km=body.odometer_km, place=body.place,
            doer="crew",
        )  # fmt: skip

    return _act(request, conn, services, now, token, repeated, "recovered", act)


@router.post("/photos")
def crew_photo(
    request: Request, conn: Conn, services: Wired, now: Now, token: str, repeated: Repeated,
    file: UploadFile, kind: Short = "other",
) -> Response:  # fmt: skip
    """Keep a photo."""

    def act(one: Visitor) -> None:
        try:
            data = read_photo(file)
        except HTTPException as exc:
            raise Rejected(str(exc.detail), code="photo_too_large") from exc
        photos.add_photo(
            conn, one.case.case_id, one.link.actor, kind, data, timezone=services.settings.timezone
        )

    return _act(request, conn, services, now, token, repeated, "photo", act)


@router.post("/belongings")
def crew_belonging(
    request: Request, conn: Conn, services: Wired, now: Now, token: str, repeated: Repeated,
    item: Short, quantity: Short = "1",
) -> Response:  # fmt: skip
    """Write down a thing that lies in the vehicle."""

    def act(one: Visitor) -> None:
        body = shaped(BelongingIn, {"item": item, "quantity": quantity})
        intake.add_belonging(conn, one.case.case_id, one.link.actor, body.item, body.quantity)

    return _act(request, conn, services, now, token, repeated, "belonging", act)


@router.post("/yard")
def crew_arrived(
    request: Request, conn: Conn, services: Wired, now: Now, token: str, repeated: Repeated,
    yard_id: Short, odometer_km: Short, keys_count: Short, received_by: Short, condition_note: Text = "",
    registration_certificate: Annotated[bool, Form()] = False,
    no_belongings: Annotated[bool, Form()] = False,
) -> Response:  # fmt: skip
    """Hand the vehicle over at the yard: intake and the move, both or neither."""

    def act(one: Visitor) -> None:
        body = shaped(IntakeIn, {
            "yard_id": yard_id, "odometer_km": odometer_km, "keys_count": keys_count,
            "handed_by": one.link.crew, "received_by": received_by, "condition_note": condition_note,
            "registration_certificate": registration_certificate, "no_belongings": no_belongings,
        })  # fmt: skip
        intake.record_intake(conn, one.case.case_id, one.link.actor, Intake(**body.model_dump()))
        moves.enter_yard(conn, one.case.case_id, one.link.actor, doer="crew")

    return _act(request, conn, services, now, token, repeated, "yard", act)


def _act(
    request: Request, conn: Connection, services: Services, now: datetime, token: str, repeated: str,
    what: str, act: Callable[[Visitor], None],
) -> Response:  # fmt: skip
    """Do one thing under the case's lock; a refusal is told on the page, and leaves nothing behind."""
    check_same_origin(request)
    if not hmac.compare_digest(repeated.encode(), token.encode()):
        raise Forbidden("Expected a form of this page, was another", code="forged_request")
    try:
        visitor = _enter(request, conn, services, now, token, what, lock=True)
    except Refused as refused:
        return refused.answer
    try:
        with conn.transaction():
            act(visitor)
    except PledgewatchError as fault:
        return _page(visitor, fault)
    after = cases.get_case(conn, visitor.case.case_id)
    if after.state not in links.LINK_STATES:
        return _over(request, services, now, HTTPStatus.OK, f"done_{after.state}")
    return RedirectResponse(f"/crew/{token}", status_code=HTTPStatus.SEE_OTHER)


def _enter(
    request: Request, conn: Connection, services: Services, now: datetime, token: str, what: str, *,
    lock: bool = False,
) -> Visitor:  # fmt: skip
    """Return who holds a link, and log the use.

    Raises:
        Refused: with the page to show.
    """
    token = token.replace("\x00", "")
    address = address_of(request)
    link = links.find_link(conn, token)
    if link is None:
        if brake.failures(conn, BRAKE, address)[1] >= MOST_WRONG:
            raise Refused(_over(request, services, now, HTTPStatus.TOO_MANY_REQUESTS, "braked"))
        brake.count_failure(conn, BRAKE, address)
        raise Refused(_over(request, services, now, HTTPStatus.NOT_FOUND, "unknown"))
    case = cases.get_case(conn, link.case_id, lock=lock)
    # Whoever ends a link holds the case's row: read again, now that we hold it ourselves.
    link = (links.find_link(conn, token) or link) if lock else link
    if not links.is_usable(link, case.state):
        link_store.add_view(conn, link.link_id, address, f"refused_{what}")
        raise Refused(_over(request, services, now, HTTPStatus.GONE, "ended"))
    link_store.add_view(conn, link.link_id, address, what)
    return Visitor(request, conn, services, now, token, link, case)


def _page(visitor: Visitor, fault: PledgewatchError | None = None) -> Response:
    """Show the page of a state. The place only while the crew is on its way to it."""
    conn, case, link = visitor.conn, visitor.case, visitor.link
    every_branch = org.subtree(conn, HEAD)
    vehicle = VehicleOut.of(board.vehicles(conn, every_branch, vehicle_ids=[case.vehicle_id], limit=1)[0])
    fix: dict[str, Any] | None = None
    if case.state == "dispatched":
        fix = newest_fix(conn, every_branch, visitor.now, case.vehicle_id)
    if fix is not None:
        address = address_of(visitor.request)
        link_store.add_view(conn, link.link_id, address, "location")
        access.record(
            conn, actor=link.actor, purpose=Purpose.RECOVERY, resource="crew", ip=address,
            vehicle_ids=[case.vehicle_id],
        )  # fmt: skip
    sent = dispatches.list_dispatches(conn, case.case_id)
    out = sent[-1] if sent else None
    hours = ContactHours(timezone=visitor.services.settings.timezone)
    return render(
        visitor.request, visitor.services, None, "crew.html", now=visitor.now,
        status=fault.status if fault else HTTPStatus.OK, fault=fault, token=visitor.token, link=link,
        case=case, vehicle=vehicle, fix=fix, dispatch=out,
        ground=grounds.get_ground(conn, case.case_id, out.ground_id) if out else None,
        hours=hours.describe(), within_hours=hours.allow(wall_now()), failures=FAILURES,
        photos=photo_store.list_photos(conn, case.case_id), photo_kinds=PHOTO_KINDS,
        belongings=yards.list_belongings(conn, case.case_id), yards=yards.list_yards(conn),
    )  # fmt: skip


def _over(request: Request, services: Services, now: datetime, status: HTTPStatus, what: str) -> Response:
    return render(request, services, None, "crew_over.html", now=now, status=status, what=what)
