"""`ingest check` gives every acknowledged report one verdict, and `quarantine replay` mends what can be mended."""

import csv
import hashlib
import json
import os
import subprocess
import sys

import pytest

from core.errors import Rejected, Unavailable
from ingest.checking.check import accepted, check, read_log, wait_for_empty_backlog
from ingest.checking.store import LogRow
from ingest.fragments import fragments
from ingest.replaying import replay
from tests.fix_ingest import ROOT, delivery, minutes_ago, position

EPOCH = "1970-01-01T00:00:00Z"


def raw(report):
    return json.dumps(report).encode()


def row(item, *, acknowledged=True, device_id="d1"):
    fields = json.loads(item)
    return LogRow(device_id, fields["boot_id"], fields["seq"], hashlib.sha256(item).digest(), acknowledged)


def figures(found):
    return {name: value for name, value in found.as_dict().items() if isinstance(value, int) and value}


def test_each_acknowledged_report_has_exactly_one_verdict(pipeline):
    moment = minutes_ago(5)
    stored, unsent, unacked = (raw(position("d1", seq, moment)) for seq in (1, 2, 3))
    other = raw(position("d1", 1, moment, sat=3))
    undated = raw(position("d1", 4, fix_time=EPOCH))
    refused = raw(position("d1", 5, lat="x"))
    torn = raw(position("d1", 6)) + b', {"v": NaN}'
    gone = raw(position("d1", 7))
    pipeline.put(
        delivery(stored, stored, other, undated, refused, unacked),
        delivery(b"[" + torn + b"]"),
        delivery(unsent),
    )
    found = check(
        pipeline.conn,
        iter([
            row(stored), row(stored), row(other), row(undated), row(refused),
            row(torn.partition(b', {"v"')[0]),
            row(gone), row(unacked, acknowledged=False),
        ]),
    )  # fmt: skip
    assert figures(found) == {
        "sent": 8, "acknowledged": 7, "stored": 1, "duplicate": 1, "dup_conflict": 1, "undated": 1,
        "quarantined": 1, "dead_letter": 1, "lost": 1, "ghost": 1,
    }  # fmt: skip
    assert [(one.device_id, one.seq) for one in found.lost_examples] == [("d1", 7)]
    assert [(one.device_id, one.seq) for one in found.ghost_examples] == [("d1", 2)]
    assert found.reasons == {"undated": {"implausible": 1}, "quarantined": {"schema": 1}}
    assert not found.good


def test_a_conflict_whose_first_was_never_acknowledged_is_still_no_loss(pipeline):
    first, second = raw(position("d1", 1, minutes_ago(1))), raw(position("d1", 1, minutes_ago(2)))
    pipeline.put(delivery(first))
    found = check(pipeline.conn, iter([row(first, acknowledged=False), row(second)]))
    assert figures(found) == {"sent": 2, "acknowledged": 1, "dup_conflict": 1}
    assert found.good


def test_only_the_reason_code_zero_means_that_the_broker_keeps_the_message():
    assert accepted("0")
    assert accepted(" 0x00 ")
    assert not any(map(accepted, ("", "16", "0x10", "135", "128")))


def test_a_broken_log_is_named_with_its_line(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("device_id,boot_id,seq,sha256\n")
    with pytest.raises(Rejected, match="reason_code"):
        list(read_log(path))
    path.write_text("device_id,boot_id,seq,sha256,reason_code\nd1,1,2,00,0\nd1,one,2,00,0\n")
    with pytest.raises(Rejected, match="line 3"):
        list(read_log(path))


def test_the_comparison_does_not_begin_before_every_slot_has_stored_a_later_probe(pipeline):
    with pytest.raises(Unavailable, match="0 of 2 slots"):
        wait_for_empty_backlog(pipeline.conn, 2, 0.3)


def test_reports_are_found_inside_a_payload_that_is_not_json():
    assert fragments(b' [{"a": "}{\\""}, {"b": {"c": 1}}, {"d": ') == [
        b'[{"a": "}{\\""}, {"b": {"c": 1}}, {"d":',
        b'{"a": "}{\\""}',
        b'{"b": {"c": 1}}',
    ]
    assert fragments(b'{"a": 1') == [b'{"a": 1']
    assert fragments(b"]]}}{{") == [b"]]}}{{"]


def test_a_replayed_quarantine_stores_once_what_a_fix_has_made_right(pipeline):
    strangers = [raw(position("stranger", seq, minutes_ago(seq))) for seq in range(3)]
    odd = [raw(position("d1", 1, lat="x")), b"[1, [2]]"]
    pipeline.put(delivery(*strangers, device_id="stranger"), delivery(b"[" + b",".join(odd) + b"]"))
    assert replay(pipeline.conn, pipeline.tools).inserted == 0
    pipeline.conn.execute("INSERT INTO device (device_id, shard) VALUES ('stranger', 3)")
    pipeline.tools.source = "replay"
    report = replay(pipeline.conn, pipeline.tools)
    assert (report.tried, report.inserted, report.refused) == (5, 3, {"schema": 2})
    again = replay(pipeline.conn, pipeline.tools)
    assert (again.tried, again.inserted, again.refused) == (2, 0, {"schema": 2})
    assert pipeline.counts("telemetry", "quarantine", "dead_letter") == (3, 5, 0)
    assert pipeline.ask("SELECT reason, count(*) FROM quarantine WHERE replayed_at IS NULL GROUP BY 1") == [
        ("schema", 2)
    ]
    assert pipeline.ask("SELECT count(*) FROM ingest_ledger WHERE source = 'replay'")[0][0] >= 2


def test_the_command_line_checks_lists_and_replays(pipeline, database_url, tmp_path):
    stranger = raw(position("stranger", 1))
    pipeline.put(delivery(stranger, device_id="stranger"))
    pipeline.conn.execute("INSERT INTO time_watermark VALUES (0, now(), now() + interval '1 hour')")
    path = tmp_path / "log.csv"
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["device_id", "boot_id", "seq", "sha256", "reason_code"])
        writer.writerow(["stranger", 7, 1, hashlib.sha256(stranger).hexdigest(), 0])

    def run(*words):
        done = subprocess.run(
            [sys.executable, "-m", "pledgewatch", *words, "--json"], cwd=ROOT, capture_output=True, text=True,
            env=os.environ | {"PLEDGEWATCH_DATABASE_URL": database_url, "PLEDGEWATCH_DATA_DIR": str(tmp_path / "data")},
            check=False,
        )  # fmt: skip
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout.splitlines()[-1])

    code, found = run("ingest", "check", "--acklog", str(path), "--wait", "5")
    assert (code, found["quarantined"], found["lost"]) == (0, 1, 0)
    code, listed = run("quarantine", "list", "--reason", "unknown_device")
    assert (code, listed["reasons"]) == (0, {"unknown_device": {"waiting": 1, "replayed": 0}})
    assert listed["items"][0]["payload"] == stranger.decode()
    pipeline.conn.execute("INSERT INTO device (device_id, shard) VALUES ('stranger', 3)")
    code, replayed = run("quarantine", "replay")
    assert (code, replayed["inserted"]) == (0, 1)
    with path.open("a") as handle:
        handle.write(f"stranger,7,2,{'00' * 32},0\n")
    code, found = run("ingest", "check", "--acklog", str(path), "--wait", "5")
    assert (code, found["stored"], found["lost"]) == (1, 1, 1)
