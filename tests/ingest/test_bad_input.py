"""Whatever a device sends gets a named place; its neighbours are stored; nothing is half-written."""

import json
from datetime import UTC, datetime, timedelta

from core.clock import wall_now
from tests.fix_ingest import delivery, minutes_ago, position

GOOD = 3


def good(first_seq=100):
    return [position("d1", first_seq + n, minutes_ago(10 - n)) for n in range(GOOD)]


BAD_ITEMS = {
    "a word where a number belongs": (position("d1", 1, lat="north"), "schema"),
    "a number where a word belongs": (position("d1", 1, type=5), "schema"),
    "a latitude off the globe": (position("d1", 1, lat=91.0), "schema"),
    "a speed no car reaches": (position("d1", 1, speed_kmh=301.0), "schema"),
    "a sequence beyond 64 bits": (position("d1", 1) | {"seq": 2**63}, "schema"),
    "no sequence": (position("d1", 1, seq=None), "schema"),
    "a position without a position": (position("d1", 1, lat=None), "schema"),
    "a position without fix_valid": (position("d1", 1, fix_valid=None), "schema"),
    "a version from the future": (position("d1", 1, v=2), "unknown_version"),
    "a device id with a wildcard": (position("d1", 1, device_id="d+"), "schema"),
    "another device's report": (position("d2", 1), "device_mismatch"),
    "unknown fields that fill a book": (position("d1", 1, poem="x" * 3000), "ext_too_large"),
    "a NUL in an unknown field": (position("d1", 1, note="a\x00b"), "schema"),
    "a NUL that only the database minds": (position("d1", 1, mode="sl\x00eep"), "database_22021"),
    "a NUL in an alarm": (position("d1", 1, alarms=["tow\x00"]), "database_22021"),
    "an unknown datum": (position("d1", 1, crs="mars2000"), "schema"),
    "a bare number": (b"17", "schema"),
    "an array in the array": (b"[1]", "schema"),
    "null": (b"null", "schema"),
}


def test_each_bad_report_is_quarantined_with_its_bytes_and_its_neighbours_are_stored(pipeline):
    """All of them in one message: none takes another with it."""
    expected = {
        bad if isinstance(bad, bytes) else json.dumps(bad).encode(): reason
        for bad, reason in BAD_ITEMS.values()
    }
    first, *others = good()
    attempt = pipeline.put(delivery(first, *expected, *others))
    found = {bytes(raw): reason for raw, reason in pipeline.ask("SELECT payload, reason FROM quarantine")}
    assert found == expected
    assert pipeline.counts("telemetry", "telemetry_undated", "dead_letter") == (GOOD, 0, 0)
    assert (attempt.counts.received, attempt.counts.inserted) == (GOOD + len(expected), GOOD)


BAD_PAYLOADS = {
    "NaN": (b'{"v": 1, "lat": NaN}', "not_json"),
    "a cut-off object": (json.dumps(position("d1", 1)).encode()[:-5], "not_json"),
    "bytes that are no text": (b'{"v": 1, "type": "\xff\xfe"}', "not_json"),
}


def test_a_lone_report_that_is_not_json_is_quarantined(pipeline):
    pipeline.put(*(delivery(payload) for payload, _ in BAD_PAYLOADS.values()), delivery(*good()))
    assert pipeline.quarantined() == {"not_json": len(BAD_PAYLOADS)}
    assert pipeline.counts("telemetry") == (GOOD,)


BAD_STATUSES = {
    "text that is not UTF-8": (b'{"v": 1, "device_id": "d1", "online": true, "at": "\xc3("}', "not_json"),
    "bytes that are no text": (b"\xff\xfe", "not_json"),
    "nesting without end": (b'{"v": 1, "device_id": "d1", "at": ' + b"[" * 30_000, "not_json"),
    "no device": (b'{"v": 1, "online": true}', "schema"),
    "somebody else's": (b'{"v": 1, "device_id": "d2", "online": true}', "device_mismatch"),
}


def test_a_bad_status_message_is_quarantined_and_the_next_batch_is_stored(pipeline):
    """A last will that cannot be read came again for ever, and the slot's reports waited behind it."""
    pipeline.put(*(delivery(payload, kind="status") for payload, _ in BAD_STATUSES.values()))
    found = {(bytes(raw), reason) for raw, reason in pipeline.ask("SELECT payload, reason FROM quarantine")}
    assert found == set(BAD_STATUSES.values())
    pipeline.put(delivery(*good()))
    assert pipeline.counts("telemetry") == (GOOD,)


