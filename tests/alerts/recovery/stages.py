"""Cases in every state of a recovery, reached through the actions themselves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from alerts import store as alerts
from alerts.cases import actions, store
from alerts.cases.store import CaseFile
from alerts.intake import take_findings
from alerts.recovery import grounds, intake, moves, photos
from alerts.recovery.domain import Ground, Intake, Yard
from alerts.recovery.store import yards
from collateral.contacts.hours import ContactHours
from core.db.pool import Connection
from tests.alerts.findings_builder import START, FixedClock, finding, pledged_vehicle, write
from tests.alerts.recovery.pictures import JPEG

HOURS = ContactHours(timezone="Asia/Shanghai")
ARRIVED = Intake("yard-1", 61_234.5, 2, registration_certificate=True, condition_note="左前门有划痕",
                 no_belongings=True, handed_by="张队", received_by="李库管")  # fmt: skip


@dataclass
class Story:
    """One case on one vehicle, moved on by named people."""

    conn: Connection
    case_id: UUID

    @property
    def case(self) -> CaseFile:
        return store.get_case(self.conn, self.case_id)

    @property
    def custody(self) -> str:
        row = self.conn.execute(
            "SELECT custody FROM vehicle WHERE vehicle_id = %s", (self.case.vehicle_id,)
        ).fetchone()
        assert row is not None
        return row[0]

    def loan(self, **changes: object) -> None:
        for column, value in changes.items():
            self.conn.execute(
                f"UPDATE loan SET {column} = %s WHERE vehicle_id = %s", (value, self.case.vehicle_id)
            )

    def ground(self, kind: str = "court_order", by: str = "user:li") -> Ground:
        return grounds.record_ground(
            self.conn, self.case_id, by, kind=kind, reference="(2026)皖01执88号", dated=date(2026, 11, 2)
        )

    def locate(self) -> None:
        moves.locate(self.conn, self.case_id, "user:li")

    def dispatch(self, **visit: Any) -> CaseFile:
        return moves.dispatch(
            self.conn,
            self.case_id,
            "user:li",
            moves.Visit("张队", **visit),
            HOURS,
        )

    def fail(self, failure: str = "not_found", note: str = "") -> CaseFile:
        return moves.fail_visit(self.conn, self.case_id, "user:li", failure, note)

    def recover(self) -> CaseFile:
        return moves.recover(self.conn, self.case_id, "user:li", odometer_km=61_230, place="城东二押点")

    def prepare_yard(self) -> None:
        photos.add_photo(self.conn, self.case_id, "user:li", "front", JPEG, timezone="UTC")
        intake.record_intake(self.conn, self.case_id, "user:li", ARRIVED)

    def enter_yard(self) -> CaseFile:
        return moves.enter_yard(self.conn, self.case_id, "user:li")

    def release(self, kind: str = "redeemed") -> CaseFile:
        return moves.release(self.conn, self.case_id, "user:li", kind=kind, reason="本息结清")

    def close(self) -> CaseFile:
        return actions.close(self.conn, self.case_id, "user:li", "done")

    def reach(self, state: str) -> Story:
        """Go on until the case is in a state."""
        path = {
            "new": (), "closed": ("close",), "locating": ("ground", "locate"),
            "dispatched": ("ground", "locate", "dispatch"),
            "recovered": ("ground", "locate", "dispatch", "recover"),
            "in_yard": ("ground", "locate", "dispatch", "recover", "prepare_yard", "enter_yard"),
            "released": ("ground", "locate", "dispatch", "recover", "release"),
        }[state]  # fmt: skip
        for step in path:
            getattr(self, step)()
        assert self.case.state == state
        return self


def story(
    conn: Connection, vehicle_id: str = "V1", *, days_past_due: int = 40, status: str = "overdue"
) -> Story:
    """A new case of a vehicle with an overdue loan, and a yard to bring it to."""
    pledged_vehicle(conn, vehicle_id, days_past_due=days_past_due, status=status)
    write(conn, finding("raise", 0, vehicle_id=vehicle_id))
    take_findings(conn, FixedClock(START), ())
    yards.save_yard(conn, Yard("yard-1", "城北车库", "head", 30.25, 117.95, "城北路 1 号"))
    alert = next(one for one in alerts.list_alerts(conn) if one.vehicle_id == vehicle_id)
    return Story(conn, actions.open_case(conn, alert.alert_id, "user:li").case_id)
