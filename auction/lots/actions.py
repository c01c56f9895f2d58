"""Everything that people and time do to a lot before the hammer.

Suspending, resuming and withdrawing need four eyes: the API asks through ``auction.approvals``, and the
second person's decision calls these. Each locks the lot's row, runs the pure engine under it and appends
the public events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from auction import aftermath
from auction.cases import actions as cases
from auction.cases import store as case_store
from auction.cases.domain import CaseState
from auction.engine.apply import apply
from auction.engine.state import Done, MakeUp, Open, Resume, Suspend, Withdraw
from auction.log.append import STAFF, SYSTEM, append_event
from auction.lots import guards, store
from auction.lots.drafting import draft, edit, send_back, submit
from auction.lots.sale import columns_of, public, sale_of
from auction.transitions import check_edge
from core.errors import Conflict
from core.policy.pack import load_pack

if TYPE_CHECKING:
    from uuid import UUID

    from auction.domain import Lot
    from auction.engine.state import Command
    from core.db.pool import Connection

__all__ = [
    "draft", "edit", "make_up", "open_on_time", "publish", "redeem", "resume", "send_back", "submit",
    "suspend", "withdraw",
]  # fmt: skip

REASONS = frozenset({"stay", "bankruptcy", "title_defect", "material_error", "fire_or_theft", "loan_changed"})
"""Reasons that the public log may name; any other text stays with the approval and is ``other`` outside."""


def publish(conn: Connection, lot_id: UUID, actor: str) -> Lot:
    """Show a reviewed lot to the public.

    Raises:
        Forbidden: the actor drafted, last edited or submitted it (``same_person``).
        Conflict: not in review; no basis; appraisal missing or stale; loan no longer in default.
        Rejected: start price below the floor, announced too late, or too short.
    """
    lot = store.get_lot(conn, lot_id, lock=True)
    edge = check_edge(lot, "publish")
    guards.check_second_person(lot, actor)
    case = case_store.get_case(conn, lot.case_id, lock=True)
    pack = load_pack(lot.pack, lot.pack_version)
    now = store.database_now(conn)
    appraisal = guards.check_case(conn, case, pack, now)
    guards.check_floor(lot.start_minor, lot.currency, appraisal, pack)
    # Where no announcement is asked for (demo), a start that passed while two people clicked is now.
    starts_at = lot.starts_at if pack.announcement else max(lot.starts_at, now)
    guards.check_times(starts_at, lot.ends_at, pack, now)
    cases.move(conn, lot.case_id, CaseState.SELLING)
    shown = store.update_lot(
        conn,
        lot_id,
        {
            "state": edge.target,
            "epoch": lot.epoch + 1,
            "starts_at": starts_at,
            "published_at": now,
            "next_timer_at": starts_at,
            "timer_kind": "start",
        },
    )
    append_event(conn, lot_id, "lot.published", _announcement(shown), STAFF)
    return store.get_lot(conn, lot_id)


def open_on_time(conn: Connection, lot_id: UUID) -> Lot:
    """Open a published lot whose time has come; if the loan is no longer in default, suspend it instead."""
    lot = store.get_lot(conn, lot_id, lock=True)
    case = case_store.get_case(conn, lot.case_id)
    try:
        guards.check_loan(conn, case)
    except Conflict:
        return _run(conn, lot, "hold_back", Suspend("loan_changed"), SYSTEM)
    opened = _run(conn, lot, "open", Open(), SYSTEM)
    # What was out before it opened took nothing from bidders.
    store.forget_outages(conn, lot_id)
    return opened


def suspend(conn: Connection, lot_id: UUID, reason: str, actor: str) -> Lot:
    """Stop a sale for a while; an open one keeps what was left of its time."""
    lot = store.get_lot(conn, lot_id, lock=True)
    return _run(conn, lot, "suspend", Suspend(_reason_class(reason)), STAFF)


def resume(conn: Connection, lot_id: UUID, actor: str) -> Lot:
    """Let a suspended sale go on.

    Raises:
        Conflict: not suspended, or the loan is no longer in default.
    """
    lot = store.get_lot(conn, lot_id, lock=True)
    check_edge(lot, "resume")
    guards.check_loan(conn, case_store.get_case(conn, lot.case_id))
    resumed = _run(conn, lot, "resume", Resume(), STAFF)
    store.forget_outages(conn, lot_id)
    return resumed


def withdraw(conn: Connection, lot_id: UUID, reason: str, actor: str) -> Lot:
    """Take a lot off the sale for good; deposits go back in the same transaction."""
    lot = store.get_lot(conn, lot_id, lock=True)
    return _end(conn, lot, "withdraw", _reason_class(reason))


def redeem(conn: Connection, lot_id: UUID, actor: str) -> Lot:
    """Take a lot off the sale because the loan was paid. It beats the hammer until the hammer commits.

    Raises:
        Conflict: the hammer came first (``already_hammered``), or the lot is over.
    """
    lot = store.get_lot(conn, lot_id, lock=True)
    if lot.decided and lot.state != "unsold":
        raise Conflict("Expected a lot that is not sold, the hammer came first", code="already_hammered")
    return _end(conn, lot, "redeem", "redeemed")


def make_up(conn: Connection, lot_id: UUID) -> Lot | None:
    """Give an open lot the time back that an outage near its end took; None when there is nothing to give."""
    lot = store.get_lot(conn, lot_id, lock=True)
    if lot.state != "open":
        return None
    lost = store.outage_near_end(conn, lot)
    if lost is None:
        return None
    command = MakeUp(outage_ms=lost.total_ms, grace_ms=lot.outage_grace_ms)
    now = store.database_now(conn)
    sale, events, _ = apply(sale_of(lot), command, now)
    store.update_lot(conn, lot_id, {**columns_of(sale), "outage_id": lost.newest_id})
    for event in events:
        append_event(conn, lot_id, event.kind, public(event.payload), SYSTEM, now)
    return store.get_lot(conn, lot_id)


def _end(conn: Connection, lot: Lot, event: str, reason_class: str) -> Lot:
    ended = _run(conn, lot, event, Withdraw(reason_class), STAFF if event == "withdraw" else SYSTEM)
    if lot.published_at is not None:
        aftermath.ended_without_sale(conn, ended)
    return store.get_lot(conn, lot.lot_id)


def _run(conn: Connection, lot: Lot, event: str, command: Command, actor_code: str) -> Lot:
    """Run the engine on a lot whose row is held, and write what it says."""
    check_edge(lot, event)
    now = store.database_now(conn)
    sale, events, result = apply(sale_of(lot), command, now)
    if not isinstance(result, Done):
        raise Conflict(
            f"Expected a lot that {event} can act on now, was {lot.state}", code="bad_edge", event=event
        )
    store.update_lot(conn, lot.lot_id, columns_of(sale))
    for said in events:
        append_event(conn, lot.lot_id, said.kind, public(said.payload), actor_code, now)
    return store.get_lot(conn, lot.lot_id)


def _reason_class(reason: str) -> str:
    return reason if reason in REASONS else "other"


def _announcement(lot: Lot) -> dict[str, object]:
    return public(
        {
            "round_no": lot.round_no,
            "type": lot.type,
            "pack": lot.pack,
            "pack_version": lot.pack_version,
            "currency": lot.currency,
            "start_minor": lot.start_minor,
            "min_next_minor": lot.start_minor,
            "deposit_minor": lot.deposit_minor,
            "tick_minor": lot.tick_minor,
            "steps": [[step.from_minor, step.step_minor] for step in lot.steps],
            "high_minor": lot.high_minor,
            "window_ms": lot.window_ms,
            "extension_ms": lot.extension_ms,
            "drain_ms": lot.drain_ms,
            "min_resume_ms": lot.min_resume_ms,
            "starts_at": lot.starts_at,
            "ends_at": lot.ends_at,
            "hard_end_at": lot.hard_end_at,
            "has_reserve": lot.reserve_minor is not None,
        }
    )