UNREADABLE = {
    "nothing": (b"", "payload_empty"),
    "an empty array": (b"[]", "payload_empty"),
    "a cut-off array": (b"[" + json.dumps(position("d1", 1)).encode() + b", {", "not_json"),
    "NaN in an array": (b"[" + json.dumps(position("d1", 1)).encode() + b', {"lat": NaN}]', "not_json"),
    "more reports than agreed": (b"[" + b",".join([b"{}"] * 201) + b"]", "too_many_reports"),
    "more bytes than agreed": (b"[" + b" " * 65_536 + b"]", "payload_too_large"),
    "an array nested ten thousand deep": (b"[" * 10_000 + b"]" * 10_000, "not_json"),
}


def test_a_payload_of_which_nothing_can_be_read_is_a_dead_letter(pipeline):
    attempt = pipeline.put(delivery(*good()), *(delivery(payload) for payload, _ in UNREADABLE.values()))
    found = {
        (bytes(payload), reason)
        for payload, reason in pipeline.ask("SELECT payload, reason FROM dead_letter")
    }
    assert found == set(UNREADABLE.values())
    assert (attempt.counts.dead, attempt.counts.received) == (len(UNREADABLE), GOOD + len(UNREADABLE))
    assert pipeline.counts("telemetry") == (GOOD,)


def test_topics_outside_the_grammar_are_dead_letters(pipeline):
    for topic in ("pw/v1/40/d1/telemetry", "pw/v1/00/d+1/telemetry", "elsewhere", "pw/v1/00/d1/cmd/x"):
        pipeline.put(delivery(*good(), topic=topic))
    assert {reason for (reason,) in pipeline.ask("SELECT reason FROM dead_letter")} == {"bad_topic"}
    assert pipeline.counts("telemetry", "quarantine") == (0, 0)


def test_unknown_and_revoked_devices_are_quarantined_and_a_bound_one_is_not_needed(pipeline):
    pipeline.put(
        delivery(position("stranger", 1), device_id="stranger"),
        delivery(position("d8", 1), device_id="d8"),
        delivery(position("d9", 1), device_id="d9"),
        delivery({"v": 1, "device_id": "stranger", "online": True}, device_id="stranger", kind="status"),
    )
    assert pipeline.quarantined() == {"unknown_device": 2, "revoked_device": 1}
    assert pipeline.ask("SELECT device_id, vehicle_id FROM telemetry") == [("d9", None)]


WRONG_CLOCKS = {
    "the epoch": (datetime(1970, 1, 1, tzinfo=UTC), "implausible"),
    "before the epoch": (datetime(1969, 12, 31, tzinfo=UTC), "implausible"),
    "2014": (datetime(2014, 12, 31, tzinfo=UTC), "implausible"),
    "2080": (datetime(2080, 1, 1, tzinfo=UTC), "clock_future"),
    "ninety-one days ago": (wall_now() - timedelta(days=91), "clock_past"),
    # Long enough that a suite which runs for minutes after this line does not reach it.
    "an hour ahead": (wall_now() + timedelta(hours=1), "clock_future"),
}
BEYOND_EVERY_CALENDAR = (2**63 - 1, -(2**63), 253_402_300_800_000, -1)


def test_a_wrong_clock_makes_a_report_undated_with_its_alarms_kept(pipeline):
    reports = [
        position("d1", seq, moment, alarms=["removal"] * (seq % 2))
        for seq, (moment, _) in enumerate(WRONG_CLOCKS.values())
    ]
    beyond = [
        position("d2", seq) | {"fix_time": epoch_ms, "device_time": epoch_ms}
        for seq, epoch_ms in enumerate(BEYOND_EVERY_CALENDAR)
    ]
    attempt = pipeline.put(delivery(*reports, *good()), delivery(*beyond, device_id="d2"))
    rows = pipeline.ask(
        "SELECT reason, alarms, abs(extract(epoch FROM now() - t)) < 60, vehicle_id FROM telemetry_undated"
        " ORDER BY device_id, seq"
    )
    expected = [
        (reason, ["removal"] * (seq % 2), True, "car-1")
        for seq, (_, reason) in enumerate(WRONG_CLOCKS.values())
    ]
    assert rows == expected + [("implausible", [], True, "car-2")] * len(beyond)
    assert pipeline.counts("telemetry", "quarantine") == (GOOD, 0)
    assert attempt.counts.undated == len(rows)


