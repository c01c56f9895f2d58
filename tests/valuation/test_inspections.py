"""Inspections: what is refused, what a flag asks for, and what a falling odometer gives away."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from core.db.pool import Connection
from core.errors import Rejected
from valuation.appraisals import actions as appraisals
from valuation.appraisals import store as appraisal_store
from valuation.appraisals.domain import Figure
from valuation.inspections import actions, store
from valuation.inspections.domain import FLAGS, NewInspection
from valuation.vehicles.odometer import Reading, choose
from valuation.vehicles.store import facts_of

pytestmark = pytest.mark.db

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
GOOD = NewInspection("V1", NOW - timedelta(days=1), "李工", odometer_km=52_000.0, condition=3.5)
FIGURE = Figure(4_000_000, "CNY", "王评估师", date(2026, 11, 20), "现场查勘")


@pytest.fixture
def conn(db: Connection) -> Connection:
    db.execute("INSERT INTO vehicle (vehicle_id) VALUES ('V1'), ('V2')")
    return db


def test_an_inspection_is_stored_as_it_was_told(conn: Connection):
    told = replace(GOOD, flags=frozenset({"fire", "flood"}), note="右前门补漆", photos=("ab" * 32,))
    done = actions.record(conn, told, "user:7", now=NOW)
    stored = store.get_inspection(conn, done.inspection.inspection_id)
    assert stored == done.inspection
    assert (stored.odometer_km, stored.condition, stored.flags) == (52_000.0, 3.5, ("flood", "fire"))
    assert (stored.note, stored.photos, stored.recorded_by) == ("右前门补漆", ("ab" * 32,), "user:7")
    assert done.suggested_flags == ()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"inspector": " "}, "inspector_missing"),
        ({"inspected_at": NOW + timedelta(hours=1)}, "bad_inspected_at"),
        ({"inspected_at": datetime(2026, 11, 1)}, "bad_inspected_at"),  # noqa: DTZ001 - the fault under test
        ({"inspected_at": datetime(1, 1, 1, tzinfo=UTC)}, "bad_inspected_at"),
        ({"odometer_km": -1.0}, "bad_odometer"),
        ({"odometer_km": 3e6}, "bad_odometer"),
        ({"odometer_km": float("nan")}, "bad_odometer"),
        ({"condition": 0.9}, "bad_condition"),
        ({"condition": 5.1}, "bad_condition"),
        ({"flags": frozenset({"rust"})}, "bad_flag"),
        ({"photos": ("not a digest",)}, "bad_photo"),
        ({"odometer_km": None, "condition": None}, "empty_inspection"),
    ],
)
def test_an_inspection_that_cannot_be_is_refused(conn: Connection, change: dict[str, Any], code: str):
    with pytest.raises(Rejected) as refused:
        actions.record(conn, replace(GOOD, **change), "user:7", now=NOW)
    assert refused.value.code == code


@pytest.mark.parametrize("flag", FLAGS)
def test_each_flag_asks_for_a_manual_appraisal_once(conn: Connection, flag: str):
    first = actions.record(conn, replace(GOOD, flags=frozenset({flag})), "user:7", now=NOW)
    again = actions.record(conn, replace(GOOD, flags=frozenset({flag, "fire"})), "user:8", now=NOW)
    assert first.asked is not None
    assert again.asked is not None
    assert first.asked.appraisal_id == again.asked.appraisal_id
    assert again.asked.asked_because == sorted({flag, "fire"})
    assert again.asked.inspection_id == first.inspection.inspection_id


def test_an_inspection_without_a_flag_asks_nobody(conn: Connection):
    assert actions.record(conn, GOOD, "user:7", now=NOW).asked is None
    assert facts_of(conn, ["V1"], NOW, NOW.date())[0].open_appraisal_id is None


def test_an_appraisal_answers_the_open_question_and_the_next_flag_asks_anew(conn: Connection):
    flagged = replace(GOOD, flags=frozenset({"flood"}))
    asked = actions.record(conn, flagged, "user:7", now=NOW).asked
    answered = appraisals.record(conn, "V1", FIGURE, "user:9", today=NOW.date())
    assert asked is not None
    assert (answered.appraisal_id, answered.state, answered.recorded_by) == (
        asked.appraisal_id,
        "closed",
        "user:9",
    )
    assert answered.valid_until == date(2027, 5, 19)
    facts = facts_of(conn, ["V1"], NOW, NOW.date())[0]
    assert facts.open_appraisal_id is None
    assert facts.appraisal == answered
    asked_again = actions.record(conn, flagged, "user:7", now=NOW).asked
    assert asked_again is not None
    assert asked_again.appraisal_id != asked.appraisal_id
    assert facts_of(conn, ["V1"], NOW, NOW.date())[0].open_appraisal_id == asked_again.appraisal_id


def test_an_appraisal_nobody_asked_for_is_kept_as_an_override(conn: Connection):
    figure = appraisals.record(conn, "V1", FIGURE, "user:9", today=NOW.date())
    assert (figure.state, figure.asked_because) == ("closed", ["override"])
    assert appraisal_store.expired(conn, ["V1"], date(2028, 1, 1)) == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"value_minor": 0}, "bad_amount"),
        ({"value_minor": 10**14}, "bad_amount"),
        ({"currency": "yuan"}, "bad_currency"),
        ({"appraiser": ""}, "reason_missing"),
        ({"reason": " "}, "reason_missing"),
        ({"appraised_on": date(2026, 11, 21)}, "bad_appraised_on"),
        ({"appraised_on": date.max}, "bad_appraised_on"),
        ({"valid_until": date.max}, "bad_valid_until"),
        ({"valid_until": date(2026, 11, 19)}, "bad_valid_until"),
        ({"valid_until": date(2028, 11, 19)}, "bad_valid_until"),
    ],
)
def test_an_appraisal_that_cannot_be_is_refused(conn: Connection, change: dict[str, Any], code: str):
    with pytest.raises(Rejected) as refused:
        appraisals.record(conn, "V1", replace(FIGURE, **change), "user:9", today=NOW.date())
    assert refused.value.code == code


def test_an_odometer_that_went_down_suggests_tampering(conn: Connection):
    actions.record(conn, replace(GOOD, inspected_at=NOW - timedelta(days=90)), "user:7", now=NOW)
    within = actions.record(conn, replace(GOOD, odometer_km=51_950.0), "user:7", now=NOW)
    assert within.suggested_flags == (), "a dashboard and a tracker never agree to the kilometre"
    wound_back = actions.record(conn, replace(GOOD, odometer_km=31_000.0), "user:7", now=NOW)
    assert wound_back.suggested_flags == ("odometer_tampering",)
    admitted = replace(GOOD, odometer_km=31_000.0, flags=frozenset({"odometer_tampering"}))
    assert actions.record(conn, admitted, "user:7", now=NOW).suggested_flags == ()
    odometer = facts_of(conn, ["V1"], NOW, NOW.date())[0].odometer
    assert odometer is not None
    assert (odometer.km, odometer.suspected) == (52_000.0, True)


def test_a_device_that_reports_less_than_was_inspected_is_suspected_too(conn: Connection):
    actions.record(conn, replace(GOOD, inspected_at=NOW - timedelta(days=90)), "user:7", now=NOW)
    conn.execute(
        "INSERT INTO latest_position (device_id, vehicle_id, t, boot_id, seq, received_at, lat, lon, odometer_km)"
        " VALUES ('D1', 'V1', %(t)s, 1, 1, %(t)s, 30, 118, 20000)",
        {"t": NOW - timedelta(hours=1)},
    )
    assert (
        "odometer_tampering"
        in actions.record(
            conn, replace(GOOD, inspected_at=NOW, odometer_km=20_010.0), "user:7", now=NOW
        ).suggested_flags
    )
    odometer = facts_of(conn, ["V1"], NOW, NOW.date())[0].odometer
    assert odometer is not None
    assert (odometer.km, odometer.source, odometer.suspected) == (52_000.0, "inspection", True)


def test_the_newest_reading_that_agrees_says_how_fresh_the_odometer_is():
    march, june, july = (datetime(2026, month, 1, tzinfo=UTC) for month in (3, 6, 7))
    grown = choose([Reading(50_000, "inspection", march), Reading(53_000, "telemetry", june)])
    assert grown is not None
    assert (grown.km, grown.source, grown.at, grown.suspected) == (53_000, "telemetry", june, False)
    agreeing = choose([Reading(53_000, "inspection", june), Reading(52_950, "telemetry", july)])
    assert agreeing is not None
    assert (agreeing.km, agreeing.source, agreeing.at, agreeing.suspected) == (
        53_000,
        "telemetry",
        july,
        False,
    )
    back = choose([Reading(53_000, "inspection", june), Reading(30_000, "telemetry", july)])
    assert back is not None
    assert (back.km, back.at, back.suspected) == (53_000, june, True)
    assert choose([]) is None


def test_what_was_inspected_is_never_rewritten(conn: Connection):
    actions.record(conn, GOOD, "user:7", now=NOW)
    for change in (
        "UPDATE inspection SET condition = 5",
        "DELETE FROM inspection",
        "TRUNCATE inspection CASCADE",
    ):
        with pytest.raises(psycopg.errors.RestrictViolation), conn.transaction():
            conn.execute(change)
