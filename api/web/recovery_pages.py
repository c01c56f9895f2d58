"""Forms of the case page that take a vehicle in: grounds, moves, photos, intake, belongings, crew links."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Request, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, ValidationError

from alerts.recovery import grounds, intake, links, moves, photos
from alerts.recovery.domain import Intake
from api.deps import Conn, Who, Wired
from api.resources.cases import visible_case
from api.resources.recovery import RowId, apply_move, doer_of
from api.resources.recovery_shapes import BelongingIn, GroundIn, IntakeIn, MoveIn, PhotoKind
from api.uploads import read_photo
from api.web.render import render
from core.errors import Rejected

if TYPE_CHECKING:
    from typing import TypeVar

    Shape = TypeVar("Shape", bound=BaseModel)

router = APIRouter(include_in_schema=False, prefix="/cases/{case_id}/recovery")

Text = Annotated[str, Form(max_length=2000, pattern=r"^[^\x00]*$")]
Short = Annotated[str, Form(max_length=200, pattern=r"^[^\x00]*$")]
CHUNK = 1 << 20


@router.post("/move")
def recovery_move_form(
    request: Request, conn: Conn, asker: Who, services: Wired, case_id: UUID, to: Short, reason: Text = "",
    failure: Short = "other", crew: Short = "", partner: Short = "", visit_from: Short = "",
    visit_until: Short = "", odometer_km: Short = "", place: Short = "", kind: Short = "released",
    handed_to: Short = "",
) -> Response:  # fmt: skip
    """Take the case to its next state."""
    case = visible_case(conn, asker, case_id)
    zone = ZoneInfo(services.settings.timezone)
    body = shaped(MoveIn, {
        "to": to, "reason": reason, "failure": failure, "crew": crew, "partner": partner, "place": place,
        "visit_from": _moment(visit_from, zone), "visit_until": _moment(visit_until, zone),
        "odometer_km": odometer_km.strip() or None, "kind": kind, "handed_to": handed_to,
    })  # fmt: skip
    apply_move(conn, asker, services, case, body)
    return again(request, case_id)


@router.post("/ground")
def recovery_ground_form(
    request: Request, conn: Conn, asker: Who, case_id: UUID, kind: Short, reference: Short, dated: Short,
    document: UploadFile | None = None,
) -> Response:  # fmt: skip
    """Record a legal ground; of an attached file the digest is kept, the paper stays with the lender."""
    visible_case(conn, asker, case_id)
    digest = _digest(document) if document is not None and document.filename else None
    body = shaped(GroundIn, {
        "kind": kind, "reference": reference, "dated": dated, "document_sha256": digest,
    })  # fmt: skip
    grounds.record_ground(
        conn, case_id, asker.actor, kind=body.kind, reference=body.reference, dated=body.dated,
        document_sha256=body.document_sha256,
    )  # fmt: skip
    return again(request, case_id)


@router.post("/ground/{ground_id}/decision")
def recovery_decision_form(
    request: Request, conn: Conn, asker: Who, case_id: UUID, ground_id: RowId, note: Short,
    approve: Annotated[bool, Form()],
) -> Response:  # fmt: skip
    """Approve or refuse a lease recovery."""
    visible_case(conn, asker, case_id)
    grounds.decide_ground(conn, case_id, ground_id, asker.actor, approve=approve, note=note)
    return again(request, case_id)


@router.post("/ground/{ground_id}/withdraw")
def recovery_withdraw_form(
    request: Request, conn: Conn, asker: Who, case_id: UUID, ground_id: RowId, reason: Short
) -> Response:
    """End a ground."""
    visible_case(conn, asker, case_id)
    moves.withdraw_ground(conn, case_id, ground_id, asker.actor, reason)
    return again(request, case_id)


@router.post("/photo")
def recovery_photo_form(
    request: Request, conn: Conn, asker: Who, services: Wired, case_id: UUID, file: UploadFile,
    kind: Annotated[PhotoKind, Form()] = "other",
) -> Response:  # fmt: skip
    """Keep a photo."""
    visible_case(conn, asker, case_id)
    photos.add_photo(conn, case_id, asker.actor, kind, read_photo(file), timezone=services.settings.timezone)
    return again(request, case_id)


@router.post("/intake")
def recovery_intake_form(
    request: Request, conn: Conn, asker: Who, case_id: UUID, yard_id: Short, odometer_km: Short,
    keys_count: Short, handed_by: Short, received_by: Short, condition_note: Text = "",
    registration_certificate: Annotated[bool, Form()] = False,
    no_belongings: Annotated[bool, Form()] = False,
) -> Response:  # fmt: skip
    """Record the intake and book the vehicle in, both or neither."""
    visible_case(conn, asker, case_id)
    body = shaped(IntakeIn, {
        "yard_id": yard_id, "odometer_km": odometer_km, "keys_count": keys_count, "handed_by": handed_by,
        "received_by": received_by, "condition_note": condition_note,
        "registration_certificate": registration_certificate, "no_belongings": no_belongings,
    })  # fmt: skip
    intake.record_intake(conn, case_id, asker.actor, Intake(**body.model_dump()))
    moves.enter_yard(conn, case_id, asker.actor, doer=doer_of(asker))
    return again(request, case_id)


@router.post("/belonging")
def recovery_belonging_form(
    request: Request, conn: Conn, asker: Who, case_id: UUID, item: Short, quantity: Short = "1"
) -> Response:
    """Write a thing down."""
    visible_case(conn, asker, case_id)
    body = shaped(BelongingIn, {"item": item, "quantity": quantity})
    intake.add_belonging(conn, case_id, asker.actor, body.item, body.quantity)
    return again(request, case_id)


@router.post("/belonging/{belonging_id}/return")
def recovery_return_form(
    request: Request, conn: Conn, asker: Who, case_id: UUID, belonging_id: RowId, to: Short
) -> Response:
    """Note to whom a thing was given back."""
    visible_case(conn, asker, case_id)
    intake.return_belonging(conn, case_id, belonging_id, asker.actor, to)
    return again(request, case_id)


@router.post("/link")
def recovery_link_form(
    request: Request, conn: Conn, asker: Who, services: Wired, case_id: UUID, crew: Short,
    hours: Annotated[int, Form(ge=1, le=links.LONGEST_H)] = 12,
) -> HTMLResponse:  # fmt: skip
    """Make a link for the crew's phone, and show it this once."""
    visible_case(conn, asker, case_id)
    link, token = links.create_link(conn, case_id, asker.actor, crew, hours)
    address = f"{str(request.base_url).rstrip('/')}/crew/{token}"
    return render(request, services, asker, "_crew_link.html", link=link, address=address)


