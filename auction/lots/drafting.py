"""A lot before anybody outside sees it: drafted, edited, submitted, sent back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from auction.cases import store as case_store
from auction.domain import LotTerms, Step
from auction.lots import guards, store
from auction.transitions import check_edge
from core.errors import Conflict, Rejected, Stale
from core.policy.pack import load_pack

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from auction.cases.domain import Appraisal
    from auction.domain import Lot
    from core.db.pool import Connection
    from core.policy.pack import Pack

_ONE_MS = timedelta(milliseconds=1)
GUARD_WINDOWS = 6
"""An outage counts within this many extension windows of the end: half an hour at five minutes each."""
GRACE_EXTENSIONS = 2
"""What bidders get on top of the time lost, in extensions: ten minutes at five each."""


def draft(conn: Connection, case_id: UUID, terms: LotTerms, actor: str) -> Lot:
    """Draft the lot of a disposal case; the pack and the newest appraisal say the rest.

    Raises:
        Conflict: the case cannot sell, has no appraisal, or its lot before is not over.
        Rejected: terms that no sale could have, or a start price below the floor.
    """
    case = case_store.get_case(conn, case_id, lock=True)
    guards.check_no_other_lot(store.lots_of_case(conn, case_id))
    if case.state not in {"open", "selling"}:
        raise Conflict(f"Expected a disposal case that can sell, was {case.state}", code="case_not_open")
    pack = load_pack(case.pack, case.pack_version)
    values = _values(conn, case_id, terms, pack)
    return store.insert_lot(
        conn,
        {
            **values,
            "case_id": case_id,
            "round_no": terms.round_no,
            "org_id": case.org_id,
            "vehicle_id": case.vehicle_id,
            "pack": pack.name,
            "pack_version": pack.version,
            "drafted_by": actor,
            "edited_by": actor,
        },
    )


def edit(
    conn: Connection,
    lot_id: UUID,
    terms_changes: Mapping[str, Any],
    actor: str,
    expected_version: int | None = None,
) -> Lot:
    """Change terms of a draft by the names of ``LotTerms`` (not the round).

    Raises:
        Conflict: the lot is no draft (``not_draft``).
        Stale: somebody changed it since ``expected_version``.
        Rejected: an unknown name, or terms that no sale could have.
    """
    lot = store.get_lot(conn, lot_id, lock=True)
    if lot.state != "draft":
        raise Conflict(f"Expected a draft, was {lot.state}", code="not_draft")
    if expected_version is not None and expected_version != lot.version:
        raise Stale(f"Expected version {expected_version}, somebody made it {lot.version}")
    unknown = set(terms_changes) - (set(LotTerms.__dataclass_fields__) - {"round_no"})
    if unknown:
        raise Rejected(f"Lot: expected terms of a lot, was {', '.join(sorted(unknown))}", code="unknown_term")
    pack = load_pack(lot.pack, lot.pack_version)
    terms = replace(terms_of(lot, pack), **terms_changes)
    values = _values(conn, lot.case_id, terms, pack)
    return store.update_lot(conn, lot_id, {**values, "edited_by": actor})


def submit(conn: Connection, lot_id: UUID, actor: str) -> Lot:
    """Hand a draft to the second person; its fields are frozen.

    Raises:
        Conflict: no draft, or basis, appraisal or loan forbid the sale.
        Rejected: the start price is below the floor.
    """
    lot = store.get_lot(conn, lot_id, lock=True)
    edge = check_edge(lot, "submit")
    case = case_store.get_case(conn, lot.case_id)
    pack = load_pack(lot.pack, lot.pack_version)
    appraisal = guards.check_case(conn, case, pack, store.database_now(conn))
    guards.check_floor(lot.start_minor, lot.currency, appraisal, pack)
    return store.update_lot(
        conn,
        lot_id,
        {
            "state": edge.target,
            "epoch": lot.epoch + 1,
            "submitted_by": actor,
            "high_minor": pack.high_factor * appraisal.value_minor,
        },
    )


def send_back(conn: Connection, lot_id: UUID, actor: str) -> Lot:
    """Give a lot in review back to be edited."""
    lot = store.get_lot(conn, lot_id, lock=True)
    edge = check_edge(lot, "send_back")
    return store.update_lot(
        conn, lot_id, {"state": edge.target, "epoch": lot.epoch + 1, "submitted_by": None}
    )


def terms_of(lot: Lot, pack: Pack) -> LotTerms:
    """Return what staff decided about a lot."""
    return LotTerms(
        title=lot.title,
        start_minor=lot.start_minor,
        starts_at=lot.starts_at,
        ends_at=lot.ends_at,
        description=lot.description,
        defects=lot.defects,
        reserve_minor=lot.reserve_minor,
        hard_end_at=lot.hard_end_at,
        round_no=lot.round_no,
        # A deposit that follows from the start price goes on following it.
        deposit_minor=None if lot.deposit_minor == pack.deposit_minor(lot.start_minor) else lot.deposit_minor,
    )


def _values(conn: Connection, case_id: UUID, terms: LotTerms, pack: Pack) -> dict[str, Any]:
    guards.check_terms(terms, pack)
    appraisal = _appraisal(conn, case_id)
    guards.check_floor(terms.start_minor, pack.currency, appraisal, pack)
    deposit_minor = terms.deposit_minor
    return {
        "title": terms.title.strip(),
        "description": terms.description,
        "defects": terms.defects,
        "currency": appraisal.currency,
        "start_minor": terms.start_minor,
        "reserve_minor": terms.reserve_minor,
        "deposit_minor": pack.deposit_minor(terms.start_minor) if deposit_minor is None else deposit_minor,
        "tick_minor": pack.tick_minor,
        "steps": store.steps_json([Step(*row) for row in pack.steps]),
        "high_minor": pack.high_factor * appraisal.value_minor,
        "window_ms": pack.window_ms,
        "extension_ms": pack.extension_ms,
        "drain_ms": pack.drain_ms,
        "starts_at": terms.starts_at,
        "ends_at": terms.ends_at,
        "planned_end_at": terms.ends_at,
        "hard_end_at": terms.hard_end_at,
        "min_resume_ms": pack.min_resume // _ONE_MS,
        "outage_guard_ms": GUARD_WINDOWS * pack.window_ms,
        "outage_grace_ms": GRACE_EXTENSIONS * pack.extension_ms,
    }


def _appraisal(conn: Connection, case_id: UUID) -> Appraisal:
    appraisal = case_store.newest_appraisal(conn, case_id)
    if appraisal is None:
        raise Conflict("Expected an appraisal, the case has none", code="appraisal_missing")
    return appraisal
