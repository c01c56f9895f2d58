"""People's actions: each is one transition with an actor and a reason, and closed means closed."""

from __future__ import annotations

import pytest

from alerts import actions, store
from alerts.cases import actions as cases
from alerts.cases import store as case_store
from alerts.domain import Alert, WorkState
from alerts.intake import take_findings
from core.db.pool import Connection
from core.errors import Conflict, NotFound, Rejected
from tests.alerts.findings_builder import START, FixedClock, finding, pledged_vehicle, write


@pytest.fixture
def alert(db: Connection) -> Alert:
    pledged_vehicle(db, "V1")
    write(db, finding("raise", 0))
    take_findings(db, FixedClock(START), ())
    return store.list_alerts(db)[0]


def test_acknowledging_twice_is_acknowledging_once(db: Connection, alert: Alert) -> None:
    actions.acknowledge(db, alert.alert_id, "li.wei")
    again = actions.acknowledge(db, alert.alert_id, "wang.fang")
    assert again.work_state is WorkState.ACKNOWLEDGED
    assert [event.actor for event in store.history(db, alert.alert_id)] == ["rules", "li.wei"]


def test_an_outdated_version_is_refused_and_changes_nothing(db: Connection, alert: Alert) -> None:
    actions.assign(db, alert.alert_id, "li.wei", "zhao.lei", version=alert.version)
    with pytest.raises(Conflict, match="somebody changed it"):
        actions.resolve(db, alert.alert_id, "wang.fang", "found", version=alert.version)
    assert store.get_alert(db, alert.alert_id).work_state is WorkState.IN_PROGRESS


def test_a_false_alarm_needs_a_reason_of_the_list(db: Connection, alert: Alert) -> None:
    with pytest.raises(Rejected, match="gps_drift"):
        actions.false_alarm(db, alert.alert_id, "li.wei", "whatever")
    with pytest.raises(Rejected, match="note"):
        actions.false_alarm(db, alert.alert_id, "li.wei", "other")
    closed = actions.false_alarm(db, alert.alert_id, "li.wei", "loose_wiring", "plug was loose")
    assert (closed.work_state, closed.resolution) == (WorkState.FALSE_ALARM, "loose_wiring: plug was loose")


def test_a_closed_alert_takes_no_further_action(db: Connection, alert: Alert) -> None:
    actions.resolve(db, alert.alert_id, "li.wei", "vehicle seen at home")
    for act in (
        lambda: actions.acknowledge(db, alert.alert_id, "li.wei"),
        lambda: actions.assign(db, alert.alert_id, "li.wei", "zhao.lei"),
        lambda: actions.resolve(db, alert.alert_id, "li.wei", "again"),
    ):
        with pytest.raises(Conflict, match="open alert"):
            act()


def test_the_same_risk_after_a_resolved_alert_is_a_new_alert(db: Connection, alert: Alert) -> None:
    actions.resolve(db, alert.alert_id, "li.wei", "vehicle seen at home")
    write(db, finding("raise", 60))
    take_findings(db, FixedClock(START), ())
    assert [a.work_state for a in store.list_alerts(db)] == [WorkState.NEW, WorkState.RESOLVED]


def test_a_case_opened_from_an_alert_keeps_notes_contacts_and_its_end(db: Connection, alert: Alert) -> None:
    case = cases.open_case(db, alert.alert_id, "li.wei")
    assert cases.open_case(db, alert.alert_id, "wang.fang").case_id == case.case_id
    cases.add_note(db, case.case_id, "li.wei", "owner says the car is at a repair shop")
    cases.add_contact(db, case.case_id, "li.wei", "reached", {"outcome": "promise"})
    closed = cases.close(db, case.case_id, "li.wei", "paid")
    assert closed.state == "closed"
    assert [entry.kind for entry in case_store.entries(db, case.case_id)] == [
        "opened",
        "note",
        "contact",
        "closed",
    ]
    assert store.get_alert(db, alert.alert_id).work_state is WorkState.IN_PROGRESS
    with pytest.raises(Conflict, match="closed"):
        cases.add_note(db, case.case_id, "li.wei", "too late")


def test_an_alert_of_another_vehicle_does_not_get_into_a_case(db: Connection, alert: Alert) -> None:
    pledged_vehicle(db, "V2")
    write(db, finding("raise", 0, vehicle_id="V2"))
    take_findings(db, FixedClock(START), ())
    other = store.list_alerts(db, vehicle_id="V2")[0]
    case = cases.open_case(db, alert.alert_id, "li.wei")
    with pytest.raises(Rejected, match="V1"):
        cases.add_alert(db, case.case_id, other.alert_id, "li.wei")


def test_an_unknown_alert_is_said_to_be_unknown(db: Connection, alert: Alert) -> None:
    with pytest.raises(NotFound, match="there is none"):
        store.get_alert(db, type(alert.alert_id)(int=1))
