"""The pages of staff: live map with inbox, alerts, vehicles. The case page is in case_pages.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from alerts import actions, store
from alerts.cases import store as cases
from alerts.domain import RULE_POLICIES, Alert
from api.board import store as board
from api.board.models import VehicleOut
from api.deps import Conn, Now, Services, Who, Wired, asker_of
from api.paging import Cursor, cut, decode, decode_moment_and_id
from api.resources.alerts import visible_alert
from api.resources.vehicles import VehicleId, visible_vehicle
from api.web import case_pages, command_pages, console_pages, recovery_pages, tabs, value_pages
from api.web.render import map_config, render
from core.errors import Rejected

if TYPE_CHECKING:
    from api.auth import Asker
    from api.problem import Problem
    from core.db.pool import Connection

router = APIRouter(include_in_schema=False, dependencies=[Depends(asker_of)])
router.include_router(case_pages.router)
router.include_router(recovery_pages.router)
router.include_router(console_pages.router)
router.include_router(value_pages.router)
router.include_router(command_pages.router)

SEVERITIES = ("P1", "P2", "P3", "P4")
INBOX_MOST = 200
PAGE = 100


@router.get("/")
def live_page(
    request: Request, conn: Conn, asker: Who, services: Wired, now: Now,
    severity: Annotated[list[str] | None, Query(max_length=4)] = None,
) -> Response:  # fmt: skip
    """Show the live map beside the inbox; whoever may not see locations starts elsewhere."""
    if not asker.may("list_positions"):
        homes = (("vehicles_page", "/vehicles"), ("cases_page", "/cases"), ("lots_page", "/lots"))
        return RedirectResponse(next(path for page, path in homes if asker.may(page)), status_code=303)
    inbox = inbox_facts(conn, asker, severity) if asker.may("list_alerts") else {}
    return render(
        request, services, asker, "live.html", now=now, map_config=map_config(services.settings), **inbox
    )


@router.get("/fragments/inbox")
def inbox_fragment(
    request: Request, conn: Conn, asker: Who, services: Wired, now: Now,
    severity: Annotated[list[str] | None, Query(max_length=4)] = None,
) -> HTMLResponse:  # fmt: skip
    """Return the inbox alone, after something changed."""
    return render(request, services, asker, "_inbox.html", now=now, **inbox_facts(conn, asker, severity))


@router.get("/fragments/alerts/{alert_id}")
def alert_fragment(
    request: Request, conn: Conn, asker: Who, services: Wired, now: Now, alert_id: UUID
) -> HTMLResponse:
    """Return one alert with its evidence, its history and what can be done."""
    alert = visible_alert(conn, asker, alert_id)
    rows = board.vehicles(conn, asker.org_ids, vehicle_ids=[alert.vehicle_id or ""], limit=1)
    return render(
        request, services, asker, "_alert.html", now=now, alert=alert,
        vehicle=VehicleOut.of(rows[0]) if rows else None,
        history=list(reversed(store.history(conn, alert_id)))[:20],
        case_id=cases.open_case_of_alert(conn, alert_id), reasons=actions.FALSE_ALARM_REASONS,
    )  # fmt: skip


@router.get("/alerts")
def alerts_page(
    request: Request, conn: Conn, asker: Who, services: Wired, now: Now,
    severity: Annotated[str, Query(max_length=2)] = "", rule: Annotated[str, Query(max_length=64)] = "",
    all: Annotated[str, Query(max_length=1)] = "", cursor: Cursor = None,
) -> HTMLResponse:  # fmt: skip
    """Show alerts as a table; the address holds the filter."""
    rows = store.list_alerts(
        conn, org_ids=asker.org_ids, live_only=not all, severities=[severity] if severity else None,
        rule=rule or None, before=decode_moment_and_id(cursor), limit=PAGE + 1,
    )  # fmt: skip
    shown, following = cut(rows, PAGE, lambda alert: (alert.last_seen.isoformat(), str(alert.alert_id)))
    return render(
        request, services, asker, "alerts.html", now=now, alerts=listed(conn, shown),
        rules=sorted(RULE_POLICIES),
        following=next_page(request, following),
    )  # fmt: skip


@router.get("/vehicles")
def vehicles_page(
    request: Request, conn: Conn, asker: Who, services: Wired, now: Now,
    q: Annotated[str, Query(max_length=64)] = "", overdue: Annotated[str, Query(max_length=1)] = "",
    alerting: Annotated[str, Query(max_length=1)] = "", cursor: Cursor = None,
) -> HTMLResponse:  # fmt: skip
    """Show vehicles as a table; the address holds the filter."""
    after = decode(cursor, str)
    rows = board.vehicles(
        conn, asker.org_ids, text=q.replace("\x00", ""), overdue=bool(overdue), alerting=bool(alerting),
        after=str(after[0]) if after else None, limit=PAGE + 1,
    )  # fmt: skip
    shown, following = cut(rows, PAGE, lambda row: (row.vehicle_id,))
    return render(
        request, services, asker, "vehicles.html", now=now, vehicles=list(map(VehicleOut.of, shown)),
        following=next_page(request, following),
    )  # fmt: skip


@router.get("/vehicles/{vehicle_id}")
def vehicle_page(
    request: Request, conn: Conn, asker: Who, services: Wired, now: Now, vehicle_id: VehicleId,
    tab: Annotated[str, Query(max_length=20)] = "timeline",
) -> HTMLResponse:  # fmt: skip
    """Show one vehicle; the address holds the tab."""
    vehicle = VehicleOut.of(visible_vehicle(conn, asker, vehicle_id))
    shown = tabs.of(asker)
    if tab not in shown:
        raise Rejected(f"Expected a tab of {', '.join(shown)}, was {tab!r}", code="unknown_tab")
    facts = shown[tab](tabs.Asked(request, conn, asker, services, now, vehicle_id))
    return render(
        request, services, asker, "vehicle.html", now=now, vehicle=vehicle, tab=tab, tabs=list(shown),
        map_config=map_config(services.settings), **facts,
    )  # fmt: skip


def inbox_facts(conn: Connection, asker: Asker, severity: list[str] | None) -> dict[str, Any]:
    """Return what the inbox shows: live alerts, the worst and newest first."""
    chosen = [level for level in SEVERITIES if not severity or level in severity]
    ranked = store.inbox(conn, asker.org_ids, chosen, INBOX_MOST + 1)
    counts = store.count_live(conn, asker.org_ids)
    return {
        "alerts": listed(conn, ranked[:INBOX_MOST]),
        "more": len(ranked) > INBOX_MOST,
        "chosen": chosen,
        "counts": {level: counts.get(level, 0) for level in SEVERITIES},
    }


def listed(conn: Connection, alerts: list[Alert]) -> list[dict[str, Any]]:
    """Return alerts as rows: with the plate, the days past due and the name of the place."""
    vehicles = {
        row.vehicle_id: row
        for row in board.vehicles(
            conn, sorted({alert.org_id for alert in alerts}),
            vehicle_ids=sorted({alert.vehicle_id for alert in alerts if alert.vehicle_id}),
            limit=len(alerts) or 1,
        )
    }  # fmt: skip
    rows = []
    for alert in alerts:
        vehicle = vehicles.get(alert.vehicle_id or "")
        name = alert.evidence.get("name")
        rows.append({
            "id": alert.alert_id, "vehicle_id": alert.vehicle_id, "device_id": alert.device_id,
            "plate": vehicle.plate if vehicle else None, "severity": str(alert.severity), "rule": alert.rule,
            "condition": str(alert.condition), "work_state": str(alert.work_state),
            "assignee": alert.assignee,
            "resolution": alert.resolution, "count": alert.count, "late_by_s": alert.late_by_s,
            "first_seen": alert.first_seen, "last_seen": alert.last_seen, "lat": alert.lat, "lon": alert.lon,
            "days_past_due": vehicle.days_past_due if vehicle else None,
            "place": name if isinstance(name, str) else None,
        })  # fmt: skip
    return rows


def next_page(request: Request, cursor: str | None) -> str | None:
    """Return the address of the next page with the filter kept."""
    if cursor is None:
        return None
    kept = [(key, value) for key, value in request.query_params.multi_items() if key != "cursor"]
    return "?" + urlencode([*kept, ("cursor", cursor)])


def problem_page(request: Request, problem: Problem) -> HTMLResponse:
    """Return an error as a page."""
    services: Services = request.app.state.services
    asker: Asker | None = getattr(request.state, "asker", None)
    return render(request, services, asker, "problem.html", status=problem.status, problem=problem)
