import json

import pytest

from alerts.findings import store
from core.domain.finding import Finding, Severity

T = 1_790_000_000_000


def finding(event_ms=T, **fields):
    values = {
        "vehicle_id": "v1", "device_id": "d1", "rule": "DEVICE_REMOVED", "scope": "d1", "event": "raise",
        "detected_ms": event_ms, "episode_ms": event_ms, "severity": Severity.P1,
        "evidence": {"alarms": ["removal"], "volts": 0.1, "reports_ms": [event_ms]},
    } | fields  # fmt: skip
    return Finding(event_ms=event_ms, **values)


def log(db):
    return db.execute("SELECT revision, status, late_by_s FROM finding ORDER BY seq").fetchall()


def test_a_finding_is_read_back_as_it_was_written(db):
    written = finding(
        lat=31.2304161, lon=121.4737011, evidence={"nested": {"a": [1, 2.5, None]}, "text": "沪A"}
    )
    assert store.append(db, [written], now_ms=T).added == (written,)
    assert store.current(db, "v1", T, T + 1) == [written]
    assert store.current(db, "v1", T + 1, T + 2) == []
    assert store.current(db, "v2", T, T + 1) == []


def test_the_same_finding_again_writes_nothing_even_if_json_changed_its_types(db):
    store.append(db, [finding(evidence={"pair": (1, 2), "level": Severity.P2, "x": 1.0})], now_ms=T)
    again = store.append(db, [finding(evidence={"pair": [1, 2], "level": "P2", "x": 1.0})], now_ms=T + 1)
    assert again == store.Appended()
    assert log(db) == [(1, "added", 0)]


@pytest.mark.parametrize(
    "change",
    [{"severity": Severity.P2}, {"evidence": {}}, {"lat": 1.0, "lon": 2.0}, {"detected_ms": T + 1}, {"episode_ms": T - 1}],
    ids=str,
)  # fmt: skip
def test_a_different_content_is_a_correction_under_the_same_id(db, change):
    store.append(db, [finding()], now_ms=T)
    changed = finding(**change)
    assert store.append(db, [changed], now_ms=T).corrected == (changed,)
    assert [row[:2] for row in log(db)] == [(1, "added"), (2, "corrected")]
    assert store.current(db, "v1", T, T + 1) == [changed]


def test_a_retracted_finding_keeps_its_row_and_says_why_and_can_come_back(db):
    written = finding()
    store.append(db, [written], now_ms=T)
    assert store.retract(db, [written.id], "disproved_by_late_data") == 1
    assert store.current(db, "v1", T, T + 1) == []
    assert store.retract(db, [written.id], "again") == 0
    evidence = db.execute("SELECT evidence FROM finding WHERE revision = 2").fetchone()[0]
    assert evidence["retracted_because"] == "disproved_by_late_data"
    assert evidence["alarms"] == ["removal"]
    assert store.append(db, [written], now_ms=T).added == (written,)
    assert store.current(db, "v1", T, T + 1) == [written]
    assert [row[:2] for row in log(db)] == [(1, "added"), (2, "retracted"), (3, "added")]


def test_one_batch_with_the_same_id_twice_keeps_the_last_word(db):
    store.append(db, [finding(severity=Severity.P3), finding(severity=Severity.P1)], now_ms=T)
    assert log(db) == [(1, "added", 0)]
    assert store.current(db, "v1", T, T + 1)[0].severity is Severity.P1


def test_what_the_live_lane_proves_is_not_late_however_long_the_rule_waited(db):
    waited = finding(T - 900_000, detected_ms=T)
    late = finding(T - 900_000, detected_ms=T - 600_000, scope="d2")
    ancient = finding(-60_000_000_000_000, scope="d3")
    store.append(db, [waited, late, ancient], now_ms=T)
    assert [row[2] for row in log(db)] == [0, 900, store.MOST_SECONDS]


def test_findings_proved_after_a_moment_are_told_by_their_newest_revision(db):
    early, late = finding(T), finding(T + 1000)
    store.append(db, [early, late], now_ms=T)
    assert store.current_detected_after(db, "v1", ["DEVICE_REMOVED"], T) == [late]
    assert store.current_detected_after(db, "v1", ["DEVICE_REMOVED"], None) == [early, late]
    assert store.current_detected_after(db, "v1", ["LTV_BREACH"], None) == []
    grown = finding(T, detected_ms=T + 5000, severity=Severity.P2)
    store.append(db, [grown], now_ms=T)
    assert store.current_detected_after(db, "v1", ["DEVICE_REMOVED"], T) == [grown, late]
    assert store.first_detected_ms(db, [grown.id]) == T
    assert store.first_detected_ms(db, []) is None


def test_a_finding_of_an_unknown_device_has_no_vehicle(db):
    stray = finding(vehicle_id=None, rule="UNREGISTERED_DEVICE")
    store.append(db, [stray], now_ms=T)
    row = db.execute("SELECT vehicle_id, device_id, evidence::text FROM finding").fetchone()
    assert row[:2] == (None, "d1")
    assert json.loads(row[2]) == stray.evidence
