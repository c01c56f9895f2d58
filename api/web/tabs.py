"""What each tab of a vehicle's page shows, and who gets to see the tab."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from alerts import store as alerts
from api.access import store as access
from api.board import store as board
from api.board.devices import store as devices
from api.deps import Services, Viewing, address_of
from api.web import command_pages, value_tab
from api.web.render import purpose_of
from collateral.loans import store as loans
from core.db.pool import Connection
from core.telemetry.gaps import store as gaps

if TYPE_CHECKING:
    from fastapi import Request

    from api.auth import Asker

MOST = 200
GAPS = 50
STAYS_BACK = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for a tab."""

    request: Request
    conn: Connection
    asker: Asker
    services: Services
    now: datetime
    vehicle_id: str

    def looking(self) -> Viewing:
        """Return the pen for the view log, with the purpose shown in the page's head."""
        purpose = purpose_of(self.request, self.asker)
        return Viewing(self.conn, self.asker.actor, purpose, address_of(self.request))


Show = Callable[[Asked], dict[str, Any]]


def of(asker: Asker) -> dict[str, Show]:
    """Return the tabs for an asker, in order."""
    return {name: show for name, (operation, show) in TABS.items() if asker.may(operation)}


def _timeline(asked: Asked) -> dict[str, Any]:
    rows = board.findings(
        asked.conn, asked.asker.org_ids, vehicle_id=asked.vehicle_id, rule=None, start=None, end=None,
        before=None, limit=MOST,
    )  # fmt: skip
    return {"findings": sorted(rows, key=lambda row: row.event_time, reverse=True)}


def _playback(asked: Asked) -> dict[str, Any]:
    # The module reads the track through the API, which logs it.
    return {}


def _stays(asked: Asked) -> dict[str, Any]:
    start = asked.now - STAYS_BACK
    asked.looking().log("stays", [asked.vehicle_id], start=start, end=asked.now)
    rows = board.stays(asked.conn, asked.vehicle_id, start=start, end=asked.now, before=None, limit=MOST)
    return {"stays": rows}


def _alerts(asked: Asked) -> dict[str, Any]:
    return {
        "alerts": [
            {**{name: getattr(row, name) for name in _ALERT}, "id": row.alert_id}
            for row in alerts.list_alerts(
                asked.conn, org_ids=asked.asker.org_ids, vehicle_id=asked.vehicle_id, limit=MOST
            )
        ]
    }


_ALERT = ("severity", "rule", "condition", "work_state", "count", "first_seen", "last_seen")


def _loan(asked: Asked) -> dict[str, Any]:
    return {
        "loans": loans.list_loans(asked.conn, asked.asker.org_ids, vehicle_id=asked.vehicle_id, limit=MOST)
    }


def _devices(asked: Asked) -> dict[str, Any]:
    rows = devices.devices(
        asked.conn, asked.asker.org_ids, vehicle_id=asked.vehicle_id, device_id=None, after=None, limit=MOST
    )
    holes = {row.device_id: gaps.gaps(asked.conn, device_id=row.device_id, limit=GAPS) for row in rows}
    boots = {row.device_id: gaps.boots(asked.conn, row.device_id, limit=1) for row in rows}
    return {
        "devices": rows,
        "gaps": [gap for row in rows for gap in holes[row.device_id]],
        "disordered": [name for name, newest in boots.items() if newest and not newest[0].ordered],
        **command_pages.panel(asked.conn, asked.asker, asked.vehicle_id),
    }


def _audit(asked: Asked) -> dict[str, Any]:
    rows = access.page(
        asked.conn, visible_to=asked.asker.org_ids, vehicle_id=asked.vehicle_id,
        vehicle_org=board.org_of(asked.conn, asked.vehicle_id), actor=None, before=None, limit=MOST,
    )  # fmt: skip
    return {"views": rows}


TABS: dict[str, tuple[str, Show]] = {
    "timeline": ("get_vehicle", _timeline),
    "playback": ("get_track", _playback),
    "stays": ("list_stays", _stays),
    "alerts": ("list_alerts", _alerts),
    "loan": ("list_loans", _loan),
    "value": ("get_valuation", value_tab.facts),
    "devices": ("list_devices", _devices),
    "audit": ("list_audit", _audit),
}
"""Name, the operation whose rule guards it (api/roles.py), and what it reads."""
