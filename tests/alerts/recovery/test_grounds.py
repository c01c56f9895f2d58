"""No vehicle is taken without a legal ground in force and a claim that may be enforced."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from alerts.recovery import grounds, moves
from alerts.recovery.links import create_link
from alerts.recovery.store import grounds as store
from alerts.recovery.store import links as link_store
from core.clock import wall_now
from core.db.pool import Connection
from core.errors import Conflict, Forbidden, NotFound, Rejected
from tests.alerts.recovery.stages import story

pytestmark = pytest.mark.db
LAST = datetime.max.replace(tzinfo=UTC)
"""It has no local time in Shanghai."""


def refused(kind: type[Exception], code: str):
    return pytest.raises(kind, check=lambda error: getattr(error, "code", None) == code)


def test_nobody_is_sent_without_a_legal_ground(db: Connection):
    one = story(db)
    one.locate()
    with refused(Rejected, "ground_missing"), db.transaction():
        one.dispatch()
    one.ground("voluntary_handover")
    assert one.dispatch().state == "dispatched"


def test_a_lease_recovery_counts_once_a_second_person_approved_it(db: Connection):
    one = story(db)
    one.loan(collateral_form="lease_back")
    one.locate()
    ground = one.ground("approved_lease_recovery", by="user:li")
    assert ground.state == "pending"
    with refused(Rejected, "ground_missing"), db.transaction():
        one.dispatch()
    with refused(Forbidden, "same_person"), db.transaction():
        grounds.decide_ground(db, one.case_id, ground.ground_id, "user:li", approve=True, note="LGL-7")
    with refused(Forbidden, "same_person"), db.transaction():
        grounds.decide_ground(db, one.case_id, ground.ground_id, "user:li", approve=False, note="LGL-7")
    with refused(Forbidden, "same_person"), db.transaction():
        grounds.decide_ground(db, one.case_id, ground.ground_id, "token:7:li", approve=True, note="LGL-7")
    with refused(Rejected, "note_missing"), db.transaction():
        grounds.decide_ground(db, one.case_id, ground.ground_id, "user:wang", approve=True, note=" ")
    approved = grounds.decide_ground(
        db, one.case_id, ground.ground_id, "user:wang", approve=True, note="LGL-7"
    )
    assert (approved.state, approved.approved_by) == ("in_force", "user:wang")
    with refused(Conflict, "ground_decided"), db.transaction():
        grounds.decide_ground(db, one.case_id, ground.ground_id, "user:zhao", approve=False, note="no")
    assert one.dispatch().state == "dispatched"


def test_a_refused_lease_recovery_sends_nobody(db: Connection):
    one = story(db)
    one.loan(collateral_form="direct_lease")
    one.locate()
    ground = one.ground("approved_lease_recovery")
    refusal = grounds.decide_ground(
        db, one.case_id, ground.ground_id, "user:wang", approve=False, note="合同未解除"
    )
    assert (refusal.state, refusal.refused_by) == ("refused", "user:wang")
    with refused(Rejected, "ground_missing"), db.transaction():
        one.dispatch()


def test_a_lease_recovery_is_for_leases_alone(db: Connection):
    one = story(db)
    for form in ("mortgage", "pledge"):
        one.loan(collateral_form=form)
        with refused(Rejected, "not_a_lease"), db.transaction():
            one.ground("approved_lease_recovery")
    one.loan(collateral_form="lease_back")
    ground = one.ground("approved_lease_recovery")
    grounds.decide_ground(db, one.case_id, ground.ground_id, "user:wang", approve=True, note="LGL-7")
    one.locate()
    # The books may be corrected after the approval.
    one.loan(collateral_form="mortgage")
    with refused(Rejected, "not_a_lease"), db.transaction():
        one.dispatch()


def test_a_paper_that_cannot_be_is_refused(db: Connection):
    one = story(db)
    good: dict[str, Any] = {"kind": "court_order", "reference": "x", "dated": date(2026, 11, 2)}
    for change, code in (
        ({"kind": "verbal"}, "bad_ground"), ({"reference": "  "}, "reference_missing"),
        ({"dated": (wall_now() + timedelta(days=3)).date()}, "ground_ahead"),
        ({"document_sha256": "abc"}, "bad_digest"),
    ):  # fmt: skip
        with refused(Rejected, code), db.transaction():
            grounds.record_ground(db, one.case_id, "user:li", **(good | change))
    kept = grounds.record_ground(db, one.case_id, "user:li", **good, document_sha256="ab" * 32)
    assert kept.document_sha256 == bytes.fromhex("ab" * 32)
    with refused(Conflict, "ground_decided"), db.transaction():
        grounds.decide_ground(db, one.case_id, kept.ground_id, "user:wang", approve=True, note="x")
    with refused(NotFound, "ground_not_found"), db.transaction():
        grounds.decide_ground(db, one.case_id, kept.ground_id + 1, "user:wang", approve=True, note="x")


@pytest.mark.parametrize("status", ["paid", "extended", "disputed"])
def test_a_claim_that_may_not_be_enforced_stops_the_crew_at_each_step(db: Connection, status: str):
    one = story(db)
    one.ground()
    one.locate()
    one.loan(status=status)
    with refused(Conflict, f"loan_{status}"), db.transaction():
        one.dispatch()
    one.loan(status="overdue")
    one.dispatch()
    # The payment arrives while the crew is on its way.
    one.loan(status=status)
    with refused(Conflict, f"loan_{status}"), db.transaction():
        one.recover()
    assert (one.case.state, one.custody) == ("dispatched", "pledgor")
    assert one.fail("called_off").state == "locating"


def test_a_vehicle_without_any_loan_is_nobodys_to_take(db: Connection):
    one = story(db)
    one.ground()
    one.locate()
    db.execute("DELETE FROM loan")
    with refused(Conflict, "loan_missing"), db.transaction():
        one.dispatch()


def test_an_old_paid_loan_beside_a_new_overdue_one_stops_nobody(db: Connection):
    one = story(db)
    db.execute(
        "INSERT INTO loan (loan_id, vehicle_id, principal_minor, balance_minor, status, snapshot_at)"
        " VALUES ('old', 'V1', 100, 0, 'paid', now())"
    )
    one.reach("dispatched")
    db.execute("UPDATE loan SET status = 'disputed' WHERE loan_id = 'old'")
    with refused(Conflict, "loan_disputed"), db.transaction():
        one.recover()


def test_a_loan_that_is_not_overdue_is_taken_on_with_a_warning(db: Connection):
    one = story(db, days_past_due=0, status="active").reach("dispatched")
    warnings = db.execute("SELECT facts FROM case_entry WHERE kind = 'warning'").fetchall()
    assert warnings == [({"warning": "loan_not_overdue", "loan_id": "loan-V1"},)]
    assert one.case.state == "dispatched"


def test_resistance_ends_the_visit_and_the_voluntary_hand_over(db: Connection):
    one = story(db)
    one.ground("voluntary_handover")
    one.locate()
    one.dispatch()
    link, _ = create_link(db, one.case_id, "user:li", "张队", 12)
    assert one.fail("resistance", "车主拒绝").state == "locating"
    assert [ground.state for ground in store.list_grounds(db, one.case_id)] == ["withdrawn"]
    with refused(Rejected, "ground_missing"), db.transaction():
        one.dispatch()
    ended = link_store.get_link(db, one.case_id, link.link_id)
    assert ended is not None
    assert ended.revoked_at is not None
    one.ground("court_order")
    one.dispatch()
    one.fail("resistance")
    assert [ground.state for ground in store.list_grounds(db, one.case_id)] == ["withdrawn", "in_force"]


def test_a_ground_that_is_withdrawn_calls_its_crew_back(db: Connection):
    one = story(db)
    paper = one.ground("voluntary_handover")
    one.locate()
    one.dispatch()
    with refused(Rejected, "reason_missing"), db.transaction():
        moves.withdraw_ground(db, one.case_id, paper.ground_id, "user:li", " ")
    back = moves.withdraw_ground(db, one.case_id, paper.ground_id, "user:li", "抵押人撤回")
    assert back.state == "locating"
    outcome = db.execute("SELECT outcome FROM recovery_dispatch").fetchall()
    assert outcome == [("ground_withdrawn",)]
    with refused(Conflict, "ground_decided"), db.transaction():
        moves.withdraw_ground(db, one.case_id, paper.ground_id, "user:li", "again")
    # One that nobody was sent on ends alone.
    first, second = one.ground(), one.ground()
    one.dispatch(ground_id=second.ground_id)
    assert moves.withdraw_ground(db, one.case_id, first.ground_id, "user:li", "error").state == "dispatched"
    one.recover()
    with refused(Conflict, "bad_state"), db.transaction():
        moves.withdraw_ground(db, one.case_id, second.ground_id, "user:li", "too late")


def test_a_visit_is_named_and_within_the_hours_in_which_people_may_be_met(db: Connection):
    one = story(db)
    one.ground()
    one.locate()
    day = wall_now().replace(hour=2, minute=0, second=0, microsecond=0)  # 10:00 in Shanghai
    for visit, code in (
        ({"visit_from": day}, "bad_window"),
        ({"visit_from": day, "visit_until": day}, "bad_window"),
        ({"visit_from": day, "visit_until": day + timedelta(hours=13)}, "outside_contact_hours"),
        ({"visit_from": day, "visit_until": day + timedelta(days=1)}, "bad_window"),
        ({"visit_from": day, "visit_until": day.replace(year=9999)}, "bad_window"),
        ({"visit_from": day.replace(year=9998), "visit_until": day.replace(year=9998, hour=3)}, "bad_window"),
        ({"visit_from": LAST - timedelta(hours=1), "visit_until": LAST}, "bad_window"),
        ({"ground_id": 10**9}, "ground_missing"),
    ):
        with refused(Rejected, code), db.transaction():
            one.dispatch(**visit)
    assert one.dispatch(visit_from=day, visit_until=day + timedelta(hours=2)).state == "dispatched"
    for failure, note, code in (("boredom", "x", "bad_failure"), ("other", " ", "reason_missing")):
        with refused(Rejected, code), db.transaction():
            one.fail(failure, note)
