"""A recovery over HTTP: a case in the town, moved on by its roles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from collateral.staff.access import create_token
from tests.alerts.recovery.pictures import JPEG
from tests.fix_api import Served

API = "/api/v1"
YARD = {"name": "城北车库", "lat": 30.25, "lon": 117.95, "address": "城北路 1 号"}
INTAKE = {
    "yard_id": "north", "odometer_km": 61_234.5, "keys_count": 2, "registration_certificate": True,
    "condition_note": "左前门有划痕", "no_belongings": True, "handed_by": "张队", "received_by": "李库管",
}  # fmt: skip
ORDER = {"kind": "court_order", "reference": "(2026)皖01执88号", "dated": "2026-11-02"}


@dataclass
class Recovery:
    """A case and who works on it."""

    served: Served
    case_id: str
    staff: httpx.Client

    @property
    def path(self) -> str:
        return f"{API}/cases/{self.case_id}"

    @property
    def state(self) -> str:
        return self.staff.get(self.path).json()["state"]

    def post(
        self, what: str, body: dict[str, Any] | None = None, by: httpx.Client | None = None
    ) -> httpx.Response:
        return (by or self.staff).post(f"{self.path}/{what}", json=body or {})

    def move(self, to: str, by: httpx.Client | None = None, **more: Any) -> httpx.Response:
        return self.post("transitions", {"to": to} | more, by)

    def photo(
        self, data: bytes = JPEG, name: str = "a.jpg", kind: str = "front", by: httpx.Client | None = None
    ) -> httpx.Response:
        return (by or self.staff).post(
            f"{self.path}/photos", files={"file": (name, data, "image/jpeg")}, data={"kind": kind}
        )

    def reach(self, state: str) -> Recovery:
        needs: dict[str, dict[str, Any]] = {
            "locating": {}, "dispatched": {"crew": "张队"}, "recovered": {"odometer_km": 61_230}, "in_yard": {},
        }  # fmt: skip
        path = ["new", *needs]
        for to in path[path.index(self.state) + 1 : path.index(state) + 1]:
            if to == "dispatched":
                assert self.post("grounds", ORDER).status_code == 201
            if to == "in_yard":
                assert self.photo().status_code in {200, 201}
                assert self.post("intake", INTAKE).status_code == 200
            moved = self.move(to, **needs[to])
            assert moved.status_code == 200, moved.text
        assert self.state == state
        return self

    def link(self, crew: str = "张队", hours: int = 12) -> dict[str, Any]:
        made = self.post("crew-links", {"crew": crew, "expires_in_hours": hours})
        assert made.status_code == 201, made.text
        return made.json()


def recovery(served: Served) -> Recovery:
    """A new case about V1, which is 34 days overdue; and a yard."""
    staff = served.as_("recovery")
    assert staff.put(f"{API}/yards/north", json=YARD).status_code == 200
    alert = staff.get(f"{API}/alerts", params={"severity": "P1"}).json()["items"][0]
    return Recovery(served, staff.post(f"{API}/cases", json={"alert_id": alert["id"]}).json()["id"], staff)


def partner(served: Served) -> httpx.Client:
    """A client of an outside recovery firm."""
    if "recovery_partner" not in served.town.tokens:
        with served.town.connect() as conn:
            served.town.tokens["recovery_partner"] = create_token(conn, "recovery_partner")
    return served.as_("recovery_partner")
