import itertools
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collateral.domain import LoanSnapshot, Payment, UpsertCounts, Vehicle
from collateral.loans import store
from collateral.loans.book import record_payment, upsert_loans
from collateral.loans.position import Received, Standing, standing_after
from collateral.vehicles.store import upsert_vehicles
from core.clock import wall_now
from core.errors import Conflict, NotFound, Rejected

DAY = timedelta(days=1)
MONDAY = datetime(2026, 11, 2, tzinfo=UTC)


@pytest.fixture
def books(db):
    upsert_vehicles(db, [Vehicle("v1"), Vehicle("v2")])
    return db


def snapshot(**changes):
    fields = {
        "loan_id": "l1", "vehicle_id": "v1", "balance_minor": 1_000_000, "snapshot_at": MONDAY,
        "days_past_due": 10, "next_due_on": date(2026, 11, 20), **changes,
    }  # fmt: skip
    return LoanSnapshot(**fields)


def payment(number=1, amount=400_000, after=DAY, **changes):
    return Payment(f"pay-{number}", "l1", amount, "CNY", MONDAY + after, **changes)


def events(db):
    return [
        (payload["before"], payload["after"])
        for (payload,) in db.execute(
            "SELECT payload FROM domain_event WHERE kind = 'loan.changed' ORDER BY seq"
        )
    ]


def loan(db):
    found = store.get_loan(db, "l1")
    assert found is not None
    return found


def test_a_snapshot_is_stored_once_and_told_once(books):
    assert upsert_loans(books, [snapshot()]) == UpsertCounts(inserted=1)
    assert upsert_loans(books, [snapshot()]) == UpsertCounts(unchanged=1)
    [(before, after)] = events(books)
    assert before is None
    assert (after["status"], after["days_past_due"], after["balance_minor"]) == ("overdue", 10, 1_000_000)


def test_an_older_snapshot_is_counted_and_left_alone(books):
    upsert_loans(books, [snapshot()])
    assert upsert_loans(books, [snapshot(snapshot_at=MONDAY - DAY, balance_minor=5)]) == UpsertCounts(stale=1)
    assert loan(books).balance_minor == 1_000_000


def test_a_newer_snapshot_changes_the_figures_and_is_told_with_what_was_before(books):
    upsert_loans(books, [snapshot()])
    newer = snapshot(snapshot_at=MONDAY + DAY, days_past_due=31)
    assert upsert_loans(books, [newer]) == UpsertCounts(updated=1)
    before, after = events(books)[-1]
    assert (before["days_past_due"], after["days_past_due"]) == (10, 31)


def test_a_newer_snapshot_with_the_same_figures_tells_nobody(books):
    upsert_loans(books, [snapshot()])
    assert upsert_loans(books, [snapshot(snapshot_at=MONDAY + DAY)]) == UpsertCounts(updated=1)
    assert len(events(books)) == 1


def test_what_a_snapshot_does_not_say_stays(books):
    upsert_loans(books, [snapshot(collateral_form="pledge", principal_minor=2_000_000, status="disputed")])
    sparse = LoanSnapshot("l1", "v1", 900_000, MONDAY + DAY)
    upsert_loans(books, [sparse])
    now = loan(books)
    assert (now.collateral_form, now.principal_minor, now.status, now.days_past_due) == (
        "pledge",
        2_000_000,
        "disputed",
        10,
    )
    assert now.balance_minor == 900_000


def test_a_payment_lowers_the_balance_once(books):
    upsert_loans(books, [snapshot()])
    first = record_payment(books, payment())
    again = record_payment(books, payment())
    assert (first.recorded, again.recorded) == (True, False)
    assert loan(books).balance_minor == 600_000
    assert len(events(books)) == 2


def test_a_payment_id_with_other_content_is_a_conflict(books):
    upsert_loans(books, [snapshot()])
    record_payment(books, payment())
    with pytest.raises(Conflict) as differs:
        record_payment(books, payment(amount=1))
    assert differs.value.code == "payment_differs"
    assert loan(books).balance_minor == 600_000


def test_a_payment_may_clear_what_was_past_due(books):
    upsert_loans(books, [snapshot()])
    outcome = record_payment(books, payment(days_past_due=0, next_due_on=date(2026, 12, 20)))
    assert (outcome.loan.status, outcome.loan.days_past_due) == ("active", 0)
    assert outcome.loan.next_due_on == date(2026, 12, 20)


def test_paying_everything_ends_the_loan_and_says_what_is_owed_back(books):
    upsert_loans(books, [snapshot()])
    outcome = record_payment(books, payment(amount=1_000_500))
    assert (outcome.loan.balance_minor, outcome.loan.status, outcome.excess_minor) == (0, "paid", 500)


