"""The panel of commands on a vehicle's devices tab: ask a device, take a command back."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from api.auth import Asker
from api.deps import Conn, Viewing, Who, address_of
from api.resources.commands import ask, cancel_command
from api.resources.devices import DeviceId
from api.resources.vehicles import VehicleId, visible_vehicle
from api.web.render import purpose_of
from collateral.commands import store
from collateral.commands.domain import PARAMETERS, WHO, Kind
from core.db.pool import Connection
from core.errors import Rejected

router = APIRouter(include_in_schema=False)

Word = Annotated[str, Form(max_length=12, pattern=r"^[^\x00]*$")]
SHOWN = 20


def panel(conn: Connection, asker: Asker, vehicle_id: str) -> dict[str, Any]:
    """Return what the panel shows: the last commands, and the kinds that the asker may send."""
    if not asker.may("list_commands"):
        return {"commands": None}
    return {
        "commands": store.page(conn, org_ids=asker.org_ids, vehicle_id=vehicle_id, limit=SHOWN),
        "command_kinds": [kind for kind in Kind if asker.roles & WHO[kind]],
        "command_params": PARAMETERS,
    }


@router.post("/vehicles/{vehicle_id}/devices/{device_id}/command")
def command_form(
    request: Request, conn: Conn, asker: Who, vehicle_id: VehicleId, device_id: DeviceId,
    kind: Annotated[Kind, Form()], interval_s: Word = "", duration_s: Word = "", moving_s: Word = "",
    parked_s: Word = "", sleep_s: Word = "",
) -> Response:  # fmt: skip
    """Ask a device for the purpose in the page's head; fields of other kinds are ignored."""
    visible_vehicle(conn, asker, vehicle_id)
    told = {
        "interval_s": interval_s, "duration_s": duration_s, "moving_s": moving_s, "parked_s": parked_s,
        "sleep_s": sleep_s,
    }  # fmt: skip
    params = {name: _whole(name, told[name]) for name in PARAMETERS[kind] if told[name].strip()}
    looking = Viewing(conn, asker.actor, purpose_of(request, asker), address_of(request))
    ask(conn, asker, looking, device_id, kind, params)
    return _shown(request, vehicle_id)


@router.post("/vehicles/{vehicle_id}/commands/{command_id}/cancel")
def command_cancel_form(
    request: Request, conn: Conn, asker: Who, vehicle_id: VehicleId, command_id: UUID
) -> Response:
    """Take a command back."""
    cancel_command(command_id, conn, asker)
    return _shown(request, vehicle_id)


def _shown(request: Request, vehicle_id: str) -> Response:
    if request.headers.get("hx-request"):
        return Response(status_code=204, headers={"HX-Refresh": "true"})
    return RedirectResponse(f"/vehicles/{quote(vehicle_id)}?tab=devices", status_code=303)


def _whole(name: str, text: str) -> int:
    plain = text.strip()
    if not (plain.isascii() and plain.isdigit()):
        raise Rejected(f"{name}: expected whole seconds, was {text!r}", code="bad_command_params")
    return int(plain)
