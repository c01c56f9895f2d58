"""Every pair of states: the few ways that exist, and that every other one is refused."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest

from alerts.cases.actions import close_after_disposal
from alerts.cases.transitions import STATES, TRANSITIONS, edge_between, moves_from
from alerts.recovery import moves
from core.db.pool import Connection
from core.errors import Conflict, Forbidden
from tests.alerts.recovery.stages import Story, story

# Written down again, by hand: the table in the code is what is being tested.
STAFF = {
    ("new", "locating"), ("new", "closed"), ("locating", "dispatched"), ("locating", "closed"),
    ("dispatched", "locating"), ("dispatched", "recovered"), ("recovered", "in_yard"),
    ("recovered", "released"), ("in_yard", "released"), ("released", "closed"),
}  # fmt: skip
CREW = {("dispatched", "locating"), ("dispatched", "recovered"), ("recovered", "in_yard")}
SALE = {("in_yard", "closed")}
PAIRS = list(product(STATES, STATES))

STEPS: dict[str, Callable[[Story], object]] = {
    "locating": lambda one: one.fail() if one.case.state == "dispatched" else one.locate(),
    "dispatched": lambda one: one.dispatch(),
    "recovered": lambda one: one.recover(),
    "in_yard": lambda one: one.enter_yard(),
    "released": lambda one: one.release(),
    "closed": lambda one: one.close(),
}


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_the_table_holds_these_ways_and_no_other(before: str, after: str):
    if (before, after) in STAFF:
        edge_between(before, after)
    else:
        with pytest.raises(Conflict) as refusal:
            edge_between(before, after)
        assert refusal.value.code == "bad_edge"
        assert refusal.value.facts == {"state": before, "to": after}
    if (before, after) in CREW:
        edge_between(before, after, "crew")
    else:
        with pytest.raises((Conflict, Forbidden)):
            edge_between(before, after, "crew")
    if (before, after) in SALE:
        edge_between(before, after, "disposal")
    else:
        with pytest.raises(Conflict):
            edge_between(before, after, "disposal")


def test_what_a_page_offers_is_what_the_table_allows():
    for state in STATES:
        assert {(state, after) for after in moves_from(state)} == {pair for pair in STAFF if pair[0] == state}
        assert {(state, after) for after in moves_from(state, "crew")} == {
            pair for pair in CREW if pair[0] == state
        }
    assert {(edge.before, edge.after) for edge in TRANSITIONS} == STAFF | SALE
    assert {edge.before for edge in TRANSITIONS} | {edge.after for edge in TRANSITIONS} == set(STATES)


@pytest.mark.db
def test_every_forbidden_edge_is_refused_by_its_action_and_changes_nothing(db: Connection):
    tried = 0
    for number, before in enumerate(STATES):
        one = story(db, f"V{number}").reach(before)
        if before == "recovered":
            one.prepare_yard()
        for after, step in STEPS.items():
            was = (one.case, one.custody)
            if (before, after) in STAFF:
                with db.transaction(force_rollback=True):
                    step(one)
                    assert one.case.state == after
                continue
            with pytest.raises(Conflict) as refusal, db.transaction():
                step(one)
            assert refusal.value.code == "bad_edge", (before, after)
            assert (one.case, one.custody) == was, (before, after)
            tried += 1
    assert tried == len(STATES) * len(STEPS) - len(STAFF)


@pytest.mark.db
def test_a_crew_does_what_crews_do_and_nothing_else(db: Connection):
    one = story(db).reach("new")
    with pytest.raises(Conflict), db.transaction():
        moves.fail_visit(db, one.case_id, "user:li", "other", "x")
    with pytest.raises(Forbidden) as refusal, db.transaction():
        moves.fail_visit(db, one.case_id, "crew:1", "other", "x", doer="crew")
    assert refusal.value.code == "staff_only"
    one.ground()
    one.locate()
    one.dispatch()
    assert moves.recover(db, one.case_id, "crew:1", doer="crew").state == "recovered"
    one.prepare_yard()
    assert moves.enter_yard(db, one.case_id, "crew:1", doer="crew").state == "in_yard"


@pytest.mark.db
def test_a_settled_sale_closes_the_case_in_the_yard_once_and_warns_of_belongings(db: Connection):
    one = story(db).reach("in_yard")
    db.execute(
        "INSERT INTO case_belonging (case_id, item, quantity, recorded_by) VALUES (%s, '儿童座椅', 1, 'user:li')",
        (one.case_id,),
    )
    assert close_after_disposal(db, one.case_id, "sale-1") is True
    assert close_after_disposal(db, one.case_id, "sale-1") is False
    assert (one.case.state, one.case.close_reason, one.custody) == ("closed", "disposal_closed", "released")
    lines = db.execute(
        "SELECT kind, text, facts FROM case_entry WHERE case_id = %s ORDER BY entry_id DESC LIMIT 2",
        (one.case_id,),
    ).fetchall()
    assert lines == [
        ("closed", "disposal_closed", {"disposal_case_id": "sale-1"}),
        ("warning", "儿童座椅", {"warning": "belongings_not_returned"}),
    ]
    redeemed = story(db, "V2").reach("released")
    assert close_after_disposal(db, redeemed.case_id, "sale-2") is True
    for number, state in enumerate(("new", "locating", "dispatched", "recovered"), start=3):
        other = story(db, f"V{number}").reach(state)
        with pytest.raises(Conflict) as refusal:
            close_after_disposal(db, other.case_id, "sale-3")
        assert refusal.value.code == "bad_edge"
