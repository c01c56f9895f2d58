"""Disposal cases: from the yard to the draft of a sale. Without a basis nothing can be published."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from api.auth import Asker
from api.board.models import Money
from api.deps import Conn, IfMatch, Services, Who, Wired, check_version, etag
from api.idempotency.once import OnlyOnce
from api.paging import Cursor, Limit, Page, cut, decode
from api.resources.approvals import ApprovalOut
from api.sale import store as vehicles
from api.sale.case_models import (
    AppraisalIn,
    AppraisalOut,
    BasisIn,
    CaseState,
    CostIn,
    CostOut,
    DisposalCaseDetail,
    DisposalCaseIn,
    DisposalCaseOut,
    JuniorClaimIn,
    LenderClaimIn,
    RoundIn,
)
from api.sale.lots import lot_out, lots_out
from api.sale.models import LotOut, lot_etag
from auction.approvals import store as approvals
from auction.cases import actions, store
from auction.cases.domain import DisposalCase, NewAppraisal
from auction.domain import LotTerms
from auction.lots import actions as lots
from auction.lots import store as lot_store
from auction.settlement import costs
from auction.settlement import store as settlements
from auction.settlement.claims import actions as claims
from auction.settlement.claims import store as claim_store
from auction.settlement.domain import Cost, JuniorClaim, LenderClaim
from core.db.pool import Connection
from core.domain.money import Money as DomainMoney
from core.errors import Conflict, Rejected
from core.policy.pack import load_pack
from valuation.estimates import store as estimates

router = APIRouter(prefix="/disposal-cases", tags=["disposal"])


@router.get("")
def list_disposal_cases(
    conn: Conn,
    asker: Who,
    state: Annotated[list[CaseState] | None, Query(max_length=6)] = None,
    vehicle_id: Annotated[str | None, Query(max_length=64, pattern=r"^[^\x00]*$")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[DisposalCaseOut]:
    """List the disposal cases of your branches, newest first."""
    key = decode(cursor, int)
    rows = store.list_cases(
        conn, org_ids=asker.org_ids, states=list(state) if state else None, vehicle_id=vehicle_id,
        before_number=int(key[0]) if key else None, limit=limit + 1,
    )  # fmt: skip
    shown, following = cut(rows, limit, lambda case: (case.number,))
    return Page(items=list(map(DisposalCaseOut.of, shown)), next=following)


@router.post("", status_code=201)
def open_disposal_case(
    body: DisposalCaseIn, response: Response, conn: Conn, asker: Who, services: Wired, once: OnlyOnce
) -> DisposalCaseOut:
    """Open a case for a vehicle that the lender holds; a recovery that ends in the yard opens its own."""
    asker.require_org(vehicles.org_of_vehicle(conn, body.vehicle_id), f"a vehicle with id {body.vehicle_id}")

    def make() -> DisposalCaseOut:
        pack = load_pack(services.settings.policy_pack)
        return DisposalCaseOut.of(actions.open_by_staff(conn, body.vehicle_id, pack, asker.actor))

    opened = once(DisposalCaseOut, make)
    response.headers["Location"] = f"/api/v1/disposal-cases/{opened.id}"
    return opened


@router.get("/{case_id}")
def get_disposal_case(
    case_id: UUID, response: Response, conn: Conn, asker: Who, services: Wired
) -> DisposalCaseDetail:
    """Return a case with all that hangs on it."""
    case = visible_case(conn, asker, case_id)
    response.headers["ETag"] = etag(case.version)
    return detail(conn, case, services)


@router.put("/{case_id}/basis")
def set_basis(
    case_id: UUID,
    body: BasisIn,
    response: Response,
    conn: Conn,
    asker: Who,
    services: Wired,
    if_match: IfMatch = None,
) -> DisposalCaseDetail:
    """Say why the lender may sell. With If-Match, only if nobody changed the case meanwhile."""
    locked_case(conn, asker, case_id, if_match)
    case = actions.set_basis(conn, case_id, body.kind, body.reference, body.dated, asker.actor)
    response.headers["ETag"] = etag(case.version)
    return detail(conn, case, services)


@router.put("/{case_id}/appraisal")
def set_appraisal(
    case_id: UUID,
    body: AppraisalIn,
    response: Response,
    conn: Conn,
    asker: Who,
    services: Wired,
    if_match: IfMatch = None,
) -> DisposalCaseDetail:
    """Add an appraisal; the newest counts, those before it stay on record."""
    case = locked_case(conn, asker, case_id, if_match)
    actions.add_appraisal(conn, case_id, new_appraisal(conn, case, body), asker.actor)
    case = store.get_case(conn, case_id)
    response.headers["ETag"] = etag(case.version)
    return detail(conn, case, services)


@router.post("/{case_id}/rounds", status_code=201)
def draft_lot(
    case_id: UUID,
    body: RoundIn,
    response: Response,
    conn: Conn,
    asker: Who,
    services: Wired,
    once: OnlyOnce,
) -> LotOut:
    """Draft the lot of a round; somebody else publishes it."""
    visible_case(conn, asker, case_id)

    def make() -> LotOut:
        terms = LotTerms(
            title=body.title, start_minor=body.start_minor, starts_at=body.starts_at, ends_at=body.ends_at,
            description=body.description, defects=body.defects, reserve_minor=body.reserve_minor,
            deposit_minor=body.deposit_minor, round_no=body.round,
        )  # fmt: skip
        lot = lots.draft(conn, case_id, terms, asker.actor)
        response.headers["ETag"] = lot_etag(lot)
        return lot_out(conn, lot, services.database_time())

    drafted = once(LotOut, make)
    response.headers["Location"] = f"/api/v1/lots/{drafted.id}"
    return drafted


@router.post(
    "/{case_id}/costs",
    status_code=201,
    responses={202: {"model": CostOut, "description": "Above the cap: a second person has to agree."}},
)
def add_cost(
    case_id: UUID, body: CostIn, response: Response, conn: Conn, asker: Who, once: OnlyOnce
) -> CostOut:
    """Record a cost with its receipt; one that passes the cap of its kind waits for a second person."""
    visible_case(conn, asker, case_id)

    def make() -> CostOut:
        amount = DomainMoney(body.amount.amount_minor, body.amount.currency)
        return cost_out(conn, costs.add_cost(conn, case_id, body.kind, amount, body.receipt, asker.actor))

    made = once(CostOut, make)
    if made.state == "waiting":
        response.status_code = 202
    return made


@router.put("/{case_id}/lender-claim", status_code=204)
def set_lender_claim(case_id: UUID, body: LenderClaimIn, conn: Conn, asker: Who) -> None:
    """Record what the lender claims by its statement; without one the loan's books count."""
    visible_case(conn, asker, case_id)
    claims.record_lender_claim(
        conn,
        case_id,
        LenderClaim(
            received_minor=body.received_minor, principal_minor=body.principal_minor,
            interest_minor=body.interest_minor, accrues_from=body.accrues_from, currency=body.currency,
            reference=body.reference,
        ),
        asker.actor,
    )  # fmt: skip


