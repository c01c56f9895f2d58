"""Doing, blocking and waiving steps of a title transfer, and handing the vehicle over."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from auction.approvals.asking import ask
from auction.cases import store as cases
from auction.lots import store as lots
from auction.settlement import release
from auction.settlement import store as settlements
from auction.settlement.advance import advance
from auction.title import store
from auction.title.store import TitleStep
from core.errors import Conflict, Forbidden, NotFound, Rejected
from core.policy.pack import load_pack

if TYPE_CHECKING:
    from auction.approvals.store import Approval
    from auction.domain import Lot
    from auction.settlement.domain import Settlement
    from core.db.pool import Connection

SETTLED = frozenset({"done", "waived"})
LARGEST_ODOMETER_KM = 3_000_000


def steps(conn: Connection, settlement_id: UUID) -> list[TitleStep]:
    """Return the checklist in order; empty until the price is paid.

    Raises:
        NotFound: no such settlement.
    """
    settlements.get_settlement(conn, settlement_id)
    return store.steps_of(conn, settlement_id)


def set_step(
    conn: Connection, settlement_id: UUID, step: str, state: str, evidence: str, actor: str
) -> TitleStep | Approval:
    """Write a step as todo, blocked (why) or done (evidence); `waived` asks a second person instead.

    With the last step done or waived the lot is transferred.

    Raises:
        Rejected: an unknown state, or no evidence.
        NotFound: no such step.
        Conflict: the lot is not between paid and transferred, an earlier step is missing, or a waived
            step is changed.
    """
    if state not in {"todo", "blocked", "done", "waived"}:
        raise Rejected(f"Step: expected todo, blocked, done or waived, was {state!r}", code="bad_step_state")
    evidence = evidence.strip()
    if state != "todo" and not evidence:
        raise Rejected(f"Step {step}: expected evidence or a reason, was empty", code="evidence_missing")
    lot, found = _open_step(conn, settlement_id, step)
    if state == "waived":
        return ask(
            conn, "title_step", f"{settlement_id}:{step}", "waive", {"step": step, "evidence": evidence},
            lot.org_id, actor, lifetime=load_pack(lot.pack, lot.pack_version).approval_expiry,
        )  # fmt: skip
    if state == "done":
        _check_needs(conn, settlement_id, step, lot)
    if (found.state, found.evidence) != (state, evidence):
        store.set_step(conn, settlement_id, step, state, evidence, actor)
    _transfer_when_complete(conn, settlement_id, lot)
    return _step(conn, settlement_id, step)


def waive(conn: Connection, settlement_id: UUID, step: str, evidence: str, actor: str) -> TitleStep:
    """Do without a step; only the second person's decision comes here."""
    lot, _ = _open_step(conn, settlement_id, step)
    store.set_step(conn, settlement_id, step, "waived", evidence, actor)
    _transfer_when_complete(conn, settlement_id, lot)
    return _step(conn, settlement_id, step)


def hand_over(
    conn: Connection, settlement_id: UUID, release_code: str, odometer_km: int, actor: str
) -> Settlement:
    """Give the vehicle to whoever has the release code, which is used up by it.

    Raises:
        Conflict: the title is not transferred, or the vehicle is handed over already.
        Forbidden: another code (``bad_release_code``).
        Rejected: an odometer that cannot be.
    """
    if type(odometer_km) is not int or not 0 <= odometer_km <= LARGEST_ODOMETER_KM:
        raise Rejected(
            f"Odometer: expected 0 to {LARGEST_ODOMETER_KM} km, was {odometer_km!r}", code="bad_odometer"
        )
    lot = lots.get_lot(conn, settlements.get_settlement(conn, settlement_id).lot_id, lock=True)
    settlements.get_settlement(conn, settlement_id, lock=True)
    if lot.state != "transferred":
        raise Conflict(f"Expected a lot whose title is transferred, was {lot.state}", code="not_transferred")
    if not release.matches(conn, settlement_id, release_code):
        raise Forbidden("Expected the release code of this settlement, was another", code="bad_release_code")
    settlements.set_handed_over(conn, settlement_id, odometer_km, actor)
    advance(conn, lot.lot_id, "hand_over")
    return settlements.get_settlement(conn, settlement_id)


def _open_step(conn: Connection, settlement_id: UUID, step: str) -> tuple[Lot, TitleStep]:
    lot = lots.get_lot(conn, settlements.get_settlement(conn, settlement_id).lot_id, lock=True)
    if lot.state != "paid":
        raise Conflict(
            f"Expected a lot between paid and transferred, was {lot.state}", code="no_title_work_now"
        )
    found = _step(conn, settlement_id, step)
    if found.state == "waived":
        raise Conflict(f"Step {step}: expected one that is not waived, was waived", code="step_waived")
    return lot, found


def _step(conn: Connection, settlement_id: UUID, step: str) -> TitleStep:
    for found in store.steps_of(conn, settlement_id):
        if found.step == step:
            return found
    raise NotFound(f"Expected a step of the checklist, there is none called {step!r}", code="step_not_found")


def _check_needs(conn: Connection, settlement_id: UUID, step: str, lot: Lot) -> None:
    needs = load_pack(lot.pack, lot.pack_version).title_requires.get(step, ())
    states = {found.step: found.state for found in store.steps_of(conn, settlement_id)}
    missing = [need for need in needs if states.get(need) not in SETTLED]
    if missing:
        raise Conflict(
            f"Step {step}: expected {', '.join(missing)} done before, was not",
            code="step_too_early",
            missing=missing,
        )


def _transfer_when_complete(conn: Connection, settlement_id: UUID, lot: Lot) -> None:
    if all(found.state in SETTLED for found in store.steps_of(conn, settlement_id)):
        advance(conn, lot.lot_id, "transfer")
        cases.stamp(conn, lot.case_id, "transferred_at")
