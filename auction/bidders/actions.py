"""Becoming a bidder, being verified, registering for a lot, being barred."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING
from uuid import UUID

from auction.bidders import exclusions, store
from auction.bidders.domain import CODE_LETTERS, Bidder, Exclusion, Registration
from auction.bidders.eligibility import refresh_eligibility
from auction.deposits import actions as deposits
from auction.lots import store as lots
from collateral.staff.persons import same_person
from core.errors import Conflict, Forbidden, PledgewatchError, Rejected
from core.policy.pack import load_pack

if TYPE_CHECKING:
    from auction.domain import Lot
    from core.db.pool import Connection

__all__ = ["bar", "bidder_of", "exclude", "refresh_eligibility", "register", "verify"]

BIDDABLE = frozenset({"published", "open", "suspended"})
_CODE_ATTEMPTS = 20


def bidder_of(conn: Connection, actor: str, display_name: str) -> Bidder:
    """Return the bidder that an actor is, made now if there was none.

    Raises:
        Forbidden: the actor works for the seller.
        Rejected: no name.
    """
    exclusions.check_not_staff(conn, actor)
    if not display_name.strip():
        raise Rejected("Bidder: expected a name, was empty", code="name_missing")
    return store.upsert_bidder(conn, actor, display_name.strip())


def verify(conn: Connection, bidder_id: int, reference: str, actor: str, *, passed: bool = True) -> Bidder:
    """Record that staff checked a bidder's identity, and against which record.

    Raises:
        Rejected: no reference.
        Forbidden: somebody verifies themselves.
        Conflict: whoever leads a lot is refused (``leading_bidder``, see `bar`).
    """
    bidder = store.get_bidder(conn, bidder_id)
    if same_person(actor, bidder.actor):
        raise Forbidden("Expected another person to verify a bidder, was the bidder", code="same_person")
    if not reference.strip():
        raise Rejected(
            "Verification: expected the reference of a record, was empty", code="reference_missing"
        )
    if not passed:
        for registration in store.live_registrations_of_bidder(conn, bidder_id):
            _refuse_leader(lots.get_lot(conn, registration.lot_id, lock=True), registration.registration_id)
    store.set_kyc(conn, bidder_id, "verified" if passed else "refused", reference.strip(), actor)
    for registration in store.live_registrations_of_bidder(conn, bidder_id):
        refresh_eligibility(conn, registration.registration_id)
    return store.get_bidder(conn, bidder_id)


def exclude(
    conn: Connection, bidder_id: int, reason: str, actor: str, *, case_id: UUID | None = None, note: str = ""
) -> Exclusion:
    """Exclude a bidder from a case or from every sale, and bar where they could still bid.

    Raises:
        Conflict: the bidder leads an open lot (see `bar`).
    """
    written = exclusions.exclude(conn, bidder_id, reason, actor, case_id=case_id, note=note)
    for registration in store.live_registrations_of_bidder(conn, bidder_id, case_id):
        bar(conn, registration.registration_id, f"excluded: {reason}", actor)
    return written


def register(conn: Connection, lot_id: UUID, bidder: Bidder, terms_version: str) -> Registration:
    """Register for a lot under a code that says nothing about who or when.

    Raises:
        Forbidden: an excluded party, or an identity that was refused.
        Conflict: registered already, or the lot takes nobody any more.
        Rejected: other terms than the lot's.
    """
    lot = lots.get_lot(conn, lot_id)
    if lot.state not in BIDDABLE:
        raise Conflict(f"Expected a lot that takes bidders, was {lot.state}", code="registration_closed")
    exclusions.check(conn, bidder, lot.case_id)
    if store.get_bidder(conn, bidder.bidder_id).kyc_state == "refused":
        raise Forbidden("Expected a verified identity, was refused", code="kyc_refused")
    terms = load_pack(lot.pack, lot.pack_version).terms_version
    if terms_version != terms:
        raise Rejected(
            f"Registration: expected the terms {terms}, was {terms_version!r}",
            code="terms_version",
            terms=terms,
        )
    for _ in range(_CODE_ATTEMPTS):
        code = "B-" + "".join(secrets.choice(CODE_LETTERS) for _ in range(4))
        made = store.insert_registration(conn, lot_id, bidder.bidder_id, code, terms_version)
        if made is not None:
            return refresh_eligibility(conn, made.registration_id)
        if store.registration_of(conn, lot_id, bidder.bidder_id) is not None:
            raise Conflict(
                "Expected a bidder who is not registered, was registered", code="already_registered"
            )
    raise PledgewatchError(
        f"Lot {lot_id}: expected a free bidder code, all tried are taken", code="codes_taken"
    )


def bar(conn: Connection, registration_id: UUID, reason: str, actor: str) -> Registration:
    """Take a registration out of the bidding and give its deposit back.

    Raises:
        Conflict: it leads (``leading_bidder``): withdraw the lot instead; or the lot is decided.
        Rejected: no reason.
    """
    if not reason.strip():
        raise Rejected("Bar: expected a reason, was empty", code="reason_missing")
    registration = store.get_registration(conn, registration_id)
    lot = lots.get_lot(conn, registration.lot_id, lock=True)  # nobody bids while we look
    if lot.state not in BIDDABLE:
        raise Conflict(f"Expected a lot that takes bids, was {lot.state}", code="lot_decided")
    registration = store.get_registration(conn, registration_id, lock=True)
    if registration.state == "barred":
        return registration
    _refuse_leader(lot, registration_id)
    store.set_state(conn, registration_id, "barred", reason=f"{reason.strip()} ({actor})")
    hold = deposits.hold_of(conn, registration_id)
    if hold is not None and hold.state == "pending":
        deposits.release(conn, hold, actor)
    return store.get_registration(conn, registration_id)


def _refuse_leader(lot: Lot, registration_id: UUID) -> None:
    if lot.leader_id == registration_id:
        raise Conflict(
            "Expected a bidder who does not lead, leads: withdraw the lot and sell it anew",
            code="leading_bidder",
        )