@router.post("/{case_id}/junior-claims", status_code=204)
def add_junior_claim(case_id: UUID, body: JuniorClaimIn, conn: Conn, asker: Who) -> None:
    """Record a later-ranked claim on the vehicle, which comes before the pledgor."""
    visible_case(conn, asker, case_id)
    claims.record_junior_claim(
        conn,
        case_id,
        JuniorClaim(
            rank=body.rank, claimant=body.claimant, amount_minor=body.amount.amount_minor,
            currency=body.amount.currency, reference=body.reference,
        ),
        asker.actor,
    )  # fmt: skip


def visible_case(conn: Connection, asker: Asker, case_id: UUID) -> DisposalCase:
    """Return a case of the asker's branches.

    Raises:
        NotFound: there is none, or it belongs to another branch.
    """
    case = store.get_case(conn, case_id)
    asker.require_org(case.org_id, f"a disposal case with id {case_id}")
    return case


def locked_case(conn: Connection, asker: Asker, case_id: UUID, if_match: str | None) -> DisposalCase:
    """Return a visible case with its row held; with If-Match, only the version that was read."""
    visible_case(conn, asker, case_id)
    case = store.get_case(conn, case_id, lock=True)
    if if_match is not None:
        check_version(if_match, case.version)
    return case


def new_appraisal(conn: Connection, case: DisposalCase, body: AppraisalIn) -> NewAppraisal:
    """Return what is to be recorded: an estimate of this very vehicle, or the appraiser's word.

    Raises:
        Conflict: the estimate is of another vehicle, or has no figure.
        Rejected: amounts in different currencies.
    """
    if body.estimate_id is not None:
        estimate = estimates.get_estimate(conn, body.estimate_id)
        if estimate.vehicle_id != case.vehicle_id:
            raise Conflict("Expected an estimate of this vehicle, was of another", code="estimate_of_another")
        if estimate.estimate_minor is None:
            raise Conflict(
                f"Expected an estimate with a figure, was {estimate.status}", code="estimate_without_value"
            )
        return NewAppraisal(
            value_minor=estimate.estimate_minor, currency=estimate.currency, method="model",
            appraiser=f"model {estimate.model_version}", valued_on=estimate.as_of,
            low_minor=estimate.low_minor, high_minor=estimate.high_minor, estimate_id=body.estimate_id,
            reference=body.reference,
        )  # fmt: skip
    assert body.value is not None  # noqa: S101 - the model has checked it
    assert body.appraiser is not None  # noqa: S101
    assert body.valued_on is not None  # noqa: S101
    if any(part is not None and part.currency != body.value.currency for part in (body.low, body.high)):
        raise Rejected("Appraisal: expected one currency, were several", code="currency_mismatch")
    return NewAppraisal(
        value_minor=body.value.amount_minor, currency=body.value.currency, method="manual",
        appraiser=body.appraiser, valued_on=body.valued_on,
        low_minor=body.low.amount_minor if body.low else None,
        high_minor=body.high.amount_minor if body.high else None, reference=body.reference,
    )  # fmt: skip