def test_a_payment_that_the_snapshot_holds_already_changes_nothing(books):
    upsert_loans(books, [snapshot()])
    assert record_payment(books, payment(after=-DAY)).recorded
    assert loan(books).balance_minor == 1_000_000


def test_a_snapshot_dated_by_day_holds_that_days_payments_but_a_later_word_of_the_day_wins(books):
    upsert_loans(books, [snapshot(covers_until=MONDAY + DAY)])
    record_payment(books, payment(after=DAY / 2))
    assert loan(books).balance_minor == 1_000_000
    upsert_loans(books, [snapshot(snapshot_at=MONDAY + DAY / 4, balance_minor=700_000)])
    assert loan(books).balance_minor == 300_000


def test_importing_a_snapshot_again_does_not_undo_a_payment(books):
    upsert_loans(books, [snapshot()])
    record_payment(books, payment())
    assert upsert_loans(books, [snapshot()]) == UpsertCounts(unchanged=1)
    assert loan(books).balance_minor == 600_000


def test_the_order_of_arrival_does_not_matter(books):
    # Without any snapshot a payment has no loan, so the oldest one is always there.
    upsert_loans(books, [snapshot()])
    books.commit()
    middle = snapshot(snapshot_at=MONDAY + 3 * DAY, balance_minor=700_000, days_past_due=13)
    steps = [
        lambda: upsert_loans(books, [middle]),
        lambda: record_payment(books, payment(1, 300_000, 2 * DAY)),
        lambda: record_payment(books, payment(2, 100_000, 4 * DAY, days_past_due=3)),
        lambda: record_payment(books, payment(3, 50_000, 5 * DAY)),
    ]
    for order in itertools.permutations(steps):
        for step in order:
            step()
        now = loan(books)
        assert (now.balance_minor, now.days_past_due, now.status) == (550_000, 3, "overdue")
        books.rollback()


received = st.lists(
    st.tuples(st.integers(1, 500), st.integers(-5, 20), st.none() | st.integers(0, 90)), max_size=6
).map(
    lambda rows: [
        Received(f"p{number}", amount, MONDAY + hours * timedelta(hours=1), days, None)
        for number, (amount, hours, days) in enumerate(rows)
    ]
)


@given(received, st.integers(1, 2_000), st.integers(0, 60), st.randoms())
def test_a_standing_depends_on_what_is_known_and_not_on_when_it_came(payments, balance, days, random):
    start = Standing(balance, days, None, "overdue" if days else "active")
    straight = standing_after(start, MONDAY, payments)
    random.shuffle(payments)
    assert standing_after(start, MONDAY, payments) == straight
    later = sum(payment.amount_minor for payment in payments if payment.paid_at > MONDAY)
    assert straight.balance_minor == max(0, balance - later)


def test_payments_for_nothing_or_in_another_currency_are_refused(books):
    with pytest.raises(NotFound):
        record_payment(books, payment())
    upsert_loans(books, [snapshot()])
    with pytest.raises(Rejected):
        record_payment(books, Payment("p", "l1", 100, "USD", MONDAY))
    for amount in (0, -5, 10**17):
        with pytest.raises(Rejected):
            record_payment(books, payment(amount=amount))


def test_an_impossible_snapshot_is_refused(books):
    impossible: list[dict[str, Any]] = [
        {"balance_minor": -1}, {"principal_minor": 10**17}, {"days_past_due": -1}, {"status": "sad"},
        {"collateral_form": "gift"}, {"currency": "yuan"}, {"snapshot_at": datetime(2026, 11, 2)},  # noqa: DTZ001
    ]  # fmt: skip
    impossible.append({"snapshot_at": wall_now() + 400 * DAY})
    for change in impossible:
        with pytest.raises(Rejected):
            upsert_loans(books, [snapshot(**change)])


def test_a_loan_does_not_change_its_currency(books):
    upsert_loans(books, [snapshot()])
    with pytest.raises(Rejected) as refused:
        upsert_loans(books, [snapshot(currency="USD")])
    assert refused.value.code == "currency_mismatch"


def test_only_a_change_of_form_or_vehicle_makes_the_rules_reload_their_facts(books):
    def facts():
        return books.execute("SELECT version FROM revision WHERE name = 'facts'").fetchone()

    upsert_loans(books, [snapshot()])
    before = facts()
    record_payment(books, payment())
    assert facts() == before
    upsert_loans(books, [snapshot(snapshot_at=MONDAY + DAY, collateral_form="pledge")])
    assert facts() != before
