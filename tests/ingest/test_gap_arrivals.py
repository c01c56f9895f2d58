"""What the pipeline tells the gap ledger: everything that came, also what was refused."""

import json

import pytest

from core.clock import wall_now
from core.telemetry.gaps import reader, store
from tests.fix_ingest import delivery, position


def open_gaps(pipeline, device_id="d1"):
    reader.catch_up(pipeline.conn, wall_now())
    return sorted((gap.from_seq, gap.to_seq) for gap in store.gaps(pipeline.conn, device_id=device_id))


def test_stored_undated_quarantined_and_dead_reports_have_come_and_the_rest_is_missing(pipeline):
    bad = position("d1", 4, lat=200.0)
    broken = json.dumps(position("d1", 7)).encode()
    pipeline.put(
        delivery(position("d1", 1)),
        delivery(position("d1", 3, fix_time="1980-01-06T00:00:00Z", device_time="1980-01-06T00:00:00Z")),
        delivery(bad),
        delivery(b"[" + broken + b", {"),  # the array is not JSON, but one of its reports can be made out
        delivery(position("d1", 9), position("d1", 9)),
    )
    assert pipeline.counts("telemetry", "telemetry_undated", "quarantine", "dead_letter") == (2, 1, 1, 1)
    assert open_gaps(pipeline) == [(2, 2), (5, 6), (8, 8)]
    pipeline.put(delivery(position("d1", 2)), delivery(position("d1", 5), position("d1", 6)))
    assert open_gaps(pipeline) == [(8, 8)]


def test_repeats_are_not_told_again_and_a_batch_is_one_row(pipeline):
    first = [delivery(position("d1", seq), device_id="d1") for seq in (1, 2)]
    pipeline.put(*first, delivery(position("d2", 5), device_id="d2"))
    assert pipeline.counts("telemetry_arrival") == (1,)
    pipeline.put(*first)
    assert pipeline.counts("telemetry_arrival") == (1,)


def test_a_stranger_and_a_word_about_another_device_open_no_gap(pipeline):
    pipeline.put(
        delivery(position("ghost", 1), device_id="ghost"), delivery(position("ghost", 9), device_id="ghost"),
        delivery(position("d8", 1), device_id="d8"), delivery(position("d8", 9), device_id="d8"),
        delivery(position("d2", 1), device_id="d2"), delivery(position("d2", 9), device_id="d1"),
    )  # fmt: skip
    assert pipeline.quarantined() == {"unknown_device": 2, "revoked_device": 2, "device_mismatch": 1}
    assert [open_gaps(pipeline, name) for name in ("ghost", "d8", "d2", "d1")] == [[], [], [], []]


def test_a_batch_that_is_rolled_back_was_never_told(pipeline, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("power cut")

    monkeypatch.setattr("ingest.storing.store.add_ledger_row", fail)
    with pytest.raises(RuntimeError):
        pipeline.put(delivery(position("d1", 1)))
    assert pipeline.counts("telemetry", "telemetry_arrival") == (0, 0)
