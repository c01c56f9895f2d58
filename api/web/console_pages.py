"""The desk of disposal: cases on their way to a new owner, and what waits for a second person."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from api.board import store as board
from api.board.models import VehicleOut
from api.deps import Conn, Services, Who, Wired
from api.resources.approvals import ApprovalOut
from api.resources.bidders import BidderOut
from api.resources.disposal_cases import detail, visible_case
from api.resources.registrations import seen_by_staff
from api.sale.settlement_models import WaterfallOut, settlement_out
from api.web.render import locale_of, render
from auction.approvals import store as approvals
from auction.bidders import store as bidders
from auction.cases import store
from auction.cases.domain import LIVE
from auction.lots import store as lots
from auction.settlement import actions as settlement_actions
from auction.settlement import store as settlements
from auction.transitions import edges
from collateral.staff.persons import same_person
from core.policy.pack import load_pack
from valuation.estimates import store as estimates

if TYPE_CHECKING:
    from api.auth import Asker
    from auction.cases.domain import DisposalCase
    from auction.domain import Lot
    from core.db.pool import Connection

router = APIRouter(include_in_schema=False)

MOST = 200
STAGES = ("basis", "appraisal", "draft", "review", "sale", "settlement", "title", "handover", "closed")
"""What a case waits for, in order; the page shows them as a line and the list by them."""
OF_LOT = {
    "draft": "draft", "review": "review", "published": "sale", "open": "sale", "suspended": "sale",
    "hammered": "settlement", "paid": "title", "transferred": "handover", "handed_over": "closed",
    "closed": "closed",
}  # fmt: skip
STAFF_EVENTS = ("submit", "publish", "send_back", "suspend", "resume", "withdraw")


@router.get("/console")
def console_page(request: Request, conn: Conn, asker: Who, services: Wired) -> HTMLResponse:
    """Show the live cases by what they wait for, and the questions that wait for somebody."""
    cases = store.list_cases(conn, org_ids=asker.org_ids, limit=MOST)
    plates = board.plates(conn, {case.vehicle_id for case in cases})
    newest = {case.case_id: _newest(lots.lots_of_case(conn, case.case_id)) for case in cases}
    rows: list[dict[str, Any]] = [
        {
            "case": case, "plate": plates.get(case.vehicle_id, case.vehicle_id),
            "lot": newest[case.case_id], "stage": stage_of(conn, case, newest[case.case_id]),
        }
        for case in cases
    ]  # fmt: skip
    return render(
        request, services, asker, "console.html", rows=rows, stages=STAGES,
        live=[row for row in rows if row["case"].state in LIVE],
        over=[row for row in rows if row["case"].state not in LIVE],
        approvals=_waiting(conn, asker), bidders=_bidders(conn),
    )  # fmt: skip


@router.get("/console/cases/{case_id}")
def console_case_page(
    request: Request, conn: Conn, asker: Who, services: Wired, case_id: UUID
) -> HTMLResponse:
    """Show one case with the next step open, and everything before it on record."""
    case = visible_case(conn, asker, case_id)
    rows = lots.lots_of_case(conn, case_id)
    lot = _newest(rows)
    settlement = settlements.settlement_of_lot(conn, lot.lot_id) if lot else None
    vehicles = board.vehicles(conn, asker.org_ids, vehicle_ids=[case.vehicle_id], limit=1)
    pack = load_pack(case.pack, case.pack_version)
    locale = "en" if locale_of(request, services.settings) == "en" else "zh-CN"
    return render(
        request, services, asker, "console_case.html", case=case, pack=pack, words=pack.words[locale],
        facts=detail(conn, case, services), vehicle=VehicleOut.of(vehicles[0]) if vehicles else None,
        lot=lot, earlier=rows[:-1], stage=stage_of(conn, case, lot), stages=STAGES,
        events=[event for event in STAFF_EVENTS if lot and edges(lot.state, event)],
        registrations=_registrations(conn, lot) if lot else [],
        estimate=estimates.newest_estimate(conn, case.vehicle_id),
        settlement=settlement_out(conn, settlement) if settlement else None,
        division=WaterfallOut.of(settlement, settlement_actions.waterfall(conn, settlement.settlement_id))
        if settlement
        else None,
        approvals=_of_case(conn, asker, case, lot, settlement.settlement_id if settlement else None),
        proposal=_proposal(services, case),
    )  # fmt: skip


def stage_of(conn: Connection, case: DisposalCase, lot: Lot | None) -> str:
    """Return what a case waits for."""
    if case.state in {"closed", "redeemed", "reversed"}:
        return "closed"
    if lot is not None and lot.state in OF_LOT:
        return OF_LOT[lot.state]
    if case.basis_kind is None:
        return "basis"
    return "draft" if store.newest_appraisal(conn, case.case_id) else "appraisal"


def _newest(rows: list[Lot]) -> Lot | None:
    return rows[-1] if rows else None


def _waiting(conn: Connection, asker: Asker) -> list[dict[str, Any]]:
    found = approvals.list_approvals(conn, org_ids=asker.org_ids, waiting=True, limit=MOST)
    return [{"it": ApprovalOut.of(row), "own": same_person(asker.actor, row.asked_by)} for row in found]


def _of_case(
    conn: Connection, asker: Asker, case: DisposalCase, lot: Lot | None, settlement_id: UUID | None
) -> list[dict[str, Any]]:
    """Return the questions of the branch that are about this case."""
    about = {str(case.case_id)} | ({str(lot.lot_id)} if lot else set())
    if settlement_id is not None:
        about.add(str(settlement_id))

    def belongs(it: ApprovalOut) -> bool:
        return it.subject_id.partition(":")[0] in about or str(it.facts.get("case_id")) in about

    return [row for row in _waiting(conn, asker) if belongs(row["it"])]


def _bidders(conn: Connection) -> list[BidderOut]:
    """Return bidders, those to be verified first, then the newest."""
    rows = sorted(
        bidders.list_bidders(conn, limit=MOST), key=lambda row: (row.kyc_state != "pending", -row.bidder_id)
    )
    return [BidderOut.of(conn, row) for row in rows]


def _registrations(conn: Connection, lot: Lot) -> list[Any]:
    return [seen_by_staff(conn, row, lot) for row in bidders.registrations_of_lot(conn, lot.lot_id)]


def _proposal(services: Services, case: DisposalCase) -> dict[str, Any]:
    """Return the soonest times that the pack allows, for the form of a new lot."""
    pack = load_pack(case.pack, case.pack_version)
    starts_at = services.database_time() + pack.announcement + timedelta(minutes=1)
    least = max(pack.min_duration, timedelta(minutes=5))
    return {"starts_at": starts_at, "ends_at": starts_at + least}
