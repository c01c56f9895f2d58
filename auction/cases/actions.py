"""What is done with a disposal case: opened, given a basis and appraisals, sold, redeemed, closed."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from auction.bidders import exclusions
from auction.cases import store
from auction.cases.domain import EDGES, LIVE, BasisKind, CaseState, DisposalCase, NewAppraisal
from auction.lots.store import get_lot
from core.domain.money import check_currency
from core.errors import Conflict, NotFound, Rejected
from core.events.store import emit
from core.policy.pack import load_pack

if TYPE_CHECKING:
    from auction.cases.domain import Appraisal
    from core.db.pool import Connection
    from core.policy.pack import Pack

LARGEST_MINOR = 10**14
SYSTEM = "system:recovery"
GIVEN_UP = frozenset({"withdrawn", "unsold"})
_LEASES = frozenset({"lease_back", "direct_lease"})
_IN_CUSTODY = frozenset({"lender_yard", "recovered"})


def open_for_yard(
    conn: Connection,
    *,
    recovery_case_id: UUID,
    vehicle_id: str,
    org_id: str,
    repossessed_at: datetime | None,
    pack: Pack,
) -> DisposalCase:
    """Open the case of a vehicle that a recovery brought into the yard; again returns the same case."""
    known = store.case_of_recovery(conn, recovery_case_id)
    if known is not None:
        return known
    opened = _insert(
        conn,
        vehicle_id,
        org_id,
        pack,
        SYSTEM,
        recovery_case_id=recovery_case_id,
        repossessed_at=repossessed_at,
    )
    if opened is not None:
        return opened
    # Somebody opened one by hand, or the event is being handled twice at this moment.
    live = store.live_case_of_vehicle(conn, vehicle_id)
    if live is not None and live.recovery_case_id is None:
        store.link_recovery(conn, live.case_id, recovery_case_id, repossessed_at)
    found = store.case_of_recovery(conn, recovery_case_id)
    if found is None:
        raise Conflict(
            f"Expected no other live disposal case of vehicle {vehicle_id}, there is one", code="case_exists"
        )
    return found


def open_by_staff(conn: Connection, vehicle_id: str, pack: Pack, actor: str) -> DisposalCase:
    """Open a case by hand, for a vehicle that the lender holds.

    Raises:
        NotFound: no such vehicle.
        Conflict: it is not in the lender's custody, or is being sold already.
    """
    vehicle = store.vehicle_custody(conn, vehicle_id)
    if vehicle is None:
        raise NotFound(f"Vehicle {vehicle_id}: not registered", code="vehicle_not_found")
    custody, org_id = vehicle
    if custody not in _IN_CUSTODY:
        raise Conflict(
            f"Expected a vehicle in the lender's custody ({', '.join(sorted(_IN_CUSTODY))}), was {custody}",
            code="not_in_custody",
        )
    opened = _insert(conn, vehicle_id, org_id, pack, actor)
    if opened is None:
        raise Conflict(
            f"Expected no live disposal case of vehicle {vehicle_id}, there is one", code="case_exists"
        )
    return opened


def set_basis(
    conn: Connection, case_id: UUID, kind: str, reference: str, dated: date | None, actor: str
) -> DisposalCase:
    """Say why the lender may sell.

    Raises:
        Rejected: an unknown kind, no reference, a date to come, a lease basis for a pledge, or an agreement
            made before the default (流押: such a one gives the lender nothing).
        Conflict: a lot of the case has been published.
    """
    case = _live(conn, case_id)
    if case.state != CaseState.OPEN:
        raise Conflict(f"Expected an open case, was {case.state}", code="basis_frozen")
    if kind not in set(BasisKind):
        raise Rejected(f"Basis: expected one of {', '.join(BasisKind)}, was {kind!r}", code="bad_basis")
    if not reference.strip():
        raise Rejected(
            "Basis: expected the reference of a document, was empty", code="basis_without_reference"
        )
    today = store.today(conn, load_pack(case.pack, case.pack_version).zone)
    if dated is not None and dated > today:
        raise Rejected(f"Basis: expected a date until {today}, was {dated}", code="basis_in_future")
    _check_against_loan(conn, case, kind, dated)
    store.set_basis(conn, case_id, kind, reference.strip(), dated, actor)
    return store.get_case(conn, case_id)


def add_appraisal(conn: Connection, case_id: UUID, appraisal: NewAppraisal, actor: str) -> Appraisal:
    """Append an appraisal; the newest counts. Whoever appraised may not bid on the vehicle.

    Raises:
        Rejected: amounts, method or dates that cannot be.
        Conflict: the case is over or sold.
    """
    case = _live(conn, case_id)
    if case.state == CaseState.SOLD:
        raise Conflict("Expected a case that is not sold, was sold", code="case_sold")
    check_currency(appraisal.currency)
    loan = store.loan_facts(conn, case.loan_id) if case.loan_id else None
    if loan is not None and loan.currency != appraisal.currency:
        raise Rejected(
            f"Appraisal: expected the loan's currency {loan.currency}, was {appraisal.currency}",
            code="currency_mismatch",
        )
    _check_appraisal(appraisal)
    pack = load_pack(case.pack, case.pack_version)
    today = store.today(conn, pack.zone)
    oldest = today - timedelta(days=pack.appraisal_max_age_days)
    if not oldest <= appraisal.valued_on <= today:
        raise Rejected(
            f"Appraisal: expected valued_on from {oldest} to {today}, was {appraisal.valued_on}",
            code="appraisal_stale" if appraisal.valued_on < oldest else "appraisal_in_future",
        )
    written = store.insert_appraisal(conn, case_id, appraisal, actor)
    store.stamp(conn, case_id, "valued_at")
    exclusions.exclude_appraiser(conn, case_id, appraisal.appraiser, actor)
    return written


def move(conn: Connection, case_id: UUID, to: CaseState) -> DisposalCase:
    """Take a case along an edge and note when; to the state it has already is nothing.

    Raises:
        Conflict: there is no such edge.
    """
    case = store.get_case(conn, case_id, lock=True)
    if case.state == to:
        return case
    if (CaseState(case.state), to) not in EDGES:
        raise Conflict(
            f"Disposal case: expected a way from {case.state} to {to}, there is none", code="bad_edge"
        )
    store.set_state(conn, case_id, to)
    stage = {
        CaseState.SELLING: "published_at",
        CaseState.SOLD: "hammer_at",
        CaseState.CLOSED: "closed_at",
    }.get(to)
    if stage is not None:
        store.stamp(conn, case_id, stage)
    return store.get_case(conn, case_id)


def reopen(conn: Connection, case_id: UUID) -> None:
    """A lot ended without a sale: the case may try again. One that never was published changes nothing."""
    if store.get_case(conn, case_id, lock=True).state == CaseState.SELLING:
        move(conn, case_id, CaseState.OPEN)


def redeem(
    conn: Connection,
    reason: str,
    actor: str,
    *,
    recovery_case_id: UUID | None = None,
    case_id: UUID | None = None,
) -> DisposalCase | None:
    """Give the vehicle back: withdraw what is on sale, void every hold, close the case as redeemed.

    Redemption beats the hammer until the hammer commits; the lot's row lock decides which came first.
    Returns None when the recovery never came to a disposal case; redeeming twice is nothing.

    Raises:
        Conflict: the vehicle is sold (``already_hammered``), or the case is closed.
    """
    from auction.lots import actions as lots  # noqa: PLC0415 - lots know cases; only this way back is late

    if case_id is None:
        if recovery_case_id is None:
            raise Rejected("Redemption: expected a case, was none", code="case_missing")
        found = store.case_of_recovery(conn, recovery_case_id)
        if found is None:
            return None
        case_id = found.case_id
    # The lots first: every way to a sale locks the lot before the case.
    for lot_id, _ in store.live_lots(conn, case_id):
        if get_lot(conn, lot_id, lock=True).state not in GIVEN_UP:  # somebody redeemed it while we waited
            lots.redeem(conn, lot_id, actor)
    case = store.get_case(conn, case_id, lock=True)
    if case.state == CaseState.REDEEMED:
        return case
    if case.state == CaseState.SOLD:
        raise Conflict("Expected a vehicle that is not sold, the hammer came first", code="already_hammered")
    if case.state not in LIVE:
        raise Conflict(f"Expected a live disposal case, was {case.state}", code="case_closed")
    if store.live_lots(conn, case_id):
        raise Conflict(
            "Expected no lot on sale, one was drafted at this moment: try again", code="lot_appeared"
        )
    store.set_state(conn, case_id, CaseState.REDEEMED)
    store.stamp(conn, case_id, "closed_at")
    emit(
        conn,
        "disposal.redeemed",
        str(case_id),
        {"vehicle_id": case.vehicle_id, "reason": reason.strip(), "actor": actor},
    )
    return store.get_case(conn, case_id)


def _insert(
    conn: Connection,
    vehicle_id: str,
    org_id: str,
    pack: Pack,
    actor: str,
    *,
    recovery_case_id: UUID | None = None,
    repossessed_at: datetime | None = None,
) -> DisposalCase | None:
    loan = store.loan_of_vehicle(conn, vehicle_id)
    return store.insert_case(
        conn,
        vehicle_id=vehicle_id,
        org_id=org_id,
        loan_id=loan.loan_id if loan else None,
        pack=pack.name,
        pack_version=pack.version,
        opened_by=actor,
        recovery_case_id=recovery_case_id,
        repossessed_at=repossessed_at,
    )


def _live(conn: Connection, case_id: UUID) -> DisposalCase:
    case = store.get_case(conn, case_id, lock=True)
    if case.state not in LIVE:
        raise Conflict(f"Expected a live disposal case, was {case.state}", code="case_closed")
    return case


def _check_against_loan(conn: Connection, case: DisposalCase, kind: str, dated: date | None) -> None:
    loan = store.loan_facts(conn, case.loan_id) if case.loan_id else None
    if kind == BasisKind.LEASE_RECOVERY and (loan is None or loan.collateral_form not in _LEASES):
        raise Rejected(
            f"Basis lease_recovery: expected a lease, was {loan.collateral_form if loan else 'no loan'}",
            code="basis_needs_lease",
        )
    if kind == BasisKind.AGREEMENT_AFTER_DEFAULT:
        if dated is None:
            raise Rejected("Basis agreement_after_default: expected its date, was none", code="basis_undated")
        if loan is not None and loan.days_past_due > 0:
            zone = load_pack(case.pack, case.pack_version)
            default_on = zone.day_of(loan.snapshot_at) - timedelta(days=loan.days_past_due)
            if dated < default_on:
                raise Rejected(
                    f"Basis: expected an agreement made from {default_on}, the day of default, was {dated}",
                    code="agreement_before_default",
                )


def _check_appraisal(appraisal: NewAppraisal) -> None:
    low_minor, high_minor = appraisal.low_minor, appraisal.high_minor
    if not 0 < appraisal.value_minor <= LARGEST_MINOR:
        raise Rejected(
            f"Appraisal: expected an amount from 1 to {LARGEST_MINOR}, was {appraisal.value_minor}",
            code="bad_amount",
        )
    if (low_minor is not None and not 0 < low_minor <= appraisal.value_minor) or (
        high_minor is not None and high_minor < appraisal.value_minor
    ):
        raise Rejected("Appraisal: expected low <= value <= high, was not", code="bad_interval")
    if appraisal.method not in {"model", "manual"}:
        raise Rejected(
            f"Appraisal: expected method model or manual, was {appraisal.method!r}", code="bad_method"
        )
    if appraisal.method == "model" and appraisal.estimate_id is None:
        raise Rejected("Appraisal by model: expected the estimate's id, was none", code="estimate_missing")
    if not appraisal.appraiser.strip():
        raise Rejected("Appraisal: expected who appraised, was empty", code="appraiser_missing")
