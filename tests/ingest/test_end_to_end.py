"""A report travels over real MQTT into a real database, once, and is acknowledged after that."""

from tests.fix_ingest import minutes_ago, position
from tests.fix_stack import eventually


def test_reports_sent_over_mqtt_are_stored_once_and_accounted_for(ingest_rig):
    rig = ingest_rig
    rig.register("d1", "d2")
    rig.start_and_wait()
    for seq in range(50):
        rig.report("d1", position("d1", seq, minutes_ago(60 - seq)))
    rig.report("d2", *[position("d2", seq, minutes_ago(60 - seq)) for seq in range(20)])
    rig.report("d1", position("d1", 7, minutes_ago(60 - 7)))
    found = rig.checked()
    assert (found.acknowledged, found.lost, found.ghost) == (71, 0, 0)
    assert rig.ask("SELECT count(*), count(DISTINCT (device_id, t, boot_id, seq)) FROM telemetry")[0][1] >= 70
    ledger = rig.ledger()
    assert ledger["messages"] == 52
    assert ledger["received"] == 71


def test_the_same_bytes_again_are_duplicates_and_other_bytes_a_conflict_where_the_first_wins(ingest_rig):
    rig = ingest_rig
    rig.register("d1")
    rig.start_and_wait()
    first = position("d1", 1, minutes_ago(5))
    other = first | {"speed_kmh": 99.0}
    rig.report("d1", first)
    rig.report("d1", first)
    rig.report("d1", other, first, other)
    rig.checked()
    rig.report("d1", other)
    rig.report("d1", first)
    found = rig.checked()
    assert (found.stored, found.duplicate, found.dup_conflict, found.lost) == (1, 3, 3, 0)
    ledger = rig.ledger()
    assert (ledger["inserted"], ledger["duplicate"], ledger["dup_conflict"]) == (1, 3, 3)
    assert rig.ask("SELECT speed_kmh FROM telemetry") == [(31.5,)]


def test_the_process_stops_on_request_and_gives_its_slot_back(ingest_rig):
    rig = ingest_rig
    rig.register("d1")
    first = rig.start_and_wait()
    assert first.stop() == 0
    assert rig.ask("SELECT owner FROM ingest_slot") == [(None,)]
    rig.report("d1", position("d1", 1))
    rig.start_and_wait()
    assert rig.checked().stored == 1
    eventually(lambda: rig.ask("SELECT session_present FROM ingest_slot")[0][0], what="the kept session")
