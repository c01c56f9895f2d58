"""The case page, made for a phone beside a parked car: where it was last, whom to call, what was said."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import ValidationError

from alerts.cases import actions, store
from api.access import store as access
from api.board import store as board
from api.board.models import Money, VehicleOut
from api.board.people import store as people
from api.deps import Conn, Now, Services, Who, Wired, address_of
from api.resources.attempts import AttemptIn, record
from api.resources.cases import visible_case
from api.resources.contacts import reveal
from api.resources.vehicles import visible_vehicle
from api.web.last_fix import newest_fix
from api.web.recovery_facts import recovery_facts
from api.web.render import map_config, purpose_of, render
from collateral.contacts import store as contacts
from collateral.contacts.hours import ContactHours
from core.clock import wall_now
from core.domain.money import parse_money
from core.errors import Rejected

if TYPE_CHECKING:
    from api.auth import Asker
    from core.db.pool import Connection

router = APIRouter(include_in_schema=False)

Text = Annotated[str, Form(max_length=2000, pattern=r"^[^\x00]*$")]


@router.get("/cases")
def cases_page(request: Request, conn: Conn, asker: Who, services: Wired, now: Now) -> HTMLResponse:
    """Show the cases, newest first."""
    rows = store.list_cases(conn, org_ids=asker.org_ids, limit=200)
    plates = board.plates(conn, {row.vehicle_id for row in rows})
    return render(request, services, asker, "cases.html", now=now, cases=rows, plates=plates)


@router.get("/cases/{case_id}")
def case_page(
    request: Request, conn: Conn, asker: Who, services: Wired, now: Now, case_id: UUID
) -> HTMLResponse:
    """Show one case. The last fix on it is a read of a location, and logged as one."""
    case = visible_case(conn, asker, case_id)
    vehicle = VehicleOut.of(visible_vehicle(conn, asker, case.vehicle_id))
    fix = _last_fix(request, conn, asker, services, now, case.vehicle_id)
    parties = people.parties_of_vehicle(conn, case.vehicle_id)
    hours = ContactHours(timezone=services.settings.timezone)
    return render(
        request, services, asker, "case.html", now=now, case=case, vehicle=vehicle, fix=fix,
        parties=parties,
        contacts=contacts.contacts_of(conn, [party for party, _, _ in parties]),
        alerts=board.alerts_by_id(conn, store.alerts_of_case(conn, case_id)),
        entries=list(reversed(store.entries(conn, case_id))),
        hours=hours.describe(), within_hours=hours.allow(wall_now()),
        map_config=map_config(services.settings), **recovery_facts(conn, asker, case),
    )  # fmt: skip


@router.post("/cases/{case_id}/note")
def case_note_form(
    request: Request, conn: Conn, asker: Who, services: Wired, case_id: UUID, text: Text
) -> Response:
    """Write a note."""
    visible_case(conn, asker, case_id)
    actions.add_note(conn, case_id, asker.actor, text)
    return _entries(request, conn, asker, services, case_id)


@router.post("/cases/{case_id}/attempt")
def case_attempt_form(
    request: Request, conn: Conn, asker: Who, services: Wired, case_id: UUID,
    party_id: Annotated[str, Form(max_length=64)],
    channel: Annotated[Literal["call", "sms", "wechat", "email", "letter", "visit"], Form()],
    outcome: Annotated[str, Form(max_length=40)],
    note: Text = "", promise_on: Annotated[str, Form(max_length=10)] = "",
    promise_amount: Annotated[str, Form(max_length=24)] = "", next_action: Text = "",
    override_reason: Text = "",
) -> Response:  # fmt: skip
    """Record a call (or another attempt) and show it in the case."""
    case = visible_case(conn, asker, case_id)
    promise = None
    if promise_amount.strip() and outcome == "promised":
        vehicle = visible_vehicle(conn, asker, case.vehicle_id)
        amount = parse_money(promise_amount, vehicle.currency or "CNY")
        promise = Money(amount_minor=amount.amount_minor, currency=amount.currency)
    try:
        body = AttemptIn.model_validate({
            "party_id": party_id, "channel": channel, "outcome": outcome,
            "purpose": purpose_of(request, asker),
            "case_id": case_id, "vehicle_id": case.vehicle_id, "note": note, "promise": promise,
            "promise_on": promise_on if promise_on and outcome == "promised" else None,
            "next_action": next_action or None, "override_reason": override_reason or None,
        })  # fmt: skip
    except ValidationError as exc:
        fault = exc.errors(include_input=False, include_url=False)[0]
        raise Rejected(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}", code="bad_attempt") from exc
    record(conn, asker, services, body)
    return _entries(request, conn, asker, services, case_id)


@router.post("/cases/{case_id}/reveal/{contact_id}")
def case_reveal_form(
    request: Request, conn: Conn, asker: Who, services: Wired, case_id: UUID, contact_id: int
) -> HTMLResponse:
    """Show one number; who looked, and why, goes on record."""
    shown = reveal(conn, asker, services, contact_id, purpose_of(request, asker), case_id)
    return render(request, services, asker, "_revealed.html", contact=shown)


@router.post("/cases/{case_id}/close")
def case_close_form(
    request: Request, conn: Conn, asker: Who, services: Wired, case_id: UUID, reason: Text
) -> Response:
    """Close the case."""
    visible_case(conn, asker, case_id)
    actions.close(conn, case_id, asker.actor, reason)
    if request.headers.get("hx-request"):
        return Response(status_code=204, headers={"HX-Refresh": "true"})
    return RedirectResponse(f"/cases/{case_id}", status_code=303)


def _entries(request: Request, conn: Connection, asker: Asker, services: Services, case_id: UUID) -> Response:
    if not request.headers.get("hx-request"):
        return RedirectResponse(f"/cases/{case_id}", status_code=303)
    entries = list(reversed(store.entries(conn, case_id)))
    return render(request, services, asker, "_entries.html", entries=entries)


def _last_fix(
    request: Request, conn: Connection, asker: Asker, services: Services, now: datetime, vehicle_id: str
) -> dict[str, Any] | None:
    """Return the newest fix, and log that it is shown."""
    fix = newest_fix(conn, asker.org_ids, now, vehicle_id)
    if fix is not None:
        access.record(
            conn, actor=asker.actor, purpose=purpose_of(request, asker), resource="cases",
            ip=address_of(request), vehicle_ids=[vehicle_id],
        )  # fmt: skip
    return fix
