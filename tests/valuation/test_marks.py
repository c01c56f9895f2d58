"""The nightly mark: written once a day, in parts, with its breaches told; what a flag, a device or a new model changes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerts.intake import take_findings
from alerts.store import inbox
from core.db.pool import Connection, connect
from core.events.store import DomainEvent
from tests.alerts.findings_builder import FixedClock
from tests.valuation.invented_market import CUT, NIGHT, TODAY, invented_model, owe, pledge
from valuation.appraisals import actions as appraisals
from valuation.appraisals.domain import Figure
from valuation.estimates import store as estimates
from valuation.inspections import actions as inspections
from valuation.inspections.domain import NewInspection
from valuation.ltv import store as ltv
from valuation.model.store import save_model
from valuation.service.backtest import record_disposal
from valuation.service.mark import mark_all, mark_vehicle
from valuation.vehicles.explain import explained
from valuation.vehicles.models import Models

pytestmark = pytest.mark.db

ZONE = "Asia/Shanghai"
DAY = timedelta(days=1)


@pytest.fixture
def conn(database_url: str) -> Iterator[Connection]:
    with connect(database_url, name="test-marks", autocommit=True) as connection:
        yield connection


@pytest.fixture
def worth(conn: Connection) -> int:
    """Save the model; what the pledged vehicle is worth by it."""
    save_model(conn, invented_model())
    pledge(conn, "YARDSTICK", 100)
    amount = mark_vehicle(conn, Models(), "YARDSTICK", NIGHT, ZONE, actor="test").estimate_minor
    conn.execute("UPDATE loan SET status = 'paid', balance_minor = 0 WHERE vehicle_id = 'YARDSTICK'")
    assert amount is not None
    return amount


def findings(conn: Connection) -> list[tuple[str, str, str]]:
    return conn.execute(
        "SELECT vehicle_id, scope, event FROM finding_current WHERE rule = 'LTV_BREACH' ORDER BY seq"
    ).fetchall()


def count(conn: Connection, table: str) -> int:
    row = conn.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    number: int = row[0]
    return number


def test_a_nightly_run_twice_on_one_day_writes_once(conn: Connection, worth: int):
    pledge(conn, "V1", worth * 9 // 10)
    pledge(conn, "V2", worth // 2)
    first = mark_all(conn, Models(), NIGHT, ZONE)
    assert (first.vehicles, first.loans, first.raised, first.cleared) == (2, 2, 1, 0)
    before = [count(conn, table) for table in ("estimate", "ltv_mark", "finding")]
    again = mark_all(conn, Models(), NIGHT + timedelta(hours=3), ZONE)
    assert (again.vehicles, again.loans, again.raised) == (0, 0, 0)
    assert [count(conn, table) for table in ("estimate", "ltv_mark", "finding")] == before
    assert findings(conn) == [("V1", "L-V1", "raise")]
    next_night = mark_all(conn, Models(), NIGHT + DAY, ZONE)
    assert (next_night.vehicles, next_night.raised) == (2, 0)


def test_an_estimate_keeps_what_it_was_made_of_and_can_be_explained_later(conn: Connection, worth: int):
    pledge(conn, "V1", worth // 2)
    mark_all(conn, Models(), NIGHT, ZONE)
    row = estimates.newest_estimate(conn, "V1")
    assert row is not None
    assert (row.as_of, row.cause, row.status, row.estimate_minor) == (TODAY, "nightly", "valued", worth)
    assert (row.odometer_km, row.odometer_source, row.model_version) == (
        60_000.0,
        "telemetry",
        invented_model().version,
    )
    assert row.low_minor is not None
    assert row.high_minor is not None
    assert row.low_minor < row.lending_minor < worth < row.high_minor  # type: ignore[operator]
    assert row.waterfall is None, "nobody reads a hundred thousand explanations: made when asked"
    waterfall, comparables = explained(conn, Models(), row)
    assert sum(step["amount_minor"] for step in waterfall) == worth
    assert [step["name"] for step in waterfall][:4] == ["level", "age", "mileage", "condition"]
    assert len(comparables) == 8
    asked = mark_vehicle(conn, Models(), "V1", NIGHT, ZONE, actor="user:1")
    assert (asked.waterfall, asked.comparables) == (waterfall, comparables)
    assert (asked.cause, asked.recorded_by) == ("asked", "user:1")


def test_a_breach_reaches_the_inbox_and_goes_when_the_debt_shrinks(conn: Connection, worth: int):
    pledge(conn, "V1", worth * 9 // 10)
    mark_all(conn, Models(), NIGHT, ZONE)
    take_findings(conn, FixedClock(NIGHT), ())
    (alert,) = inbox(conn, ["head"], ["P1", "P2", "P3", "P4"], 10)
    assert (alert.rule, alert.scope, alert.severity) == ("LTV_BREACH", "L-V1", "P3")
    assert alert.evidence["ltv_pct"] == pytest.approx(90, abs=0.1)
    conn.execute("UPDATE loan SET balance_minor = %s", (worth * 8 // 10,))
    mark_all(conn, Models(), NIGHT + DAY, ZONE)
    assert findings(conn) == [("V1", "L-V1", "raise"), ("V1", "L-V1", "clear")]
    take_findings(conn, FixedClock(NIGHT + DAY), ())
    (alert,) = inbox(conn, ["head"], ["P1", "P2", "P3", "P4"], 10)
    assert alert.condition == "cleared"


def test_a_paid_loan_clears_its_breach_within_a_tick(conn: Connection, worth: int):
    pledge(conn, "V1", worth)
    assert mark_all(conn, Models(), NIGHT, ZONE).raised == 1
    conn.execute("UPDATE loan SET status = 'paid', balance_minor = 0 WHERE loan_id = 'L-V1'")
    done = mark_all(conn, Models(), NIGHT + timedelta(hours=1), ZONE)
    assert (done.vehicles, done.cleared) == (0, 1)
    assert ltv.marks_of_vehicle(conn, "V1") == []
    assert mark_all(conn, Models(), NIGHT + DAY, ZONE).cleared == 0


def test_two_loans_on_one_vehicle_count_together_and_are_told_apart(conn: Connection, worth: int):
    pledge(conn, "V1", worth // 2)
    owe(conn, "L-second", "V1", worth * 4 // 10)
    mark_all(conn, Models(), NIGHT, ZONE)
    assert findings(conn) == [("V1", "L-V1", "raise"), ("V1", "L-second", "raise")]
    marks = ltv.marks_of_vehicle(conn, "V1")
    assert [mark.ltv for mark in marks] == pytest.approx([0.9, 0.9], abs=1e-6)
    assert [mark.balance_minor for mark in marks] == [worth // 2, worth * 4 // 10]


def test_a_flag_takes_the_value_from_the_model_until_a_person_has_spoken(conn: Connection, worth: int):
    pledge(conn, "V1", worth * 8 // 10)
    told = NewInspection("V1", NIGHT - DAY, "李工", 60_000.0, None, frozenset({"flood"}))
    inspections.record(conn, told, "user:1", now=NIGHT)
    mark_all(conn, Models(), NIGHT, ZONE)
    row, (mark,) = estimates.newest_estimate(conn, "V1"), ltv.marks_of_vehicle(conn, "V1")
    assert row is not None
    assert (row.status, row.estimate_minor) == ("needs_manual_appraisal", worth)
    assert (mark.basis, mark.value_minor) == ("lending_value", row.lending_minor)
    figure = Figure(worth // 2, "CNY", "王评估师", TODAY, "泡水至座椅")
    appraisals.record(conn, "V1", figure, "user:2", today=TODAY)
    after = mark_vehicle(conn, Models(), "V1", NIGHT + timedelta(hours=1), ZONE, actor="user:2")
    (mark,) = ltv.marks_of_vehicle(conn, "V1")
    assert (after.status, after.appraisal_minor) == ("valued", worth // 2)
    assert "manual_appraisal_in_force" in after.cautions
    assert (mark.basis, mark.value_minor, mark.raised, mark.severity) == (
        "manual_appraisal",
        worth // 2,
        True,
        "P2",
    )
    flagged_again = NewInspection("V1", NIGHT, "李工", 60_000.0, None, frozenset({"fire"}))
    inspections.record(conn, flagged_again, "user:1", now=NIGHT)
    mark_vehicle(conn, Models(), "V1", NIGHT + timedelta(hours=2), ZONE, actor="user:1")
    (mark,) = ltv.marks_of_vehicle(conn, "V1")
    assert (mark.basis, mark.value_minor) == ("manual_appraisal", worth // 2), (
        "the last figure stands meanwhile"
    )


def test_a_figure_that_ran_out_asks_for_the_next_one(conn: Connection, worth: int):
    pledge(conn, "V1", worth // 2)
    told = NewInspection("V1", NIGHT - DAY, "李工", None, None, frozenset({"flood"}))
    inspections.record(conn, told, "user:1", now=NIGHT)
    appraisals.record(conn, "V1", Figure(worth, "CNY", "王", TODAY, "现场", TODAY), "user:2", today=TODAY)
    mark_all(conn, Models(), NIGHT, ZONE)
    assert ltv.marks_of_vehicle(conn, "V1")[0].basis == "manual_appraisal"
    mark_all(conn, Models(), NIGHT + DAY, ZONE)
    row = estimates.newest_estimate(conn, "V1")
    assert row is not None
    assert row.status == "needs_manual_appraisal"
    assert "appraisal_expired" in row.cautions
    assert ltv.marks_of_vehicle(conn, "V1")[0].basis == "lending_value"


def test_more_kilometres_and_a_worse_condition_never_raise_the_value(conn: Connection, worth: int):
    pledge(conn, "V1", worth // 2, odometer_km=150_000.0)
    mark_all(conn, Models(), NIGHT, ZONE)
    driven = estimates.newest_estimate(conn, "V1")
    assert driven is not None
    assert driven.estimate_minor < worth  # type: ignore[operator]
    wound_back = NewInspection("V1", NIGHT, "李工", 20_000.0)
    done = inspections.record(conn, wound_back, "user:1", now=NIGHT)
    assert done.suggested_flags == ("odometer_tampering",)
    after = mark_vehicle(conn, Models(), "V1", NIGHT, ZONE, actor="user:1")
    assert after.estimate_minor == driven.estimate_minor
    assert (after.odometer_km, "odometer_tampering_suspected" in after.cautions) == (150_000.0, True)


def test_what_cannot_be_trusted_says_why(conn: Connection, worth: int):
    pledge(conn, "OLD", worth // 2, reported_at=NIGHT - 46 * DAY)
    pledge(conn, "FRESH", worth // 2, reported_at=NIGHT - 45 * DAY)
    pledge(conn, "DARK", worth // 2, odometer_km=None)
    pledge(conn, "NAMELESS", worth // 2, make=None)
    pledge(conn, "RARE", worth // 2, make="从未见过")
    done = mark_all(conn, Models(), NIGHT, ZONE)
    said = {
        name: estimates.newest_estimate(conn, name) for name in ("OLD", "FRESH", "DARK", "NAMELESS", "RARE")
    }
    assert {name: row.status for name, row in said.items() if row} == {
        "OLD": "stale", "FRESH": "valued", "DARK": "valued", "NAMELESS": "not_valued", "RARE": "thin",
    }  # fmt: skip
    assert said["OLD"] is not None
    assert "stale_odometer" in said["OLD"].cautions
    assert said["DARK"] is not None
    assert "no_odometer" in said["DARK"].cautions
    assert said["NAMELESS"] is not None
    assert (said["NAMELESS"].reason, said["NAMELESS"].estimate_minor) == ("make_missing", None)
    assert done.by_status["not_valued"] == 1


def test_without_any_model_each_vehicle_says_so_and_is_valued_when_there_is_one(conn: Connection):
    pledge(conn, "V1", 100)
    assert mark_all(conn, Models(), NIGHT, ZONE).by_status == {"not_valued": 1}
    row = estimates.newest_estimate(conn, "V1")
    assert row is not None
    assert (row.status, row.reason, row.model_version) == ("not_valued", "no_model", "")
    assert mark_all(conn, Models(), NIGHT, ZONE).vehicles == 0
    save_model(conn, invented_model())
    assert mark_all(conn, Models(), NIGHT, ZONE).by_status == {"valued": 1}


def test_a_model_of_asking_prices_is_brought_to_auction_level_and_says_so(conn: Connection, worth: int):
    asking = invented_model(channel="retail")
    conn.execute("DELETE FROM valuation_model")
    save_model(conn, asking)
    pledge(conn, "V1", worth // 2)
    row = mark_vehicle(conn, Models(), "V1", NIGHT, ZONE, actor="test")
    assert (row.channel, row.channel_permille) == ("retail", 850)
    assert "channel_factor" in row.cautions
    assert row.waterfall is not None
    assert row.waterfall[-1]["name"] == "channel"
    assert sum(step["amount_minor"] for step in row.waterfall) == row.estimate_minor


def test_a_new_model_raises_nobody_and_shows_its_step(conn: Connection, worth: int):
    pledge(conn, "V1", worth * 8 // 10)
    mark_all(conn, Models(), NIGHT, ZONE)
    save_model(conn, invented_model(level=0.9, until=CUT + DAY))
    done = mark_all(conn, Models(), NIGHT + timedelta(hours=1), ZONE)
    assert (done.vehicles, done.raised) == (1, 0)
    (mark,) = ltv.marks_of_vehicle(conn, "V1")
    assert mark.model_step == pytest.approx(0.9, abs=0.02)
    assert mark.ltv is not None
    assert mark.ltv > 0.86
    assert mark.judged_ltv == pytest.approx(0.8, abs=0.01)
    assert not mark.raised
    assert mark_all(conn, Models(), NIGHT + DAY, ZONE).raised == 0
    conn.execute("UPDATE loan SET balance_minor = %s WHERE loan_id = 'L-V1'", (worth * 86 // 100,))
    assert mark_all(conn, Models(), NIGHT + 2 * DAY, ZONE).raised == 1


def test_parts_of_a_portfolio_together_are_the_whole(conn: Connection, worth: int):
    for number in range(30):
        pledge(conn, f"V{number}", worth // 2)
    done = [mark_all(conn, Models(), NIGHT, ZONE, part=part, parts=3).vehicles for part in range(3)]
    assert sum(done) == 30
    assert all(done)
    assert mark_all(conn, Models(), NIGHT, ZONE).vehicles == 0


def test_batches_are_transactions_of_their_own(conn: Connection, worth: int, monkeypatch: pytest.MonkeyPatch):
    for number in range(5):
        pledge(conn, f"V{number}", worth // 2)
    monkeypatch.setattr("valuation.service.mark.BATCH", 2)
    conn.execute(
        "CREATE FUNCTION trip() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF NEW.vehicle_id = 'V3' THEN RAISE EXCEPTION 'full disk'; END IF; RETURN NEW; END $$"
    )
    conn.execute("CREATE TRIGGER trip BEFORE INSERT ON ltv_mark FOR EACH ROW EXECUTE FUNCTION trip()")
    with pytest.raises(Exception, match="full disk"):
        mark_all(conn, Models(), NIGHT, ZONE)
    stored = conn.execute("SELECT vehicle_id FROM estimate WHERE cause = 'nightly' ORDER BY 1").fetchall()
    assert stored == [("V0",), ("V1",)], "the batch that failed left nothing, the one before it stays"
    conn.execute("DROP TRIGGER trip ON ltv_mark")
    assert mark_all(conn, Models(), NIGHT, ZONE).vehicles == 3


def hammered(**changes: Any) -> DomainEvent:
    payload = {
        "case_id": "c-1", "vehicle_id": "V1", "price_minor": 5_000_000, "currency": "CNY",
        "hammered_at": datetime(2026, 12, 20, 6, tzinfo=UTC).isoformat(),
    } | changes  # fmt: skip
    return DomainEvent(1, "1", "lot.hammered", "lot-1", payload, NIGHT)


def test_a_sale_is_kept_beside_what_was_thought_before_it_once(conn: Connection, worth: int):
    pledge(conn, "V1", worth // 2)
    for night in (0, 20):
        mark_all(conn, Models(), NIGHT + night * DAY, ZONE)
    record_disposal(conn, hammered())
    record_disposal(conn, hammered())
    rows = conn.execute(
        "SELECT days_before, price_minor, estimate_minor IS NOT NULL, as_of FROM disposal_outcome ORDER BY 1"
    ).fetchall()
    assert rows == [
        (0, 5_000_000, True, TODAY + 20 * DAY), (30, 5_000_000, False, None), (90, 5_000_000, False, None),
    ]  # fmt: skip


@pytest.mark.parametrize("change", [{"price_minor": 5e6}, {"price_minor": True}, {"vehicle_id": None}])
def test_a_sale_told_in_floats_or_holes_is_refused(conn: Connection, change: dict[str, Any]):
    with pytest.raises(Exception, match="expected"):
        record_disposal(conn, hammered(**change))
    assert count(conn, "disposal_outcome") == 0