def cost_out(conn: Connection, cost: Cost) -> CostOut:
    """Build from the domain's cost, with the question that it waits for."""
    asked = approvals.list_approvals(
        conn, waiting=True, subject="cost", subject_id=str(cost.cost_id), limit=1
    )
    return CostOut(
        id=cost.cost_id, kind=cost.kind, amount=Money(amount_minor=cost.amount_minor, currency=cost.currency),
        receipt=cost.receipt, state=cost.state, recorded_by=cost.recorded_by, recorded_at=cost.recorded_at,
        approval=ApprovalOut.of(asked[0]) if asked else None,
    )  # fmt: skip


def detail(conn: Connection, case: DisposalCase, services: Services) -> DisposalCaseDetail:
    """Return a case with all that hangs on it."""
    found = store.list_appraisals(conn, case.case_id)
    newest = found[0] if found else None
    rows = lot_store.lots_of_case(conn, case.case_id)
    pack = load_pack(case.pack, case.pack_version)
    settled = (settlements.settlement_of_lot(conn, lot.lot_id) for lot in rows)
    return DisposalCaseDetail(
        **DisposalCaseOut.of(case).model_dump(),
        appraisal=AppraisalOut.of(newest) if newest else None,
        appraisals=list(map(AppraisalOut.of, found)),
        floor=Money(amount_minor=pack.floor_minor(newest.value_minor), currency=newest.currency)
        if newest
        else None,
        costs=[cost_out(conn, cost) for cost in claim_store.costs_of(conn, case.case_id)],
        lots=lots_out(conn, rows, services.database_time()),
        settlement_ids=[settlement.settlement_id for settlement in settled if settlement is not None],
    )
