"""The recovery of a case: grounds, moves, photos, intake, belongings, release. Crew links: crew_links.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Path, Response, UploadFile

from alerts.cases import actions as case_actions
from alerts.cases.transitions import Doer, edge_between, moves_from
from alerts.recovery import grounds, intake, moves, photos
from alerts.recovery.domain import Intake
from alerts.recovery.store import dispatches, yards
from alerts.recovery.store import grounds as ground_store
from alerts.recovery.store import photos as photo_store
from api.deps import Conn, Services, Who, Wired
from api.idempotency.once import OnlyOnce
from api.resources.cases import CaseDetail, detail, visible_case
from api.resources.recovery_shapes import (
    BelongingIn,
    BelongingOut,
    DecisionIn,
    DispatchOut,
    GroundIn,
    GroundOut,
    IntakeIn,
    IntakeOut,
    MoveIn,
    PhotoKind,
    PhotoOut,
    RecoveryOut,
    ReleaseIn,
    ReleaseOut,
    ReturnIn,
    WithdrawalIn,
)
from api.roles import WORKERS
from api.uploads import read_photo
from auction.cases import actions as disposal
from collateral.contacts.hours import ContactHours
from core.errors import NotFound

if TYPE_CHECKING:
    from alerts.cases.store import CaseFile
    from api.auth import Asker
    from core.db.pool import Connection

router = APIRouter(prefix="/cases/{case_id}", tags=["recovery"])

RowId = Annotated[int, Path(ge=1, lt=2**63)]
PICTURES = {
    200: {
        "description": "The picture",
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}}
            for kind in ("image/jpeg", "image/png", "image/webp")
        },
    }
}


@router.get("/recovery")
def get_recovery(case_id: UUID, conn: Conn, asker: Who) -> RecoveryOut:
    """Return where the recovery of a case stands, and what it needs next."""
    case = visible_case(conn, asker, case_id)
    recorded, released = yards.get_intake(conn, case_id), dispatches.get_release(conn, case_id)
    return RecoveryOut(
        case_id=case_id,
        state=case.state,
        moves=list(moves_from(case.state, doer_of(asker))) if asker.may("move_case") else [],
        missing_for_yard=intake.missing_for_yard(conn, case_id),
        grounds=list(map(GroundOut.of, ground_store.list_grounds(conn, case_id))),
        dispatches=list(map(DispatchOut.of, dispatches.list_dispatches(conn, case_id))),
        intake=IntakeOut.of(recorded) if recorded else None,
        photos=list(map(PhotoOut.of, photo_store.list_photos(conn, case_id))),
        belongings=list(map(BelongingOut.of, yards.list_belongings(conn, case_id))),
        release=ReleaseOut.of(released) if released else None,
    )


@router.post("/transitions")
def move_case(
    case_id: UUID, body: MoveIn, conn: Conn, asker: Who, services: Wired, once: OnlyOnce
) -> CaseDetail:
    """Take a case to its next state. A recovery partner may end a visit, take the vehicle and book it in."""
    case = visible_case(conn, asker, case_id)
    return once(CaseDetail, lambda: detail(conn, apply_move(conn, asker, services, case, body)))


@router.post("/grounds", status_code=201)
def record_ground(case_id: UUID, body: GroundIn, conn: Conn, asker: Who, once: OnlyOnce) -> GroundOut:
    """Record a legal ground. An approved lease recovery counts once a second person approved it."""
    visible_case(conn, asker, case_id)
    return once(
        GroundOut,
        lambda: GroundOut.of(
            grounds.record_ground(
                conn, case_id, asker.actor, kind=body.kind, reference=body.reference, dated=body.dated,
                document_sha256=body.document_sha256,
            )
        ),
    )  # fmt: skip


@router.post("/grounds/{ground_id}/approval")
def approve_ground(case_id: UUID, ground_id: RowId, body: DecisionIn, conn: Conn, asker: Who) -> GroundOut:
    """Approve or refuse a lease recovery; whoever recorded it may not."""
    visible_case(conn, asker, case_id)
    return GroundOut.of(
        grounds.decide_ground(
            conn, case_id, ground_id, asker.actor, approve=body.approve, note=body.note
        )
    )  # fmt: skip


@router.post("/grounds/{ground_id}/withdrawal")
def withdraw_ground(
    case_id: UUID, ground_id: RowId, body: WithdrawalIn, conn: Conn, asker: Who
) -> CaseDetail:
    """End a ground; a crew that is out on it is called back."""
    visible_case(conn, asker, case_id)
    return detail(conn, moves.withdraw_ground(conn, case_id, ground_id, asker.actor, body.reason))


@router.post("/photos", status_code=201)
def add_photo(
    case_id: UUID, conn: Conn, asker: Who, services: Wired, response: Response, file: UploadFile,
    kind: Annotated[PhotoKind, Form()] = "other",
) -> PhotoOut:  # fmt: skip
    """Keep a photo (JPEG, PNG, WebP, 8 MiB), without its place and camera. The same one again: 200."""
    visible_case(conn, asker, case_id)
    photo, new = photos.add_photo(
        conn, case_id, asker.actor, kind, read_photo(file), timezone=services.settings.timezone
    )
    response.status_code = 201 if new else 200
    return PhotoOut.of(photo)


@router.get("/photos/{photo_id}", response_class=Response, responses=PICTURES)  # type: ignore[arg-type]
def get_photo(case_id: UUID, photo_id: UUID, conn: Conn, asker: Who) -> Response:
    """Return a picture."""
    visible_case(conn, asker, case_id)
    found = photo_store.photo_content(conn, case_id, photo_id)
    if found is None:
        raise NotFound(f"Expected a photo of this case, there is none with id {photo_id}")
    content_type, content = found
    return Response(content, media_type=content_type, headers={"Content-Disposition": "inline"})


@router.post("/intake")
def record_intake(case_id: UUID, body: IntakeIn, conn: Conn, asker: Who, once: OnlyOnce) -> IntakeOut:
    """Record how the vehicle came into the yard; then move the case to in_yard."""
    visible_case(conn, asker, case_id)
    return once(
        IntakeOut,
        lambda: IntakeOut.of(
            intake.record_intake(conn, case_id, asker.actor, Intake(**body.model_dump()))
        ),
    )  # fmt: skip


@router.post("/belongings", status_code=201)
def add_belonging(case_id: UUID, body: BelongingIn, conn: Conn, asker: Who, once: OnlyOnce) -> BelongingOut:
    """Write down a thing that was found in the vehicle."""
    visible_case(conn, asker, case_id)
    return once(
        BelongingOut,
        lambda: BelongingOut.of(
            intake.add_belonging(conn, case_id, asker.actor, body.item, body.quantity)
        ),
    )  # fmt: skip


@router.post("/belongings/{belonging_id}/return")
def return_belonging(
    case_id: UUID, belonging_id: RowId, body: ReturnIn, conn: Conn, asker: Who
) -> BelongingOut:
    """Note to whom a thing was given back."""
    visible_case(conn, asker, case_id)
    return BelongingOut.of(intake.return_belonging(conn, case_id, belonging_id, asker.actor, body.to))


@router.post("/release")
def release_vehicle(
    case_id: UUID, body: ReleaseIn, conn: Conn, asker: Who, services: Wired, once: OnlyOnce
) -> CaseDetail:
    """Give the vehicle back (放车), or record that it was redeemed (赎车)."""
    case = visible_case(conn, asker, case_id)
    move = MoveIn(to="released", kind=body.kind, reason=body.reason, handed_to=body.handed_to)
    return once(CaseDetail, lambda: detail(conn, apply_move(conn, asker, services, case, move)))


def doer_of(asker: Asker) -> Doer:
    """Return as what somebody moves cases: staff, or a crew (a recovery partner)."""
    return "staff" if asker.roles & WORKERS else "crew"


def apply_move(conn: Connection, asker: Asker, services: Services, case: CaseFile, body: MoveIn) -> CaseFile:
    """Do one move of a visible case; the page's forms come here too."""
    case_id, actor, doer = case.case_id, asker.actor, doer_of(asker)
    if doer == "crew":
        edge_between(case.state, body.to, doer)
    match body.to:
        case "locating" if case.state == "dispatched":
            return moves.fail_visit(conn, case_id, actor, body.failure, body.reason, doer=doer)
        case "locating":
            return moves.locate(conn, case_id, actor, body.reason)
        case "dispatched":
            visit = moves.Visit(
                body.crew, body.partner, body.ground_id, body.visit_from, body.visit_until
            )  # fmt: skip
            hours = ContactHours(timezone=services.settings.timezone)
            return moves.dispatch(conn, case_id, actor, visit, hours)
        case "recovered":
            return moves.recover(
                conn, case_id, actor, odometer_km=body.odometer_km, place=body.place, doer=doer
            )
        case "in_yard":
            return moves.enter_yard(conn, case_id, actor, doer=doer)
        case "released":
            edge_between(case.state, "released")
            # The sale first, in this transaction: a redemption beats the hammer until the hammer commits,
            # and the lot's row decides. Told by event alone, a lot could be sold after the vehicle went.
            disposal.redeem(conn, body.reason, actor, recovery_case_id=case_id)
            return moves.release(
                conn, case_id, actor, kind=body.kind, reason=body.reason, handed_to=body.handed_to
            )
        case "closed":
            return case_actions.close(conn, case_id, actor, body.reason)
