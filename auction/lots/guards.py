"""What must hold before a lot may be shown or opened. Each guard has one code."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from auction.bids.place import MOST_MINOR
from auction.cases import store as case_store
from collateral.staff.persons import same_person
from core.errors import Conflict, Forbidden, Rejected

if TYPE_CHECKING:
    from datetime import datetime

    from auction.cases.domain import Appraisal, DisposalCase
    from auction.domain import Lot, LotTerms
    from core.db.pool import Connection
    from core.policy.pack import Pack

NOT_IN_DEFAULT = frozenset({"paid", "extended", "disputed"})
"""Loan states in which a vehicle may not be sold (a repossession despite payment is a wrongful one)."""
LONGEST_SALE = timedelta(days=366)
"""Nobody plans a longer one: it is a mistyped year."""
_FIRST_YEAR, _LAST_YEAR = 2000, 2999
"""Far enough from the ends of the calendar for drains, extensions and outages to be added."""
UNFINISHED = frozenset(
    {"draft", "review", "published", "open", "suspended", "hammered", "paid", "transferred", "handed_over"}
)


def check_terms(terms: LotTerms, pack: Pack) -> None:
    """Refuse terms that no sale could have.

    Raises:
        Rejected: names the term, what was expected, what it was.
    """
    if not terms.title.strip():
        raise Rejected("Lot: expected a title, was empty", code="title_missing")
    if not 1 <= terms.round_no <= 9:
        raise Rejected(f"Lot: expected a round from 1 to 9, was {terms.round_no}", code="bad_round")
    for name in ("start_minor", "reserve_minor", "deposit_minor"):
        amount_minor = getattr(terms, name)
        least = 0 if name == "deposit_minor" else 1
        if amount_minor is not None and (
            type(amount_minor) is not int or not least <= amount_minor <= MOST_MINOR
        ):
            raise Rejected(
                f"{name}: expected whole minor units from {least} to {MOST_MINOR}", code="bad_amount"
            )
    for name in ("start_minor", "reserve_minor"):
        amount_minor = getattr(terms, name)
        if amount_minor is not None and amount_minor % pack.tick_minor:
            raise Rejected(
                f"{name}: expected a multiple of {pack.tick_minor}, was {amount_minor}", code="off_grid"
            )
    if terms.reserve_minor is not None and terms.reserve_minor < terms.start_minor:
        raise Rejected("Lot: expected a reserve not below the start price, was below", code="reserve_too_low")
    for moment in (terms.starts_at, terms.ends_at, terms.hard_end_at):
        if moment is not None and moment.utcoffset() is None:
            raise Rejected("Lot: expected times with an offset, was one without", code="time_without_offset")
    if not all(_FIRST_YEAR <= moment.year <= _LAST_YEAR for moment in (terms.starts_at, terms.ends_at)):
        raise Rejected(
            f"Lot: expected times from {_FIRST_YEAR} to {_LAST_YEAR}, was {terms.starts_at}, {terms.ends_at}",
            code="bad_time",
        )
    if terms.ends_at <= terms.starts_at:
        raise Rejected("Lot: expected an end after the start, was not", code="end_before_start")
    if terms.ends_at - terms.starts_at > LONGEST_SALE:
        raise Rejected(
            f"ends_at: expected at most {LONGEST_SALE.days} days of bidding,"
            f" was {terms.ends_at - terms.starts_at}",
            code="duration_too_long",
        )
    if terms.hard_end_at is not None and terms.hard_end_at < terms.ends_at:
        raise Rejected("Lot: expected a hard end not before the end, was before", code="hard_end_before_end")


def check_case(conn: Connection, case: DisposalCase, pack: Pack, now: datetime) -> Appraisal:
    """Return the appraisal that the sale stands on.

    Raises:
        Conflict: the case is over or has no basis, the appraisal is missing or stale, or the loan is no
            longer in default.
    """
    if case.state not in {"open", "selling"}:
        raise Conflict(f"Expected a disposal case that can sell, was {case.state}", code="case_not_open")
    if case.basis_kind is None:
        raise Conflict("Expected a disposal basis, the case has none", code="basis_missing")
    check_loan(conn, case)
    appraisal = case_store.newest_appraisal(conn, case.case_id)
    if appraisal is None:
        raise Conflict("Expected an appraisal, the case has none", code="appraisal_missing")
    oldest = pack.day_of(now) - timedelta(days=pack.appraisal_max_age_days)
    if appraisal.valued_on < oldest:
        raise Conflict(
            f"Expected an appraisal from {oldest} or later, was of {appraisal.valued_on}",
            code="appraisal_stale",
        )
    return appraisal


def check_loan(conn: Connection, case: DisposalCase) -> None:
    """Ask the loan book anew: between a decision and its execution people pay.

    Raises:
        Conflict: the loan was paid, extended or disputed (``loan_not_in_default``).
    """
    loan = case_store.loan_facts(conn, case.loan_id) if case.loan_id else None
    if loan is not None and loan.status in NOT_IN_DEFAULT:
        raise Conflict(
            f"Expected a loan in default, was {loan.status}", code="loan_not_in_default", status=loan.status
        )


def check_floor(start_minor: int, currency: str, appraisal: Appraisal, pack: Pack) -> None:
    """Refuse a start price below the floor of the pack.

    Raises:
        Rejected: ``start_below_floor`` with the floor, or ``currency_mismatch``.
    """
    if appraisal.currency != currency:
        raise Rejected(
            f"Lot: expected the appraisal's currency {appraisal.currency}, was {currency}",
            code="currency_mismatch",
        )
    floor_minor = pack.floor_minor(appraisal.value_minor)
    if start_minor < floor_minor:
        raise Rejected(
            f"start_minor: expected at least {floor_minor} ({pack.start_floor_pct} % of the appraisal),"
            f" was {start_minor}",
            code="start_below_floor",
            floor_minor=floor_minor,
        )


def check_times(starts_at: datetime, ends_at: datetime, pack: Pack, now: datetime) -> None:
    """Refuse a sale that is announced too late or too short.

    Raises:
        Rejected: ``announcement_too_short`` or ``duration_too_short``.
    """
    announced = max(starts_at - now, timedelta())
    if announced < pack.announcement or starts_at < now:
        raise Rejected(
            f"starts_at: expected {pack.announcement} of announcement, was {announced}",
            code="announcement_too_short",
        )
    if ends_at - starts_at < pack.min_duration:
        raise Rejected(
            f"ends_at: expected at least {pack.min_duration} of bidding, was {ends_at - starts_at}",
            code="duration_too_short",
        )


def check_second_person(lot: Lot, actor: str) -> None:
    """Refuse the person whose work this is.

    Raises:
        Forbidden: ``same_person``.
    """
    if same_person(actor, lot.drafted_by, lot.edited_by, lot.submitted_by):
        raise Forbidden(
            "Expected a second person, was the one who drafted, edited or submitted the lot",
            code="same_person",
        )


def check_no_other_lot(others: list[Lot]) -> None:
    """Refuse a second lot of a case beside one that is not over.

    Raises:
        Conflict: ``previous_round_open``.
    """
    live = [lot for lot in others if lot.state in UNFINISHED]
    if live:
        raise Conflict(
            f"Expected the lot before to be over, was {live[-1].state}",
            code="previous_round_open",
            lot_id=str(live[-1].lot_id),
        )