@router.post("/link/{link_id}/revoke")
def recovery_revoke_form(request: Request, conn: Conn, asker: Who, case_id: UUID, link_id: RowId) -> Response:
    """End a link."""
    visible_case(conn, asker, case_id)
    links.revoke_link(conn, case_id, link_id, asker.actor)
    return again(request, case_id)


def again(request: Request, case_id: UUID) -> Response:
    """Show the case anew."""
    if request.headers.get("hx-request"):
        return Response(status_code=204, headers={"HX-Refresh": "true"})
    return RedirectResponse(f"/cases/{case_id}", status_code=303)


def shaped(shape: type[Shape], facts: dict[str, Any]) -> Shape:
    """Return what a form says as what the API takes, so that both are held to the same limits.

    Raises:
        Rejected: with the first field that does not fit (``bad_form``).
    """
    try:
        return shape.model_validate(facts)
    except ValidationError as exc:
        fault = exc.errors(include_input=False, include_url=False)[0]
        raise Rejected(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}", code="bad_form") from exc


def _moment(text: str, zone: ZoneInfo) -> datetime | None:
    """Return the moment of a datetime-local field, which is local time."""
    if not text.strip():
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=zone)
    except ValueError as exc:
        raise Rejected(f"Expected a time, was {text!r}", code="bad_form") from exc


def _digest(document: UploadFile) -> str:
    content = hashlib.sha256()
    while chunk := document.file.read(CHUNK):
        content.update(chunk)
    return content.hexdigest()
