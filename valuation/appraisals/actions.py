"""Asking for a manual appraisal, and answering."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.domain.money import check_currency
from core.errors import Conflict, Rejected
from valuation.appraisals import store
from valuation.appraisals.domain import OVERRIDE, VALID_FOR, VALID_MOST, Appraisal, Figure
from valuation.vehicles.store import lock_vehicles

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from core.db.pool import Connection

LARGEST_MINOR = 10**13
"""A hundred billion in a currency of two decimals: no vehicle costs that."""


def ask(
    conn: Connection,
    vehicle_id: str,
    because: Sequence[str],
    actor: str,
    *,
    inspection_id: int | None = None,
) -> Appraisal:
    """Ask for a manual appraisal; an open question gets the further reasons."""
    fresh = store.insert_question(conn, vehicle_id, because, actor, inspection_id)
    if fresh is not None:
        return fresh
    standing = store.open_appraisal(conn, vehicle_id)
    if standing is None:
        raise Conflict("Expected the open question, was answered meanwhile: try again", code="answered")
    store.add_reasons(conn, standing.appraisal_id, because)
    return store.open_appraisal(conn, vehicle_id) or standing


def record(conn: Connection, vehicle_id: str, figure: Figure, actor: str, *, today: date) -> Appraisal:
    """Record a figure: it answers the open question, else it stands beside the model as an override.

    Raises:
        Rejected: not a positive amount, no reason or appraiser, a date ahead, or valid for over a year.
    """
    _check(figure, today)
    valid_until = figure.valid_until or figure.appraised_on + VALID_FOR
    lock_vehicles(conn, [vehicle_id])
    question = store.open_appraisal(conn, vehicle_id) or ask(conn, vehicle_id, (OVERRIDE,), actor)
    return store.answer(conn, question.appraisal_id, figure, valid_until, actor)


def _check(figure: Figure, today: date) -> None:
    check_currency(figure.currency)
    if not 0 < figure.value_minor <= LARGEST_MINOR:
        raise Rejected(
            f"Appraisal: expected an amount from 1 to {LARGEST_MINOR}, was {figure.value_minor}",
            code="bad_amount",
        )
    if not figure.appraiser.strip() or not figure.reason.strip():
        raise Rejected("Appraisal: expected an appraiser and a reason, was empty", code="reason_missing")
    if figure.appraised_on > today:
        raise Rejected(
            f"Appraisal: expected appraised_on not after {today}, was {figure.appraised_on}",
            code="bad_appraised_on",
        )
    latest = figure.appraised_on + VALID_MOST
    if figure.valid_until is not None and not figure.appraised_on <= figure.valid_until <= latest:
        raise Rejected(
            f"Appraisal: expected valid_until within {VALID_MOST.days} days of the appraisal,"
            f" was {figure.valid_until}",
            code="bad_valid_until",
        )