def test_a_heartbeat_without_any_time_is_undated(pipeline):
    report = position("d1", 1, type="heartbeat", fix_time=None, device_time=None)
    pipeline.put(delivery(report))
    assert pipeline.ask("SELECT reason, type FROM telemetry_undated") == [("no_time", "heartbeat")]


def test_a_poisoned_batch_is_halved_until_the_culprits_are_alone(pipeline):
    reports = [position("d1", seq, minutes_ago(60 - seq / 10)) for seq in range(200)]
    for seq in (0, 77, 78, 199):
        reports[seq]["mode"] = "\x00"
    attempt = pipeline.put(*(delivery(report) for report in reports))
    assert attempt.counts.inserted == 196
    assert pipeline.ask("SELECT reason, sqlstate, count(*) FROM quarantine GROUP BY 1, 2") == [
        ("database_22021", "22021", 4)
    ]
    assert pipeline.ask("SELECT max(seq) FROM latest_position") == [(198,)]


def test_a_good_repeat_of_a_poisoned_identity_is_stored(pipeline):
    moment = minutes_ago(5)
    poisoned = position("d1", 1, moment, mode="\x00")
    fine = position("d1", 1, moment, mode="live")
    attempt = pipeline.put(delivery(poisoned, poisoned, fine, fine))
    assert pipeline.ask("SELECT mode FROM telemetry") == [("live",)]
    counts = attempt.counts
    assert (counts.inserted, counts.quarantined, counts.duplicate, counts.dup_conflict) == (1, 2, 1, 0)


def test_status_messages_and_last_wills_move_the_device_on_and_off(pipeline):
    def say(**fields):
        body = {"v": 1, "device_id": "d1", "online": True, "at": "2026-11-22T00:00:00Z"} | fields
        pipeline.put(delivery(body, kind="status"))
        return pipeline.ask("SELECT online FROM device_status WHERE device_id = 'd1'")[0][0]

    assert say() is True
    assert say(online=False) is False
    assert say(online=True) is True
    say(online="perhaps")
    say(v=3)
    say(device_id="d2")
    assert pipeline.quarantined() == {"schema": 1, "unknown_version": 1, "device_mismatch": 1}


def test_what_is_refused_again_and_again_is_one_row_that_counts(pipeline):
    bad = position("d1", 1, lat="x")
    for _ in range(3):
        pipeline.put(delivery(bad, bad), delivery(b""))
    assert pipeline.quarantined() == {"schema": 6}
    assert pipeline.counts("quarantine", "dead_letter") == (1, 1)
    assert pipeline.ask("SELECT times FROM dead_letter") == [(3,)]
    assert pipeline.ask("SELECT sum(n_received) - sum(n_quarantined) - sum(n_dead) FROM ingest_ledger") == [
        (0,)
    ]


def test_a_days_flood_of_partitions_stops_at_the_cap_and_the_rest_waits_in_quarantine(pipeline):
    pipeline.tools.partitions._cap = 5
    reports = [position("d1", day, wall_now() - timedelta(days=day)) for day in range(20)]
    attempt = pipeline.put(delivery(*reports))
    assert (attempt.counts.inserted, attempt.counts.quarantined) == (5, 15)
    assert pipeline.quarantined() == {"partition_cap": 15}


def test_positions_in_chinese_datums_become_wgs84_and_say_what_they_were(pipeline):
    pipeline.put(
        delivery(position("d1", 1, lat=31.23, lon=121.47, crs="gcj02")),
        delivery(position("d2", 1, lat=31.23, lon=121.47), device_id="d2"),
    )
    (shifted, ext), (plain, none) = pipeline.ask("SELECT lat, ext FROM telemetry ORDER BY device_id")
    assert 0.001 < abs(shifted - plain) < 0.01
    assert (ext, none) == ({"crs": "gcj02"}, None)


def test_unknown_fields_are_kept(pipeline):
    pipeline.put(delivery(position("d1", 1, fuel_pct=55, vendor={"a": [1, 2.5, None, "你好"]})))
    assert pipeline.ask("SELECT ext FROM telemetry") == [
        ({"fuel_pct": 55, "vendor": {"a": [1, 2.5, None, "你好"]}},)
    ]
